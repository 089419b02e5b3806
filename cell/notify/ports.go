package notify

import (
	"context"
	"time"

	"guichet/cell/id"
	"guichet/internal/txn"
)

// Queue keeps messages. Calls that are given a transaction are a part of it. Every
// time is the database's.
type Queue interface {
	// Enqueue stores a message unless there is one for its order, kind and part, and
	// remembers that the address has the order, or a ticket of it.
	Enqueue(ctx context.Context, tx txn.Tx, m Message) error
	// Again stores m with the next free part after prefix, unless limit parts with the
	// prefix were made within the window: then wait says when there is room again.
	Again(ctx context.Context, tx txn.Tx, m Message, prefix string, limit int, window time.Duration) (wait time.Duration, err error)
	// Claim leases up to limit queued messages whose time has come.
	Claim(ctx context.Context, limit int, lease time.Duration) ([]Claimed, error)
	// End stores how a message ended. It does nothing when another sender has taken
	// the message since.
	End(ctx context.Context, c Claimed, s State, reason string) error
	// Later lets a message wait.
	Later(ctx context.Context, c Claimed, in time.Duration, reason string) error
	// Shelve turns what is queued into unsent; Unshelve turns what is unsent and younger
	// than age back. Both say how many.
	Shelve(ctx context.Context, reason string, limit int) (int64, error)
	Unshelve(ctx context.Context, age time.Duration) (int64, error)
	// Forget removes personal data from messages that ended longer than keep ago, and
	// searches for tickets that are older than searches, at most limit of each.
	Forget(ctx context.Context, keep, searches time.Duration, limit int) (int64, error)
	// Caused lists when mails were caused to whom a limit key names, within
	// CausedRetention, youngest first, at most limit; and says what time it is.
	Caused(ctx context.Context, tx txn.Tx, limitKey string, limit int) (now time.Time, at []time.Time, err error)
	// ForgetCaused removes what is older than that, at most limit.
	ForgetCaused(ctx context.Context, age time.Duration, limit int) (int64, error)
	// OrdersReached lists orders that the address was told about, youngest first.
	OrdersReached(ctx context.Context, addressHash string, limit int) ([]id.Order, error)
	// TicketsReached lists single tickets that the address was given, youngest first.
	TicketsReached(ctx context.Context, addressHash string, limit int) ([]id.Ticket, error)
}

// Composer gathers what a mail says, at the moment it is sent.
type Composer interface {
	// Compose answers ErrObsolete when there is nothing left to tell.
	Compose(ctx context.Context, m Message) (Facts, []Attachment, error)
}

// Courier carries a mail to a mail server. An error that is ErrRefused is final;
// all others are tried again. It must be safe for use by several goroutines.
type Courier interface {
	Send(ctx context.Context, m Mail) error
}

// Watch is told what happens to mails; it must not block.
type Watch interface {
	Ended(k Kind, s State)
	Delayed(k Kind)
}

// Mail is a mail as it leaves.
type Mail struct {
	ID          string // the Message-ID's local part
	To, Name    string
	Subject     string
	Text, HTML  string
	Language    string // BCP 47, of the text
	Date        time.Time
	Attachments []Attachment
}

// Attachment is a file in a mail.
type Attachment struct {
	Name, Media string
	Content     []byte
}

// Package notify is the cell's mail room: which mails exist, what they say in
// which language, and how they leave. A mail is queued in the transaction of what
// it tells about and exists once for (order, kind, part), so it can neither be
// lost nor doubled by us (P5); it leaves at least once under one Message-ID, by
// which mail programs recognise a second copy.
//
// The room knows no orders: a Composer brings the facts when a mail is sent, a
// Courier carries it. Only this room changes the state of a message.
package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"guichet/cell/id"
	"guichet/cell/mailaddr"
	"guichet/internal/kind"
)

// Kind is the occasion of a mail.
type Kind string

// The kinds.
const (
	OrderPaid         Kind = "order_paid" // with the tickets
	OrderExpired      Kind = "order_expired"
	OrderCanceled     Kind = "order_canceled"
	Refund            Kind = "refund" // of a part; the tickets stay
	LatePaymentRefund Kind = "late_payment_refund"
	EventCanceled     Kind = "event_canceled"
	EventRescheduled  Kind = "event_rescheduled"  // with the date for the calendar
	TicketReceived    Kind = "ticket_received"    // by transfer, with the ticket
	TicketGiven       Kind = "ticket_given"       // to who had it before
	TicketVoid        Kind = "ticket_void"        // to who had it by transfer
	TicketRescheduled Kind = "ticket_rescheduled" // to who has it by transfer
	FindMyTickets     Kind = "find_my_tickets"
	Invitation        Kind = "invitation" // to an organizer's members; its part is the invitation's id
	SignIn            Kind = "sign_in"    // with a link that signs the reader in
)

// Kinds are all of them, in the order of an order's life.
func Kinds() []Kind {
	return []Kind{OrderPaid, OrderExpired, OrderCanceled, Refund, LatePaymentRefund, EventCanceled, EventRescheduled, TicketReceived, TicketGiven, TicketVoid, TicketRescheduled, FindMyTickets, Invitation, SignIn}
}

// State of a message.
type State string

// The states of a message. Unsent ones are kept and leave when the cell gets a
// mail server in time.
const (
	Queued State = "queued"
	Sent   State = "sent"
	Parked State = "parked" // for good, with the reason
	Unsent State = "unsent"
)

// NoServer is why a message is unsent.
const NoServer = "no mail server configured"

// Message is a mail that is to be written. What it says is gathered when it is
// sent; the row holds only whom to tell about what.
type Message struct {
	Kind   Kind
	Order  id.Order // zero for find_my_tickets, invitations and sign_in
	Part   string   // tells mails of one kind about one order apart, "" where there is one; at most MaxPart bytes
	To     string   // an e-mail address
	Name   string   // of the person, may be empty
	Locale string   // BCP 47 as the buyer's browser said it; may be empty or nonsense
	Caused bool     // by a stranger: it counts for the caps of its address
}

// MaxPart bounds Message.Part.
const MaxPart = 64

// Ticket is the single ticket that a message is about: its part names it, and behind a
// dot what tells this time from others.
func (m *Message) Ticket() (id.Ticket, error) {
	text, _, _ := strings.Cut(m.Part, ".")
	return id.ParseTicket(text)
}

// ofNoOrder says that mails of the kind are not about an order.
func (k Kind) ofNoOrder() bool { return k == FindMyTickets || k == Invitation || k == SignIn }

// About is what the message is about: the order, or the hash of the address.
func (m *Message) About() string {
	if m.Kind.ofNoOrder() {
		return AddressHash(m.To)
	}
	return m.Order.String()
}

// ID names the message, and with the sender's domain is its Message-ID. It
// follows from what makes the message unique and gives nothing of it away: an
// order's id opens the order, and a Message-ID is seen by every server on the way.
func (m *Message) ID() string {
	sum := sha256.Sum256([]byte("guichet mail v1\x00" + m.About() + "\x00" + string(m.Kind) + "\x00" + m.Part))
	return hex.EncodeToString(sum[:16])
}

// AddressHash is how an address is looked up without being kept: hex SHA-256 of
// whose it is, whatever its spelling (mailaddr.Address.Key).
func AddressHash(address string) string {
	sum := sha256.Sum256([]byte("guichet mail address v1\x00" + mailaddr.Key(address)))
	return hex.EncodeToString(sum[:])
}

// Claimed is a message that is to be sent now.
type Claimed struct {
	Message
	MessageID string
	Attempt   int           // from 1; fences out a sender whose lease ran out
	QueuedAt  time.Time     // by the database's clock; the Date of the mail
	Waited    time.Duration // since then, when it was claimed; by the same clock
}

// Errors of this room.
var (
	// ErrObsolete is a Composer's word that there is nothing left to tell.
	ErrObsolete = kind.Unprocessable.New("mail_obsolete")
	// ErrRefused is a Courier's word that trying again will not help.
	ErrRefused = kind.Unprocessable.New("mail_refused")
	// ErrInvalid is a message that cannot be queued: a bug of the caller.
	ErrInvalid = kind.Internal.New("invalid_message")
	// ErrTooOften is returned for a mail that was sent again too often.
	ErrTooOften = kind.Busy.New("mail_limit")
)

// Check holds a message to what the queue can keep.
func (m *Message) Check() error {
	switch {
	case m.Kind == "", m.To == "", len(m.Part) > MaxPart:
		return ErrInvalid.With("a message needs a kind, an address and a part of at most %d bytes", MaxPart)
	case !m.Kind.ofNoOrder() && m.Order.IsZero():
		return ErrInvalid.With("%s is about an order", m.Kind)
	}
	return nil
}

package account

import (
	"context"
	"time"

	"guichet/cell/id"
	"guichet/internal/txn"
)

// Store keeps accounts. A call that is given a transaction is a part of it. Every
// time is the database's.
type Store interface {
	// ChangeAccount locks the account, which it makes when there is none, reads it whole,
	// lets decide change it and writes its Changes. decide may run again and must not be
	// seen from outside.
	ChangeAccount(ctx context.Context, tx txn.Tx, org id.Organizer, decide func(a *Account, now time.Time) error) error
	// Membership reads what a person is at an organizer: the account with that member alone.
	Membership(ctx context.Context, org id.Organizer, issuer, subject string) (Account, error)
	// Members lists who was not removed, behind a member, in the order of their ids.
	Members(ctx context.Context, tx txn.Tx, org id.Organizer, after string, limit int) ([]Member, error)
	// Security is what members' sign-in must assert.
	Security(ctx context.Context, tx txn.Tx, org id.Organizer) (requiredACR string, err error)
	// Invitations and APIKeys list those of an account behind an id, in the order of their
	// ids, with the time it is.
	Invitations(ctx context.Context, org id.Organizer, after string, limit int) ([]Invitation, time.Time, error)
	APIKeys(ctx context.Context, org id.Organizer, after string, limit int) ([]Key, time.Time, error)
	// Invitation and APIKey read one.
	Invitation(ctx context.Context, of id.Invitation) (Invitation, error)
	APIKey(ctx context.Context, of id.APIKey) (Key, time.Time, error)
	// RevokeSession lists a session (sid:<hash>) until a time, at most for so long.
	RevokeSession(ctx context.Context, subject string, until time.Time, most time.Duration) error
	// Revoked lists what is revoked now, at most limit; all says that nothing was left out.
	Revoked(ctx context.Context, limit int) (subjects []string, all bool, err error)
	// IsRevoked says whether this cell revoked a subject.
	IsRevoked(ctx context.Context, subject string) (bool, error)
	// ForgetAccounts deletes what is past its time, at most limit of each kind.
	ForgetAccounts(ctx context.Context, kept time.Duration, limit int) (int64, error)
}

// Postman queues the mail of an invitation, in the transaction that ctx carries.
type Postman interface {
	PostInvitation(ctx context.Context, tx txn.Tx, inv Invitation) error
}

// Package payment is money on its way: charges, refunds and the ledger that
// balances. It knows no provider; a provider enters through Processor.
package payment

import (
	"context"
	"time"

	"guichet/cell/money"
	"guichet/internal/kind"
)

// Errors a Processor answers with; anything else is a bug or an outage.
var (
	// ErrProviderAway means the provider could not be asked or did not know in
	// time: the outcome is unknown and the same call with the same key may be repeated.
	ErrProviderAway = kind.Unavailable.New("payment_provider_unavailable")
	// ErrUndecided means that the provider answered, and that the buyer's bank is still
	// deciding. It comes with ErrProviderAway: the same call may be repeated.
	ErrUndecided = kind.Unavailable.New("payment_undecided")
	// ErrRefusedByProvider means the provider understood and said no.
	ErrRefusedByProvider = kind.Unprocessable.New("payment_refused")
	// ErrUnknownIntent means the provider has no such payment.
	ErrUnknownIntent = kind.NotFound.New("payment_unknown")
	// ErrUnknownPayee means the provider knows no such account that is connected to ours.
	ErrUnknownPayee = kind.Unprocessable.New("payment_account_unknown")
	// ErrUnusablePayee means an account that cannot take payments yet.
	ErrUnusablePayee = kind.Unprocessable.New("payment_account_unusable")
	// ErrBadSignature means a webhook was not signed by the provider, or too long ago.
	ErrBadSignature = kind.Invalid.New("bad_signature")
)

// State of a payment (domain.md).
type State string

// The states of a payment.
const (
	Created    State = "created"
	Pending    State = "pending"
	Authorized State = "authorized"
	Captured   State = "captured"
	Failed     State = "failed"
	Canceled   State = "canceled"
	Disputed   State = "disputed"
)

// Intent is a payment at the provider.
type Intent struct {
	ID           string // the provider's id, "pi_…"
	ClientSecret string // for the buyer's browser
	State        State
	Amount       money.Money
	Received     int64  // minor units captured so far
	OrderID      string // our order, from the provider's metadata
	Decline      string // the provider's decline code after a failed attempt, "" if none
}

// NewIntent asks the provider to prepare a payment.
type NewIntent struct {
	Amount      money.Money
	OrderID     string
	EventID     string
	Email       string // for the provider's receipt and fraud checks
	Description string
	Key         string // idempotency key, ours, stable over retries
	Manual      bool   // authorize only; CaptureIntent takes the money
	Destination string // the organizer's own account at the provider, "acct_…"; "" if none
	Fee         int64  // minor units that stay with the platform when there is a Destination
}

// Refund is money on its way back.
type Refund struct {
	ID       string // the provider's id, "re_…"
	State    string // "in_transit", "done" or "failed"
	Amount   money.Money
	IntentID string // of the payment that goes back, "" when the provider does not say
	Reversed bool   // taken back from the organizer's own account
}

// Returned is how much of a payment went back in all, whoever decided on it.
type Returned struct {
	IntentID string
	Amount   money.Money
}

// Telling is an event that the provider had to tell, as a webhook has it.
type Telling struct {
	ID   string
	Body []byte
}

// Historian tells again what a webhook that was lost did not tell.
type Historian interface {
	// Told lists what the provider told of refunds and disputes from one moment until
	// another by its own clock, the newest first, a page of at most 100 behind the event
	// after; more says that there are others. ErrUnknownIntent when it does not know after
	// any more.
	Told(ctx context.Context, from, until time.Time, after string) (page []Telling, more bool, err error)
	// RefundsOf lists the refunds of an intent, the newest first, at most 100.
	RefundsOf(ctx context.Context, intentID string) ([]Refund, error)
}

// Notice is a provider's event after its signature was checked.
type Notice struct {
	ID      string // the provider's event id, "evt_…": the key for once-only
	Type    string // the provider's type, "payment_intent.succeeded"
	Created time.Time
	Intent  *Intent  // set for payment_intent.*
	Dispute *Dispute // set for charge.dispute.*: without Order, Organizer and Blocked
	Refund  *Refund  // set for refund.*
	// Returned is set for charge.refunded, which does not say by which refund.
	Returned *Returned
}

// Silent says of a notice that it is about nothing of ours.
func (n *Notice) Silent() bool {
	return n.Intent == nil && n.Dispute == nil && n.Refund == nil && n.Returned == nil
}

// About is the provider's payment that a notice of a refund or a dispute is about, "" for
// others.
func (n *Notice) About() string {
	switch {
	case n.Dispute != nil:
		return n.Dispute.IntentID
	case n.Refund != nil:
		return n.Refund.IntentID
	case n.Returned != nil:
		return n.Returned.IntentID
	}
	return ""
}

// Payee is an organizer's own account at the provider.
type Payee struct {
	Account  string // "acct_…"
	Country  string // ISO 3166-1 alpha-2
	Currency string // of its payouts
	Charges  bool   // may take payments
	Payouts  bool   // may be paid out
}

// Payees knows the organizers' own accounts at the provider.
type Payees interface {
	// Payee reads an account; ErrUnknownPayee when it is not connected to ours.
	Payee(ctx context.Context, account string) (Payee, error)
}

// FeeTeller tells what the provider keeps of payments.
type FeeTeller interface {
	// ChargeFee is what the provider kept of a captured payment, in the currency in
	// which it settles; ErrProviderAway while that is not known yet.
	ChargeFee(ctx context.Context, intentID string) (money.Money, error)
}

// Gate knows before a call whether it would be let through to the provider.
type Gate interface {
	// Ready answers ErrProviderAway when it would not.
	Ready() error
}

// Reader reads a notice whose signature was checked when it came.
type Reader interface {
	ReadNotice(body []byte) (Notice, error)
}

// Processor is a payment provider. Every call is safe to repeat with its key
// and ends by the context's deadline.
type Processor interface {
	// Name is the provider's name in the API, "stripe".
	Name() string
	// PublishableKey is what a buyer's browser authenticates with.
	PublishableKey() string
	CreateIntent(ctx context.Context, n NewIntent) (Intent, error)
	GetIntent(ctx context.Context, intentID string) (Intent, error)
	// CaptureIntent takes all the money that was authorized. It answers the intent as it
	// then is; ErrRefusedByProvider when there is nothing to capture any more.
	CaptureIntent(ctx context.Context, intentID, key string) (Intent, error)
	// CancelIntent answers the intent as it then is: Canceled, or Captured when the money
	// came first; ErrUndecided while it cannot be canceled.
	CancelIntent(ctx context.Context, intentID, key string) (Intent, error)
	// Refund gives amount of the intent back; zero amount means all that is left.
	Refund(ctx context.Context, intentID string, amount int64, key string) (Refund, error)
	// ParseNotice checks a webhook's signature header against its raw body.
	ParseNotice(body []byte, signature string, now time.Time) (Notice, error)
}

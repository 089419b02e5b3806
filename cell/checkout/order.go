// Package checkout turns a hold into an order, its payment into tickets, and
// every failure into a refund. It is the only room that joins booking and
// payment; the home cell runs it alone (P6). What it decides is stored in one
// transaction with the stock it concerns; the provider is only ever called
// outside of transactions, with a key that makes the call safe to repeat (P5).
package checkout

import (
	"crypto/rand"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/legible"
	"guichet/cell/mailaddr"
	"guichet/cell/money"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/internal/kind"
)

// What checkout can say. The codes are part of the API.
var (
	ErrOrderNotFound  = kind.NotFound.New("order_not_found")
	ErrTicketNotFound = kind.NotFound.New("ticket_not_found")
	ErrPriceChanged   = kind.Conflict.New("price_changed")
	ErrInvalidOrder   = kind.Invalid.New("invalid_order")
	ErrState          = kind.Conflict.New("invalid_state")
	ErrRefundTooLarge = kind.Unprocessable.New("refund_too_large")
	ErrNotAllowed     = kind.Forbidden.New("not_allowed")
	// ErrRefundLimit means that an order was given back in too many parts already.
	ErrRefundLimit = kind.Unprocessable.New("refund_limit")
	// ErrCodeTaken means another order of the event has this code; nothing was stored.
	ErrCodeTaken = kind.Internal.New("order_code_taken")
)

// State of an order (domain.md).
type State string

// The states of an order.
const (
	Pending  State = "pending"
	Paid     State = "paid"
	Expired  State = "expired"
	Canceled State = "canceled"
)

// RefundStatus stands beside the state.
type RefundStatus string

// The refund statuses.
const (
	NoRefund      RefundStatus = "none"
	PartialRefund RefundStatus = "partial"
	FullRefund    RefundStatus = "full"
)

// Buyer pays.
type Buyer struct {
	Email, Name, Locale string
}

// Attendee is the person on a ticket.
type Attendee struct {
	Name, Email string
	Answers     []Answer `json:"-"` // kept with the order's
}

// Order is one purchase.
type Order struct {
	ID        id.Order
	Hold      id.Hold
	Code      string // short, for people, unique within the event
	State     State
	Refund    RefundStatus
	Total     money.Money // all-in, fixed when held
	Fees      int64       // our share of it
	Buyer     Buyer
	Attendees []Attendee
	Items     []booking.HoldItem
	CreatedAt time.Time
	ExpiresAt time.Time // of the payment window
	Payment   *payment.Payment
	Tickets   []Ticket
	Timeline  []Moment
	Refunds   []payment.Back // oldest first; read where they are shown, and not with every order
	Access    int64          // generation of the tokens that admit to it
	ChangedAt time.Time      // of its state, refunds or tickets; read in lists only

	Policy booking.RefundPolicy // that was stated when it was made
	Kept   int64                // of the prices of what its buyer gave back, in minor units
}

// payable says that the order has all that its buyer needs to pay it, if anything. One
// that ended before that never will: its buyer must hold again.
func (o *Order) payable() (bool, error) {
	if o.State == Expired || o.State == Canceled {
		again := "; hold the tickets again"
		if o.State == Canceled { // perhaps with its event
			again = ""
		}
		return false, booking.ErrHoldExpired.With("the order is %s: it ended before it could be paid%s", o.State, again).
			Field("state", string(o.State)).Field("order_id", o.ID.String())
	}
	return o.State == Paid || o.Payment == nil || o.intentKnown(), nil
}

// Moment is one entry of the timeline.
type Moment struct {
	At   time.Time
	What string
}

// TicketState of a ticket (domain.md).
type TicketState string

// The states of a ticket.
const (
	TicketValid     TicketState = "valid"
	TicketCheckedIn TicketState = "checked_in"
	TicketCanceled  TicketState = "canceled"
	TicketRevoked   TicketState = "revoked" // does not open the door, but is still sold
)

// Ticket is a right of admission.
type Ticket struct {
	ID       id.Ticket
	Order    id.Order
	Type     id.TicketType
	Name     string // of the ticket type
	Attendee string
	State    TicketState
	Barcode  string
	Seat     booking.HeldSeat // zero for general admission

	Transfers int64  // how often it was given on
	Holder    Holder // who was given it; Attendee is his name
	Gone      Given  // what its buyer is told once he gave it away; of a dead id, who had that
	Access    int64  // generation of the tokens that admit to it

	Consented time.Time // when who was given it agreed to its refund; zero for not
}

// Revocation is a barcode that must not be let in any more.
type Revocation struct {
	Seq  int64  // per event, from 1, without gaps
	Mark string // ticket.Mark of the barcode
	At   time.Time
}

// Request is what a buyer says to order.
type Request struct {
	Hold      id.Hold
	Buyer     Buyer
	Attendees []Attendee
	Shown     *money.Money // the total the buyer saw
	Answers   []Answer     // to the event's questions, of the order
	Consents  []Consented
}

// maxText bounds what buyers say, in characters.
const maxText = 200

// Check holds the request to its rules; errors point at the JSON field.
func (r *Request) Check() error {
	if err := email("/buyer/email", r.Buyer.Email); err != nil {
		return err
	}
	if err := personal("/buyer/name", r.Buyer.Name); err != nil {
		return err
	}
	if err := plain("/buyer/locale", r.Buyer.Locale, 0); err != nil {
		return err
	}
	if r.Shown != nil && r.Shown.Currency == "" {
		return ErrInvalidOrder.At("/shown_total/currency", "must be given")
	}
	if len(r.Attendees) > booking.MaxTicketsPerOrder {
		return ErrInvalidOrder.At("/attendees", "must be at most %d", booking.MaxTicketsPerOrder)
	}
	for i, a := range r.Attendees {
		at := "/attendees/" + strconv.Itoa(i)
		if err := personal(at+"/name", a.Name); err != nil {
			return err
		}
		if a.Email != "" {
			if err := email(at+"/email", a.Email); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckSearch holds a search for tickets to the same rules as an order's buyer.
func CheckSearch(address, locale string) error {
	if err := email("/email", address); err != nil {
		return err
	}
	return plain("/locale", locale, 0)
}

func email(at, s string) error {
	if _, err := mailaddr.Parse(s); err != nil {
		return ErrInvalidOrder.At(at, "must be an e-mail address: it %s", kind.As(err).Detail)
	}
	return nil
}

// personal holds a person's name to what a mail may greet him by: strangers write it.
func personal(at, s string) error {
	if err := plain(at, s, 1); err != nil {
		return err
	}
	if why := notify.Unfit(s); why != "" {
		return ErrInvalidOrder.At(at, "%s", why)
	}
	return nil
}

func plain(at, s string, least int) error {
	n := utf8.RuneCountInString(s)
	if n < least || n > maxText || least > 0 && strings.TrimSpace(s) == "" {
		return ErrInvalidOrder.At(at, "must be %d to %d characters", least, maxText)
	}
	if err := legible.Check(s, false); err != nil {
		return ErrInvalidOrder.At(at, "%v", err)
	}
	return nil
}

// codeLetters leaves out what people confuse; codeLen of them make an order code.
// At the hundred-thousandth order of an event one in 300,000 is taken already;
// codeTries of them are never all taken.
const (
	codeLetters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	codeLen     = 7
	codeTries   = 5
)

func newCode() string {
	b := make([]byte, codeLen)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = codeLetters[b[i]&31]
	}
	return string(b)
}

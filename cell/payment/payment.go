package payment

import (
	"time"

	"guichet/cell/id"
	"guichet/cell/money"
)

// Payment is how an order is paid: at most one per order.
type Payment struct {
	ID           id.Payment
	Order        id.Order
	Provider     string
	IntentID     string // "" until the provider was asked
	ClientSecret string
	State        State
	Amount       money.Money
	Received     int64
	Settled      bool // nothing more is expected from the provider
	Attempts     int64
	Organizer    id.Organizer // who sells
	Destination  string       // his account at the provider, "" when he is paid out by us
	Fee          int64        // our share of the amount
}

// Onward is what the provider hands on to the organizer's own account.
func (p *Payment) Onward() int64 {
	if p.Destination == "" {
		return 0
	}
	return p.Amount.Amount - p.Fee
}

// See takes in what the provider says of the intent. News may arrive late and
// out of order: captured money stays captured, whatever older notice comes after,
// and a canceled payment stays so unless money came all the same. A declined card
// leaves the intent open for another one; here it is Failed until the next try.
func (p *Payment) See(i Intent) {
	if p.State == Captured || p.State == Disputed || p.State == Canceled && i.State != Captured {
		return
	}
	if i.ID != "" && (p.IntentID == "" || i.State == Captured) { // the money is where it was captured
		p.IntentID = i.ID
		p.ClientSecret = i.ClientSecret
	}
	switch {
	case i.State == Created && i.Decline != "":
		p.State = Failed
	case i.State == Created: // as it was born: an old notice, or no news
		return
	default:
		p.State, p.Received = i.State, i.Received
	}
	p.Settled = p.State == Captured || p.State == Canceled
}

// RefundState of money on its way back.
type RefundState string

// The states of a refund.
const (
	RefundCreated   RefundState = "created"
	RefundInTransit RefundState = "in_transit"
	RefundDone      RefundState = "done"
	RefundFailed    RefundState = "failed"
)

// Source says who or what decided on a refund.
type Source string

// The sources of refunds.
const (
	ByBuyer             Source = "buyer"
	ByOrganizer         Source = "organizer"
	ByEventCancellation Source = "event_cancellation"
	ByLatePayment       Source = "late_payment"
	External            Source = "external" // decided and done outside of this house, as by a bank
)

// Back is a refund of an order.
type Back struct {
	ID         id.Refund
	Order      id.Order
	Amount     money.Money
	State      RefundState
	Source     Source
	Reason     string
	ProviderID string
	Attempts   int64
	Organizer  id.Organizer
	Reverse    int64       // minor units that come back from the organizer's own account
	Tickets    []id.Ticket // that were named and went back with it; none where an amount was named
	CreatedAt  time.Time   // when it was decided
}

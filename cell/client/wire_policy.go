package client

import (
	"time"

	"guichet/cell/money"
)

// RefundPolicy says until when buyers may give tickets back by themselves, and what is
// kept of them. Nobody may once the event has started; the organizer always may.
type RefundPolicy struct {
	Kind       string     `json:"kind"`                  // none, until, always (until the start) or organizer (who is asked)
	UntilHours *int64     `json:"until_hours,omitempty"` // with until: hours before the start
	Fee        *RefundFee `json:"fee,omitempty"`         // none by default
}

// Live says that an event is before the public and takes place: it is published, and may
// have been rescheduled.
func (e Event) Live() bool { return e.State == "published" || e.State == "rescheduled" }

// RefundFee is what is kept of each ticket that is given back, never more than its price.
type RefundFee struct {
	Amount      *money.Money `json:"amount,omitempty"`
	BasisPoints int64        `json:"basis_points,omitempty"` // of the all-in price, on top of the amount
}

// Rescheduled says of an event that it was moved after its sale had begun, the last time.
type Rescheduled struct {
	Number int64     `json:"number"` // how often it was moved
	At     time.Time `json:"at"`
	From   Occasion  `json:"from"` // before this move; the event itself says what is true now
	// RefundableUntil is when the right ends of who had bought before to give everything back.
	RefundableUntil time.Time `json:"refundable_until"`
}

// Occasion is when and where an event takes place.
type Occasion struct {
	StartsAt time.Time  `json:"starts_at"`
	EndsAt   *time.Time `json:"ends_at"`
	TimeZone string     `json:"time_zone"`
	Venue    Venue      `json:"venue"`
}

// RefundConsent says whether who was given a ticket agreed that its money goes back to who
// paid for it.
type RefundConsent struct {
	TicketID    string     `json:"ticket_id"`
	ConsentedAt *time.Time `json:"consented_at"` // null while not
}

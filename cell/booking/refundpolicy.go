package booking

import (
	"time"

	"guichet/cell/money"
)

// RefundKind says until when buyers may give tickets back by themselves. Nobody may
// once the event has started; the organizer always may.
type RefundKind string

// The kinds. With RefundOrganizer a buyer asks the organizer; with RefundNone there is
// nothing to ask for.
const (
	RefundNone      RefundKind = "none"
	RefundUntil     RefundKind = "until"
	RefundAlways    RefundKind = "always"
	RefundOrganizer RefundKind = "organizer"
)

// MaxRefundHours bounds RefundPolicy.UntilHours: a year.
const MaxRefundHours = 366 * 24

// RefundPolicy is what an organizer promises buyers who give tickets back. The zero
// policy is DefaultRefundPolicy; Stated says which one counts.
type RefundPolicy struct {
	Kind           RefundKind `json:"kind"`
	UntilHours     int64      `json:"until_hours,omitempty"`      // with RefundUntil: whole hours before the start
	FeeAmount      int64      `json:"fee_amount,omitempty"`       // kept of each ticket, in minor units of the event's currency
	FeeBasisPoints int64      `json:"fee_basis_points,omitempty"` // and this much of its all-in price
}

// DefaultRefundPolicy is that of an event whose organizer said nothing: everything goes
// back until a day before the start, so that a place can still be sold to somebody else.
func DefaultRefundPolicy() RefundPolicy { return RefundPolicy{Kind: RefundUntil, UntilHours: 24} }

// FormerRefundPolicy is that of orders from before there were policies.
func FormerRefundPolicy() RefundPolicy { return RefundPolicy{Kind: RefundAlways} }

// Stated is the policy, or the default where nothing was said.
func (p RefundPolicy) Stated() RefundPolicy {
	if p.Kind == "" {
		return DefaultRefundPolicy()
	}
	return p
}

// Kept is what the organizer keeps of a ticket that cost price minor units: never more
// than that, never a fraction of what a card can be given back in its currency.
func (p RefundPolicy) Kept(price int64, currency string) int64 {
	kept := min(p.FeeAmount+price*p.FeeBasisPoints/wholeBP, price)
	return kept - kept%money.CardStep(currency)
}

// DraftRefundPolicy is a policy as an organizer says it; what is nil is not said.
type DraftRefundPolicy struct {
	Kind           RefundKind
	UntilHours     *int64
	FeeAmount      *money.Money
	FeeBasisPoints int64
}

// Set checks a policy and makes it the event's; errors point below at. Orders that were
// made before keep the policy that they were made under.
func (d DraftRefundPolicy) Set(e *Event, at string) error {
	p := RefundPolicy{Kind: d.Kind, FeeBasisPoints: d.FeeBasisPoints}
	switch d.Kind {
	case RefundUntil:
		if d.UntilHours == nil || *d.UntilHours < 0 || *d.UntilHours > MaxRefundHours {
			return ErrInvalidEvent.At(at+"/until_hours", "must be given with until, 0 to %d hours before the start", MaxRefundHours)
		}
		p.UntilHours = *d.UntilHours
	case RefundNone, RefundAlways, RefundOrganizer:
		if d.UntilHours != nil {
			return ErrInvalidEvent.At(at+"/until_hours", "is only said with until")
		}
	default:
		return ErrInvalidEvent.At(at+"/kind", "must be none, until, always or organizer")
	}
	if d.FeeBasisPoints < 0 || d.FeeBasisPoints > wholeBP {
		return ErrInvalidEvent.At(at+"/fee/basis_points", "must be 0 to %d", wholeBP)
	}
	if d.FeeAmount != nil {
		if err := e.checkPrice(at+"/fee/amount", *d.FeeAmount); err != nil {
			return err
		}
		p.FeeAmount = d.FeeAmount.Amount
	}
	if asked := d.Kind == RefundNone || d.Kind == RefundOrganizer; asked && (p.FeeAmount > 0 || p.FeeBasisPoints > 0) {
		return ErrInvalidEvent.At(at+"/fee", "is only kept of what buyers give back by themselves: with until or always")
	}
	e.Refunds = p
	return nil
}

// RefundRight is what a buyer may do with an order by himself.
type RefundRight struct {
	Until time.Time // it must be before; zero for never
	Whole bool      // nothing is kept: the event was moved, or does not take place
}

// RefundRight decides at a time about an order that was made under a policy, free of
// charge or not. A move gives everybody who bought
// before it RefundWindow to give everything back, whatever the policy says. After the
// start of the event there is no right.
func (e *Event) RefundRight(p RefundPolicy, made time.Time, free bool, now time.Time) RefundRight {
	var right RefundRight
	switch p = p.Stated(); {
	case free || p.Kind == RefundAlways:
		right.Until = e.StartsAt
	case p.Kind == RefundUntil:
		right.Until = e.StartsAt.Add(-time.Duration(p.UntilHours) * time.Hour)
	}
	if e.State == Canceled {
		return RefundRight{Until: e.StartsAt, Whole: true}
	}
	end, moved := e.refundWindow(made)
	if !moved || !now.Before(end) {
		return right
	}
	right.Whole = true
	if end.After(right.Until) {
		right.Until = end
	}
	return right
}

package checkout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// Why a buyer cannot give tickets back by himself. The organizer can in all cases.
var (
	ErrRefundNotAllowed = kind.Forbidden.New("refund_not_allowed")
	ErrEventStarted     = kind.Conflict.New("event_started")
)

// ConsentStore keeps who agreed that the money of his ticket goes back to who paid.
type ConsentStore interface {
	// SetRefundConsent stores it for a ticket that somebody was given; the zero time
	// takes it back. The caller holds the event's lock.
	SetRefundConsent(ctx context.Context, tx txn.Tx, ticket id.Ticket, at time.Time) error
}

// RightOf says what an order's buyer may do by himself at a time, by the policy that was
// stated when he ordered. The event is as it is now.
func (o *Order) RightOf(e *booking.Event, now time.Time) booking.RefundRight {
	return e.RefundRight(o.Policy, o.CreatedAt, o.Total.Amount == 0, now)
}

// Refundable is what its buyer would be given back now of all that is left of a paid
// order, in minor units, when given was given back already; 0 when he may not.
func (o *Order) Refundable(e *booking.Event, given int64, now time.Time) int64 {
	live := o.live()
	if o.State != Paid {
		return 0
	}
	kept, err := o.keptOf(e, live, now)
	if err != nil {
		return 0
	}
	return max(o.Total.Amount-given-o.Kept-kept, 0)
}

// live are the places of the tickets that are not given back.
func (o *Order) live() (at []int) {
	for i := range o.Tickets {
		if o.Tickets[i].State != TicketCanceled {
			at = append(at, i)
		}
	}
	return at
}

// keptOf decides whether an order's buyer may give these of its tickets back, and what
// of their prices the organizer keeps. It is the one place that holds buyers to the
// event's policy.
func (o *Order) keptOf(e *booking.Event, tickets []int, now time.Time) (kept int64, err error) {
	right := o.RightOf(e, now)
	if !now.Before(e.StartsAt) && e.State != booking.Canceled {
		return 0, ErrEventStarted.With("the event has started; ask its organizer")
	}
	if !now.Before(right.Until) {
		return 0, o.notAllowed(right)
	}
	var others []string
	for _, i := range tickets {
		t := &o.Tickets[i]
		if t.State == TicketCheckedIn {
			return 0, ErrState.With("the ticket was used to come in").Field("state", string(t.State)).Field("ticket_id", t.known().String())
		}
		if !t.Owned() && t.Consented.IsZero() {
			others = append(others, t.known().String())
		}
	}
	if len(others) > 0 {
		return 0, ErrTransferred.With("%d of the tickets were given to somebody else, who has not agreed that the money goes back", len(others)).Field("tickets", others)
	}
	if right.Whole {
		return 0, nil
	}
	prices := o.prices()
	for _, i := range tickets {
		kept += o.Policy.Stated().Kept(prices[i], o.Total.Currency)
	}
	return kept, nil
}

// prices are what each ticket cost all in, in the order of Tickets: complete issues
// them item by item.
func (o *Order) prices() []int64 {
	out := make([]int64, 0, len(o.Tickets))
	for _, item := range o.Items {
		for range item.Quantity {
			out = append(out, item.AllIn.Amount)
		}
	}
	return out
}

// keep is what goes back of worth minor units when kept of them stay with the organizer
// and left of the order is not given back yet. What stayed before is not given back later.
func (o *Order) keep(worth, left, kept int64) (back int64) {
	worth = max(min(worth, left-o.Kept), 0)
	back = max(worth-kept, 0)
	o.Kept += worth - back
	return back
}

func (o *Order) notAllowed(right booking.RefundRight) error {
	policy := o.Policy.Stated()
	e := ErrRefundNotAllowed
	switch {
	case policy.Kind == booking.RefundNone:
		e = e.With("tickets of this event are not taken back")
	case policy.Kind == booking.RefundOrganizer:
		e = e.With("only the organizer gives tickets of this event back; ask there")
	default:
		e = e.With("tickets of this event could be given back until %s", right.Until.UTC().Format(time.RFC3339)).Field("refundable_until", right.Until.UTC())
	}
	return e.Field("refund_policy", string(policy.Kind))
}

// known is the id under which a ticket's buyer knows it.
func (t *Ticket) known() id.Ticket {
	if t.Owned() {
		return t.ID
	}
	return t.Gone.ID
}

// refundKept gives back what was kept of an order that its buyer canceled: the organizer
// is bound by no policy. It stays canceled.
func (s *Service) refundKept(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, amount int64, reason string) (sent id.Refund, err error) {
	given, err := s.given(ctx, tx, o.ID)
	if err != nil {
		return sent, err
	}
	left := min(o.Kept, o.Total.Amount-given)
	if amount == 0 {
		amount = left
	}
	switch {
	case amount < 0:
		return sent, ErrInvalidOrder.At("/amount", "must not be negative")
	case amount > left:
		return sent, ErrRefundTooLarge.With("%d minor units can still be refunded", left).Field("limit", left)
	}
	if err := refundable(amount, o); err != nil {
		return sent, err
	}
	if sent, err = s.promise(ctx, tx, stock, o, given, amount, payment.ByOrganizer, reason); err != nil {
		return sent, err
	}
	if o.Kept -= amount; given+amount == o.Total.Amount {
		o.Refund = FullRefund
	}
	return sent, s.set(ctx, tx, o, stock.Now, "kept_refunded")
}

// ConsentToRefund lets who was given a ticket say that its money may go back to who paid
// for it, or take that back. It ends when the ticket is given on.
func (s *Service) ConsentToRefund(ctx context.Context, tx txn.Tx, ticket id.Ticket, agreed bool) (Ticket, error) {
	before, err := s.Store.Ticket(ctx, tx, ticket) // only for its order, which never changes
	if err != nil {
		return Ticket{}, fmt.Errorf("read ticket: %w", err)
	}
	var t Ticket
	err = s.onOrder(ctx, tx, before.Order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, _ *booking.Hold, o *Order) error {
		at := slices.IndexFunc(o.Tickets, func(t Ticket) bool { return t.ID == ticket })
		if at < 0 {
			return ErrTransferred.With("the ticket was given to somebody else")
		}
		t = o.Tickets[at]
		switch {
		case t.Owned():
			return ErrState.With("the ticket is its buyer's own; nobody else need agree").Field("state", string(t.State))
		case t.State == TicketCanceled:
			return ErrState.With("the ticket is %s", t.State).Field("state", string(t.State))
		case agreed == !t.Consented.IsZero():
			return nil
		}
		if t.Consented = (time.Time{}); agreed {
			t.Consented = stock.Now
		}
		return s.Store.SetRefundConsent(ctx, tx, ticket, t.Consented)
	})
	if err != nil {
		return Ticket{}, fmt.Errorf("consent to refund of %s: %w", ticket, err)
	}
	return t, nil
}

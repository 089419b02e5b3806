package checkout

import (
	"context"
	"crypto/rand"
	"fmt"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// news is what a purchase waits for; that an intent was born it knows by itself.
func news(i payment.Intent) bool { return i.State != payment.Created || i.Decline != "" }

// Settle lets an order's purchase know what the provider says of its payment.
func (s *Service) Settle(ctx context.Context, order id.Order, intent payment.Intent) error {
	err := s.shared(ctx, order, func(ctx context.Context, tx txn.Tx) error {
		return txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) error { return s.heard(ctx, tx, order, intent, rand.Text()) })
	})
	if err != nil {
		return fmt.Errorf("settle %s: %w", order, err)
	}
	return nil
}

// captured ends an order whose money is there: in tickets, or in a refund (P4).
func (s *Service) captured(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) (settled, error) {
	if o.State == Paid {
		return settled{Outcome: outcomeOver}, nil
	}
	if stock.State == booking.Canceled {
		return s.canceledMeanwhile(ctx, tx, stock, h, o)
	}
	if (o.State == Pending || o.State == Expired) && o.Payment.Received == o.Total.Amount {
		err := s.complete(ctx, tx, stock, h, o)
		if err == nil {
			sale := payment.Sale(o.ID, stock.Organizer, o.Total, o.Fees).Taxed(stock.Organizer, o.tax())
			return settled{Outcome: outcomeSold}, s.postWithOnward(ctx, tx, sale, stock.Organizer, o.Payment.Onward())
		}
		if !gone(err) {
			return settled{}, err
		}
	}
	stock.Unsell(h) // if it was reserved for money that is not what was asked for
	if o.State == Pending {
		stock.End(h, booking.HoldExpired)
		o.State = Expired
	}
	back, err := s.oweAll(ctx, tx, stock, o, payment.ByLatePayment, "the payment came when there was nothing to sell any more")
	if err != nil {
		return settled{}, err
	}
	if err := s.Store.SetOrder(ctx, tx, *o, stock.Now, "late_payment_refunded"); err != nil {
		return settled{}, err
	}
	return settled{Outcome: outcomeLate, Refund: back.String()}, nil
}

// canceledMeanwhile ends an order whose event was canceled while its money was taken, as
// all others of the event ended.
func (s *Service) canceledMeanwhile(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) (settled, error) {
	stock.Unsell(h)
	stock.End(h, booking.HoldReleased)
	tell := tellNothing
	if o.State == Canceled { // he was told before that there is nothing to be paid back
		tell = tellRefund
	}
	o.State = Canceled
	back, err := s.oweAll(ctx, tx, stock, o, payment.ByEventCancellation, canceledEvent)
	if err != nil {
		return settled{}, err
	}
	if err := s.Store.SetOrder(ctx, tx, *o, stock.Now, "canceled"); err != nil {
		return settled{}, err
	}
	if err := s.sendLater(ctx, tx, back, o.ID, tell); err != nil || tell != tellNothing {
		return settled{Outcome: outcomeOver}, err
	}
	return settled{Outcome: outcomeOver}, s.tell(ctx, tx, o, notify.EventCanceled, "")
}

// oweAll books money that came and bought nothing, and decides that it goes back.
func (s *Service) oweAll(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, by payment.Source, reason string) (id.Refund, error) {
	got := o.Total
	got.Amount = o.Payment.Received
	o.Refund = FullRefund
	onward := o.Payment.Onward()
	if err := s.postWithOnward(ctx, tx, payment.Late(o.ID, got), stock.Organizer, onward); err != nil {
		return id.Refund{}, err
	}
	back := id.NewRefund(stock.ID)
	return back, s.Store.InsertRefund(ctx, tx, payment.Back{
		ID: back, Order: o.ID, Amount: got, State: payment.RefundCreated, Source: by, Organizer: stock.Organizer, Reverse: onward, Reason: reason, CreatedAt: stock.Now,
	})
}

// unpaid ends a pending order whose payment can no longer come. One whose event was
// canceled meanwhile ends as all others of the event: nobody may order again.
func (s *Service) unpaid(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) (outcome string, err error) {
	if o.State != Pending {
		return outcomeOver, nil
	}
	stock.Unsell(h) // if it was reserved for a payment that its bank refused in the end
	if stock.State == booking.Canceled {
		if err := s.release(ctx, tx, stock, h, o, "canceled"); err != nil {
			return "", err
		}
		return outcomeOver, s.tell(ctx, tx, o, notify.EventCanceled, "")
	}
	stock.End(h, booking.HoldExpired)
	o.State = Expired
	return outcomeExpired, s.Store.SetOrder(ctx, tx, *o, stock.Now, "expired")
}

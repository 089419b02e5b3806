package checkout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/payment"
)

// Hear takes in a provider's webhook: stored once by the provider's event id, in
// the transaction of its effect, in any order and as often as it comes (P5).
func (s *Service) Hear(ctx context.Context, body []byte, signature string, now time.Time) error {
	n, err := s.Processor.ParseNotice(body, signature, now)
	if err != nil {
		return fmt.Errorf("read webhook: %w", err)
	}
	var orderText string
	var order id.Order
	if n.Intent != nil {
		if order, err = id.ParseOrder(n.Intent.OrderID); err == nil {
			orderText = order.String()
		}
	}
	hear := func(ctx context.Context) error {
		return s.Store.InTx(ctx, func(ctx context.Context) error {
			first, err := s.Store.InsertNotice(ctx, n, orderText, body)
			if err != nil || !first || orderText == "" || !news(*n.Intent) {
				return err
			}
			err = s.heard(ctx, order, *n.Intent, n.ID)
			if errors.Is(err, ErrOrderNotFound) { // another system shares the account
				return nil
			}
			return err
		})
	}
	if orderText == "" || !news(*n.Intent) {
		return hear(ctx)
	}
	return s.atDesk(ctx, order.Event(), hear)
}

// news is what a purchase waits for; that an intent was born it knows by itself.
func news(i payment.Intent) bool { return i.State != payment.Created || i.Decline != "" }

// Settle lets an order's purchase know what the provider says of its payment.
func (s *Service) Settle(ctx context.Context, order id.Order, intent payment.Intent) error {
	err := s.atDesk(ctx, order.Event(), func(ctx context.Context) error {
		return s.Store.InTx(ctx, func(ctx context.Context) error { return s.heard(ctx, order, intent, rand.Text()) })
	})
	if err != nil {
		return fmt.Errorf("settle %s: %w", order, err)
	}
	return nil
}

// captured ends an order whose money is there: in tickets, or in a refund (P4).
func (s *Service) captured(ctx context.Context, stock *booking.Stock, h *booking.Hold, o *Order) (settled, error) {
	if o.State == Paid {
		return settled{Outcome: outcomeOver}, nil
	}
	if (o.State == Pending || o.State == Expired) && o.Payment.Received == o.Total.Amount {
		err := s.complete(ctx, stock, h, o)
		if err == nil {
			return settled{Outcome: outcomeSold}, s.Store.Post(ctx, payment.Sale(o.ID, stock.Organizer, o.Total, o.Fees))
		}
		if !gone(err) {
			return settled{}, err
		}
	}
	if h.State == booking.HoldConverted { // reserved for money that is not what was asked for
		s.unsell(stock, h, o)
	}
	if o.State == Pending {
		stock.End(h, booking.HoldExpired)
		o.State = Expired
	}
	got := o.Total
	got.Amount = o.Payment.Received
	o.Refund = FullRefund
	if err := s.Store.Post(ctx, payment.Late(o.ID, got)); err != nil {
		return settled{}, err
	}
	back := id.NewRefund(stock.ID)
	if err := s.Store.InsertRefund(ctx, payment.Back{
		ID: back, Order: o.ID, Amount: got, State: payment.RefundCreated, Source: payment.ByLatePayment,
		Reason: "the payment came when there was nothing to sell any more",
	}); err != nil {
		return settled{}, err
	}
	if err := s.Store.SetOrder(ctx, *o, stock.Now, "late_payment_refunded"); err != nil {
		return settled{}, err
	}
	return settled{Outcome: outcomeLate, Refund: back.String()}, s.Store.Tell(ctx, o.ID, "late_payment")
}

// unpaid ends a pending order whose payment can no longer come.
func (s *Service) unpaid(ctx context.Context, stock *booking.Stock, h *booking.Hold, o *Order) error {
	if o.State != Pending {
		return nil
	}
	stock.End(h, booking.HoldExpired)
	o.State = Expired
	if err := s.Store.SetOrder(ctx, *o, stock.Now, "expired"); err != nil {
		return err
	}
	return s.Store.Tell(ctx, o.ID, "expired")
}

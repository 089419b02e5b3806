package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/notify"
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
	return s.Store.InTx(ctx, func(ctx context.Context) error {
		first, err := s.Store.InsertNotice(ctx, n, orderText, body)
		if err != nil || !first || orderText == "" {
			return err
		}
		err = s.Settle(ctx, order, *n.Intent)
		if errors.Is(err, ErrOrderNotFound) { // another system shares the account
			return nil
		}
		return err
	})
}

// Settle brings an order in line with what the provider says of its payment.
// The rules are those of "Paid but expired" (domain.md): a late success takes the
// stock again in this very transaction, and when that fails is refunded.
func (s *Service) Settle(ctx context.Context, order id.Order, intent payment.Intent) error {
	err := s.onOrder(ctx, order, func(ctx context.Context, stock *booking.Stock, h *booking.Hold, o *Order) error {
		if o.Payment == nil {
			return nil
		}
		was := o.Payment.State
		o.Payment.See(intent)
		if o.Payment.State == was {
			return nil
		}
		if err := s.Store.SetPayment(ctx, *o.Payment); err != nil {
			return err
		}
		switch o.Payment.State {
		case payment.Captured:
			return s.captured(ctx, stock, h, o)
		case payment.Canceled:
			return s.unpaid(ctx, stock, h, o)
		case payment.Failed:
			return s.Store.Note(ctx, o.ID, stock.Now, "payment_failed")
		default: // on its way, or disputed: the order stays as it is
			return nil
		}
	})
	if err != nil {
		return fmt.Errorf("settle %s: %w", order, err)
	}
	return nil
}

// captured ends an order whose money is there: in tickets, or in a refund (P4).
func (s *Service) captured(ctx context.Context, stock *booking.Stock, h *booking.Hold, o *Order) error {
	if o.State == Paid {
		return nil
	}
	if (o.State == Pending || o.State == Expired) && o.Payment.Received == o.Total.Amount {
		err := s.complete(ctx, stock, h, o)
		if err == nil {
			return s.Store.Post(ctx, payment.Sale(o.ID, stock.Organizer, o.Total, o.Fees))
		}
		if !errors.Is(err, booking.ErrSoldOut) && !errors.Is(err, booking.ErrNotOnSale) {
			return err
		}
	}
	if o.State == Pending {
		stock.End(h, booking.HoldExpired)
		o.State = Expired
	}
	got := o.Total
	got.Amount = o.Payment.Received
	o.Refund = FullRefund
	if err := s.Store.Post(ctx, payment.Late(o.ID, got)); err != nil {
		return err
	}
	if err := s.Store.InsertRefund(ctx, payment.Back{
		ID: id.NewRefund(stock.ID), Order: o.ID, Amount: got, State: payment.RefundCreated, Source: payment.ByLatePayment,
		Reason: "the payment came when there was nothing to sell any more",
	}); err != nil {
		return err
	}
	if err := s.Store.SetOrder(ctx, *o, stock.Now, "late_payment_refunded"); err != nil {
		return err
	}
	if err := s.tell(ctx, o, notify.LatePaymentRefund, ""); err != nil {
		return err
	}
	return s.Store.Tell(ctx, o.ID, "late_payment")
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
	if err := s.tell(ctx, o, notify.OrderExpired, ""); err != nil {
		return err
	}
	return s.Store.Tell(ctx, o.ID, "expired")
}

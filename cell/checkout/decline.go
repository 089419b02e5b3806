package checkout

import (
	"context"
	"errors"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// MaxDeclines is how many attempts to pay one order may be declined. Nobody has
// as many cards; who goes on tests stolen ones. The order is canceled, its intent
// behind it, and its stock returns.
const MaxDeclines = 10

// declined counts a declined attempt, once for its notice, and ends an order that
// had too many.
func (s *Service) declined(ctx context.Context, tx txn.Tx, n payment.Notice) error {
	if n.Intent == nil || n.Intent.Decline == "" {
		return nil
	}
	order, err := id.ParseOrder(n.Intent.OrderID)
	if err != nil {
		return nil //nolint:nilerr // another system shares the account
	}
	count, err := s.Store.CountDecline(ctx, tx, order)
	if err != nil || count < MaxDeclines {
		return err
	}
	ended := false
	err = s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) error {
		if o.State != Pending || h.State == booking.HoldConverted { // over, or a card was good and is being charged
			return nil
		}
		ended = true
		return s.release(ctx, tx, stock, h, o, "too_many_declines")
	})
	if errors.Is(err, ErrOrderNotFound) {
		return nil
	}
	if err != nil || !ended {
		return err
	}
	return s.followCancel(ctx, tx, order, map[string]any{"order": order.String(), "unpaid": true})
}

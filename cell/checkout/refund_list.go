package checkout

import (
	"context"
	"fmt"

	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// withRefunds reads what of an order was given back, if anything.
func (s *Service) withRefunds(ctx context.Context, o Order) (Order, error) {
	if o.Refund == NoRefund {
		return o, nil
	}
	var err error
	if o.Refunds, err = s.Store.Refunds(ctx, txn.None, o.ID); err != nil {
		return Order{}, fmt.Errorf("read refunds: %w", err)
	}
	return o, nil
}

// RefundsOf lists the refunds of an order, oldest first; ErrOrderNotFound when there is
// no such order here.
func (s *Service) RefundsOf(ctx context.Context, order id.Order) ([]payment.Back, error) {
	if _, err := s.Store.Brief(ctx, txn.None, order); err != nil {
		return nil, fmt.Errorf("read order: %w", err)
	}
	backs, err := s.Store.Refunds(ctx, txn.None, order)
	if err != nil {
		return nil, fmt.Errorf("read refunds: %w", err)
	}
	return backs, nil
}

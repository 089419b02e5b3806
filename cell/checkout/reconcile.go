package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"guichet/cell/saga"
	"guichet/internal/txn"
)

// Bounds of one look for payments that nobody looks after.
const (
	perPass    = 32
	adoptLease = 10 * time.Minute
)

// Adopt is a net below the sagas: a payment or a refund that is not settled and has
// no run, of a binary that knew none, gets one. It answers how many there were.
func (s *Service) Adopt(ctx context.Context) (int, error) {
	orders, err := s.Store.ClaimPayments(ctx, perPass, adoptLease)
	if err != nil {
		return 0, fmt.Errorf("claim payments: %w", err)
	}
	refunds, err := s.Store.ClaimRefunds(ctx, perPass, adoptLease)
	if err != nil {
		return 0, fmt.Errorf("claim refunds: %w", err)
	}
	var errs []error
	adopted := 0
	took := func(err error) {
		if err == nil {
			adopted++
		} else if !errors.Is(err, saga.ErrRunExists) {
			errs = append(errs, err)
		}
	}
	for _, order := range orders {
		took(s.begin(ctx, txn.None, purchaseOf(order), order, map[string]any{"free": false}, false))
	}
	for _, back := range refunds {
		took(s.sendLater(ctx, txn.None, back.ID, back.Order, tellNothing))
	}
	return adopted, errors.Join(errs...)
}

// Reconcile works on everything of checkout that is due, once: a process without
// workers, a tool or a test, calls it in their place.
func (s *Service) Reconcile(ctx context.Context) (int, error) {
	_, adoptErr := s.Adopt(ctx)
	n, err := s.Runs.Pass(ctx)
	return n, errors.Join(adoptErr, err)
}

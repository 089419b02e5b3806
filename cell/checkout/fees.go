package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// feesPerPass bounds what is asked of the provider for the books alone; a sale's
// backlog is booked when it is over.
const feesPerPass = 64

// feeLease is when a fee that was not known is asked for again.
const feeLease = 5 * time.Minute

// FeeStore knows which payments' fees are not in the books yet.
type FeeStore interface {
	ClaimUnbooked(ctx context.Context, limit int, lease time.Duration) ([]payment.Payment, error)
	SetFeeBooked(ctx context.Context, tx txn.Tx, order id.Order) error
}

// BookFees books what the provider kept of captured payments, each once. Nothing
// waits for it.
func (s *Service) BookFees(ctx context.Context) error {
	teller, ok := s.Processor.(payment.FeeTeller)
	if !ok {
		return nil
	}
	due, err := s.Store.ClaimUnbooked(ctx, feesPerPass, feeLease)
	if err != nil {
		return fmt.Errorf("claim payments without a fee: %w", err)
	}
	return each(due, func(p payment.Payment) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		fee, err := teller.ChargeFee(ctx, p.IntentID)
		if errors.Is(err, payment.ErrProviderAway) {
			return nil // the lease is the pause
		}
		if err != nil {
			return fmt.Errorf("fee of %s: %w", p.Order, err)
		}
		return s.Store.InTx(ctx, func(ctx context.Context, tx txn.Tx) error {
			if err := s.Store.Post(ctx, tx, payment.ChargeFee(p.Order, fee)); err != nil {
				return err
			}
			return s.Store.SetFeeBooked(ctx, tx, p.Order)
		})
	})
}

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

// doubt looks at a payment's notice that does not name the payment which its order has. A
// signature says who wrote it and not that there is such a payment, so the provider is
// asked, and what he answers counts in the notice's place. One that he does not know, or
// that is another order's, pays nothing: Ignored. While he is away the notice is Waiting;
// only where the order's payment is not known yet, because his answer was lost, is it
// believed. Empty means that there is nothing to doubt.
func (s *Service) doubt(ctx context.Context, n *payment.Notice) (payment.Outcome, error) {
	if n.Intent == nil || !news(*n.Intent) {
		return "", nil
	}
	order, err := id.ParseOrder(n.Intent.OrderID)
	if err != nil {
		return "", nil // another system shares the account
	}
	pays, known, err := s.Store.OrderOfIntent(ctx, txn.None, n.Intent.ID)
	if err != nil {
		return "", fmt.Errorf("find the payment: %w", err)
	}
	if known {
		if pays == order {
			return "", nil
		}
		return payment.Ignored, nil
	}
	o, err := s.Store.Brief(ctx, txn.None, order)
	switch {
	case errors.Is(err, ErrOrderNotFound):
		return "", nil // the same
	case err != nil:
		return "", fmt.Errorf("read order: %w", err)
	case o.Payment == nil:
		return payment.Ignored, nil
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	is, err := s.Processor.GetIntent(asking, n.Intent.ID)
	switch {
	case errors.Is(err, payment.ErrUnknownIntent):
		return payment.Ignored, nil
	case err != nil && o.intentKnown():
		return payment.Waiting, nil // it is asked for again
	case err != nil:
		is = *n.Intent
	}
	if is.OrderID != order.String() || is.Amount.Currency != o.Total.Currency {
		return payment.Ignored, nil
	}
	n.Intent = &is
	return "", nil
}

// waitOf is when a notice is looked at again, 0 for one that is not.
func waitOf(became payment.Outcome, pause time.Duration) time.Duration {
	if became == payment.Waiting {
		return pause
	}
	return 0
}

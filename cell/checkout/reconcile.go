package checkout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/kind"
)

// Bounds of one pass of the reconciler.
const (
	perPass     = 32
	atOnce      = 8 // one provider's call that hangs must not hold up the others
	lease       = 10 * time.Second
	callTimeout = 5 * time.Second
	maxPause    = 20 * time.Second // P4 gives 60 s; three looks fit
)

// Reconcile looks after payments that nobody told us about: it reads intents
// back, cancels those whose time is up, and sends refunds. It answers how much
// there was to do; an error concerns single payments, which are tried again.
func (s *Service) Reconcile(ctx context.Context) (int, error) {
	orders, err := s.Store.ClaimPayments(ctx, perPass, lease)
	if err != nil {
		return 0, fmt.Errorf("claim payments: %w", err)
	}
	failed := each(orders, func(order id.Order) error {
		if err := s.reconcile(ctx, order); err != nil {
			return fmt.Errorf("reconcile %s: %w", order, err)
		}
		return nil
	})
	refunds, err := s.Store.ClaimRefunds(ctx, perPass, lease)
	if err != nil {
		return len(orders), errors.Join(failed, fmt.Errorf("claim refunds: %w", err))
	}
	return len(orders) + len(refunds), errors.Join(failed, each(refunds, func(back payment.Back) error {
		if err := s.payBack(ctx, back); err != nil {
			return fmt.Errorf("pay %s back: %w", back.ID, err)
		}
		return nil
	}))
}

// each works on all items, a few at once, and joins what failed.
func each[T any](items []T, work func(T) error) error {
	errs := make([]error, len(items))
	slots := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for i, item := range items {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = work(item)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func (s *Service) reconcile(ctx context.Context, order id.Order) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	o, err := s.Store.Order(ctx, order)
	if err != nil {
		return err
	}
	now, err := s.Store.Clock(ctx)
	if err != nil {
		return err
	}
	wanted := o.State == Pending && now.Before(o.ExpiresAt)
	if o.Payment.IntentID == "" {
		if wanted { // its buyer never got the secret; he may ask again until the window closes
			return s.Store.CheckLater(ctx, order, min(o.ExpiresAt.Sub(now)+time.Second, maxPause))
		}
		// Perhaps the provider made one and its answer was lost: the key brings it to light.
		err := s.askIntent(ctx, &o)
		if neverMade(err) {
			return s.Settle(ctx, order, payment.Intent{State: payment.Canceled})
		}
		if err != nil {
			return err
		}
	}
	var intent payment.Intent
	if wanted {
		intent, err = s.Processor.GetIntent(ctx, o.Payment.IntentID)
	} else {
		intent, err = s.Processor.CancelIntent(ctx, o.Payment.IntentID, order.String()+":cancel")
		if errors.Is(err, payment.ErrUnknownIntent) { // what is not there cannot be paid
			intent, err = payment.Intent{State: payment.Canceled}, nil
		}
	}
	if err != nil {
		return err // the lease is the pause
	}
	if err := s.Settle(ctx, order, intent); err != nil {
		return err
	}
	if intent.State == payment.Captured || intent.State == payment.Canceled {
		return nil
	}
	pause := firstLook << min(o.Payment.Attempts, 4)
	if wanted {
		pause = min(pause, maxPause, o.ExpiresAt.Sub(now)+time.Second)
	}
	return s.Store.CheckLater(ctx, order, min(pause, maxPause))
}

// neverMade reports that the provider refuses such a payment for good. An intent
// that it had made before would have been its answer, by the key.
func neverMade(err error) bool {
	k := kind.Of(err)
	return err != nil && (k == kind.Unprocessable || k == kind.Invalid)
}

// payBack sends a refund that was decided.
func (s *Service) payBack(ctx context.Context, back payment.Back) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	o, err := s.Store.Order(ctx, back.Order)
	if err != nil {
		return err
	}
	sent, err := s.Processor.Refund(ctx, o.Payment.IntentID, back.Amount.Amount, back.ID.String())
	refused := errors.Is(err, payment.ErrRefusedByProvider) || errors.Is(err, payment.ErrUnknownIntent)
	if err != nil && !refused {
		return err // the lease is the pause
	}
	refused = refused || payment.RefundState(sent.State) == payment.RefundFailed
	return s.Store.InTx(ctx, func(ctx context.Context) error {
		now, err := s.Store.Clock(ctx)
		if err != nil {
			return err
		}
		if refused {
			back.ProviderID, back.State = sent.ID, payment.RefundFailed
			if err := s.Store.SetRefund(ctx, back); err != nil {
				return err
			}
			return s.Store.Note(ctx, o.ID, now, "refund_refused_by_provider")
		}
		back.ProviderID, back.State = sent.ID, payment.RefundState(sent.State)
		if err := s.Store.SetRefund(ctx, back); err != nil {
			return err
		}
		if err := s.Store.Post(ctx, payment.Payback(back.ID, back.Order, back.Amount)); err != nil {
			return err
		}
		return s.Store.Note(ctx, o.ID, now, "refund_sent")
	})
}

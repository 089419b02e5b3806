package booking

import (
	"context"
	"errors"
	"fmt"

	"guichet/cell/id"
	"guichet/internal/txn"
)

// Allocate sets n of a quota aside for staff. Like all calls here it is for an
// organizer's own event, and wants its turn at the event's desk (Desks.Turn).
func (s *Service) Allocate(ctx context.Context, tx txn.Tx, org id.Organizer, event id.Event, quota id.Quota, name string, n int64) (a Allocation, err error) {
	of := id.NewAllocation(event)
	err = s.aside(ctx, tx, org, event, nil, func(stock *Stock) (*Named, error) {
		made, err := stock.Allocate(of, quota, name, n)
		if err == nil {
			a = *made
		}
		return nil, err
	})
	if err != nil {
		return Allocation{}, fmt.Errorf("set stock of %s aside: %w", event, err)
	}
	return a, nil
}

// Deallocate gives n of an allocation back to the public.
func (s *Service) Deallocate(ctx context.Context, tx txn.Tx, org id.Organizer, of id.Allocation, n int64) (Allocation, error) {
	return s.giveUp(ctx, tx, org, of, func(stock *Stock) (*Allocation, error) { return stock.Deallocate(of, n) })
}

// CloseAllocation gives the rest of an allocation back to the public, for good.
func (s *Service) CloseAllocation(ctx context.Context, tx txn.Tx, org id.Organizer, of id.Allocation) (Allocation, error) {
	return s.giveUp(ctx, tx, org, of, func(stock *Stock) (*Allocation, error) { return stock.Close(of) })
}

func (s *Service) giveUp(ctx context.Context, tx txn.Tx, org id.Organizer, of id.Allocation, act func(*Stock) (*Allocation, error)) (a Allocation, err error) {
	err = s.aside(ctx, tx, org, of.Event(), []id.Allocation{of}, func(stock *Stock) (*Named, error) {
		after, err := act(stock)
		if err == nil {
			a = *after
		}
		return nil, err
	})
	if err != nil {
		return Allocation{}, fmt.Errorf("give stock of %s back: %w", of, err)
	}
	return a, nil
}

// HoldAside makes a hold for a named buyer out of an allocation.
func (s *Service) HoldAside(ctx context.Context, tx txn.Tx, org id.Organizer, want NamedRequest, buyer NamedBuyer) (h Hold, err error) {
	if err := buyer.Check(); err != nil {
		return Hold{}, err
	}
	err = s.aside(ctx, tx, org, want.From.Event(), []id.Allocation{want.From}, func(stock *Stock) (*Named, error) {
		made, err := stock.GrantAside(want)
		if err != nil {
			return nil, err
		}
		h = *made
		return &Named{Hold: h.ID, From: want.From, Buyer: buyer}, nil
	})
	if err != nil {
		return Hold{}, fmt.Errorf("hold tickets of %s: %w", want.From, err)
	}
	return h, nil
}

// aside lets act decide on the organizer's own stock. "Not enough" is said only
// when no hold that is due could have given some (P9).
func (s *Service) aside(ctx context.Context, tx txn.Tx, org id.Organizer, event id.Event, allocations []id.Allocation, act func(*Stock) (*Named, error)) error {
	for round := 1; ; round++ {
		swept := false
		err := s.Store.WithAside(ctx, tx, event, s.Desks.HoldTTL, allocations, func(stock *Stock) (*Named, error) {
			swept = false
			if stock.Organizer != org {
				return nil, ErrEventNotFound
			}
			named, err := act(stock)
			if errors.Is(err, ErrNotEnough) && stock.DueLeft && round < sweepRounds {
				swept = true // what was swept is written; there may be more
				return nil, nil
			}
			return named, err
		})
		if err != nil || !swept {
			return err
		}
	}
}

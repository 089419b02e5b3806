package registry

import (
	"context"
	"fmt"
	"time"

	"guichet/control-plane/topology"
)

// Book stores the register.
type Book interface {
	Members(ctx context.Context) ([]Member, error)
	// Change reads the whole register, lets decide name the members that become
	// different, stores them, and raises the map's version when there are any. No
	// two changes run at the same time; decide may run again.
	Change(ctx context.Context, now time.Time, decide func(all []Member) ([]Member, error)) error
	// Beat notes that these processes of a cell, all of them known, are alive. It
	// reports false, and notes nothing, when one is not known.
	Beat(ctx context.Context, cell topology.CellID, urls []string, now time.Time) (bool, error)
}

// Service is the register at work.
type Service struct {
	Book Book
	Now  func() time.Time
	// Changed is called after a change was stored; it must not block.
	Changed func()
}

// Cells lists the register by id.
func (s *Service) Cells(ctx context.Context) ([]Member, error) { return s.Book.Members(ctx) }

// Join enters or refreshes a cell.
func (s *Service) Join(ctx context.Context, announced topology.Cell) (Member, error) {
	return s.one(ctx, "join "+string(announced.ID), func(all []Member, now time.Time) (Member, error) {
		return Join(all, announced, now)
	})
}

// SetWeight orders another weight.
func (s *Service) SetWeight(ctx context.Context, cell topology.CellID, o Order) (Member, error) {
	return s.one(ctx, "weigh "+string(cell), func(all []Member, now time.Time) (Member, error) {
		return Weigh(all, cell, o, now)
	})
}

// Leave takes a cell off the routes.
func (s *Service) Leave(ctx context.Context, cell topology.CellID) (Member, error) {
	return s.one(ctx, "leave "+string(cell), func(all []Member, _ time.Time) (Member, error) {
		return Leave(all, cell)
	})
}

// Beat notes that processes of a cell are alive. Usually that changes nothing on
// the map and takes no lock.
func (s *Service) Beat(ctx context.Context, cell topology.CellID, urls []string) error {
	known, err := s.Book.Beat(ctx, cell, urls, s.Now())
	if err != nil {
		return fmt.Errorf("beat of %s: %w", cell, err)
	}
	if known {
		return nil
	}
	_, err = s.one(ctx, "beat of "+string(cell), func(all []Member, now time.Time) (Member, error) {
		m, there := find(all, cell)
		if !there || m.Left {
			return Member{}, ErrUnknownCell.With("there is no cell %s; join first", cell)
		}
		return Beat(m, urls, now)
	})
	return err
}

// Step lets time pass: expiries and weights on their way. It locks nothing when
// there is nothing to do.
func (s *Service) Step(ctx context.Context) error {
	all, err := s.Book.Members(ctx)
	if err != nil {
		return fmt.Errorf("step: %w", err)
	}
	if len(stepped(all, s.Now())) == 0 {
		return nil
	}
	now := s.Now()
	err = s.Book.Change(ctx, now, func(all []Member) ([]Member, error) { return stepped(all, now), nil })
	if err != nil {
		return fmt.Errorf("step: %w", err)
	}
	s.changed()
	return nil
}

func stepped(all []Member, now time.Time) []Member {
	var out []Member
	for _, m := range all {
		if next, changed := Step(m, now); changed {
			out = append(out, next)
		}
	}
	return out
}

func (s *Service) one(ctx context.Context, what string, decide func(all []Member, now time.Time) (Member, error)) (Member, error) {
	now := s.Now()
	var out Member
	err := s.Book.Change(ctx, now, func(all []Member) ([]Member, error) {
		m, err := decide(all, now)
		out = m
		return []Member{m}, err
	})
	if err != nil {
		return Member{}, fmt.Errorf("%s: %w", what, err)
	}
	s.changed()
	return out, nil
}

func (s *Service) changed() {
	if s.Changed != nil {
		s.Changed()
	}
}

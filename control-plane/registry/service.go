package registry

import (
	"context"
	"fmt"
	"slices"
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
	// Admit is Change with the invitation that a token's hash names, the zero one when
	// there is none. It is used up when decide lets its cell in.
	Admit(ctx context.Context, now time.Time, hash string, decide func(all []Member, inv Invitation) (Member, error)) error
	// Invite keeps an invitation, in place of an unused one of the same cell, and drops
	// those that ended before.
	Invite(ctx context.Context, inv Invitation, before time.Time) error
	// Keys are a cell's published keys, and when it was expelled; false when it is not known.
	Keys(ctx context.Context, cell topology.CellID) (keys []topology.Key, expelled time.Time, known bool, err error)
	// Beat notes that these processes of a cell, all of them known, are alive. It
	// reports false, and notes nothing, when one is not known, or the cell has other
	// revocations than those.
	Beat(ctx context.Context, cell topology.CellID, urls, revoked []string, now time.Time) (bool, error)
	// Revoke notes that an operator's token is worth nothing any more, and raises the
	// map's version. It refuses more than most at once.
	Revoke(ctx context.Context, id, by string, until, now time.Time, most int) error
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

// Announce refreshes what a cell says of itself, as it signed it at that time.
func (s *Service) Announce(ctx context.Context, announced topology.Cell, at time.Time) (Member, error) {
	return s.one(ctx, "announce "+string(announced.ID), func(all []Member, now time.Time) (Member, error) {
		return Announce(all, announced, at, now)
	})
}

// Join lets a cell in that shows the token of an invitation and has signed with the
// key kid that it announces.
func (s *Service) Join(ctx context.Context, announced topology.Cell, token, kid string, at time.Time) (Member, error) {
	now := s.Now()
	var out Member
	err := s.Book.Admit(ctx, now, HashToken(token), func(all []Member, inv Invitation) (m Member, err error) {
		out, err = Admit(all, inv, announced, kid, at, now)
		return out, err
	})
	if err != nil {
		return Member{}, fmt.Errorf("join %s: %w", announced.ID, err)
	}
	s.changed()
	return out, nil
}

// Invite makes an invitation and its token, which is told once.
func (s *Service) Invite(ctx context.Context, cell topology.CellID, region, by string, life time.Duration) (Invitation, string, error) {
	all, err := s.Book.Members(ctx)
	if err != nil {
		return Invitation{}, "", fmt.Errorf("invite %s: %w", cell, err)
	}
	now := s.Now()
	inv, token, err := Invite(all, cell, region, by, now, life)
	if err == nil {
		err = s.Book.Invite(ctx, inv, now.Add(-KeepInvitation))
	}
	if err != nil {
		return Invitation{}, "", fmt.Errorf("invite %s: %w", cell, err)
	}
	return inv, token, nil
}

// Expel takes a cell off the map.
func (s *Service) Expel(ctx context.Context, cell topology.CellID) (Member, error) {
	return s.one(ctx, "expel "+string(cell), func(all []Member, now time.Time) (Member, error) {
		return Expel(all, cell, now)
	})
}

// Keys are the keys that a cell may sign with, towards the control plane.
func (s *Service) Keys(ctx context.Context, cell topology.CellID) ([]topology.Key, error) {
	keys, expelled, known, err := s.Book.Keys(ctx, cell)
	switch {
	case err != nil:
		return nil, fmt.Errorf("keys of %s: %w", cell, err)
	case !known:
		return nil, ErrInvitation.With("%s is not known here; it needs an invitation", cell)
	case !expelled.IsZero():
		return nil, ErrExpelled.With("%s was expelled at %s; it may come back by a new invitation", cell, expelled.UTC().Format(time.RFC3339))
	}
	return CellKeys(keys), nil
}

// Revoke makes an operator's token worth nothing until it would have ended.
func (s *Service) Revoke(ctx context.Context, id, by string, until time.Time) error {
	now := s.Now()
	switch {
	case len(id) <= len("op:") || len(id) > topology.MaxRevokedID || id[:3] != "op:":
		return ErrInvalid.At("/id", "must be op: and a token's id")
	case !until.After(now):
		return ErrInvalid.At("/until", "must be when the token ends, in the future")
	}
	if err := s.Book.Revoke(ctx, id, by, until, now, topology.MaxRevoked); err != nil {
		return fmt.Errorf("revoke %s: %w", id, err)
	}
	s.changed()
	return nil
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

// Beat notes that processes of a cell are alive, and what the cell has revoked.
// Usually that changes nothing on the map and takes no lock.
func (s *Service) Beat(ctx context.Context, cell topology.CellID, urls, revoked []string) error {
	if err := CheckRevoked(revoked); err != nil {
		return err
	}
	known, err := s.Book.Beat(ctx, cell, urls, revoked, s.Now())
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
		m.Revoked = slices.Clone(revoked)
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

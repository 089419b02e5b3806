// Package placement is the directory of homes: for each event that is not where
// its id says, the cell that is its home and in which epoch. It decides only.
// Whoever wants another home names the epoch he saw; of many at once one wins,
// and the epoch never decreases (P1).
package placement

import (
	"context"
	"fmt"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Errors of the directory.
var (
	ErrChanged      = kind.Conflict.New("placement_changed")
	ErrReused       = kind.Unprocessable.New("operation_id_reused")
	ErrNoSuchCell   = kind.Conflict.New("cell_not_serving")
	ErrNotAnEvent   = kind.Invalid.New("invalid_id")
	ErrInvalid      = kind.Invalid.New("invalid_field")
	ErrFull         = kind.Unavailable.New("placement_table_full")
	ErrUnknownEvent = kind.NotFound.New("unknown_event")
)

// Limits of the directory.
const (
	MaxPlacements  = 40_000
	MaxOperationID = 100
	// OperationRetention is how long an operation id keeps its answer.
	OperationRetention = 90 * 24 * time.Hour
)

// FirstEpoch is the epoch of an event that never moved.
const FirstEpoch topology.Epoch = 1

// Request asks for another home: a compare-and-set.
type Request struct {
	OperationID string          // chosen by the client; the same one again gets the same answer
	EventID     string          //
	To          topology.CellID // the new home
	Seen        topology.Epoch  // the epoch that the client saw
}

// Result is what an operation came to; it is remembered with its request.
type Result struct {
	Placement topology.Placement
	Replayed  bool
}

// Home is where an event is when the directory has no entry: where it was born.
func Home(eventID string) (topology.Placement, error) {
	ref, ok := topology.ParseRef(eventID)
	if !ok || ref.Kind != "evt" || ref.Own != "" {
		return topology.Placement{}, ErrNotAnEvent.With("%.60q is not an event's id", eventID)
	}
	return topology.Placement{EventID: eventID, Home: ref.Key.Birth, Epoch: FirstEpoch, State: topology.Serving}, nil
}

// Check reports what is wrong with a request before anything is read.
func (r Request) Check() error {
	if r.OperationID == "" || len(r.OperationID) > MaxOperationID {
		return ErrInvalid.At("/operation_id", "must be 1 to %d bytes", MaxOperationID)
	}
	if _, err := topology.ParseCell(string(r.To)); err != nil {
		return err
	}
	if r.Seen < FirstEpoch {
		return ErrInvalid.At("/epoch", "must be at least %d, the epoch that was seen", FirstEpoch)
	}
	_, err := Home(r.EventID)
	return err
}

// Decide is the compare-and-set: now is the event's placement, total how many
// entries the directory has. The new epoch is the old one plus one.
func Decide(r Request, now topology.Placement, total int, serving bool) (topology.Placement, error) {
	switch {
	case now.Epoch != r.Seen:
		return topology.Placement{}, ErrChanged.With("%s is at %s in epoch %d, not %d", r.EventID, now.Home, now.Epoch, r.Seen).
			Field("home_cell", now.Home).Field("epoch", now.Epoch)
	case !serving:
		return topology.Placement{}, ErrNoSuchCell.With("%s is no cell that could take an event", r.To)
	case now.Epoch == FirstEpoch && total >= MaxPlacements:
		return topology.Placement{}, ErrFull.With("the directory has room for %d events away from their birth cell", MaxPlacements).Field("limit", MaxPlacements)
	}
	return topology.Placement{EventID: r.EventID, Home: r.To, Epoch: now.Epoch + 1, State: topology.Serving}, nil
}

// Book stores the directory.
type Book interface {
	// Placement answers the entry of an event; false when there is none.
	Placement(ctx context.Context, eventID string) (topology.Placement, bool, error)
	// Set runs Decide on the newest placement under a lock, stores the entry with
	// its operation and raises the map's version. An operation that is remembered
	// is answered without deciding again, or refused when its request differed.
	Set(ctx context.Context, r Request, now time.Time) (Result, error)
}

// Service is the directory at work.
type Service struct {
	Book Book
	Now  func() time.Time
	// Known reports whether a cell was ever registered.
	Known func(ctx context.Context, cell topology.CellID) (bool, error)
	// Changed is called after a change was stored; it must not block.
	Changed func()
}

// Get answers where an event is at home.
func (s *Service) Get(ctx context.Context, eventID string) (topology.Placement, error) {
	hint, err := Home(eventID)
	if err != nil {
		return topology.Placement{}, err
	}
	p, there, err := s.Book.Placement(ctx, eventID)
	if err != nil {
		return topology.Placement{}, fmt.Errorf("placement of %s: %w", eventID, err)
	}
	if there {
		return p, nil
	}
	known, err := s.Known(ctx, hint.Home)
	if err != nil {
		return topology.Placement{}, fmt.Errorf("placement of %s: %w", eventID, err)
	}
	if !known {
		return topology.Placement{}, ErrUnknownEvent.With("no cell %s ever joined this town", hint.Home)
	}
	return hint, nil
}

// Set gives an event another home.
func (s *Service) Set(ctx context.Context, r Request) (Result, error) {
	if err := r.Check(); err != nil {
		return Result{}, err
	}
	out, err := s.Book.Set(ctx, r, s.Now())
	if err != nil {
		return Result{}, fmt.Errorf("place %s: %w", r.EventID, err)
	}
	if !out.Replayed && s.Changed != nil {
		s.Changed()
	}
	return out, nil
}

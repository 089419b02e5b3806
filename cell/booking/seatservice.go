package booking

import (
	"context"
	"fmt"
	"time"

	"guichet/cell/id"
	"guichet/internal/txn"
)

// SeatMap is an event's seats as they stood at a moment.
type SeatMap struct {
	Event   id.Event
	Plan    Seating // its seats in the plan's order, each with its state
	Version int64   // of the event's description
	Stock   int64   // grows with everything that happens to the event's stock
	At      time.Time
}

// LaySeats lays a seating plan out for a draft of the organizer. version is what
// he last saw; 0 means whatever it is now.
func (s *Service) LaySeats(ctx context.Context, event id.Event, org id.Organizer, version int64, d DraftSeating) (Event, error) {
	return s.Change(ctx, txn.None, event, org, version, func(e *Event, _ time.Time) error { return e.LaySeats("", d) })
}

// StaffOnce does what an organizer's staff want with seats. answer is given how
// many were not so before; it is stored under key, nil for one that nobody repeats.
func (s *Service) StaffOnce(ctx context.Context, event id.Event, org id.Organizer, order SeatOrder, key *Key, answer func(changed int64) (int, []byte, error)) (*Op, error) {
	if err := order.Check(); err != nil {
		return nil, err
	}
	var changed int64
	op := &Op{Key: key.orOwn("seats"), Seats: order.Seats}
	op.Decide = func(stock *Stock) (err error) {
		changed, err = stock.Staff(org, order)
		return err
	}
	op.Render = func() (int, []byte, error) { return answer(changed) }
	if err := s.Desks.Do(ctx, event, op); err != nil {
		return nil, fmt.Errorf("change seats of %s: %w", event, err)
	}
	return op, nil
}

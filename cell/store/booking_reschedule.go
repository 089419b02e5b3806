package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
)

const insertReschedule = `INSERT INTO booking.reschedule (event_id, number, at, was, became) VALUES ($1, $2, $3, $4, $5)`

// queueReschedule keeps a move that is new, with when and where the event was and is, and
// answers the event's last one as its row has it; nil for none.
func queueReschedule(b *pgx.Batch, e *booking.Event, before *booking.Reschedule) ([]byte, error) {
	if e.Rescheduled == nil {
		return nil, nil
	}
	last, err := json.Marshal(e.Rescheduled)
	if err != nil || before != nil && before.Number == e.Rescheduled.Number {
		return last, err
	}
	was, err := json.Marshal(e.Rescheduled.From)
	if err != nil {
		return nil, fmt.Errorf("describe move: %w", err)
	}
	now, err := json.Marshal(e.Occasion())
	if err != nil {
		return nil, fmt.Errorf("describe move: %w", err)
	}
	b.Queue(insertReschedule, e.ID.String(), e.Rescheduled.Number, e.Rescheduled.At, was, now)
	return last, nil
}

// refundsText is nil where nothing was said: the default may change, what was said stays.
func refundsText(p booking.RefundPolicy) ([]byte, error) {
	if p.Kind == "" {
		return nil, nil
	}
	return json.Marshal(p)
}

// scanRescheduled reads an event's policy of refunds and its last move.
func scanRescheduled(e *booking.Event, refunds, moved []byte) (err error) {
	e.Refunds, e.Rescheduled = booking.RefundPolicy{}, nil
	if len(refunds) > 0 {
		err = json.Unmarshal(refunds, &e.Refunds)
	}
	if len(moved) > 0 {
		e.Rescheduled = &booking.Reschedule{}
		err = errors.Join(err, json.Unmarshal(moved, e.Rescheduled))
	}
	return err
}

package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// Events reads events like Event, all at once. Those that are not there are left out.
func (s *Store) Events(ctx context.Context, tx txn.Tx, events []id.Event) ([]booking.Event, error) {
	all := make([]booking.Event, len(events))
	there := make([]bool, len(events))
	b := &pgx.Batch{}
	for i, event := range events {
		all[i].ID = event
		own := len(b.QueuedQueries) // the read of the event itself comes first
		queueEvent(b, &all[i], selectEvent, selectQuotas)
		b.QueuedQueries[own].QueryRow(func(row pgx.Row) error {
			err := scanSeen(row, &all[i])
			there[i] = err == nil
			if errors.Is(err, booking.ErrEventNotFound) {
				return nil
			}
			return err
		})
	}
	if err := s.ask(ctx, tx, b); err != nil {
		return nil, err
	}
	kept := all[:0]
	for i := range all {
		if there[i] {
			kept = append(kept, all[i])
		}
	}
	return kept, nil
}

const selectStockChanges = `SELECT q.event_id, q.stock_changed_at, q.stock_version
	FROM booking.quota AS q JOIN booking.event AS e ON e.event_id = q.event_id
	WHERE q.position = 0 AND q.stock_changed_at >= $1 AND e.state <> 'draft' ORDER BY q.stock_changed_at, q.event_id LIMIT $2`

// StockChanges implements search.Changes. It is asked four times a second: one
// round trip, no transaction. The clock is read before the changes, never after.
func (s *Store) StockChanges(ctx context.Context, since time.Time, limit int) (changes []search.StockChange, now time.Time, err error) {
	b := &pgx.Batch{}
	b.Queue(selectClock).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	b.Queue(selectStockChanges, since, limit).Query(func(rows pgx.Rows) error {
		changes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (search.StockChange, error) {
			var c search.StockChange
			return c, row.Scan(&c.Event, &c.At, &c.Version)
		})
		return err
	})
	return changes, now, sqldb.Classify(s.DB.Pool.SendBatch(ctx, b).Close())
}

// selectLive reads its page in order of the key, whatever it finds there: a cell with
// many events that are over must not read them all for one that is not.
const selectLive = `SELECT e.event_id, COALESCE((SELECT q.stock_version FROM booking.quota AS q WHERE q.event_id = e.event_id AND q.position = 0), 0),
		e.state = 'published' AND COALESCE(e.ends_at, e.starts_at + INTERVAL '24 hours') > statement_timestamp()
	FROM booking.event AS e WHERE e.event_id > $1 ORDER BY e.event_id LIMIT $2`

// Live implements search.Changes.
func (s *Store) Live(ctx context.Context, after string, limit int) (events []search.StockChange, next string, err error) {
	rows, err := s.DB.Pool.Query(ctx, selectLive, after, limit) //nolint:rowserrcheck // ForEachRow checks
	if err != nil {
		return nil, "", fmt.Errorf("list live events: %w", sqldb.Classify(err))
	}
	var c search.StockChange
	var live bool
	read := 0
	if _, err := pgx.ForEachRow(rows, []any{&c.Event, &c.Version, &live}, func() error {
		if read, next = read+1, c.Event; live {
			events = append(events, c)
		}
		return nil
	}); err != nil {
		return nil, "", fmt.Errorf("list live events: %w", sqldb.Classify(err))
	}
	if read < limit {
		next = ""
	}
	return events, next, nil
}

// Classes implements search.Changes.
func (s *Store) Classes(ctx context.Context, events []string) (map[string]client.Availability, error) {
	ids := make([]id.Event, 0, len(events))
	for _, event := range events {
		eid, err := id.ParseEvent(event)
		if err != nil {
			return nil, corrupt(err)
		}
		ids = append(ids, eid)
	}
	all, err := s.Events(ctx, txn.None, ids)
	if err != nil {
		return nil, err
	}
	classes := make(map[string]client.Availability, len(all))
	for i := range all {
		class := client.None
		if e := &all[i]; e.State == booking.Published {
			class = client.Availability(e.OverallAvailability())
		}
		classes[all[i].ID.String()] = class
	}
	return classes, nil
}

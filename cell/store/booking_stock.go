package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// dueHolds bounds how many due holds a transaction sweeps, one of many events those
// of dueEvents.
const (
	dueHolds  = 200
	dueEvents = 10
)

// A hold is only ever written behind its event's lock, so it is read without one
// of its own. holdColumns are what scanHold takes.
const holdColumns = `hold_id, state, created_at, expires_at, order_id, total, currency, items, granted_until, asked_mark`

// selectHolds looks each id up by itself: a comparison with a list that was
// planned while the table was small would read all of it ever after.
const selectHolds = `SELECT f.hold_id, f.state, f.created_at, f.expires_at, f.order_id, f.total, f.currency, f.items, f.granted_until, f.asked_mark
	FROM unnest($1::text[], $2::text[]) AS n (hold_id, event_id)
	CROSS JOIN LATERAL (SELECT ` + holdColumns + ` FROM booking.hold AS h WHERE h.hold_id = n.hold_id AND h.event_id = n.event_id LIMIT 1) AS f`

// selectDueHolds reads what is due of all the events in one look at the index,
// which begins with the time.
const selectDueHolds = `SELECT ` + holdColumns + ` FROM booking.hold
	WHERE event_id = ANY($1) AND state = 'active' AND order_id = '' AND expires_at <= statement_timestamp()
	ORDER BY expires_at LIMIT $2`

const selectLedgerHead = `SELECT ledger_next, ledger_hash FROM booking.quota WHERE event_id = $1 AND position = 0`

// updateQuotas writes counters, together with the size, which killed seats make smaller: the
// database refuses either alone that passes the other. With an event's first quota it
// writes where its stock stands: nearly every change writes that row, so a batch has no
// other row of the event to write. In other quotas what is about the event is null and
// stays so.
//
// The time of the last change stays as it is while it is not older than search.StampGrain:
// it has an index, and a row none of whose indexes change is written in place, which costs
// PostgreSQL a third less. stock_version tells every change apart.
const updateQuotas = `UPDATE booking.quota SET size = n.size, held = n.held, sold = n.sold, allocated = n.allocated,
	ledger_next = nullif(n.ledger_next, 0), ledger_hash = nullif(n.ledger_hash, ''), stock_version = stock_version + 1,
	stock_changed_at = CASE WHEN stock_changed_at < $8 THEN $9 ELSE stock_changed_at END
	FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
		AS n (quota_id, size, held, sold, allocated, ledger_next, ledger_hash)
	WHERE booking.quota.quota_id = n.quota_id AND booking.quota.quota_id = ANY($1)`

const updateHolds = `UPDATE booking.hold SET state = n.state, expires_at = n.expires_at, order_id = n.order_id
	FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) AS n (hold_id, state, expires_at, order_id)
	WHERE booking.hold.hold_id = n.hold_id AND booking.hold.hold_id = ANY($1)`

const insertLedger = `INSERT INTO booking.ledger (event_id, first_entry, at, entries, prev, hash)
	SELECT l.event_id, l.first_entry, l.at, l.entries, l.prev, l.hash
	FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::bytea[], $5::text[], $6::text[])
		AS l (event_id, first_entry, at, entries, prev, hash)`

// WithStock locks the event row, then its quotas and holds, reads the clock
// behind the locks, lets decide change the stock and writes what changed. The
// lock on the event row is what makes two processes of a cell agree (P2). A turn that
// shares its transaction decides on the stock that all its turns have.
func (s *Store) WithStock(ctx context.Context, tx txn.Tx, event id.Event, ttl time.Duration, named []id.Hold, decide func(*booking.Stock) error) error {
	if w := sharedOf(tx); w != nil && w.stock.stock.ID == event {
		return w.with(ctx, tx, s, named, decide)
	}
	err := s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		b, load := &pgx.Batch{}, newStockLoad(event, ttl)
		load.named = named
		queueLoads(b, load)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("load stock: %w", err)
		}
		if err := loadEnded(ctx, tx, load.stock); err != nil {
			return err
		}
		stock, before := load.stock, load.snapshot()
		if err := loadSeats(ctx, tx, stock, nil); err != nil {
			return err
		}
		if err := decide(stock); err != nil {
			return err
		}
		b = &pgx.Batch{}
		if err := queueStock(b, stock, before); err != nil || b.Len() == 0 {
			return err
		}
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("write stock: %w", err)
		}
		return nil
	})
	return refused(err)
}

func scanHold(row pgx.Row) (booking.Hold, error) {
	var h booking.Hold
	var hid, state, order, items string
	var asked []byte
	var granted *time.Time // null in rows of before 0006
	if err := row.Scan(&hid, &state, &h.CreatedAt, &h.ExpiresAt, &order, &h.Total.Amount, &h.Total.Currency, &items, &granted, &asked); err != nil {
		return h, err
	}
	copy(h.Asked[:], asked)
	h.GrantedUntil = h.ExpiresAt
	if granted != nil {
		h.GrantedUntil = *granted
	}
	h.State = booking.HoldState(state)
	var err error
	if h.ID, err = id.ParseHold(hid); err != nil {
		return h, corrupt(err)
	}
	if err := h.Order.UnmarshalText([]byte(order)); err != nil {
		return h, corrupt(err)
	}
	if err := json.Unmarshal([]byte(items), &h.Items); err != nil {
		return h, corrupt(err)
	}
	return h, nil
}

const selectHold = `SELECT hold_id, CASE WHEN state = 'active' AND order_id = '' AND expires_at <= statement_timestamp() THEN 'expired' ELSE state END,
	created_at, expires_at, order_id, total, currency, items, granted_until, asked_mark FROM booking.hold WHERE hold_id = $1`

// Hold reads a hold; a due one reads as expired although the sweeper was not there yet.
func (s *Store) Hold(ctx context.Context, hold id.Hold) (booking.Hold, error) {
	h, err := scanHold(s.DB.Pool.QueryRow(ctx, selectHold, hold.String()))
	if errors.Is(err, pgx.ErrNoRows) {
		return h, booking.ErrHoldNotFound
	}
	return h, sqldb.Classify(err)
}

const endHolds = `UPDATE booking.hold SET expires_at = statement_timestamp()
	WHERE event_id = $1 AND state = 'active' AND order_id = '' AND expires_at > statement_timestamp()`

// EndHolds makes every hold of an event that no order is paid from due at once.
func (s *Store) EndHolds(ctx context.Context, tx txn.Tx, event id.Event) error {
	return s.put(ctx, tx, endHolds, event.String())
}

const selectHoldSecret = `SELECT hold_secret FROM booking.event WHERE event_id = $1` //nolint:gosec // a column's name, no secret

// HoldSecret implements booking.Store.
func (s *Store) HoldSecret(ctx context.Context, event id.Event) ([]byte, error) {
	var secret string
	err := s.DB.Pool.QueryRow(ctx, selectHoldSecret, event.String()).Scan(&secret)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, booking.ErrEventNotFound
	}
	return []byte(secret), sqldb.Classify(err)
}

const selectEventsWithDueHolds = `SELECT DISTINCT h.event_id FROM booking.hold AS h JOIN booking.event AS e ON e.event_id = h.event_id
	WHERE h.state = 'active' AND h.order_id = '' AND h.expires_at <= statement_timestamp() AND e.placement = 'serving' LIMIT $1`

// EventsWithDueHolds lists events that the sweeper should visit; one that is
// sealed has its holds swept by its next home.
func (s *Store) EventsWithDueHolds(ctx context.Context, limit int) ([]id.Event, error) {
	return queryEvents(ctx, s.DB.Pool, selectEventsWithDueHolds, limit)
}

func queryEvents(ctx context.Context, q sqldb.Querier, sql string, args ...any) ([]id.Event, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id.Event, error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return id.Event{}, err
		}
		return id.ParseEvent(text)
	})
	return events, sqldb.Classify(err)
}

const sumHeld = `SELECT i.item->>'type', sum((i.item->>'quantity')::bigint)::bigint FROM booking.hold AS h
	CROSS JOIN LATERAL jsonb_array_elements(h.items) AS i (item) WHERE h.event_id = $1 AND h.state = 'active' GROUP BY i.item->>'type'`

// Held counts an event's tickets in live holds by ticket type.
func (s *Store) Held(ctx context.Context, tx txn.Tx, event id.Event) (map[string]int64, error) {
	rows, err := s.on(tx).Query(ctx, sumHeld, event.String()) //nolint:rowserrcheck // ForEachRow checks
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	held := map[string]int64{}
	var tid string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&tid, &n}, func() error {
		held[tid] = n
		return nil
	})
	return held, sqldb.Classify(err)
}

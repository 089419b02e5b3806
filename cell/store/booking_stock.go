package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/internal/sqldb"
)

// dueHolds bounds how many due holds one transaction sweeps.
const dueHolds = 200

const selectHolds = `SELECT hold_id, state, created_at, expires_at, order_id, total, currency FROM booking.hold
	WHERE hold_id = ANY($1) AND event_id = $2 ORDER BY hold_id FOR UPDATE`

const selectDueHolds = `SELECT hold_id, state, created_at, expires_at, order_id, total, currency FROM booking.hold
	WHERE event_id = $1 AND state = 'active' AND order_id = '' AND expires_at <= clock_timestamp()
	ORDER BY expires_at LIMIT $2 FOR UPDATE`

const selectHoldItems = `SELECT hold_id, ticket_type_id, name, quantity, all_in FROM booking.hold_item
	WHERE hold_id = ANY($1) ORDER BY hold_id, position`

const updateQuotaCounters = `UPDATE booking.quota SET held = $2, sold = $3, allocated = $4 WHERE quota_id = $1`

const upsertHold = `INSERT INTO booking.hold (hold_id, event_id, state, created_at, expires_at, order_id, total, currency)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
	ON CONFLICT (hold_id) DO UPDATE SET state = excluded.state, expires_at = excluded.expires_at, order_id = excluded.order_id`

const insertHoldItem = `INSERT INTO booking.hold_item (hold_id, position, ticket_type_id, name, quantity, all_in) VALUES ($1, $2, $3, $4, $5, $6)`

const touchStock = `UPDATE booking.event SET stock_version = stock_version + 1, stock_changed_at = clock_timestamp() WHERE event_id = $1`

// WithStock locks the event row, then its quotas and holds, reads the clock
// behind the locks, lets decide change the stock and writes what changed. The
// lock on the event row is what makes two processes of a cell agree (P2).
func (s *Store) WithStock(ctx context.Context, event id.Event, ttl time.Duration, named []id.Hold, decide func(*booking.Stock) error) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		stock, before, err := loadStock(ctx, tx, event, ttl, named)
		if err != nil {
			return err
		}
		if err := decide(stock); err != nil {
			return err
		}
		return writeStock(ctx, tx, stock, before)
	})
	if sqldb.Violates(err, "quota_not_oversold") {
		return errors.Join(booking.ErrSoldOut, err)
	}
	return err
}

// snapshot is what a stock looked like when it was loaded.
type snapshot struct {
	quotas []booking.Quota
	holds  map[id.Hold]booking.Hold
}

func loadStock(ctx context.Context, tx pgx.Tx, event id.Event, ttl time.Duration, named []id.Hold) (*booking.Stock, snapshot, error) {
	stock := &booking.Stock{Event: booking.Event{ID: event}, HoldTTL: ttl, Holds: map[id.Hold]*booking.Hold{}}
	b := &pgx.Batch{}
	queueEvent(b, &stock.Event, selectEventForUpdate, selectQuotasForUpdate)
	b.Queue(selectClock).QueryRow(func(row pgx.Row) error { return row.Scan(&stock.Now) })
	add := func(rows pgx.Rows) error {
		for rows.Next() {
			h, err := scanHold(rows)
			if err != nil {
				return err
			}
			stock.Holds[h.ID] = &h
		}
		return rows.Err()
	}
	if len(named) > 0 {
		b.Queue(selectHolds, texts(named), event.String()).Query(add)
	}
	b.Queue(selectDueHolds, event.String(), dueHolds).Query(func(rows pgx.Rows) error {
		err := add(rows)
		stock.DueLeft = rows.CommandTag().RowsAffected() == dueHolds
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, snapshot{}, fmt.Errorf("load stock: %w", err)
	}
	if len(stock.Holds) > 0 {
		if err := loadItems(ctx, tx, stock.Holds); err != nil {
			return nil, snapshot{}, err
		}
	}
	before := snapshot{quotas: slices.Clone(stock.Quotas), holds: make(map[id.Hold]booking.Hold, len(stock.Holds))}
	for hid, h := range stock.Holds {
		before.holds[hid] = *h
	}
	return stock, before, nil
}

func scanHold(row pgx.Row) (booking.Hold, error) {
	var h booking.Hold
	var hid, state, order string
	if err := row.Scan(&hid, &state, &h.CreatedAt, &h.ExpiresAt, &order, &h.Total.Amount, &h.Total.Currency); err != nil {
		return h, err
	}
	h.State = booking.HoldState(state)
	var err error
	if h.ID, err = id.ParseHold(hid); err != nil {
		return h, corrupt(err)
	}
	if err := h.Order.UnmarshalText([]byte(order)); err != nil {
		return h, corrupt(err)
	}
	return h, nil
}

func loadItems(ctx context.Context, q sqldb.Querier, holds map[id.Hold]*booking.Hold) error {
	rows, err := q.Query(ctx, selectHoldItems, texts(slices.Collect(maps.Keys(holds))))
	if err != nil {
		return fmt.Errorf("load hold items: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var item booking.HoldItem
		var hid, tid string
		if err := rows.Scan(&hid, &tid, &item.Name, &item.Quantity, &item.AllIn.Amount); err != nil {
			return err
		}
		hold, err := id.ParseHold(hid)
		if err != nil {
			return corrupt(err)
		}
		if item.Type, err = id.ParseTicketType(tid); err != nil {
			return corrupt(err)
		}
		h := holds[hold]
		item.AllIn.Currency = h.Total.Currency
		h.Items = append(h.Items, item)
	}
	return rows.Err()
}

func writeStock(ctx context.Context, tx pgx.Tx, stock *booking.Stock, before snapshot) error {
	b := &pgx.Batch{}
	changed := false
	for i, q := range stock.Quotas {
		if q != before.quotas[i] {
			b.Queue(updateQuotaCounters, q.ID.String(), q.Held, q.Sold, q.Allocated)
			changed = true
		}
	}
	for _, hid := range slices.SortedFunc(maps.Keys(stock.Holds), func(a, b id.Hold) int { return compare(a.String(), b.String()) }) {
		h := stock.Holds[hid]
		old, known := before.holds[hid]
		if known && old.State == h.State && old.ExpiresAt.Equal(h.ExpiresAt) && old.Order == h.Order {
			continue
		}
		b.Queue(upsertHold, hid.String(), stock.ID.String(), string(h.State), h.CreatedAt, h.ExpiresAt, h.Order.String(), h.Total.Amount, h.Total.Currency)
		if !known {
			for i, item := range h.Items {
				b.Queue(insertHoldItem, hid.String(), int64(i), item.Type.String(), item.Name, item.Quantity, item.AllIn.Amount)
			}
		}
	}
	if changed {
		b.Queue(touchStock, stock.ID.String())
	}
	if b.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("write stock: %w", err)
	}
	return nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

const selectHold = `SELECT hold_id, CASE WHEN state = 'active' AND order_id = '' AND expires_at <= clock_timestamp() THEN 'expired' ELSE state END,
	created_at, expires_at, order_id, total, currency FROM booking.hold WHERE hold_id = $1`

// Hold reads a hold; a due one reads as expired although the sweeper was not there yet.
func (s *Store) Hold(ctx context.Context, hold id.Hold) (booking.Hold, error) {
	h, err := scanHold(s.DB.On(ctx).QueryRow(ctx, selectHold, hold.String()))
	if errors.Is(err, pgx.ErrNoRows) {
		return h, booking.ErrHoldNotFound
	}
	if err != nil {
		return h, sqldb.Classify(err)
	}
	return h, sqldb.Classify(loadItems(ctx, s.DB.On(ctx), map[id.Hold]*booking.Hold{hold: &h}))
}

const selectEventsWithDueHolds = `SELECT DISTINCT h.event_id FROM booking.hold AS h JOIN booking.event AS e ON e.event_id = h.event_id
	WHERE h.state = 'active' AND h.order_id = '' AND h.expires_at <= clock_timestamp() AND e.placement = 'serving' LIMIT $1`

// EventsWithDueHolds lists events that the sweeper should visit; one that is
// sealed has its holds swept by its next home.
func (s *Store) EventsWithDueHolds(ctx context.Context, limit int) ([]id.Event, error) {
	return queryEvents(ctx, s.DB.On(ctx), selectEventsWithDueHolds, limit)
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

const selectStockChanges = `SELECT event_id, stock_changed_at FROM booking.event
	WHERE stock_changed_at >= $1 AND state <> 'draft' ORDER BY stock_changed_at, event_id LIMIT $2`

// ClassChanges lists events whose stock changed, oldest change first, with what
// the public should see of it now.
func (s *Store) ClassChanges(ctx context.Context, since time.Time, limit int) ([]search.ClassChange, error) {
	rows, err := s.DB.On(ctx).Query(ctx, selectStockChanges, since, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	changes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (search.ClassChange, error) {
		var c search.ClassChange
		return c, row.Scan(&c.Event, &c.At)
	})
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	for i := range changes {
		event, err := id.ParseEvent(changes[i].Event)
		if err != nil {
			return nil, corrupt(err)
		}
		e, err := s.Event(ctx, event)
		if err != nil {
			return nil, err
		}
		changes[i].Class = client.None
		if e.State == booking.Published {
			changes[i].Class = client.Availability(e.OverallAvailability())
		}
	}
	return changes, nil
}

const sumHeld = `SELECT i.ticket_type_id, sum(i.quantity)::bigint FROM booking.hold AS h
	JOIN booking.hold_item AS i ON i.hold_id = h.hold_id WHERE h.event_id = $1 AND h.state = 'active' GROUP BY i.ticket_type_id`

// Held counts an event's tickets in live holds by ticket type.
func (s *Store) Held(ctx context.Context, event id.Event) (map[string]int64, error) {
	rows, err := s.DB.On(ctx).Query(ctx, sumHeld, event.String()) //nolint:rowserrcheck // ForEachRow checks
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

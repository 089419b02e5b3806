package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/sqldb"
)

// dueHolds bounds how many due holds one transaction sweeps.
const dueHolds = 200

// A hold is only ever written behind its event's lock, so it is read without one
// of its own. holdColumns are what scanHold takes.
const holdColumns = `hold_id, state, created_at, expires_at, order_id, total, currency, items, granted_until, asked_mark`

// selectHolds looks each id up by itself: a comparison with a list that was
// planned while the table was small would read all of it ever after.
const selectHolds = `SELECT f.hold_id, f.state, f.created_at, f.expires_at, f.order_id, f.total, f.currency, f.items, f.granted_until, f.asked_mark
	FROM unnest($1::text[]) AS n (hold_id)
	CROSS JOIN LATERAL (SELECT ` + holdColumns + ` FROM booking.hold AS h WHERE h.hold_id = n.hold_id AND h.event_id = $2 LIMIT 1) AS f`

const selectDueHolds = `SELECT ` + holdColumns + ` FROM booking.hold
	WHERE event_id = $1 AND state = 'active' AND order_id = '' AND expires_at <= (SELECT clock_timestamp())
	ORDER BY expires_at LIMIT $2`

const selectLedgerHead = `SELECT ledger_next, ledger_hash FROM booking.event WHERE event_id = $1`

const updateQuotaCounters = `UPDATE booking.quota SET held = $2, sold = $3, allocated = $4 WHERE quota_id = $1`

const insertHolds = `INSERT INTO booking.hold (hold_id, event_id, state, created_at, expires_at, granted_until, total, currency, items, asked_mark)
	SELECT h.hold_id, $1, h.state, $2, h.expires_at, h.granted_until, h.total, $3, h.items::jsonb, h.asked_mark
	FROM unnest($4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::bigint[], $9::text[], $10::bytea[])
		AS h (hold_id, state, expires_at, granted_until, total, items, asked_mark)`

const updateHolds = `UPDATE booking.hold SET state = n.state, expires_at = n.expires_at, order_id = n.order_id
	FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) AS n (hold_id, state, expires_at, order_id)
	WHERE booking.hold.hold_id = n.hold_id AND booking.hold.hold_id = ANY($1)`

const insertLedger = `INSERT INTO booking.ledger (event_id, first_entry, at, entries, prev, hash) VALUES ($1, $2, $3, $4, $5, $6)`

const touchStock = `UPDATE booking.event SET stock_version = stock_version + 1, stock_changed_at = $2, ledger_next = $3, ledger_hash = $4
	WHERE event_id = $1`

// WithStock locks the event row, then its quotas and holds, reads the clock
// behind the locks, lets decide change the stock and writes what changed. The
// lock on the event row is what makes two processes of a cell agree (P2). A turn that
// shares its transaction decides on the stock that all its turns have.
func (s *Store) WithStock(ctx context.Context, event id.Event, ttl time.Duration, named []id.Hold, decide func(*booking.Stock) error) error {
	if w := sharedOf(ctx); w != nil && w.stock.stock.ID == event {
		return w.with(ctx, s, named, decide)
	}
	err := s.DB.InTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		b, load := &pgx.Batch{}, newStockLoad(event, ttl)
		load.queue(b, named)
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

// snapshot is what a stock looked like when it was loaded.
type snapshot struct {
	quotas []booking.Quota
	holds  map[id.Hold]booking.Hold
	ledger booking.LedgerHead
	aside  map[id.Allocation]booking.Allocation
}

// stockLoad is an event's stock while it is being read.
type stockLoad struct {
	stock  *booking.Stock
	ledger booking.LedgerHead
}

func newStockLoad(event id.Event, ttl time.Duration) *stockLoad {
	return &stockLoad{stock: &booking.Stock{Event: booking.Event{ID: event}, HoldTTL: ttl, Holds: map[id.Hold]*booking.Hold{}}}
}

// queue reads an event's stock behind the locks of its rows. The clock is read
// when those are held.
func (l *stockLoad) queue(b *pgx.Batch, named []id.Hold) {
	stock, event := l.stock, l.stock.ID.String()
	queueEvent(b, &stock.Event, selectEventForUpdate, selectQuotasForUpdate)
	b.Queue(selectClock).QueryRow(func(row pgx.Row) error { return row.Scan(&stock.Now) })
	b.Queue(selectLedgerHead, event).QueryRow(func(row pgx.Row) error { return row.Scan(&l.ledger.Next, &l.ledger.Hash) })
	if len(named) > 0 {
		b.Queue(selectHolds, texts(named), event).Query(l.add)
	}
	b.Queue(selectDueHolds, event, dueHolds).Query(func(rows pgx.Rows) error {
		err := l.add(rows)
		stock.DueLeft = rows.CommandTag().RowsAffected() == dueHolds
		return err
	})
	b.Queue(selectOpenAllocations, event).Query(l.addAside)
}

func (l *stockLoad) add(rows pgx.Rows) error {
	for rows.Next() {
		h, err := scanHold(rows)
		if err != nil {
			return err
		}
		l.stock.Holds[h.ID] = &h
	}
	return rows.Err()
}

// snapshot keeps what was read, to tell afterwards what changed.
func (l *stockLoad) snapshot() *snapshot {
	before := &snapshot{quotas: slices.Clone(l.stock.Quotas), holds: make(map[id.Hold]booking.Hold, len(l.stock.Holds)), ledger: l.ledger}
	for hid, h := range l.stock.Holds {
		before.holds[hid] = *h
	}
	before.aside = copyAside(l.stock.Aside)
	return before
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

// queueStock writes what changed since the stock was loaded, with the ledger's
// row about it.
func queueStock(b *pgx.Batch, stock *booking.Stock, before *snapshot) error {
	for i, q := range stock.Quotas {
		if q.Size != before.quotas[i].Size {
			b.Queue(updateQuotaSize, q.ID.String(), q.Size)
		}
		if q != before.quotas[i] {
			b.Queue(updateQuotaCounters, q.ID.String(), q.Held, q.Sold, q.Allocated)
		}
	}
	queueSeats(b, stock)
	queueAside(b, stock, before)
	if err := queueHolds(b, stock, before); err != nil {
		return err
	}
	if err := queueCounters(b, stock, before); err != nil || len(stock.Log) == 0 {
		return err
	}
	return queueLedger(b, stock, &before.ledger)
}

func queueHolds(b *pgx.Batch, stock *booking.Stock, before *snapshot) error {
	var fresh, known struct {
		ids, states, items, orders []string
		ends, first                []time.Time
		totals                     []int64
		asked                      [][]byte
	}
	for hid, h := range stock.Holds {
		old, there := before.holds[hid]
		switch {
		case !there:
			items, err := json.Marshal(h.Items)
			if err != nil {
				return fmt.Errorf("describe hold: %w", err)
			}
			fresh.ids, fresh.states, fresh.ends = append(fresh.ids, hid.String()), append(fresh.states, string(h.State)), append(fresh.ends, h.ExpiresAt)
			fresh.totals, fresh.items = append(fresh.totals, h.Total.Amount), append(fresh.items, string(items))
			var asked []byte
			if h.Asked != (booking.Mark{}) {
				asked = h.Asked[:]
			}
			fresh.first, fresh.asked = append(fresh.first, h.GrantedUntil), append(fresh.asked, asked)
		case old.State != h.State || !old.ExpiresAt.Equal(h.ExpiresAt) || old.Order != h.Order:
			known.ids, known.states, known.ends = append(known.ids, hid.String()), append(known.states, string(h.State)), append(known.ends, h.ExpiresAt)
			known.orders = append(known.orders, h.Order.String())
		}
	}
	if len(fresh.ids) > 0 {
		b.Queue(insertHolds, stock.ID.String(), stock.Now, stock.Currency, fresh.ids, fresh.states, fresh.ends, fresh.first, fresh.totals, fresh.items, fresh.asked)
	}
	if len(known.ids) > 0 {
		b.Queue(updateHolds, known.ids, known.states, known.ends, known.orders)
	}
	return nil
}

func queueLedger(b *pgx.Batch, stock *booking.Stock, head *booking.LedgerHead) error {
	row, err := head.Row(stock.ID, stock.Now, stock.Log)
	if err != nil {
		return err
	}
	b.Queue(insertLedger, stock.ID.String(), row.First, row.At, []byte(row.Entries), row.Prev, row.Hash)
	b.Queue(touchStock, stock.ID.String(), stock.Now, head.Next, head.Hash)
	return nil
}

const selectHold = `SELECT hold_id, CASE WHEN state = 'active' AND order_id = '' AND expires_at <= (SELECT clock_timestamp()) THEN 'expired' ELSE state END,
	created_at, expires_at, order_id, total, currency, items, granted_until, asked_mark FROM booking.hold WHERE hold_id = $1`

// Hold reads a hold; a due one reads as expired although the sweeper was not there yet.
func (s *Store) Hold(ctx context.Context, hold id.Hold) (booking.Hold, error) {
	h, err := scanHold(s.DB.On(ctx).QueryRow(ctx, selectHold, hold.String()))
	if errors.Is(err, pgx.ErrNoRows) {
		return h, booking.ErrHoldNotFound
	}
	return h, sqldb.Classify(err)
}

const selectHoldSecret = `SELECT hold_secret FROM booking.event WHERE event_id = $1` //nolint:gosec // a column's name, no secret

// HoldSecret implements booking.Store.
func (s *Store) HoldSecret(ctx context.Context, event id.Event) ([]byte, error) {
	var secret string
	err := s.DB.On(ctx).QueryRow(ctx, selectHoldSecret, event.String()).Scan(&secret)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, booking.ErrEventNotFound
	}
	return []byte(secret), sqldb.Classify(err)
}

const selectEventsWithDueHolds = `SELECT DISTINCT h.event_id FROM booking.hold AS h JOIN booking.event AS e ON e.event_id = h.event_id
	WHERE h.state = 'active' AND h.order_id = '' AND h.expires_at <= (SELECT clock_timestamp()) AND e.placement = 'serving' LIMIT $1`

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

const sumHeld = `SELECT i.item->>'type', sum((i.item->>'quantity')::bigint)::bigint FROM booking.hold AS h
	CROSS JOIN LATERAL jsonb_array_elements(h.items) AS i (item) WHERE h.event_id = $1 AND h.state = 'active' GROUP BY i.item->>'type'`

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

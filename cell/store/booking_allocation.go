package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// selectOpenAllocations is asked by every batch of a desk, behind the event's
// lock: holds that end may go back to one of them. Most events have none.
const selectOpenAllocations = `SELECT allocation_id, quota_id, name, asked, quantity, closed, created_at FROM booking.allocation
	WHERE event_id = ANY($1) AND NOT closed`

const selectTheseAllocations = `SELECT allocation_id, quota_id, name, asked, quantity, closed, created_at FROM booking.allocation
	WHERE allocation_id = ANY($1) AND event_id = $2`

const countAllocations = `SELECT count(*) FROM booking.allocation WHERE event_id = $1`

const insertAllocation = `INSERT INTO booking.allocation (allocation_id, event_id, quota_id, name, asked, quantity, closed, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

const updateAllocation = `UPDATE booking.allocation SET quantity = $2, closed = $3 WHERE allocation_id = $1`

const insertNamedHold = `INSERT INTO booking.named_hold (hold_id, event_id, allocation_id, buyer_name, buyer_email, created_at)
	VALUES ($1, $2, $3, $4, $5, $6)`

const selectAllocations = `SELECT allocation_id, quota_id, name, asked, quantity, closed, created_at FROM booking.allocation
	WHERE event_id = $1 AND allocation_id > $2 ORDER BY allocation_id LIMIT $3`

const selectAllocation = `SELECT allocation_id, quota_id, name, asked, quantity, closed, created_at FROM booking.allocation
	WHERE allocation_id = $1 AND event_id = $2`

const selectNamedHolds = `SELECT hold_id, buyer_name, buyer_email FROM booking.named_hold
	WHERE allocation_id = $1 ORDER BY created_at DESC, hold_id LIMIT $2`

// WithAside is WithStock for what staff do: the named allocations are loaded too,
// and new ones written. named is whose hold decide made, if any. The world hears
// of it like of every change of stock.
func (s *Store) WithAside(ctx context.Context, tx txn.Tx, event id.Event, ttl time.Duration, allocations []id.Allocation, decide func(*booking.Stock) (*booking.Named, error)) error {
	if err := alone(tx); err != nil {
		return err
	}
	err := s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		var rows int64
		b, load := &pgx.Batch{}, newStockLoad(event, ttl)
		queueLoads(b, load)
		b.Queue(countAllocations, event.String()).QueryRow(func(row pgx.Row) error { return row.Scan(&rows) })
		b.Queue(selectTheseAllocations, texts(allocations), event.String()).Query(func(rows pgx.Rows) error {
			return eachRow(rows, func(row pgx.Row) error {
				a, err := scanAllocation(row)
				if err == nil {
					load.addAside(a)
				}
				return err
			})
		})
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("load stock: %w", err)
		}
		stock, before := load.stock, load.snapshot()
		if err := loadSeats(ctx, tx, stock, anySeats(stock)); err != nil {
			return err
		}
		named, err := decide(stock)
		if err != nil {
			return err
		}
		if err := limitAllocations(stock, before, rows); err != nil {
			return err
		}
		b = &pgx.Batch{}
		if err := queueStock(b, stock, before); err != nil {
			return err
		}
		if named != nil {
			b.Queue(insertNamedHold, named.Hold.String(), event.String(), named.From.String(), named.Buyer.Name, named.Buyer.Email, stock.Now)
		}
		if b.Len() == 0 {
			return nil
		}
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("write stock: %w", err)
		}
		return nil
	})
	if sqldb.Violates(err, "quota_not_oversold") {
		return errors.Join(booking.ErrNotEnough, err)
	}
	return err
}

// limitAllocations keeps an event's allocations, and those that every batch of
// its desk reads, to their limits. rows is how many the event had.
func limitAllocations(stock *booking.Stock, before *snapshot, rows int64) error {
	fresh, open := 0, 0
	for aid, a := range stock.Aside {
		if _, there := before.aside[aid]; !there {
			fresh++
		}
		if !a.Closed {
			open++
		}
	}
	switch {
	case fresh == 0:
		return nil
	case open > booking.MaxOpenAllocations:
		return booking.ErrAllocLimit.With("an event has at most %d open allocations; close one", booking.MaxOpenAllocations).Field("limit", int64(booking.MaxOpenAllocations))
	case rows+int64(fresh) > booking.MaxAllocations:
		return booking.ErrAllocLimit.With("an event has at most %d allocations, closed ones included", booking.MaxAllocations).Field("limit", int64(booking.MaxAllocations))
	}
	return nil
}

// addAside takes an allocation into the stock that is being loaded.
func (l *stockLoad) addAside(a booking.Allocation) {
	if l.stock.Aside == nil {
		l.stock.Aside = booking.Aside{}
	}
	l.stock.Aside[a.ID] = &a
}

func copyAside(aside booking.Aside) map[id.Allocation]booking.Allocation {
	if len(aside) == 0 {
		return nil
	}
	all := make(map[id.Allocation]booking.Allocation, len(aside))
	for aid, a := range aside {
		all[aid] = *a
	}
	return all
}

// queueAside writes the allocations that changed.
func queueAside(b *pgx.Batch, stock *booking.Stock, before *snapshot) {
	for aid, a := range stock.Aside {
		switch old, there := before.aside[aid]; {
		case !there:
			b.Queue(insertAllocation, aid.String(), stock.ID.String(), a.Quota.String(), a.Name, a.Asked, a.Quantity, a.Closed, a.CreatedAt)
		case old != *a:
			b.Queue(updateAllocation, aid.String(), a.Quantity, a.Closed)
		}
	}
}

func scanAllocation(row pgx.Row) (booking.Allocation, error) {
	var a booking.Allocation
	var aid, quota string
	if err := row.Scan(&aid, &quota, &a.Name, &a.Asked, &a.Quantity, &a.Closed, &a.CreatedAt); err != nil {
		return a, err
	}
	var err error
	if a.ID, err = id.ParseAllocation(aid); err != nil {
		return a, corrupt(err)
	}
	if a.Quota, err = id.ParseQuota(quota); err != nil {
		return a, corrupt(err)
	}
	return a, nil
}

func collectAllocation(row pgx.CollectableRow) (booking.Allocation, error) {
	return scanAllocation(row)
}

// Allocations lists an event's allocations behind after, in the order of their ids.
func (s *Store) Allocations(ctx context.Context, event id.Event, after string, limit int) ([]booking.Allocation, error) {
	rows, err := s.DB.Pool.Query(ctx, selectAllocations, event.String(), after, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	all, err := pgx.CollectRows(rows, collectAllocation)
	return all, sqldb.Classify(err)
}

// Allocation reads one allocation of an event.
func (s *Store) Allocation(ctx context.Context, tx txn.Tx, event id.Event, allocation id.Allocation) (booking.Allocation, error) {
	rows, err := s.on(tx).Query(ctx, selectAllocation, allocation.String(), event.String())
	if err != nil {
		return booking.Allocation{}, sqldb.Classify(err)
	}
	a, err := pgx.CollectExactlyOneRow(rows, collectAllocation)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, booking.ErrAllocNotFound
	}
	return a, sqldb.Classify(err)
}

// NamedHolds lists the holds that were made from an allocation, newest first.
func (s *Store) NamedHolds(ctx context.Context, allocation id.Allocation, limit int) ([]booking.NamedHold, error) {
	rows, err := s.DB.Pool.Query(ctx, selectNamedHolds, allocation.String(), limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	ids := make([]string, 0, limit)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n booking.NamedHold, err error) {
		var hold string
		err = row.Scan(&hold, &n.Buyer.Name, &n.Buyer.Email)
		ids = append(ids, hold)
		return n, err
	})
	if err != nil || len(ids) == 0 {
		return nil, sqldb.Classify(err)
	}
	b := &pgx.Batch{}
	for i, hold := range ids {
		b.Queue(selectHold, hold).QueryRow(func(row pgx.Row) (err error) {
			all[i].Hold, err = scanHold(row)
			return err
		})
	}
	return all, s.ask(ctx, txn.None, b)
}

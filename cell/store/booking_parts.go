package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// The place of a part that is added is behind all that there are.
const (
	addQuota = `INSERT INTO booking.quota (quota_id, event_id, position, name, size)
	SELECT $1::text, $2::text, coalesce(max(q.position), 0) + 1, $3::text, $4::bigint FROM booking.quota AS q WHERE q.event_id = $2::text`

	placeTicketType = `UPDATE booking.ticket_type SET position = (SELECT max(t.position) + 1 FROM booking.ticket_type AS t WHERE t.event_id = $2) WHERE ticket_type_id = $1`

	deleteQuota      = `DELETE FROM booking.quota WHERE quota_id = $1`
	deleteTicketType = `DELETE FROM booking.ticket_type WHERE ticket_type_id = $1`

	// handOver lets another quota carry where the event's stock stands (updateQuotas).
	handOver = `UPDATE booking.quota SET ledger_next = f.ledger_next, ledger_hash = f.ledger_hash, stock_version = f.stock_version + 1, stock_changed_at = clock_timestamp()
	FROM booking.quota AS f WHERE booking.quota.quota_id = $1 AND f.quota_id = $2`
	makeFirst = `UPDATE booking.quota SET position = 0 WHERE quota_id = $1`
)

// queueParts queues what it takes that the event has the quotas and ticket types that it
// has now, and no others. The rows of those that stay are left as they are.
func queueParts(b *pgx.Batch, e, before *booking.Event) error {
	first := before.Quotas[0].ID
	if e.Quota(first) == nil { // it is about to go
		b.Queue(handOver, e.Quotas[0].ID.String(), first.String())
	}
	for i := range before.Quotas {
		if qid := before.Quotas[i].ID; e.Quota(qid) == nil {
			b.Queue(deleteQuota, qid.String())
		}
	}
	if e.Quota(first) == nil {
		b.Queue(makeFirst, e.Quotas[0].ID.String())
	}
	for i := range e.Quotas {
		if q := &e.Quotas[i]; before.Quota(q.ID) == nil {
			b.Queue(addQuota, q.ID.String(), e.ID.String(), q.Name, q.Size)
		}
	}
	for i := range before.Types {
		if tid := before.Types[i].ID; e.Type(tid) == nil {
			b.Queue(deleteTiers, tid.String(), int64(0))
			b.Queue(deleteTicketType, tid.String())
		}
	}
	for i := range e.Types {
		t := &e.Types[i]
		if before.Type(t.ID) != nil {
			continue
		}
		terms, err := termsText(t.Terms)
		if err != nil {
			return err
		}
		b.Queue(insertTicketType, t.ID.String(), e.ID.String(), int64(-1), t.Name, t.Price.Amount, t.Fees.Amount,
			t.MinPerOrder, t.MaxPerOrder, t.SalesStart, t.SalesEnd, texts(t.Quotas), terms)
		b.Queue(placeTicketType, t.ID.String(), e.ID.String())
	}
	return nil
}

// alignedQuotas are the quotas of before in the order of those that are there now; one
// that is new was nothing.
func alignedQuotas(now, before []booking.Quota) []booking.Quota {
	out := make([]booking.Quota, len(now))
	for i := range now {
		out[i].ID = now[i].ID
		for _, q := range before {
			if q.ID == now[i].ID {
				out[i] = q
			}
		}
	}
	return out
}

const (
	selectTypeHeld = `SELECT 1 FROM booking.hold AS h CROSS JOIN LATERAL jsonb_array_elements(h.items) AS i (item)
	WHERE h.event_id = $1 AND h.state = 'active' AND i.item->>'type' = $2 LIMIT 1`

	selectTypeCode = `SELECT c.code FROM booking.code AS c CROSS JOIN LATERAL jsonb_array_elements(coalesce(c.terms->'types', '[]'::jsonb)) AS t (type)
	WHERE c.event_id = $1 AND t.type = $2::jsonb LIMIT 1`

	selectAllocationOf = `SELECT 1 FROM booking.allocation WHERE event_id = $1 AND quota_id = $2 LIMIT 1`

	deleteCode = `DELETE FROM booking.code WHERE event_id = $1 AND code = $2`
)

// found says whether a statement answers a row, whose columns are scanned.
func (s *Store) found(ctx context.Context, tx txn.Tx, sql string, args []any, to ...any) (bool, error) {
	err := s.on(tx).QueryRow(ctx, sql, args...).Scan(to...)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, sqldb.Classify(err)
}

// TypeUse says what a ticket type of an event was used for; behind the event's lock it
// stays so.
func (s *Store) TypeUse(ctx context.Context, tx txn.Tx, event id.Event, tid id.TicketType) (use booking.TypeUse, err error) {
	var one int
	if use.Held, err = s.found(ctx, tx, selectTypeHeld, []any{event.String(), tid.String()}, &one); err != nil {
		return use, fmt.Errorf("look for holds: %w", err)
	}
	text, err := json.Marshal(tid.String())
	if err != nil {
		return use, err
	}
	if _, err = s.found(ctx, tx, selectTypeCode, []any{event.String(), string(text)}, &use.Code); err != nil {
		return use, fmt.Errorf("look for codes: %w", err)
	}
	if use.Ordered, err = s.typeOrdered(ctx, tx, event, tid); err != nil {
		return use, fmt.Errorf("look for orders: %w", err)
	}
	return use, nil
}

// AnyAllocation says whether stock of a quota was ever set aside.
func (s *Store) AnyAllocation(ctx context.Context, tx txn.Tx, event id.Event, quota id.Quota) (bool, error) {
	var one int
	return s.found(ctx, tx, selectAllocationOf, []any{event.String(), quota.String()}, &one)
}

// RemoveCode deletes a code behind its event's lock, if may allows it.
func (s *Store) RemoveCode(ctx context.Context, tx txn.Tx, event id.Event, code string, may func(e *booking.Event, c *booking.Code) error) error {
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		e := booking.Event{ID: event}
		b := &pgx.Batch{}
		queueEvent(b, &e, selectEventForUpdate, selectQuotas)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		c, err := s.Code(ctx, tx, event, code)
		there := &c
		if errors.Is(err, booking.ErrAccessCode) {
			there, err = nil, nil
		}
		if err != nil {
			return err
		}
		if err := may(&e, there); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, deleteCode, event.String(), code)
		return sqldb.Classify(err)
	})
}

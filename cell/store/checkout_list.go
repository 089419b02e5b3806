package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// listWindow is how many orders of an event are looked at for one page when a filter
// leaves some out: a request reads so many rows, however many orders there are.
const listWindow = 2000

const (
	selectNewestOrders = `SELECT order_id, created_at, state, changed_at FROM checkout.orders
	WHERE event_id = $1 AND (created_at, order_id) < ($2, $3) ORDER BY created_at DESC, order_id DESC LIMIT $4`

	selectOrdersOfAddress = `SELECT order_id, created_at, state, changed_at FROM checkout.orders
	WHERE event_id = $1 AND lower(buyer->>'Email') = ANY($2) AND (created_at, order_id) < ($3, $4) ORDER BY created_at DESC, order_id DESC LIMIT $5`

	selectOrderOfCode = `SELECT order_id, created_at, state, changed_at FROM checkout.orders
	WHERE event_id = $1 AND code = $2 AND (created_at, order_id) < ($3, $4)`
)

// afterAll is after every order that was ever made.
var afterAll = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// FindOrders lists orders of an event, newest first, and where the next page begins,
// nil after the last. A page may have fewer orders than the limit and not be the last.
func (s *Store) FindOrders(ctx context.Context, event id.Event, q checkout.OrderQuery) ([]checkout.Order, *checkout.OrderPlace, error) {
	after, window := q.After, q.Limit+1
	if after.At.IsZero() {
		after.At = afterAll
	}
	if q.Narrow() {
		window = listWindow
	}
	sql, args := selectNewestOrders, []any{event.String(), after.At, after.Order, window}
	switch {
	case q.Code != "":
		sql, args = selectOrderOfCode, []any{event.String(), q.Code, after.At, after.Order}
	case len(q.Addresses) > 0:
		sql, args = selectOrdersOfAddress, []any{event.String(), q.Addresses, after.At, after.Order, window}
	}
	rows, err := s.DB.Pool.Query(ctx, sql, args...) //nolint:rowserrcheck // ForEachRow checks
	if err != nil {
		return nil, nil, sqldb.Classify(err)
	}
	var ids []string
	var changes []time.Time
	var next *checkout.OrderPlace
	var at checkout.OrderPlace
	var state string
	var changed time.Time
	last, read := q.After, 0
	_, err = pgx.ForEachRow(rows, []any{&at.Order, &at.At, &state, &changed}, func() error {
		read++
		switch {
		case next != nil:
		case len(ids) == q.Limit:
			next = &checkout.OrderPlace{At: last.At, Order: last.Order}
		case q.Takes(checkout.State(state), changed):
			ids, changes = append(ids, at.Order), append(changes, changed)
		}
		last = at
		return nil
	})
	if err != nil {
		return nil, nil, sqldb.Classify(err)
	}
	if next == nil && read == window { // the window ended, not the list
		next = &last
	}
	orders, err := s.ordersByID(ctx, txn.None, ids, nil)
	for i := range orders {
		orders[i].ChangedAt = changes[i]
	}
	return orders, next, err
}

// AnsweredOf lists an event's orders behind an id, in the order of their ids, with what
// was answered.
func (s *Store) AnsweredOf(ctx context.Context, event id.Event, after string, limit int) ([]checkout.Answered, error) {
	rows, err := s.DB.Pool.Query(ctx, selectOrdersOfEvent, event.String(), after, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	replies := map[string]checkout.Replies{}
	orders, err := s.ordersByID(ctx, txn.None, ids, replies)
	if err != nil {
		return nil, err
	}
	all := make([]checkout.Answered, len(orders))
	for i := range orders {
		all[i] = checkout.Answered{Order: orders[i], Replies: replies[ids[i]]}
	}
	return all, nil
}

// ordersByID reads orders in one message to the database, in the order of ids, and what
// was answered into replies, unless that is nil.
func (s *Store) ordersByID(ctx context.Context, tx txn.Tx, ids []string, replies map[string]checkout.Replies) ([]checkout.Order, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	orders := make([]checkout.Order, len(ids))
	said := make([]replyText, len(ids))
	b := &pgx.Batch{}
	for i, text := range ids {
		oid, err := id.ParseOrder(text)
		if err != nil {
			return nil, corrupt(err)
		}
		orders[i].ID = oid
		queueOrder(b, &orders[i])
		if replies != nil {
			sqldb.FindOne(b, selectReplies, said[i].scan, text)
		}
	}
	if err := s.ask(ctx, tx, b); err != nil {
		return nil, sqldb.Classify(err)
	}
	for i := range said {
		r, err := said[i].replies()
		if err != nil {
			return nil, err
		}
		if replies != nil && !r.None() {
			replies[ids[i]] = r
		}
	}
	return orders, nil
}

// replyText is what was answered, as it is kept.
type replyText struct{ answers, consents []byte }

func (t *replyText) scan(row pgx.Row) error { return perhaps(row.Scan(&t.answers, &t.consents)) }

func (t *replyText) replies() (r checkout.Replies, err error) {
	if t.answers == nil {
		return r, nil
	}
	if err := errors.Join(json.Unmarshal(t.answers, &r.Answers), json.Unmarshal(t.consents, &r.Consents)); err != nil {
		return r, corrupt(err)
	}
	return r, nil
}

const (
	selectTypeOrdered = `SELECT 1 FROM checkout.orders AS o JOIN checkout.item AS i ON i.order_id = o.order_id
	WHERE o.event_id = $1 AND i.ticket_type_id = $2 LIMIT 1`

	selectAnyOrder = `SELECT 1 FROM checkout.orders WHERE event_id = $1 LIMIT 1`
)

// typeOrdered says whether there is an order of a ticket type, whatever became of it. Of
// a type that nobody ever ordered it looks at all orders of the event.
func (s *Store) typeOrdered(ctx context.Context, tx txn.Tx, event id.Event, tid id.TicketType) (bool, error) {
	var one int
	return s.found(ctx, tx, selectTypeOrdered, []any{event.String(), tid.String()}, &one)
}

// AnyOrder says whether there is an order of an event, whatever became of it.
func (s *Store) AnyOrder(ctx context.Context, tx txn.Tx, event id.Event) (bool, error) {
	var one int
	return s.found(ctx, tx, selectAnyOrder, []any{event.String()}, &one)
}

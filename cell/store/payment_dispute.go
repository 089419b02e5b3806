package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

const selectOrderOfIntent = `SELECT order_id FROM payment.payment WHERE intent_id = $1 AND intent_id <> ''`

// OrderOfIntent finds the order that an intent of the provider pays, false when it
// is none of this cell's.
func (s *Store) OrderOfIntent(ctx context.Context, tx txn.Tx, intent string) (order id.Order, ok bool, err error) {
	var text string
	err = s.on(tx).QueryRow(ctx, selectOrderOfIntent, intent).Scan(&text)
	if noRows(err) {
		return order, false, nil
	}
	if err != nil {
		return order, false, sqldb.Classify(err)
	}
	if order, err = id.ParseOrder(text); err != nil {
		return order, false, corrupt(err)
	}
	return order, true, nil
}

const selectDisputes = `SELECT dispute_id, intent_id, amount, currency, state, reason, due_at, blocked FROM payment.dispute
	WHERE order_id = $1 ORDER BY created_at, dispute_id`

// DisputesOf lists the disputes of an order, oldest first, without their movements.
func (s *Store) DisputesOf(ctx context.Context, tx txn.Tx, order id.Order) ([]payment.Dispute, error) {
	rows, err := s.on(tx).Query(ctx, selectDisputes, order.String())
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (payment.Dispute, error) {
		d := payment.Dispute{Order: order}
		var due *time.Time
		var blocked []string
		if err := row.Scan(&d.ID, &d.IntentID, &d.Amount.Amount, &d.Amount.Currency, &d.State, &d.Reason, &due, &blocked); err != nil {
			return d, err
		}
		if due != nil {
			d.Due = *due
		}
		for _, text := range blocked {
			ticket, err := id.ParseTicket(text)
			if err != nil {
				return d, corrupt(err)
			}
			d.Blocked = append(d.Blocked, ticket)
		}
		return d, nil
	})
	return all, sqldb.Classify(err)
}

const upsertDispute = `INSERT INTO payment.dispute (dispute_id, order_id, event_id, intent_id, amount, currency, state, reason, due_at, blocked)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
	ON CONFLICT (dispute_id) DO UPDATE SET state = excluded.state, due_at = excluded.due_at, blocked = excluded.blocked`

// SetDispute stores a dispute as it is now; the caller holds the event's lock.
func (s *Store) SetDispute(ctx context.Context, tx txn.Tx, d payment.Dispute) error {
	blocked := make([]string, 0, len(d.Blocked))
	for _, ticket := range d.Blocked {
		blocked = append(blocked, ticket.String())
	}
	var due *time.Time
	if !d.Due.IsZero() {
		due = &d.Due
	}
	_, err := s.on(tx).Exec(ctx, upsertDispute, d.ID, d.Order.String(), d.Order.Event().String(), d.IntentID, d.Amount.Amount, d.Amount.Currency,
		string(d.State), d.Reason, due, blocked)
	return sqldb.Classify(err)
}

const selectPolicy = `SELECT on_dispute FROM payment.policy WHERE event_id = $1`

// PolicyOf is what the organizer wants for an event's disputes, "" when he said nothing.
func (s *Store) PolicyOf(ctx context.Context, tx txn.Tx, event id.Event) (p payment.Policy, err error) {
	err = s.on(tx).QueryRow(ctx, selectPolicy, event.String()).Scan(&p)
	if noRows(err) {
		return "", nil
	}
	return p, sqldb.Classify(err)
}

const upsertPolicy = `INSERT INTO payment.policy (event_id, on_dispute) VALUES ($1, $2)
	ON CONFLICT (event_id) DO UPDATE SET on_dispute = excluded.on_dispute`

const deletePolicy = `DELETE FROM payment.policy WHERE event_id = $1`

// SetPolicy stores what the organizer wants for an event's disputes; "" leaves it to the cell.
func (s *Store) SetPolicy(ctx context.Context, tx txn.Tx, event id.Event, p payment.Policy) error {
	if p == "" {
		_, err := s.on(tx).Exec(ctx, deletePolicy, event.String())
		return sqldb.Classify(err)
	}
	_, err := s.on(tx).Exec(ctx, upsertPolicy, event.String(), string(p))
	return sqldb.Classify(err)
}

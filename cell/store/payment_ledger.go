package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// insertPostings writes an entry whole or not at all: one that is there already,
// with whatever lines, is not added to.
const insertPostings = `INSERT INTO payment.posting (entry_id, line, order_id, event_id, account, amount, currency, kind)
	SELECT u.entry_id, u.line, u.order_id, u.event_id, u.account, u.amount, u.currency, u.kind
	FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[])
		AS u (entry_id, line, order_id, event_id, account, amount, currency, kind)
	WHERE (SELECT count(*) FROM payment.posting AS p WHERE p.entry_id = u.entry_id) = 0
	ON CONFLICT (entry_id, line) DO NOTHING`

// Post appends a balanced entry, once by its id (P4). One without postings is nothing.
func (s *Store) Post(ctx context.Context, tx txn.Tx, e payment.Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	if len(e.Postings) == 0 {
		return nil
	}
	var rows sqldb.Rows
	for i, p := range e.Postings {
		rows.Add(e.ID, int64(i), e.Order.String(), e.Order.Event().String(), string(p.Account), p.Amount, e.Currency, string(e.Kind))
	}
	if err := s.put(ctx, tx, insertPostings, rows...); err != nil {
		return fmt.Errorf("post %s: %w", e.ID, err)
	}
	return nil
}

// What organizers and we have of an event's sales; the rest of the ledger is about
// where the money is.
const sumRevenue = `SELECT coalesce(sum(amount), 0)::bigint FROM payment.posting WHERE event_id = $1 AND kind <> 'onward'
	AND account NOT IN ('provider', 'owed_to_buyer', 'disputes', 'provider_fees', 'buyer_receivable')`

// Revenue is what was sold and not given back, with fees, in minor units.
func (s *Store) Revenue(ctx context.Context, tx txn.Tx, event id.Event) (int64, error) {
	var owed int64
	err := s.on(tx).QueryRow(ctx, sumRevenue, event.String()).Scan(&owed)
	return -owed, sqldb.Classify(err)
}

const sumAccounts = `SELECT currency, account, kind, sum(amount)::bigint FROM payment.posting WHERE account = ANY($1::text[])
	GROUP BY currency, account, kind ORDER BY currency, account, kind`

// AccountsOf adds up an organizer's accounts at this cell.
func (s *Store) AccountsOf(ctx context.Context, org id.Organizer) ([]payment.Sum, error) {
	rows, err := s.DB.Pool.Query(ctx, sumAccounts, []string{string(payment.OwedTo(org)), string(payment.TaxOf(org))})
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	sums, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (payment.Sum, error) {
		var sum payment.Sum
		return sum, row.Scan(&sum.Currency, &sum.Account, &sum.Kind, &sum.Amount)
	})
	return sums, sqldb.Classify(err)
}

const upsertPayee = `INSERT INTO payment.payee (organizer_id, account, country, currency) VALUES ($1, $2, $3, $4)
	ON CONFLICT (organizer_id) DO UPDATE SET account = excluded.account, country = excluded.country, currency = excluded.currency, updated_at = now()`

const deletePayee = `DELETE FROM payment.payee WHERE organizer_id = $1`

// SetPayee stores an organizer's own account at the provider; one without an
// Account takes it away. Orders that were made before keep theirs.
func (s *Store) SetPayee(ctx context.Context, tx txn.Tx, org id.Organizer, p payment.Payee) error {
	if p.Account == "" {
		_, err := s.on(tx).Exec(ctx, deletePayee, org.String())
		return sqldb.Classify(err)
	}
	_, err := s.on(tx).Exec(ctx, upsertPayee, org.String(), p.Account, p.Country, p.Currency)
	return sqldb.Classify(err)
}

const selectPayee = `SELECT account, country, currency FROM payment.payee WHERE organizer_id = $1`

// PayeeOf reads an organizer's own account, false when he has none.
func (s *Store) PayeeOf(ctx context.Context, tx txn.Tx, org id.Organizer) (p payment.Payee, ok bool, err error) {
	err = s.on(tx).QueryRow(ctx, selectPayee, org.String()).Scan(&p.Account, &p.Country, &p.Currency)
	if noRows(err) {
		return p, false, nil
	}
	return p, err == nil, sqldb.Classify(err)
}

const claimUnbooked = `UPDATE payment.payment SET next_check_at = clock_timestamp() + $2::float8 * INTERVAL '1 second'
	WHERE order_id IN (SELECT p.order_id FROM payment.payment AS p WHERE p.settled AND NOT p.fee_booked AND p.received > 0
		AND p.next_check_at <= statement_timestamp() ORDER BY p.next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
	RETURNING order_id, intent_id`

// ClaimUnbooked leases captured payments of which the provider's fee is not in the books.
func (s *Store) ClaimUnbooked(ctx context.Context, limit int, lease time.Duration) ([]payment.Payment, error) {
	rows, err := s.DB.Pool.Query(ctx, claimUnbooked, limit, lease.Seconds())
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (payment.Payment, error) {
		var p payment.Payment
		var order string
		if err := row.Scan(&order, &p.IntentID); err != nil {
			return p, err
		}
		var err error
		if p.Order, err = id.ParseOrder(order); err != nil {
			return p, corrupt(err)
		}
		return p, nil
	})
	return all, sqldb.Classify(err)
}

const updateFeeBooked = `UPDATE payment.payment SET fee_booked = true WHERE order_id = $1`

// SetFeeBooked notes that a payment's fee is in the books.
func (s *Store) SetFeeBooked(ctx context.Context, tx txn.Tx, order id.Order) error {
	_, err := s.on(tx).Exec(ctx, updateFeeBooked, order.String())
	return sqldb.Classify(err)
}

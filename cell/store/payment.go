package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// firstCheck is when it is first seen whether a payment has a saga, in seconds.
const firstCheck = 5

const insertPayments = `INSERT INTO payment.payment (payment_id, order_id, event_id, provider, state, amount, currency, next_check_at,
	organizer_id, fee, destination)
	SELECT n.payment_id, n.order_id, n.event_id, n.provider, n.state, n.amount, n.currency, clock_timestamp() + n.check_in * INTERVAL '1 second',
		n.organizer_id, n.fee, coalesce((SELECT p.account FROM payment.payee AS p WHERE p.organizer_id = n.organizer_id), '')
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::float8[], $9::text[], $10::bigint[])
		AS n (payment_id, order_id, event_id, provider, state, amount, currency, check_in, organizer_id, fee)`

// InsertPayment stores a payment that is about to be made. Its destination is the
// account that the organizer has at this moment; p's own is not read.
func (s *Store) InsertPayment(ctx context.Context, tx txn.Tx, p payment.Payment) error {
	return s.put(ctx, tx, insertPayments, sqldb.Row(p.ID.String(), p.Order.String(), p.Order.Event().String(), p.Provider,
		string(p.State), p.Amount.Amount, p.Amount.Currency, float64(firstCheck), organizerText(p.Organizer), p.Fee)...)
}

// organizerText is "" for rows from before organizers were kept with them.
func organizerText(org id.Organizer) string {
	if org.IsZero() {
		return ""
	}
	return org.String()
}

func parseOrganizer(text string) (id.Organizer, error) {
	if text == "" {
		return id.Organizer{}, nil
	}
	return id.ParseOrganizer(text)
}

const selectPayments = `SELECT n.order_id, f.payment_id, f.provider, f.intent_id, f.client_secret, f.state, f.amount, f.received, f.currency, f.settled, f.attempts,
	f.organizer_id, f.destination, f.fee FROM unnest($1::text[]) AS n (order_id)
	CROSS JOIN LATERAL (SELECT p.payment_id, p.provider, p.intent_id, p.client_secret, p.state, p.amount, p.received, p.currency, p.settled, p.attempts,
		p.organizer_id, p.destination, p.fee FROM payment.payment AS p WHERE p.order_id = n.order_id LIMIT 1) AS f`

// scanPayment reads the payment of an order, nil when it needs none.
func scanPayment(row pgx.Row, order id.Order) (*payment.Payment, error) {
	p := payment.Payment{Order: order}
	var pid, state, org string
	err := row.Scan(&pid, &p.Provider, &p.IntentID, &p.ClientSecret, &state, &p.Amount.Amount, &p.Received, &p.Amount.Currency, &p.Settled, &p.Attempts,
		&org, &p.Destination, &p.Fee)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // a free order has no payment, which is no error
	}
	if err != nil {
		return nil, err
	}
	p.State = payment.State(state)
	if p.ID, err = id.ParsePayment(pid); err != nil {
		return nil, corrupt(err)
	}
	if p.Organizer, err = parseOrganizer(org); err != nil {
		return nil, corrupt(err)
	}
	return &p, nil
}

const updateIntents = `UPDATE payment.payment SET intent_id = n.intent_id, client_secret = n.client_secret,
	state = CASE WHEN state = 'created' THEN 'pending' ELSE state END
	FROM unnest($1::text[], $2::text[], $3::text[]) AS n (order_id, intent_id, client_secret)
	WHERE payment.payment.order_id = n.order_id AND payment.payment.order_id = ANY($1) AND payment.payment.intent_id = ''`

// SetIntent remembers what the provider made; the first one stays.
func (s *Store) SetIntent(ctx context.Context, tx txn.Tx, p payment.Payment) error {
	return s.put(ctx, tx, updateIntents, sqldb.Row(p.Order.String(), p.IntentID, p.ClientSecret)...)
}

const updatePayments = `UPDATE payment.payment SET state = n.state, received = n.received, settled = n.settled,
	intent_id = CASE WHEN n.intent_id = '' THEN payment.payment.intent_id ELSE n.intent_id END,
	client_secret = CASE WHEN n.client_secret = '' THEN payment.payment.client_secret ELSE n.client_secret END
	FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bool[], $5::text[], $6::text[]) AS n (order_id, state, received, settled, intent_id, client_secret)
	WHERE payment.payment.order_id = n.order_id AND payment.payment.order_id = ANY($1)`

// SetPayment stores what the provider said; the caller holds the event's lock.
func (s *Store) SetPayment(ctx context.Context, tx txn.Tx, p payment.Payment) error {
	return s.put(ctx, tx, updatePayments, sqldb.Row(p.Order.String(), string(p.State), p.Received, p.Settled, p.IntentID, p.ClientSecret)...)
}

const claimPayments = `UPDATE payment.payment SET attempts = attempts + 1, next_check_at = clock_timestamp() + $2::float8 * INTERVAL '1 second'
	WHERE order_id IN (SELECT p.order_id FROM payment.payment AS p WHERE NOT p.settled AND p.next_check_at <= statement_timestamp()
		ORDER BY p.next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
	RETURNING order_id`

// ClaimPayments leases unsettled payments whose time has come.
func (s *Store) ClaimPayments(ctx context.Context, limit int, lease time.Duration) ([]id.Order, error) {
	rows, err := s.DB.Pool.Query(ctx, claimPayments, limit, lease.Seconds())
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	orders, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id.Order, error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return id.Order{}, err
		}
		return id.ParseOrder(text)
	})
	return orders, sqldb.Classify(err)
}

const checkLater = `UPDATE payment.payment SET next_check_at = clock_timestamp() + $2::float8 * INTERVAL '1 second'
	WHERE order_id = $1 AND NOT settled`

// CheckLater says when that is looked at again.
func (s *Store) CheckLater(ctx context.Context, order id.Order, in time.Duration) error {
	_, err := s.DB.Pool.Exec(ctx, checkLater, order.String(), in.Seconds())
	return sqldb.Classify(err)
}

const insertRefund = `INSERT INTO payment.refund (refund_id, order_id, event_id, amount, currency, state, source, reason, organizer_id, reverse, provider_id, tickets, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, coalesce($13::timestamptz, now()))`

// InsertRefund stores a refund that was decided; its saga sends it. One whose moment is
// not said was decided now.
func (s *Store) InsertRefund(ctx context.Context, tx txn.Tx, r payment.Back) error {
	tickets := make([]string, 0, len(r.Tickets))
	for _, t := range r.Tickets {
		tickets = append(tickets, t.String())
	}
	var at *time.Time
	if !r.CreatedAt.IsZero() {
		at = &r.CreatedAt
	}
	return s.put(ctx, tx, insertRefund, r.ID.String(), r.Order.String(), r.Order.Event().String(), r.Amount.Amount,
		r.Amount.Currency, string(r.State), string(r.Source), r.Reason, organizerText(r.Organizer), r.Reverse, r.ProviderID, tickets, at)
}

const selectRefunds = `SELECT refund_id, order_id, amount, currency, state, source, reason, provider_id, attempts, organizer_id, reverse, tickets, created_at
	FROM payment.refund WHERE order_id = $1 ORDER BY created_at, refund_id`

// Refunds lists the refunds of an order, oldest first.
func (s *Store) Refunds(ctx context.Context, tx txn.Tx, order id.Order) ([]payment.Back, error) {
	rows, err := s.on(tx).Query(ctx, selectRefunds, order.String())
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	backs, err := pgx.CollectRows(rows, scanRefund)
	return backs, sqldb.Classify(err)
}

func scanRefund(row pgx.CollectableRow) (payment.Back, error) {
	var r payment.Back
	var rid, oid, state, source, org string
	var tickets []string
	r.Amount = money.Money{}
	if err := row.Scan(&rid, &oid, &r.Amount.Amount, &r.Amount.Currency, &state, &source, &r.Reason, &r.ProviderID, &r.Attempts,
		&org, &r.Reverse, &tickets, &r.CreatedAt); err != nil {
		return r, err
	}
	for _, text := range tickets {
		t, err := id.ParseTicket(text)
		if err != nil {
			return r, corrupt(err)
		}
		r.Tickets = append(r.Tickets, t)
	}
	r.State, r.Source = payment.RefundState(state), payment.Source(source)
	var err error
	if r.ID, err = id.ParseRefund(rid); err != nil {
		return r, corrupt(err)
	}
	if r.Order, err = id.ParseOrder(oid); err != nil {
		return r, corrupt(err)
	}
	if r.Organizer, err = parseOrganizer(org); err != nil {
		return r, corrupt(err)
	}
	return r, nil
}

const claimRefunds = `UPDATE payment.refund SET attempts = attempts + 1, next_check_at = clock_timestamp() + $2::float8 * INTERVAL '1 second'
	WHERE refund_id IN (SELECT r.refund_id FROM payment.refund AS r WHERE r.state = 'created' AND r.next_check_at <= statement_timestamp()
		ORDER BY r.next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
	RETURNING refund_id, order_id, amount, currency, state, source, reason, provider_id, attempts, organizer_id, reverse, tickets, created_at`

// ClaimRefunds leases refunds that were not sent yet.
func (s *Store) ClaimRefunds(ctx context.Context, limit int, lease time.Duration) ([]payment.Back, error) {
	rows, err := s.DB.Pool.Query(ctx, claimRefunds, limit, lease.Seconds())
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	backs, err := pgx.CollectRows(rows, scanRefund)
	return backs, sqldb.Classify(err)
}

const updateRefund = `UPDATE payment.refund SET state = $2, provider_id = $3 WHERE refund_id = $1`

// SetRefund stores what became of a refund.
func (s *Store) SetRefund(ctx context.Context, tx txn.Tx, r payment.Back) error {
	_, err := s.on(tx).Exec(ctx, updateRefund, r.ID.String(), string(r.State), r.ProviderID)
	return sqldb.Classify(err)
}

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
)

// firstCheck is when it is first seen whether a payment has a saga, in seconds.
const firstCheck = 5

const insertPayment = `INSERT INTO payment.payment (payment_id, order_id, event_id, provider, state, amount, currency, next_check_at,
	organizer_id, fee, destination) VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8::float8 * INTERVAL '1 second',
	$9, $10, coalesce((SELECT p.account FROM payment.payee AS p WHERE p.organizer_id = $9), ''))`

// InsertPayment stores a payment that is about to be made. Its destination is the
// account that the organizer has at this moment; p's own is not read.
func (s *Store) InsertPayment(ctx context.Context, p payment.Payment) error {
	return s.put(ctx, insertPayment, p.ID.String(), p.Order.String(), p.Order.Event().String(), p.Provider,
		string(p.State), p.Amount.Amount, p.Amount.Currency, float64(firstCheck), organizerText(p.Organizer), p.Fee)
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

const selectPayment = `SELECT payment_id, provider, intent_id, client_secret, state, amount, received, currency, settled, attempts,
	organizer_id, destination, fee FROM payment.payment WHERE order_id = $1`

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

const updateIntent = `UPDATE payment.payment SET intent_id = $2, client_secret = $3,
	state = CASE WHEN state = 'created' THEN 'pending' ELSE state END WHERE order_id = $1 AND intent_id = ''`

// SetIntent remembers what the provider made; the first one stays.
func (s *Store) SetIntent(ctx context.Context, p payment.Payment) error {
	return s.put(ctx, updateIntent, p.Order.String(), p.IntentID, p.ClientSecret)
}

const updatePayment = `UPDATE payment.payment SET state = $2, received = $3, settled = $4,
	intent_id = CASE WHEN $5 = '' THEN intent_id ELSE $5 END, client_secret = CASE WHEN $6 = '' THEN client_secret ELSE $6 END
	WHERE order_id = $1`

// SetPayment stores what the provider said; the caller holds the event's lock.
func (s *Store) SetPayment(ctx context.Context, p payment.Payment) error {
	return s.put(ctx, updatePayment, p.Order.String(), string(p.State), p.Received, p.Settled, p.IntentID, p.ClientSecret)
}

const claimPayments = `UPDATE payment.payment SET attempts = attempts + 1, next_check_at = clock_timestamp() + $2::float8 * INTERVAL '1 second'
	WHERE order_id IN (SELECT p.order_id FROM payment.payment AS p WHERE NOT p.settled AND p.next_check_at <= (SELECT clock_timestamp())
		ORDER BY p.next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
	RETURNING order_id`

// ClaimPayments leases unsettled payments whose time has come.
func (s *Store) ClaimPayments(ctx context.Context, limit int, lease time.Duration) ([]id.Order, error) {
	rows, err := s.DB.On(ctx).Query(ctx, claimPayments, limit, lease.Seconds())
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
	_, err := s.DB.On(ctx).Exec(ctx, checkLater, order.String(), in.Seconds())
	return sqldb.Classify(err)
}

const insertRefund = `INSERT INTO payment.refund (refund_id, order_id, event_id, amount, currency, state, source, reason, organizer_id, reverse)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

// InsertRefund stores a refund that was decided; its saga sends it.
func (s *Store) InsertRefund(ctx context.Context, r payment.Back) error {
	return s.put(ctx, insertRefund, r.ID.String(), r.Order.String(), r.Order.Event().String(), r.Amount.Amount,
		r.Amount.Currency, string(r.State), string(r.Source), r.Reason, organizerText(r.Organizer), r.Reverse)
}

const selectRefunds = `SELECT refund_id, order_id, amount, currency, state, source, reason, provider_id, attempts, organizer_id, reverse
	FROM payment.refund WHERE order_id = $1 ORDER BY created_at, refund_id`

// Refunds lists the refunds of an order, oldest first.
func (s *Store) Refunds(ctx context.Context, order id.Order) ([]payment.Back, error) {
	rows, err := s.DB.On(ctx).Query(ctx, selectRefunds, order.String())
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	backs, err := pgx.CollectRows(rows, scanRefund)
	return backs, sqldb.Classify(err)
}

func scanRefund(row pgx.CollectableRow) (payment.Back, error) {
	var r payment.Back
	var rid, oid, state, source, org string
	r.Amount = money.Money{}
	if err := row.Scan(&rid, &oid, &r.Amount.Amount, &r.Amount.Currency, &state, &source, &r.Reason, &r.ProviderID, &r.Attempts,
		&org, &r.Reverse); err != nil {
		return r, err
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
	WHERE refund_id IN (SELECT r.refund_id FROM payment.refund AS r WHERE r.state = 'created' AND r.next_check_at <= (SELECT clock_timestamp())
		ORDER BY r.next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
	RETURNING refund_id, order_id, amount, currency, state, source, reason, provider_id, attempts, organizer_id, reverse`

// ClaimRefunds leases refunds that were not sent yet.
func (s *Store) ClaimRefunds(ctx context.Context, limit int, lease time.Duration) ([]payment.Back, error) {
	rows, err := s.DB.On(ctx).Query(ctx, claimRefunds, limit, lease.Seconds())
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	backs, err := pgx.CollectRows(rows, scanRefund)
	return backs, sqldb.Classify(err)
}

const updateRefund = `UPDATE payment.refund SET state = $2, provider_id = $3 WHERE refund_id = $1`

// SetRefund stores what became of a refund.
func (s *Store) SetRefund(ctx context.Context, r payment.Back) error {
	_, err := s.DB.On(ctx).Exec(ctx, updateRefund, r.ID.String(), string(r.State), r.ProviderID)
	return sqldb.Classify(err)
}

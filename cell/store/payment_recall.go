package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/checkout"
	"guichet/internal/sqldb"
)

const claimRecall = `INSERT INTO payment.recall AS r (provider, from_at, next_at)
	VALUES ($1, statement_timestamp() - $3::float8 * INTERVAL '1 second', statement_timestamp() + $2::float8 * INTERVAL '1 second')
	ON CONFLICT (provider) DO UPDATE SET next_at = statement_timestamp() + $2::float8 * INTERVAL '1 second' WHERE r.next_at <= statement_timestamp()
	RETURNING r.from_at, r.until_at, r.after, statement_timestamp()`

// ClaimRecall leases the look through a provider's events, when its time has come.
func (s *Store) ClaimRecall(ctx context.Context, provider string, lease, reach time.Duration) (r checkout.Recall, due bool, err error) {
	r.Provider = provider
	var until *time.Time
	err = s.DB.Pool.QueryRow(ctx, claimRecall, provider, lease.Seconds(), reach.Seconds()).Scan(&r.From, &until, &r.After, &r.Now)
	if noRows(err) {
		return r, false, nil
	}
	if until != nil {
		r.Until = *until
	}
	return r, err == nil, sqldb.Classify(err)
}

const updateRecall = `UPDATE payment.recall SET from_at = $2, until_at = $3, after = $4 WHERE provider = $1`

// SetRecall stores how far it has come.
func (s *Store) SetRecall(ctx context.Context, r checkout.Recall) error {
	var until *time.Time
	if !r.Until.IsZero() {
		until = &r.Until
	}
	_, err := s.DB.Pool.Exec(ctx, updateRecall, r.Provider, r.From, until, r.After)
	return sqldb.Classify(err)
}

const selectKnownNotices = `SELECT n.notice_id FROM payment.notice AS n WHERE n.notice_id = ANY($1::text[])`

// KnownNotices says which of the provider's events are stored.
func (s *Store) KnownNotices(ctx context.Context, ids []string) (map[string]bool, error) {
	rows, err := s.DB.Pool.Query(ctx, selectKnownNotices, ids)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[string])
	out := make(map[string]bool, len(known))
	for _, one := range known {
		out[one] = true
	}
	return out, sqldb.Classify(err)
}

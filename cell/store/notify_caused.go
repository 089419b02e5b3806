package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const insertCaused = `INSERT INTO notify.caused (limit_key, message_id, at)
	SELECT n.limit_key, n.message_id, clock_timestamp() FROM unnest($1::text[], $2::text[]) AS n (limit_key, message_id)
	ON CONFLICT (limit_key, message_id) DO NOTHING`

const selectCaused = `SELECT at, statement_timestamp() FROM notify.caused
	WHERE limit_key = $1 AND at > statement_timestamp() - INTERVAL '24 hours' ORDER BY at DESC LIMIT $2`

// Caused lists when strangers caused mails to an address within a day, youngest first.
// Without any it says no time either.
func (s *Store) Caused(ctx context.Context, tx txn.Tx, limitKey string, limit int) (now time.Time, at []time.Time, err error) {
	rows, err := s.on(tx).Query(ctx, selectCaused, limitKey, limit)
	if err != nil {
		return now, nil, sqldb.Classify(err)
	}
	at, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (one time.Time, err error) {
		err = row.Scan(&one, &now)
		return one, err
	})
	return now, at, sqldb.Classify(err)
}

const forgetCaused = `DELETE FROM notify.caused WHERE (limit_key, message_id) IN (SELECT c.limit_key, c.message_id FROM notify.caused AS c
	WHERE c.at < statement_timestamp() - $1::float8 * INTERVAL '1 second' ORDER BY c.at LIMIT $2)`

// ForgetCaused deletes what is of no use for a limit any more.
func (s *Store) ForgetCaused(ctx context.Context, age time.Duration, limit int) (int64, error) {
	tag, err := s.DB.Pool.Exec(ctx, forgetCaused, age.Seconds(), limit)
	return tag.RowsAffected(), sqldb.Classify(err)
}

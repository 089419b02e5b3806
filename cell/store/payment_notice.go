package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const insertNotices = `INSERT INTO payment.notice (notice_id, type, order_id, body, created_at, outcome)
	SELECT n.notice_id, n.type, n.order_id, n.body, n.created_at, n.outcome
	FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[], $6::text[]) AS n (notice_id, type, order_id, body, created_at, outcome)
	ON CONFLICT (notice_id) DO NOTHING RETURNING notice_id`

// InsertNotice stores a webhook once, by the provider's event id: as ignored when
// its type says nothing to us, else as done until SetNotice knows better.
func (s *Store) InsertNotice(ctx context.Context, tx txn.Tx, n payment.Notice, order string, body []byte) (bool, error) {
	became := payment.Done
	if n.Silent() {
		became = payment.Ignored
	}
	return s.insertOne(ctx, tx, insertNotices, n.ID, n.Type, order, body, n.Created, string(became))
}

const updateNotice = `UPDATE payment.notice SET outcome = $2, order_id = CASE WHEN $3 = '' THEN order_id ELSE $3 END,
	next_look_at = CASE WHEN $4::float8 > 0 THEN clock_timestamp() + $4::float8 * INTERVAL '1 second' ELSE NULL END
	WHERE notice_id = $1`

// SetNotice stores what became of a notice, and when to look again at one that waits.
func (s *Store) SetNotice(ctx context.Context, tx txn.Tx, notice string, outcome payment.Outcome, order string, again time.Duration) error {
	return s.put(ctx, tx, updateNotice, notice, string(outcome), order, again.Seconds())
}

const countDecline = `UPDATE payment.payment SET declines = declines + 1 WHERE order_id = $1 RETURNING declines`

// CountDecline counts a declined attempt to pay an order; 0 when there is none to pay.
func (s *Store) CountDecline(ctx context.Context, tx txn.Tx, order id.Order) (n int64, err error) {
	err = s.on(tx).QueryRow(ctx, countDecline, order.String()).Scan(&n)
	if noRows(err) {
		return 0, nil
	}
	return n, sqldb.Classify(err)
}

const claimNotices = `UPDATE payment.notice SET attempts = attempts + 1, next_look_at = clock_timestamp() + $2::float8 * INTERVAL '1 second'
	WHERE notice_id IN (SELECT n.notice_id FROM payment.notice AS n WHERE n.outcome = 'waiting' AND n.next_look_at <= statement_timestamp()
		ORDER BY n.next_look_at LIMIT $1 FOR UPDATE SKIP LOCKED)
	RETURNING notice_id, type, body, outcome, attempts, received_at`

// ClaimNotices leases notices that waited long enough.
func (s *Store) ClaimNotices(ctx context.Context, limit int, lease time.Duration) ([]payment.Stored, error) {
	return s.notices(ctx, claimNotices, limit, lease.Seconds())
}

const selectNotice = `SELECT notice_id, type, body, outcome, attempts, received_at FROM payment.notice WHERE notice_id = $1`

const selectNoticesSince = `SELECT notice_id, type, body, outcome, attempts, received_at FROM payment.notice
	WHERE received_at >= $1 AND (received_at > $1 OR notice_id > $2) ORDER BY received_at, notice_id LIMIT $3`

// Notice reads a stored notice, false when there is none.
func (s *Store) Notice(ctx context.Context, notice string) (payment.Stored, bool, error) {
	all, err := s.notices(ctx, selectNotice, notice)
	if err != nil || len(all) == 0 {
		return payment.Stored{}, false, err
	}
	return all[0], true, nil
}

// NoticesSince lists stored notices in the order in which they came, behind one
// that came at since and has the id after.
func (s *Store) NoticesSince(ctx context.Context, since time.Time, after string, limit int) ([]payment.Stored, error) {
	return s.notices(ctx, selectNoticesSince, since, after, limit)
}

// Notices know their buyers; they are kept while the provider may still send them
// again and disputes are likely.
const (
	NoticeRetention = 90 * 24 * time.Hour
	noticesPerSweep = 1000
)

const deleteNotices = `DELETE FROM payment.notice WHERE notice_id IN (SELECT n.notice_id FROM payment.notice AS n
	WHERE n.received_at < statement_timestamp() - $1::float8 * INTERVAL '1 second' AND n.outcome <> 'waiting' ORDER BY n.received_at LIMIT $2)`

// ForgetNotices deletes notices that are past their retention, in bounded batches.
func (s *Store) ForgetNotices(ctx context.Context) (int64, error) {
	if s.expires.Load() {
		return 0, nil
	}
	tag, err := s.DB.Pool.Exec(ctx, deleteNotices, NoticeRetention.Seconds(), noticesPerSweep)
	return tag.RowsAffected(), sqldb.Classify(err)
}

func (s *Store) notices(ctx context.Context, sql string, args ...any) ([]payment.Stored, error) {
	rows, err := s.DB.Pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (payment.Stored, error) {
		var n payment.Stored
		return n, row.Scan(&n.ID, &n.Type, &n.Body, &n.Outcome, &n.Attempts, &n.Received)
	})
	return all, sqldb.Classify(err)
}

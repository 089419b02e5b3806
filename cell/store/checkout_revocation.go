package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/ticket"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const insertRevocations = `INSERT INTO checkout.revocation (event_id, seq, mark, at)
	SELECT $1, h.head + row_number() OVER (ORDER BY m.mark), m.mark, clock_timestamp()
	FROM (SELECT coalesce(max(seq), 0) AS head FROM checkout.revocation WHERE event_id = $1) AS h
	CROSS JOIN (SELECT DISTINCT x.mark FROM unnest($2::text[]) AS x (mark)
		WHERE NOT EXISTS (SELECT 1 FROM checkout.revocation AS r WHERE r.event_id = $1 AND r.mark = x.mark)) AS m`

// Revoke puts barcodes on the event's list, once each, however often they die; the
// caller holds the event's lock, which is what keeps the numbers without gaps.
func (s *Store) Revoke(ctx context.Context, tx txn.Tx, event id.Event, barcodes []string) error {
	if len(barcodes) == 0 {
		return nil
	}
	marks := make([]string, len(barcodes))
	for i, b := range barcodes {
		marks[i] = ticket.Mark(b)
	}
	_, err := s.on(tx).Exec(ctx, insertRevocations, event.String(), marks)
	return sqldb.Classify(err)
}

const (
	selectRevocations = `SELECT seq, mark, at FROM checkout.revocation WHERE event_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`
	selectHead        = `SELECT coalesce(max(seq), 0), clock_timestamp() FROM checkout.revocation WHERE event_id = $1`
)

// Revocations lists an event's revocations behind a number, with the number of the
// last one and the time by the database's clock.
func (s *Store) Revocations(ctx context.Context, event id.Event, after int64, limit int) (list []checkout.Revocation, head int64, now time.Time, err error) {
	b := &pgx.Batch{}
	// The head is read first: what the list has beyond it is cut off below.
	b.Queue(selectHead, event.String()).QueryRow(func(row pgx.Row) error { return row.Scan(&head, &now) })
	b.Queue(selectRevocations, event.String(), after, limit).Query(func(rows pgx.Rows) error {
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (checkout.Revocation, error) {
			var r checkout.Revocation
			return r, row.Scan(&r.Seq, &r.Mark, &r.At)
		})
		return err
	})
	if err := s.ask(ctx, txn.None, b); err != nil {
		return nil, 0, time.Time{}, err
	}
	for len(list) > 0 && list[len(list)-1].Seq > head {
		list = list[:len(list)-1]
	}
	return list, head, now, nil
}

package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/bus"
	"guichet/cell/id"
	"guichet/internal/sqldb"
)

// selectAnswers looks each key up by itself: a join that was planned while the
// table was small would read all of it ever after.
const selectAnswers = `SELECT a.scope, a.key, f.fingerprint, f.status, f.body
	FROM unnest($1::text[], $2::text[]) AS a (scope, key)
	CROSS JOIN LATERAL (SELECT b.fingerprint, b.status, b.body FROM booking.answer AS b
		WHERE b.scope = a.scope AND b.key = a.key LIMIT 1) AS f`

const insertAnswers = `INSERT INTO booking.answer (scope, key, fingerprint, status, body)
	SELECT a.scope, a.key, a.fingerprint, a.status, a.body
	FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[]) AS a (scope, key, fingerprint, status, body)`

// answerKey is where a first answer is kept.
type answerKey struct{ scope, key string }

// Batch implements booking.Batcher: one transaction locks the event, reads its
// stock and the first answers of the keys at hand, lets every op settle in order,
// and writes all holds, counters, answers, the ledger's row and the outbox row
// (P2, P3, P5). The event's lock makes the look at the keys final: whoever used
// one before has committed or is gone.
func (s *Store) Batch(ctx context.Context, event id.Event, ttl time.Duration, ops []*booking.Op) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var named []id.Hold
		var scopes, keys []string
		for _, op := range ops {
			named = append(named, op.Holds...)
			if op.Key != nil {
				scopes, keys = append(scopes, op.Key.Scope), append(keys, op.Key.Key)
			}
		}
		answers := map[answerKey]*booking.Answered{}
		stock, before, err := loadStock(ctx, tx, event, ttl, named, func(b *pgx.Batch) {
			if len(keys) > 0 {
				b.Queue(selectAnswers, scopes, keys).Query(func(rows pgx.Rows) error { return scanAnswers(rows, answers) })
			}
		})
		if err != nil {
			return err
		}
		fresh := settleAll(ops, stock, answers)
		if err := writeStock(ctx, tx, stock, before, fresh.queue); err != nil {
			return err
		}
		if len(stock.Log) == 0 {
			return nil
		}
		return s.Publish(ctx, Outgoing{Key: event.String(), Subject: bus.Fact(s.Cell, "stock", event.String(), "changed"), Payload: []byte(`{"event_id":"` + event.String() + `"}`)})
	})
	if sqldb.Violates(err, "quota_not_oversold") {
		return errors.Join(booking.ErrSoldOut, err)
	}
	return err
}

func scanAnswers(rows pgx.Rows, into map[answerKey]*booking.Answered) error {
	for rows.Next() {
		var at answerKey
		var a booking.Answered
		if err := rows.Scan(&at.scope, &at.key, &a.Fingerprint, &a.Status, &a.Body); err != nil {
			return err
		}
		into[at] = &a
	}
	return rows.Err()
}

// answerColumns are new first answers, by column.
type answerColumns struct {
	scopes, keys, fingerprints []string
	statuses                   []int64
	bodies                     [][]byte
}

func (c *answerColumns) queue(b *pgx.Batch) {
	if len(c.keys) > 0 {
		b.Queue(insertAnswers, c.scopes, c.keys, c.fingerprints, c.statuses, c.bodies)
	}
}

// settleAll decides the ops in their order; the second of two twins gets the
// first one's answer.
func settleAll(ops []*booking.Op, stock *booking.Stock, answers map[answerKey]*booking.Answered) *answerColumns {
	fresh := &answerColumns{}
	for _, op := range ops {
		if op.Key == nil {
			op.Settle(stock, nil)
			continue
		}
		at := answerKey{op.Key.Scope, op.Key.Key}
		if op.Settle(stock, answers[at]) {
			answers[at] = &booking.Answered{Fingerprint: op.Key.Fingerprint, Status: op.Status, Body: op.Body}
			fresh.scopes, fresh.keys = append(fresh.scopes, at.scope), append(fresh.keys, at.key)
			fresh.fingerprints, fresh.statuses = append(fresh.fingerprints, op.Key.Fingerprint), append(fresh.statuses, int64(op.Status))
			fresh.bodies = append(fresh.bodies, op.Body)
		}
	}
	return fresh
}

package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/bus"
	"guichet/cell/id"
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
	if slices.ContainsFunc(ops, func(op *booking.Op) bool { return op.Turn != nil }) {
		return refused(s.batchWithTurns(ctx, event, ttl, ops))
	}
	w := &batchWork{store: s, ops: ops}
	return refused(s.DB.InPipe(ctx, func(b *pgx.Batch) { w.read(b, event, ttl) }, func(b *pgx.Batch) error {
		w.settle()
		return w.write(b)
	}, w.readSeats))
}

// batchWork is one attempt at a batch.
type batchWork struct {
	store *Store
	ops   []*booking.Op

	load   *stockLoad
	before firstAnswers
	was    *snapshot
	fresh  *answerColumns
}

func (w *batchWork) read(b *pgx.Batch, event id.Event, ttl time.Duration) {
	w.load, w.before = newStockLoad(event, ttl), firstAnswers{}
	var named []id.Hold
	var asked booking.Asked
	for _, op := range w.ops {
		named = append(named, op.Holds...)
		asked.Codes, asked.Buyers = append(asked.Codes, op.Asked.Codes...), append(asked.Buyers, op.Asked.Buyers...)
	}
	w.load.queue(b, named)
	queueAsked(b, event, asked, &w.load.stock.Counters)
	w.before.queue(b, w.ops)
}

func (w *batchWork) readSeats(b *pgx.Batch) { queueSeatReads(b, w.load.stock, w.ops) }

// settle decides all ops but the turns.
func (w *batchWork) settle() {
	w.was = w.load.snapshot()
	w.fresh = w.before.settle(w.ops, w.load.stock)
}

// write queues what changed, the outbox last.
func (w *batchWork) write(b *pgx.Batch, facts ...Outgoing) error {
	stock := w.load.stock
	if err := queueStock(b, stock, w.was); err != nil {
		return err
	}
	w.fresh.queue(b)
	if len(stock.Log) > 0 {
		event := stock.ID.String()
		facts = append(facts, Outgoing{Key: event, Subject: bus.Fact(w.store.Cell, "stock", event, "changed"), Payload: []byte(`{"event_id":"` + event + `"}`)})
	}
	return w.store.queueOutbox(b, facts)
}

// firstAnswers are what the keys at hand were answered before.
type firstAnswers map[answerKey]*booking.Answered

// queue looks the ops' keys up.
func (f firstAnswers) queue(b *pgx.Batch, ops []*booking.Op) {
	var scopes, keys []string
	for _, op := range ops {
		if op.Key != nil {
			scopes, keys = append(scopes, op.Key.Scope), append(keys, op.Key.Key)
		}
	}
	if len(keys) > 0 {
		b.Queue(selectAnswers, scopes, keys).Query(f.scan)
	}
}

func (f firstAnswers) scan(rows pgx.Rows) error {
	for rows.Next() {
		var at answerKey
		var a booking.Answered
		if err := rows.Scan(&at.scope, &at.key, &a.Fingerprint, &a.Status, &a.Body); err != nil {
			return err
		}
		f[at] = &a
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

// settle decides the ops in their order; the second of two twins gets the first
// one's answer. What it returns is to be stored.
func (f firstAnswers) settle(ops []*booking.Op, stock *booking.Stock) *answerColumns {
	fresh := &answerColumns{}
	for _, op := range ops {
		if op.Turn != nil {
			continue
		}
		if op.Key == nil {
			op.Settle(stock, nil)
			continue
		}
		at := answerKey{op.Key.Scope, op.Key.Key}
		if op.Settle(stock, f[at]) {
			f[at] = &booking.Answered{Fingerprint: op.Key.Fingerprint, Status: op.Status, Body: op.Body}
			fresh.add(op)
		}
	}
	return fresh
}

func (c *answerColumns) add(op *booking.Op) {
	c.scopes, c.keys = append(c.scopes, op.Key.Scope), append(c.keys, op.Key.Key)
	c.fingerprints, c.statuses = append(c.fingerprints, op.Key.Fingerprint), append(c.statuses, int64(op.Status))
	c.bodies = append(c.bodies, op.Body)
}

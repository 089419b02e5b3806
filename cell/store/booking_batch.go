package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/audit"
	"guichet/cell/booking"
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

// Batch implements booking.Batcher: one transaction locks the events, reads their
// stocks and the first answers of the keys at hand, lets the ops of each event settle
// in order, and writes all holds, counters, answers, the ledgers' rows and the outbox
// rows (P2, P3, P5). An event's lock makes the look at the keys final: whoever used
// one before has committed or is gone. Only a single event's lock is waited for; the
// buckets' rows are locked last and in one order. So batches of any processes cannot
// wait for each other in a circle.
func (s *Store) Batch(ctx context.Context, ttl time.Duration, groups []*booking.Group) error {
	if len(groups) == 1 && slices.ContainsFunc(groups[0].Ops, func(op *booking.Op) bool { return op.Turn != nil }) {
		return refused(s.batchWithTurns(ctx, ttl, groups[0]))
	}
	w := &batchWork{store: s, groups: groups, look: slices.ContainsFunc(groups, func(g *booking.Group) bool { return g.Look })}
	err := w.do(ctx, ttl)
	if !w.look && (errors.Is(err, errLook) || sqldb.Violates(err, "hold_pkey")) {
		w.look = true
		err = w.do(ctx, ttl)
	}
	return refused(err)
}

// errLook asks for the batch to be run again with a look for the holds that it makes.
var errLook = errors.New("a hold that is refused may be there")

// batchWork is one attempt at a batch.
type batchWork struct {
	store  *Store
	groups []*booking.Group
	look   bool // whether the holds that ops make are there

	loads  []*stockLoad
	before firstAnswers
	was    []*snapshot // nil where an event was left out
	fresh  answerColumns
}

// do runs the batch in a transaction. Without a look, a hold that is made and is there
// already ends it: the database refuses the row (P5).
func (w *batchWork) do(ctx context.Context, ttl time.Duration) error {
	return w.store.DB.InPipe(ctx, func(b *pgx.Batch) { w.read(b, ttl) }, func(b *pgx.Batch) error { //nolint:contextcheck // each op has its own request's
		w.settle()
		if !w.look && w.refusedNew() {
			return errLook
		}
		return w.write(b)
	}, w.further()...)
}

// refusedNew says that a hold was refused that may be there.
func (w *batchWork) refusedNew() bool {
	return slices.ContainsFunc(w.groups, func(g *booking.Group) bool {
		return !g.Elsewhere && slices.ContainsFunc(g.Ops, func(op *booking.Op) bool { return op.New && op.Err != nil })
	})
}

func (w *batchWork) read(b *pgx.Batch, ttl time.Duration) {
	w.loads, w.before = loadsOf(w.groups, ttl, w.look), firstAnswers{}
	w.store.described.recall(w.loads)
	queueLoads(b, w.loads...)
	w.before.queue(b, w.groups)
}

// further are the reads that depend on the first ones; there are mostly none.
func (w *batchWork) further() []func(b *pgx.Batch) {
	return []func(b *pgx.Batch){w.readChanged, w.readSeats}
}

// readChanged reads the descriptions that are not what was kept.
func (w *batchWork) readChanged(b *pgx.Batch) {
	stockLoads{all: w.loads}.queueDescriptions(b, func(at *stockLoad) bool { return at.changed })
}

func (w *batchWork) readSeats(b *pgx.Batch) {
	for i, at := range w.loads {
		queueSeatReads(b, at.stock, w.groups[i].Ops) // nothing for what was not locked
	}
}

// settle decides all ops but the turns.
func (w *batchWork) settle() {
	w.was, w.fresh = make([]*snapshot, len(w.loads)), answerColumns{}
	w.store.described.keep(w.loads)
	for i, at := range w.loads {
		if w.groups[i].Elsewhere = !at.locked; at.locked {
			w.was[i] = at.snapshot()
			w.before.settle(w.groups[i].Ops, at.stock, &w.fresh)
		}
	}
}

// write queues what changed, the outbox last.
func (w *batchWork) write(b *pgx.Batch, news ...Outgoing) error {
	var writes stockWrites
	for i, at := range w.loads {
		if w.was[i] == nil {
			continue
		}
		if err := writes.add(at.stock, w.was[i]); err != nil {
			return err
		}
	}
	if err := writes.queue(b); err != nil {
		return err
	}
	w.fresh.queue(b)
	w.record(b)
	return w.store.queueOutbox(b, news...)
}

// record writes the audit log's entries of the ops that did what they ask for. Turns write
// theirs themselves.
func (w *batchWork) record(b *pgx.Batch) {
	for _, g := range w.groups {
		for _, op := range g.Ops {
			if g.Elsewhere || op.Turn != nil || op.Err != nil || op.Replayed || op.Context() == nil {
				continue
			}
			if e, ok := audit.Of(op.Context()).Entry(); ok {
				b.Queue(insertEntries, entryRow(e)...)
			}
		}
	}
}

// loadsOf are the stocks that the groups are about, with what their ops name; with what
// they make only when look is set.
func loadsOf(groups []*booking.Group, ttl time.Duration, look bool) []*stockLoad {
	loads := make([]*stockLoad, len(groups))
	for i, g := range groups {
		at := newStockLoad(g.Event, ttl)
		for _, op := range g.Ops {
			if look || !op.New {
				at.named = append(at.named, op.Holds...)
			}
			at.asked.Codes, at.asked.Buyers = append(at.asked.Codes, op.Asked.Codes...), append(at.asked.Buyers, op.Asked.Buyers...)
		}
		loads[i] = at
	}
	return loads
}

// firstAnswers are what the keys at hand were answered before.
type firstAnswers map[answerKey]*booking.Answered

// queue looks the ops' keys up.
func (f firstAnswers) queue(b *pgx.Batch, groups []*booking.Group) {
	var scopes, keys []string
	for _, g := range groups {
		for _, op := range g.Ops {
			if op.Key != nil {
				scopes, keys = append(scopes, op.Key.Scope), append(keys, op.Key.Key)
			}
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

// settle decides an event's ops in their order; the second of two twins gets the
// first one's answer. What is to be stored is added to fresh.
func (f firstAnswers) settle(ops []*booking.Op, stock *booking.Stock, fresh *answerColumns) {
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
}

func (c *answerColumns) add(op *booking.Op) {
	c.scopes, c.keys = append(c.scopes, op.Key.Scope), append(c.keys, op.Key.Key)
	c.fingerprints, c.statuses = append(c.fingerprints, op.Key.Fingerprint), append(c.statuses, int64(op.Status))
	body := op.Body
	if body == nil { // an answer may have none, the column must not
		body = []byte{}
	}
	c.bodies = append(c.bodies, body)
}

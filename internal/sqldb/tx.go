package sqldb

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Tx is a transaction, for as long as the function runs that it was handed to: it is a
// parameter and is in no context. Who handed it out commits it, or rolls it back.
type Tx struct {
	Querier
	part  *partTx // of a transaction that is shared
	with  any
	after []func()
}

// After lets do run when the transaction has been committed, and never when
// it was not or its outcome is unknown. It is for hints to this process: what must
// happen is written in the transaction.
func (t *Tx) After(do func()) { t.after = append(t.after, do) }

// Ask sends statements in one message and takes their answers.
func (t *Tx) Ask(ctx context.Context, b *pgx.Batch) error {
	return Classify(t.SendBatch(ctx, b).Close())
}

// Put sends writes whose answers nobody waits for: what they run into ends the
// transaction. In a shared one they travel with whatever is asked next, or with COMMIT;
// their arguments must not change until then.
func (t *Tx) Put(ctx context.Context, b *pgx.Batch) error {
	if t.part != nil {
		t.part.put(b)
		return nil
	}
	return t.Ask(ctx, b)
}

// Shared says whether the transaction is shared with others; see Together.
func (t *Tx) Shared() bool { return t.part != nil }

// With is what the parts of a shared transaction were given; nil in one that is not shared.
func (t *Tx) With() any { return t.with }

// Wrote notes that a part of a shared transaction changed something that is
// written later: if it refuses, it must be undone.
func (t *Tx) Wrote() {
	if t.part != nil {
		t.part.wrote = true
	}
}

// Ask sends reads in one message, without a transaction. Each
// sees one state; a later one may see a newer one. Those that are all about rows
// share the message with what others ask at the same time.
func (db *DB) Ask(ctx context.Context, b *pgx.Batch) error {
	ask := db.asked.ask
	if slices.ContainsFunc(b.QueuedQueries, func(q *pgx.QueuedQuery) bool { return !aboutRows(q) }) {
		ask = func(ctx context.Context, b *pgx.Batch) error { return db.Pool.SendBatch(ctx, b).Close() }
	}
	return repeat(ctx, func() error { return ask(ctx, b) }, func() {})
}

// Store sends writes about rows in a transaction that they share with
// what others store at the same time. Each must be right by itself, and right when
// it is done again: what became of a message whose answer was lost, nobody knows.
func (db *DB) Store(ctx context.Context, b *pgx.Batch) error {
	return Classify(db.stored.ask(ctx, b))
}

// InTx runs fn in one READ COMMITTED transaction that it begins and ends: rows that are
// decided upon are locked by the statements themselves. fn may run again, so nothing in it
// may be seen from outside.
//
// Both engines have one loop, without savepoints (docs/adr/015): an attempt that failed is rolled
// back and begun again, as repeat says.
func (db *DB) InTx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return db.inTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn)
}

// InSnapshot is InTx for reads that must agree with each other: all see one state, and
// nothing can be written.
func (db *DB) InSnapshot(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return db.inTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

func (db *DB) inTx(ctx context.Context, opts pgx.TxOptions, fn func(ctx context.Context, tx *Tx) error) error {
	var last *Tx // of the attempt that counts
	err := db.onSession(ctx, db.Pool, func(ctx context.Context, conn *pgx.Conn) error {
		return once(ctx, conn, opts, func(tx pgx.Tx) error {
			last = &Tx{Querier: tx}
			return fn(ctx, last)
		})
	})
	if err != nil {
		return err
	}
	for _, do := range last.after {
		do()
	}
	return nil
}

func alive(conn *pgx.Conn) error {
	if conn.IsClosed() {
		return ErrUnavailable.After(time.Second)
	}
	return nil
}

// once is BEGIN, fn, COMMIT. A COMMIT whose answer was lost is ErrOutcomeUnknown:
// the caller looks its idempotency key up, it never guesses (drill 10).
func once(ctx context.Context, conn *pgx.Conn, opts pgx.TxOptions, fn func(tx pgx.Tx) error) error {
	tx, err := conn.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	err = fn(tx)
	if err == nil {
		err = errors.Join(ctx.Err(), alive(conn)) // a commit that is not even sent is no riddle
	}
	if err != nil {
		// The caller's context may be over; the connection must be clean all the same.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = tx.Rollback(clean)
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return outcome(err)
	}
	return nil
}

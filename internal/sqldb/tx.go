package sqldb

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bounds of the retry loop; the context's deadline may end it earlier.
const (
	maxAttempts = 12
	firstPause  = 2 * time.Millisecond
	maxPause    = 250 * time.Millisecond
	maxLost     = 1                     // sessions that one call may lose before it gives up
	lostPause   = 50 * time.Millisecond // before the next session
)

type txKey struct{}

// joined is a transaction in a context, with what is to be done once it has been committed.
type joined struct {
	tx    pgx.Tx
	part  *partTx // of a transaction that is shared
	after []func()
}

func txOf(ctx context.Context) pgx.Tx {
	if j, _ := ctx.Value(txKey{}).(*joined); j != nil {
		return j.tx
	}
	return nil
}

// Ask sends reads in one message, in the transaction of ctx or without one. Each
// sees one state; a later one may see a newer one. Those that are all about rows
// share the message with what others ask at the same time.
func (db *DB) Ask(ctx context.Context, b *pgx.Batch) error {
	if tx := txOf(ctx); tx != nil {
		return Classify(tx.SendBatch(ctx, b).Close())
	}
	ask := db.asked.ask
	if slices.ContainsFunc(b.QueuedQueries, func(q *pgx.QueuedQuery) bool { return !aboutRows(q) }) {
		ask = func(ctx context.Context, b *pgx.Batch) error { return db.Pool.SendBatch(ctx, b).Close() }
	}
	for lost := 0; ; lost++ {
		err := Classify(ask(ctx, b))
		if !errors.Is(err, ErrUnavailable) || lost == maxLost || !pause(ctx, lostPause) { // as in inTx
			return err
		}
	}
}

// Store sends writes about rows, in the transaction of ctx or in one that they share with
// what others store at the same time. Each must be right by itself, and right when
// it is done again: what became of a message whose answer was lost, nobody knows.
func (db *DB) Store(ctx context.Context, b *pgx.Batch) error {
	if tx := txOf(ctx); tx != nil {
		return Classify(tx.SendBatch(ctx, b).Close())
	}
	return Classify(db.stored.ask(ctx, b))
}

// Put sends writes whose answers nobody waits for: what they run into ends the
// transaction. In a shared one they travel with whatever is asked next, or with COMMIT;
// their arguments must not change until then.
func (db *DB) Put(ctx context.Context, b *pgx.Batch) error {
	if j, _ := ctx.Value(txKey{}).(*joined); j != nil && j.part != nil {
		j.part.put(b)
		return nil
	}
	return db.InTx(ctx, func(ctx context.Context, tx pgx.Tx) error { return Classify(tx.SendBatch(ctx, b).Close()) })
}

// Shares says whether ctx carries a transaction that is shared with others.
func Shares(ctx context.Context) bool {
	j, _ := ctx.Value(txKey{}).(*joined)
	return j != nil && j.part != nil
}

// Wrote notes that the part of a shared transaction in ctx changed something that is
// written later: if it refuses, it must be undone.
func Wrote(ctx context.Context) {
	if j, _ := ctx.Value(txKey{}).(*joined); j != nil && j.part != nil {
		j.part.wrote = true
	}
}

// After lets do run when the transaction in ctx has been committed, and never when
// it was not or its outcome is unknown; at once when there is none. It is for hints
// to this process: what must happen is written in the transaction.
func After(ctx context.Context, do func()) {
	j, _ := ctx.Value(txKey{}).(*joined)
	if j == nil {
		do()
		return
	}
	j.after = append(j.after, do)
}

// InTx runs fn in one READ COMMITTED transaction: rows that are decided upon are
// locked by the statements themselves. fn may run again, so nothing in it may be
// seen from outside. A call inside another InTx joins the outer transaction.
//
// Both engines have one loop, without savepoints (docs/adr/015): an attempt that failed is rolled
// back and begun again.
func (db *DB) InTx(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.inTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn)
}

// InSerializableTx is InTx for an invariant that spans rows which are not locked.
func (db *DB) InSerializableTx(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.inTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable}, fn)
}

// InSnapshot is InTx for reads that must agree with each other: all see one state, and
// nothing can be written.
func (db *DB) InSnapshot(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.inTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

func (db *DB) inTx(ctx context.Context, opts pgx.TxOptions, fn func(ctx context.Context, tx pgx.Tx) error) error {
	if tx := txOf(ctx); tx != nil {
		return fn(ctx, tx)
	}
	for lost := 0; ; lost++ {
		err := db.onConnection(ctx, opts, fn)
		// A session that was lost before its COMMIT was sent took nothing with it: a
		// database that restarts, or a stall of this machine that the idle limit took
		// for a dead process. Once more, on another session.
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown) || lost == maxLost {
			return err
		}
		if !pause(ctx, lostPause) {
			return err
		}
	}
}

func (db *DB) onConnection(ctx context.Context, opts pgx.TxOptions, fn func(ctx context.Context, tx pgx.Tx) error) error {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return Classify(err)
	}
	defer conn.Release()
	var last *joined // of the attempt that counts
	run := func(tx pgx.Tx) error {
		last = &joined{tx: tx}
		return fn(context.WithValue(ctx, txKey{}, last), tx)
	}
	if err := execute(ctx, conn.Conn(), opts, run); err != nil {
		return err
	}
	for _, do := range last.after {
		do()
	}
	return nil
}

// execute runs one transaction with its retries.
func execute(ctx context.Context, conn *pgx.Conn, opts pgx.TxOptions, run func(tx pgx.Tx) error) error {
	wait := firstPause
	for attempt := 1; ; attempt++ {
		err := once(ctx, conn, opts, run)
		if err == nil || !retryable(err) || attempt == maxAttempts {
			return Classify(err)
		}
		if !pause(ctx, jittered(wait)) {
			return Classify(errors.Join(ctx.Err(), err))
		}
		wait = min(2*wait, maxPause)
	}
}

func jittered(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // jitter needs no secrecy
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

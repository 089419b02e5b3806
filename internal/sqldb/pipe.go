package sqldb

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	beginReadCommitted = `BEGIN ISOLATION LEVEL READ COMMITTED`
	commit             = `COMMIT`
	rollback           = `ROLLBACK`
)

// InPipe is InTx for a decision that reads once and writes once. BEGIN travels with
// the reads and COMMIT with the writes, so that it takes two round trips where InTx
// takes four: on a busy machine each costs a turn of the scheduler while the rows
// are locked. read queues the reads with what takes their answers; decide sees those and
// queues the writes, or refuses. further may queue reads that depend on the first ones; they
// cost a round trip only then. All may run again.
func (db *DB) InPipe(ctx context.Context, read func(b *pgx.Batch), decide func(b *pgx.Batch) error, further ...func(b *pgx.Batch)) error {
	return db.onSession(ctx, db.pipes, func(ctx context.Context, conn *pgx.Conn) error { return pipeOnce(ctx, conn, read, decide, further) })
}

// pause waits; it is false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// readMore sends the further reads, one after the other.
func readMore(ctx context.Context, conn *pgx.Conn, further []func(b *pgx.Batch)) error {
	for _, read := range further {
		b := &pgx.Batch{}
		if read(b); b.Len() > 0 {
			if err := conn.SendBatch(ctx, b).Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// pipeOnce is one attempt. Once the batch that ends in COMMIT was sent, only the
// server's no says that nothing was stored (see outcome).
func pipeOnce(ctx context.Context, conn *pgx.Conn, read func(b *pgx.Batch), decide func(b *pgx.Batch) error, further []func(b *pgx.Batch)) error {
	b := &pgx.Batch{}
	b.Queue(beginReadCommitted)
	read(b)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return abandon(ctx, conn, err)
	}
	if err := readMore(ctx, conn, further); err != nil {
		return abandon(ctx, conn, err)
	}
	writes := &pgx.Batch{}
	if err := decide(writes); err != nil {
		return abandon(ctx, conn, err)
	}
	return sendCommit(ctx, conn, writes)
}

// sendCommit sends the writes with COMMIT behind them.
func sendCommit(ctx context.Context, conn *pgx.Conn, writes *pgx.Batch) error {
	if err := errors.Join(ctx.Err(), alive(conn)); err != nil { // a commit that is not even sent is no riddle
		return abandon(ctx, conn, err)
	}
	writes.Queue(commit)
	if err := conn.SendBatch(ctx, writes).Close(); err != nil {
		return abandon(ctx, conn, outcome(err))
	}
	return nil
}

// abandon leaves the connection clean, although the caller's context may be over.
func abandon(ctx context.Context, conn *pgx.Conn, because error) error {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return because
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := conn.Exec(clean, rollback); err != nil {
		_ = conn.Close(clean) // it must not go back to the pool with locks
	}
	return because
}

package sqldb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	createLease = `CREATE TABLE IF NOT EXISTS public.guichet_lease (
		name text NOT NULL PRIMARY KEY, holder text NOT NULL, until_at timestamptz NOT NULL)`
	// takeLease also renews it: whoever has it gets it again.
	takeLease = `INSERT INTO public.guichet_lease AS l (name, holder, until_at)
		VALUES ('schema', $1, clock_timestamp() + $2::float8 * INTERVAL '1 second')
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_at = excluded.until_at
		WHERE l.holder = excluded.holder OR l.until_at < statement_timestamp() RETURNING holder`
	endLease = `DELETE FROM public.guichet_lease WHERE name = 'schema' AND holder = $1`

	leaseFor  = 15 * time.Second
	leasePoll = 100 * time.Millisecond // who waits asks this often
)

// errLeaseLost ends the work of a process that did not renew its lease in time: by then another may be at it.
var errLeaseLost = ErrUnavailable.With("the lease on the schema could not be renewed")

// lease lets one process after the other work on the schema of a CockroachDB. There an
// open transaction with a locked row would not do: CREATE SCHEMA waits for
// every transaction that is open in the database, so the migration would wait
// for itself. It is a row with an end, by the database's clock.
type lease struct {
	connect func(ctx context.Context) (*pgx.Conn, error)
	holder  string
	length  time.Duration

	conn *pgx.Conn // nil when it was lost
}

func newLease(connect func(ctx context.Context) (*pgx.Conn, error), length time.Duration) *lease {
	return &lease{connect: connect, holder: rand.Text(), length: length}
}

// during does work while this process has the lease. Work's context ends when it is lost.
func (l *lease) during(ctx context.Context, work func(ctx context.Context) error) error {
	defer l.close(ctx)
	if err := l.await(ctx); err != nil {
		return err
	}
	working, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	done, kept := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(kept)
		l.keep(ctx, done, lose)
	}()
	err := work(working)
	close(done)
	<-kept
	if errors.Is(context.Cause(working), errLeaseLost) {
		return errors.Join(errLeaseLost, err)
	}
	l.end(ctx)
	return err
}

// await asks until it has the lease.
func (l *lease) await(ctx context.Context) error {
	for {
		took, err := l.take(ctx)
		if SQLState(err) == "42P01" { // the first process of all
			_, err = l.conn.Exec(ctx, createLease)
			if code := SQLState(err); code == "23505" || code == "42P07" || code == "42710" { // two first ones
				err = nil
			}
		}
		if err != nil && !retryable(err) {
			return fmt.Errorf("wait for the other migration: %w", Classify(err))
		}
		if took {
			return nil
		}
		if !pause(ctx, jittered(leasePoll)) {
			return fmt.Errorf("wait for the other migration: %w", Classify(ctx.Err()))
		}
	}
}

// take takes the lease, or renews it; false when somebody else has it.
func (l *lease) take(ctx context.Context) (bool, error) {
	if l.conn == nil || l.conn.IsClosed() {
		conn, err := l.connect(ctx)
		if err != nil {
			return false, err
		}
		l.conn = conn
	}
	var holder string
	err := l.conn.QueryRow(ctx, takeLease, l.holder, l.length.Seconds()).Scan(&holder)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// keep renews the lease until done. A connection that was lost is made again, as
// long as the lease runs.
func (l *lease) keep(ctx context.Context, done <-chan struct{}, lose context.CancelCauseFunc) {
	soon := time.NewTimer(l.length * 3 / 5) // after that another may have it before the next answer
	defer soon.Stop()
	for {
		select {
		case <-done:
			return
		case <-soon.C:
			lose(errLeaseLost)
			return
		case <-time.After(l.length / 5):
		}
		try, cancel := context.WithTimeout(ctx, l.length/5)
		took, err := l.take(try)
		cancel()
		switch {
		case took:
			soon.Reset(l.length * 3 / 5)
		case err == nil: // another has it
			lose(errLeaseLost)
			return
		}
	}
}

// end gives the lease back, so that the next one need not wait for its end.
func (l *lease) end(ctx context.Context) {
	if l.conn == nil {
		return
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = l.conn.Exec(clean, endLease, l.holder)
}

func (l *lease) close(ctx context.Context) {
	if l.conn != nil {
		closeSoon(ctx, l.conn)
	}
}

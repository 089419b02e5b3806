package sqldb_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

const (
	readA  = `SELECT n FROM note WHERE id = 'a' FOR UPDATE`
	raiseA = `UPDATE note SET n = $1 WHERE id = 'a'`
)

// raise adds one to the note a, as a decision that reads once and writes once.
func raise(runs *int, then func(b *pgx.Batch) error) (read func(b *pgx.Batch), decide func(b *pgx.Batch) error) {
	var n int64
	read = func(b *pgx.Batch) {
		b.Queue(readA).QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
	}
	decide = func(b *pgx.Batch) error {
		*runs++
		b.Queue(raiseA, n+1)
		return then(b)
	}
	return read, decide
}

func fine(*pgx.Batch) error { return nil }

func TestInPipe_storesAllOrNothingAndLeavesTheConnectionClean(t *testing.T) {
	t.Parallel()
	db, ctx := fresh(t, sqldb.MaxConns(1)), bounded(t)
	errNo := kind.Conflict.New("no")
	for i, c := range []struct {
		then func(b *pgx.Batch) error
		want func(err error) bool
		n    int64
	}{
		{fine, func(err error) bool { return err == nil }, 1},
		{func(*pgx.Batch) error { return errNo }, func(err error) bool { return errors.Is(err, errNo) }, 1},
		{func(b *pgx.Batch) error { b.Queue(`UPDATE note SET n = -1 WHERE id = 'b'`); return nil }, func(err error) bool {
			return sqldb.Violates(err, "note_n") && !errors.Is(err, sqldb.ErrOutcomeUnknown)
		}, 1},
		{fine, func(err error) bool { return err == nil }, 2},
	} {
		runs := 0
		read, decide := raise(&runs, c.then)
		if err := db.InPipe(ctx, read, decide); !c.want(err) || runs != 1 {
			t.Errorf("case %d: %v in %d runs", i, err, runs)
		}
		if n := number(t, db, `SELECT n FROM note WHERE id = 'a'`); n != c.n {
			t.Errorf("case %d: the note says %d, want %d", i, n, c.n)
		}
		if n := number(t, db, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`); n != 0 {
			t.Errorf("case %d: a transaction was left open", i)
		}
	}
}

func TestInPipe_holdsItsRowsFromReadToCommit(t *testing.T) {
	t.Parallel()
	db, ctx := fresh(t), bounded(t)
	const each = 40
	done := make(chan error, 4)
	for range cap(done) {
		go func() {
			var err error
			for range each {
				runs := 0
				read, decide := raise(&runs, fine)
				err = errors.Join(err, db.InPipe(ctx, read, decide))
			}
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := number(t, db, `SELECT n FROM note WHERE id = 'a'`); n != int64(each*cap(done)) {
		t.Errorf("%d of %d were counted", n, each*cap(done))
	}
}

func TestInPipe_runsAgainAfterASerializationFailure(t *testing.T) {
	t.Parallel()
	db, ctx := fresh(t), bounded(t)
	runs := 0
	read, decide := raise(&runs, func(b *pgx.Batch) error {
		if runs == 1 {
			b.Queue(serializationFailure)
		}
		return nil
	})
	if err := db.InPipe(ctx, read, decide); err != nil || runs != 2 {
		t.Errorf("%v in %d runs, want two", err, runs)
	}
	if n := number(t, db, `SELECT n FROM note WHERE id = 'a'`); n != 1 {
		t.Errorf("the note says %d, want 1", n)
	}
}

// Whether the batch that ends in COMMIT arrived or not, a lost answer is unknown.
func TestInPipe_whoseCommitHasNoAnswerSaysSo(t *testing.T) {
	t.Parallel()
	for name, stored := range map[string]int64{"the answer was lost": 1, "the commit was lost": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Bool
			p := &proxy{
				request: func(m []byte) []byte {
					if sent.Load() && stored == 0 {
						return nil
					}
					return m
				},
				reply: func(m []byte) []byte {
					switch {
					case !sent.Load():
						return m
					case m[0] == 'Z': // ready again: the commit is done
						return nil
					}
					return []byte{}
				},
			}
			dsn := testdb.New(t, schema)
			direct, db := open(t, dsn), open(t, p.through(t, dsn))
			warm := 0
			read, decide := raise(&warm, fine)
			if err := db.InPipe(bounded(t), read, decide); err != nil { // its statements are prepared then
				t.Fatal(err)
			}
			runs := 0
			read, decide = raise(&runs, func(*pgx.Batch) error { sent.Store(true); return nil })
			err := db.InPipe(bounded(t), read, decide)
			wantKind(t, err, sqldb.ErrOutcomeUnknown)
			if runs != 1 {
				t.Errorf("ran %d times: what may have happened must not be repeated", runs)
			}
			if n := number(t, direct, `SELECT n FROM note WHERE id = 'a'`); n != 1+stored {
				t.Errorf("the note says %d, want %d: the test does not show what it says", n, 1+stored)
			}
		})
	}
}

func TestInPipe_whoseSessionEndsBetweenReadAndWriteStoresNothing(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, schema)
	db, other, ctx := open(t, dsn, sqldb.MaxConns(1)), open(t, dsn), bounded(t)
	runs := 0
	read, decide := raise(&runs, func(*pgx.Batch) error {
		if runs > 1 {
			return nil
		}
		const sessions = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`
		poll(t, "the session to wait for the decision", func() bool { return number(t, other, sessions) == 1 })
		number(t, other, `SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction') AS ended`)
		poll(t, "the session to end", func() bool { return number(t, other, sessions) == 0 })
		return nil
	})
	err := db.InPipe(ctx, read, decide)
	if kind.Of(err) != kind.Unavailable && err != nil {
		t.Errorf("got %v, want unavailable", err)
	}
	if n := number(t, other, `SELECT n FROM note WHERE id = 'a'`); n != int64(runs-1) {
		t.Errorf("the note says %d after %d runs, of which the first was cut off", n, runs)
	}
}

package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"guichet/internal/kind"
	"guichet/internal/sqldb"
)

const serializationFailure = `DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$`

func TestInTx_storesAllOrNothing(t *testing.T) {
	t.Parallel()
	db, ctx := fresh(t), bounded(t)
	errNo := kind.Conflict.New("no")
	for id, want := range map[string]error{"kept": nil, "undone": errNo} {
		runs := 0
		err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			runs++
			return errors.Join(insert(ctx, tx, id), want)
		})
		if !errors.Is(err, want) || runs != 1 {
			t.Errorf("%s: %v in %d runs, want %v in one", id, err, runs, want)
		}
	}
	if n := number(t, db, `SELECT count(*) FROM note WHERE id = 'kept'`); n != 1 {
		t.Error("what was committed is not there")
	}
	if n := number(t, db, `SELECT count(*) FROM note WHERE id = 'undone'`); n != 0 {
		t.Error("what was refused is there")
	}
}

// A transaction is what it is called with, and no context carries one: the inner call has
// its own, which stays when the outer one does not.
func TestInTx_insideAnotherIsOneOfItsOwn(t *testing.T) {
	t.Parallel()
	db, ctx := fresh(t, sqldb.MaxConns(4)), bounded(t)
	errOuter := errors.New("outer says no")
	err := db.InTx(ctx, func(ctx context.Context, outer *sqldb.Tx) error {
		if err := insert(ctx, outer, "outer"); err != nil {
			return err
		}
		if err := db.InTx(ctx, func(ctx context.Context, inner *sqldb.Tx) error { return insert(ctx, inner, "inner") }); err != nil {
			return err
		}
		return errOuter
	})
	if !errors.Is(err, errOuter) {
		t.Fatal(err)
	}
	for id, want := range map[string]int64{"outer": 0, "inner": 1} {
		if n := number(t, db, `SELECT count(*) FROM note WHERE id = $1`, id); n != want {
			t.Errorf("%d rows of the %s one, want %d", n, id, want)
		}
	}
}

// signOff takes a doctor off call unless nobody would be left: an invariant over
// rows of which each transaction writes another one, so that no lock of a row keeps it.
func signOff(in func(context.Context, func(context.Context, *sqldb.Tx) error) error, pair int, name string, met func(context.Context) error) func(context.Context) (bool, int, error) {
	return func(ctx context.Context) (told bool, runs int, err error) {
		errLast := kind.Conflict.New("last_on_call")
		err = in(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			runs++
			var n int
			if err := tx.QueryRow(ctx, `SELECT count(*) FROM doctor WHERE pair = $1 AND on_call`, pair).Scan(&n); err != nil {
				return err
			}
			if runs == 1 { // both have read before either writes
				if err := met(ctx); err != nil {
					return err
				}
			}
			if n < 2 {
				return errLast
			}
			_, err := tx.Exec(ctx, `UPDATE doctor SET on_call = false WHERE pair = $1 AND name = $2`, pair, name)
			return err
		})
		if errors.Is(err, errLast) {
			return false, runs, nil
		}
		return err == nil, runs, err
	}
}

// toldYes lets both doctors of each pair sign off at once and counts the yeses per pair.
func toldYes(t *testing.T, db *sqldb.DB, in func(context.Context, func(context.Context, *sqldb.Tx) error) error, pairs int) (yes []int, runs int) {
	t.Helper()
	if _, err := db.Pool.Exec(bounded(t), `INSERT INTO doctor SELECT p, n, true FROM generate_series(0, $1::bigint - 1) p, unnest(ARRAY['a', 'b']) n`, pairs); err != nil {
		t.Fatal(err)
	}
	yes = make([]int, pairs)
	for pair := range pairs {
		met := meeting(2)
		var said, tries atomic.Int32
		group, ctx := errgroup.WithContext(bounded(t))
		for _, name := range []string{"a", "b"} {
			off := signOff(in, pair, name, met)
			group.Go(func() error {
				told, runs, err := off(ctx)
				if told {
					said.Add(1)
				}
				tries.Add(int32(runs))
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("pair %d: %v", pair, err)
		}
		yes[pair] = int(said.Load())
		runs += int(tries.Load())
	}
	return yes, runs
}

// A transaction guards the rows that it locks, and no others: an invariant over more rows
// needs a row that stands for them all.
func TestInTx_doesNotGuardRowsThatAreNotLocked(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	yes, _ := toldYes(t, db, db.InTx, 3)
	for pair, n := range yes {
		if n != 2 {
			t.Errorf("pair %d was told yes %d times under READ COMMITTED, want the write skew", pair, n)
		}
	}
}

func TestInSnapshot_seesOneStateAndWritesNothing(t *testing.T) {
	t.Parallel()
	db, ctx := fresh(t), bounded(t)
	count := func(q sqldb.Querier) (n int64) {
		if err := q.QueryRow(ctx, `SELECT count(*) FROM note`).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	err := db.InSnapshot(ctx, func(_ context.Context, tx *sqldb.Tx) error {
		first := count(tx)
		if err := insert(ctx, db.Pool, "one more"); err != nil {
			t.Error(err)
		}
		if again, outside := count(tx), count(db.Pool); again != first || outside != first+1 {
			t.Errorf("it saw %d rows, then %d; there are %d", first, again, outside)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	err = db.InSnapshot(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return insert(ctx, tx, "never") })
	if sqldb.SQLState(err) != "25006" { // read_only_sql_transaction
		t.Errorf("it could write: %v", err)
	}
}

func TestInTx_runsTheVictimOfADeadlockAgain(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	met := meeting(2)
	var runs atomic.Int32
	group, ctx := errgroup.WithContext(bounded(t))
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		group.Go(func() error {
			first := true
			return db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				runs.Add(1)
				for i, id := range order {
					if _, err := tx.Exec(ctx, `UPDATE note SET n = n + 1 WHERE id = $1`, id); err != nil {
						return fmt.Errorf("update %s: %w", id, err)
					}
					if i == 0 && first {
						first = false
						if err := met(ctx); err != nil {
							return err
						}
					}
				}
				return nil
			})
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := number(t, db, `SELECT sum(n)::bigint FROM note`); n != 4 {
		t.Errorf("the rows were raised %d times, want 4", n)
	}
	if runs.Load() != 3 {
		t.Errorf("%d runs, want 3: one of two was the victim, once", runs.Load())
	}
}

func TestInTx_givesUpWhenAConflictStays(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	runs := 0
	err := db.InTx(bounded(t), func(ctx context.Context, tx *sqldb.Tx) error {
		runs++
		_, err := tx.Exec(ctx, serializationFailure)
		return err
	})
	if e := kind.As(err); !errors.Is(err, sqldb.ErrBusy) || e.Retry <= 0 || sqldb.SQLState(err) != "40001" {
		t.Errorf("got %v, want busy with a time to retry and its cause", err)
	}
	if runs != 12 {
		t.Errorf("%d runs, want 12", runs)
	}
}

func TestInTx_stopsRetryingWithItsContext(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	ctx, cancel := context.WithCancel(bounded(t))
	runs := 0
	err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		runs++
		_, err := tx.Exec(ctx, serializationFailure)
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) || runs != 1 {
		t.Errorf("got %v after %d runs, want canceled after one", err, runs)
	}
}

func TestInTx_thatPanicsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	db, ctx := fresh(t, sqldb.MaxConns(1)), bounded(t)
	func() {
		defer func() {
			if p := recover(); p != "our own bug" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			if err := insert(ctx, tx, "half"); err != nil {
				t.Error(err)
			}
			panic("our own bug")
		})
	}()
	// The pool's only connection must be free, and not still inside that transaction.
	if n := number(t, db, `SELECT count(*) FROM note WHERE id = 'half'`); n != 0 {
		t.Error("the row of the broken transaction is there")
	}
}

func TestInTx_waitsForAConnectionNoLongerThanItsDeadline(t *testing.T) {
	t.Parallel()
	db, ctx := fresh(t, sqldb.MaxConns(1)), bounded(t)
	err := db.InTx(ctx, func(context.Context, *sqldb.Tx) error {
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		err := db.InTx(short, func(context.Context, *sqldb.Tx) error { return errors.New("there was a second connection") })
		if e := kind.As(err); !errors.Is(err, sqldb.ErrBusy) || e.Retry <= 0 {
			t.Errorf("with the pool empty: %v, want busy with a time to retry", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

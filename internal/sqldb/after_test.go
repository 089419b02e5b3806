package sqldb_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"guichet/internal/sqldb"
)

func TestAfter_runsOnceItIsCommittedAndOnlyThen(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	said := 0
	say := func() { said++ }
	errNo := errors.New("no")
	for _, outcome := range []error{errNo, nil} {
		err := db.InTx(t.Context(), func(_ context.Context, tx *sqldb.Tx) error {
			tx.After(say)
			tx.After(say)
			if said != 0 {
				t.Error("said before the commit")
			}
			return outcome
		})
		if !errors.Is(err, outcome) {
			t.Fatal(err)
		}
		if outcome != nil && said != 0 {
			t.Error("said although nothing was committed")
		}
	}
	if said != 2 {
		t.Errorf("said %d times", said)
	}
}

// A transaction that runs again says only what the last run said.
func TestAfter_forgetsWhatAnAttemptThatFailedWantedToSay(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	said, tries := 0, 0
	err := db.InTx(t.Context(), func(_ context.Context, tx *sqldb.Tx) error {
		tx.After(func() { said++ })
		if tries++; tries < 3 {
			return &pgconn.PgError{Code: "40001"} // as a server would say it
		}
		return nil
	})
	if err != nil || tries != 3 || said != 1 {
		t.Errorf("%v: %d tries, said %d times", err, tries, said)
	}
}

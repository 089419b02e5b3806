package sqldb

import (
	"errors"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestOutcome_isUnknownWhenTheServerDidNotSayNo(t *testing.T) {
	for _, c := range []struct {
		err     error
		unknown bool
	}{
		{io.ErrUnexpectedEOF, true},
		{&pgconn.PgError{Code: "40003"}, true}, // statement_completion_unknown
		{&pgconn.PgError{Code: "57P01"}, true}, // the commit may have been on disk already
		{&pgconn.PgError{Code: "57P02"}, true},
		{&pgconn.PgError{Code: "08006"}, true},
		{&pgconn.PgError{Code: "58030"}, true},
		{&pgconn.PgError{Code: "XX000"}, true},
		{&pgconn.PgError{Code: "40001"}, false},
		{&pgconn.PgError{Code: "40P01"}, false},
		{&pgconn.PgError{Code: "23505"}, false}, // a deferred constraint
		{&pgconn.PgError{Code: "25P03"}, false},
		{&pgconn.PgError{Code: "57014"}, false},
		{pgx.ErrTxCommitRollback, false},
	} {
		got := outcome(c.err)
		if errors.Is(got, ErrOutcomeUnknown) != c.unknown {
			t.Errorf("%v: got %v, want unknown = %t", c.err, got, c.unknown)
		}
		if !errors.Is(got, c.err) {
			t.Errorf("%v hides its cause", got)
		}
	}
}

package sqldb

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"guichet/internal/kind"
)

// What a database can say that rooms above should know.
var (
	// ErrUnavailable means the database could not be asked.
	ErrUnavailable = kind.Unavailable.New("database_unavailable")
	// ErrBusy means a row stayed locked, or the pool stayed empty, for too long.
	ErrBusy = kind.Busy.New("busy")
	// ErrOutcomeUnknown means a commit was sent and its answer was lost.
	ErrOutcomeUnknown = kind.Unavailable.New("outcome_unknown")
	// ErrNoRow means there is no such row.
	ErrNoRow = pgx.ErrNoRows
)

// outcome says of a COMMIT that was sent and failed whether it may have happened.
// It did not when the server said no; an answer that was lost, or that only says
// that the session or the server is ending, says nothing. 40003 is CockroachDB's
// own word for it. The driver's SafeToRetry must not be asked here: pgx 5.12 says
// yes when the reply to a simple query is cut off (TestInTx_whoseCommitHasNoAnswerSaysSo).
func outcome(err error) error {
	code := SQLState(err)
	lost := code == "" || code == "40003" || code[:2] == "08" || code[:2] == "58" || code[:2] == "XX" ||
		code[:2] == "57" && code != "57014"
	if !lost || errors.Is(err, pgx.ErrTxCommitRollback) {
		return err
	}
	return errors.Join(ErrOutcomeUnknown.With("the connection was lost during commit; repeat the request with the same Idempotency-Key"), err)
}

// retryable: a serialization failure, or a deadlock (40P01 on PostgreSQL, 40001 on CockroachDB).
func retryable(err error) bool {
	code := SQLState(err)
	return code == "40001" || code == "40P01"
}

// SQLState is the five-character code of a server's answer, "" when there is none.
func SQLState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// Violates reports whether err is a violation of the named constraint or unique index.
func Violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint && (pg.Code == "23505" || pg.Code == "23514" || pg.Code == "23503")
}

// Classify turns driver and server errors into kinds; errors that have a kind,
// and ErrNoRow, pass unchanged.
func Classify(err error) error {
	if err == nil || kind.As(err) != nil || errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	var connect *pgconn.ConnectError
	switch code := SQLState(err); {
	case errors.As(err, &connect) && code != "53300" && !errors.Is(err, context.Canceled):
		// black hole, wrong password, no such database: nobody can be asked
		return errors.Join(ErrUnavailable.After(2*time.Second), err)
	case code == "":
		switch {
		case errors.Is(err, context.Canceled):
			return err
		case errors.Is(err, context.DeadlineExceeded):
			return errors.Join(ErrBusy.With("the database did not answer in time").After(time.Second), err)
		case pgconn.SafeToRetry(err), isConnectionLoss(err):
			return errors.Join(ErrUnavailable.After(2*time.Second), err)
		}
		return err
	case code == "40001", code == "40P01", code == "55P03", code == "57014", code == "53300":
		return errors.Join(ErrBusy.After(time.Second), err)
	case code[:2] == "08", code[:2] == "57", code == "25P03", code == "25006", code[:2] == "53":
		// shutdown, crash, idle-in-transaction, read-only, disk full
		return errors.Join(ErrUnavailable.After(2*time.Second), err)
	}
	return err
}

// isConnectionLoss recognizes a connection that broke under a statement.
func isConnectionLoss(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.As(err, &network)
}

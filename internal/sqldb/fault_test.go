package sqldb_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// wantKind checks the kind and, where a retry makes sense, that one is offered.
func wantKind(t *testing.T, err, want error) {
	t.Helper()
	e := kind.As(err)
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	if e.Kind == kind.Busy && e.Retry <= 0 {
		t.Errorf("%v does not say when to come back", err)
	}
}

// killer gives a function that ends a transaction's own session from outside and
// waits for its end.
func killer(t *testing.T, db *sqldb.DB) func(tx *sqldb.Tx) {
	t.Helper()
	return func(tx *sqldb.Tx) {
		var pid int64
		if err := tx.QueryRow(bounded(t), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, `SELECT count(*) FROM pg_terminate_backend($1::int) AS done WHERE done`, pid); n != 1 {
			t.Fatal("there was no session to end")
		}
		poll(t, "the session to end", func() bool {
			return number(t, db, `SELECT count(*) FROM pg_stat_activity WHERE pid = $1::int`, pid) == 0
		})
	}
}

func TestInTx_onAConnectionThatIsKilledIsUnavailableAndThePoolHeals(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, schema)
	db, other, ctx := open(t, dsn, sqldb.MaxConns(1)), open(t, dsn), bounded(t)
	kill := killer(t, other)
	err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if err := insert(ctx, tx, "lost"); err != nil {
			return err
		}
		kill(tx)
		return insert(ctx, tx, "never")
	})
	wantKind(t, err, sqldb.ErrUnavailable)
	if errors.Is(err, sqldb.ErrOutcomeUnknown) {
		t.Error("the outcome is known: nothing was committed")
	}
	if n := number(t, db, `SELECT count(*) FROM note WHERE id IN ('lost', 'never')`); n != 0 {
		t.Error("rows of the killed transaction are there")
	}
}

func TestInTx_killedBeforeItsCommitDoesNotGuess(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, schema)
	db, other, ctx := open(t, dsn), open(t, dsn), bounded(t)
	kill := killer(t, other)
	err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		err := insert(ctx, tx, "lost")
		kill(tx)
		return err
	})
	if kind.Of(err) != kind.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if n := number(t, other, `SELECT count(*) FROM note WHERE id = 'lost'`); n != 0 {
		t.Error("the killed transaction's row is there")
	}
}

func TestInTx_whoseCommitHasNoAnswerSaysSo(t *testing.T) {
	t.Parallel()
	var sent atomic.Bool
	isCommit := func(m []byte) bool { return query(m) == "commit" }
	for _, c := range []struct {
		name   string
		proxy  *proxy
		stored int64
	}{
		{"the answer was lost", &proxy{
			request: func(m []byte) []byte { sent.Store(sent.Load() || isCommit(m)); return m },
			reply: func(m []byte) []byte {
				switch {
				case !sent.Load():
					return m
				case m[0] == 'Z': // ready again: the commit is done
					return nil
				}
				return []byte{}
			},
		}, 1},
		{"the commit was lost", &proxy{request: func(m []byte) []byte {
			if isCommit(m) {
				return nil
			}
			return m
		}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dsn := testdb.New(t, schema)
			direct, db := open(t, dsn), open(t, c.proxy.through(t, dsn))
			runs := 0
			err := db.InTx(bounded(t), func(ctx context.Context, tx *sqldb.Tx) error {
				runs++
				return insert(ctx, tx, "once")
			})
			wantKind(t, err, sqldb.ErrOutcomeUnknown)
			if runs != 1 {
				t.Errorf("ran %d times: what may have happened must not be repeated", runs)
			}
			if strings.Contains(kind.As(err).Detail, "127.0.0.1") {
				t.Error("the detail for people names an address")
			}
			if n := number(t, direct, `SELECT count(*) FROM note WHERE id = 'once'`); n != c.stored {
				t.Errorf("%d rows, want %d: the test does not show what it says", n, c.stored)
			}
		})
	}
}

func TestInTx_whoseCommitIsNeverSentIsNoRiddle(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	ctx, cancel := context.WithCancel(bounded(t))
	err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		defer cancel()
		return insert(ctx, tx, "late")
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, sqldb.ErrOutcomeUnknown) {
		t.Errorf("got %v, want canceled and a known outcome", err)
	}
	if n := number(t, db, `SELECT count(*) FROM note WHERE id = 'late'`); n != 0 {
		t.Error("the row is there")
	}
}

func TestInTx_waitsForARowNoLongerThanLockTimeout(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, schema)
	db, hasty, ctx := open(t, dsn), open(t, with(t, dsn, "lock_timeout", "20")), bounded(t)
	err := db.InTx(ctx, func(_ context.Context, tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT id FROM note WHERE id = 'a' FOR UPDATE`); err != nil {
			return err
		}
		runs := 0
		err := hasty.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			runs++
			_, err := tx.Exec(ctx, `UPDATE note SET n = 1 WHERE id = 'a'`)
			return err
		})
		wantKind(t, err, sqldb.ErrBusy)
		if sqldb.SQLState(err) != "55P03" || runs != 1 {
			t.Errorf("got %v in %d runs, want lock_timeout's own answer once", err, runs)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// drill 2: a process that stalls in mid-transaction must not keep the row. What it
// had decided counts for nothing; it decides once more, on what is there by then.
func TestInTx_thatStallsLosesItsLocksAndDecidesAgain(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, schema)
	stalled, other, ctx := open(t, dsn), open(t, dsn), bounded(t)
	runs := 0
	err := stalled.InTx(ctx, func(own context.Context, tx *sqldb.Tx) error {
		if runs++; runs > 1 {
			_, err := tx.Exec(own, `UPDATE note SET n = n + 10 WHERE id = 'a'`)
			return err
		}
		if _, err := tx.Exec(own, `UPDATE note SET n = 100 WHERE id = 'a'`); err != nil {
			return err
		}
		// The programs' limit is a second (TestOpen_givesEverySessionItsLimits); from
		// here it stalls until somebody else has had the row.
		if _, err := tx.Exec(own, `SET LOCAL idle_in_transaction_session_timeout = 20`); err != nil {
			return err
		}
		if err := other.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE note SET n = n + 1 WHERE id = 'a'`)
			return err
		}); err != nil {
			t.Errorf("the row did not come free: %v", err)
		}
		_, err := tx.Exec(own, `UPDATE note SET n = 200 WHERE id = 'a'`)
		return err
	})
	if err != nil || runs != 2 {
		t.Fatalf("%d runs, %v", runs, err)
	}
	if n := number(t, other, `SELECT n FROM note WHERE id = 'a'`); n != 11 {
		t.Errorf("n = %d, want 11: the stalled work counts for nothing", n)
	}
}

func TestOpen_givesEverySessionItsLimits(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, nil)
	for setting, want := range map[string]string{
		"lock_timeout": "2s", "idle_in_transaction_session_timeout": "1s", "statement_timeout": "15s",
		"timezone": "UTC", "application_name": "guichet-test", "default_transaction_isolation": "read committed",
	} {
		var got string
		if err := openAsPrograms(t, dsn).Pool.QueryRow(bounded(t), `SELECT current_setting($1)`, setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q (%v), want %q", setting, got, err, want)
		}
	}
	if _, err := sqldb.Open(t.Context(), "postgres://%%", "guichet-test"); err == nil {
		t.Error("a damaged URL was taken")
	}
}

func TestInTx_withoutADatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, nil)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, dsn := range map[string]string{
		"nobody listens":   at(t, dsn, closed.Addr().String()),
		"black hole":       at(t, dsn, silent.Addr().String()),
		"no such database": dsn + "_gone",
	} {
		if name == "no such database" {
			u, query, _ := strings.Cut(dsn, "?")
			dsn = strings.TrimSuffix(u, "_gone") + "_gone?" + strings.TrimSuffix(query, "_gone")
		}
		db := open(t, dsn, func(_ *sqldb.DB, c *pgxpool.Config) { c.ConnConfig.ConnectTimeout = 200 * time.Millisecond })
		err := db.InTx(bounded(t), func(context.Context, *sqldb.Tx) error { return errors.New("there was a database") })
		if !errors.Is(err, sqldb.ErrUnavailable) || kind.As(err).Retry <= 0 {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
		if err := db.Ping(bounded(t)); !errors.Is(err, sqldb.ErrUnavailable) {
			t.Errorf("%s: ping says %v, want unavailable", name, err)
		}
	}
}

func TestViolates_namesTheConstraint(t *testing.T) {
	t.Parallel()
	db, ctx := fresh(t), bounded(t)
	for constraint, sql := range map[string]string{
		"note_pkey": `INSERT INTO note (id) VALUES ('a')`,
		"note_n":    `UPDATE note SET n = -1 WHERE id = 'a'`,
		"page_note": `INSERT INTO page (id, note) VALUES ('p', 'nowhere')`,
	} {
		_, err := db.Pool.Exec(ctx, sql)
		if !sqldb.Violates(err, constraint) || sqldb.Violates(err, "another") {
			t.Errorf("%s is not recognized in %v", constraint, err)
		}
	}
	if _, err := db.Pool.Exec(ctx, `SELECT nothing`); sqldb.Violates(err, "") || sqldb.Violates(nil, "") {
		t.Errorf("%v violates no constraint", err)
	}
}

func TestClassify_turnsAnswersIntoKinds(t *testing.T) {
	t.Parallel()
	own := kind.Conflict.New("own")
	for _, c := range []struct {
		err  error
		want kind.Kind
	}{
		{&pgconn.PgError{Code: "40001"}, kind.Busy},
		{&pgconn.PgError{Code: "40P01"}, kind.Busy},
		{&pgconn.PgError{Code: "55P03"}, kind.Busy},
		{&pgconn.PgError{Code: "57014"}, kind.Busy},
		{&pgconn.PgError{Code: "53300"}, kind.Busy},
		{&pgconn.PgError{Code: "57P01"}, kind.Unavailable},
		{&pgconn.PgError{Code: "57P03"}, kind.Unavailable},
		{&pgconn.PgError{Code: "25P03"}, kind.Unavailable},
		{&pgconn.PgError{Code: "25006"}, kind.Unavailable},
		{&pgconn.PgError{Code: "53100"}, kind.Unavailable},
		{&pgconn.PgError{Code: "08006"}, kind.Unavailable},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, kind.Unavailable},
		{context.DeadlineExceeded, kind.Busy},
		{own, kind.Conflict},
		{context.Canceled, kind.Internal},
		{&pgconn.PgError{Code: "42P01"}, kind.Internal},
		{errors.New("anything"), kind.Internal},
	} {
		if got := kind.Of(sqldb.Classify(c.err)); got != c.want {
			t.Errorf("%v is of kind %d, want %d", c.err, got, c.want)
		}
		if got := sqldb.Classify(c.err); !errors.Is(got, c.err) {
			t.Errorf("%v hides its cause %v", got, c.err)
		}
	}
	if sqldb.Classify(nil) != nil || sqldb.Classify(pgx.ErrNoRows) != sqldb.ErrNoRow { //nolint:errorlint // unchanged
		t.Error("nil and ErrNoRow do not pass unchanged")
	}
}

// parameter is the message by which a server names one of its parameters.
func parameter(t *testing.T, name, value string) []byte {
	t.Helper()
	m, err := (&pgproto3.ParameterStatus{Name: name, Value: value}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// asCockroach lets a PostgreSQL say that it is a CockroachDB.
func asCockroach(t *testing.T) func(m []byte) []byte {
	t.Helper()
	version := parameter(t, "crdb_version", "CockroachDB CCL v25.2.0")
	return func(m []byte) []byte {
		if m[0] == 'K' { // BackendKeyData comes once, before the first ReadyForQuery
			return bytes.Join([][]byte{version, m}, nil)
		}
		return m
	}
}

// cockroach-go's loop would put a savepoint around it, which costs two round trips, and
// would tell of a commit that was never sent that nobody knows.
func TestInTx_takesTheSameWayOnBothEngines(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]func([]byte) []byte{"postgres": nil, "cockroach": asCockroach(t)} {
		p := &proxy{reply: reply}
		db := open(t, p.through(t, testdb.New(t, schema)))
		runs := 0
		if err := db.InTx(bounded(t), func(ctx context.Context, tx *sqldb.Tx) error {
			if runs++; runs < 3 {
				return &pgconn.PgError{Code: "40001"} // as a server would say it
			}
			return insert(ctx, tx, name)
		}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		commits := p.saw("commit") - p.saw("begin isolation level read committed")
		if p.saw("SAVEPOINT") != 0 || p.saw("rollback") != 2 || commits != 1 {
			t.Errorf("%s: %d savepoints, %d rollbacks, %d commits", name, p.saw("SAVEPOINT"), p.saw("rollback"), commits)
		}
		if n := number(t, db, `SELECT count(*) FROM note WHERE id = $1`, name); n != 1 {
			t.Errorf("%s: the row is not there", name)
		}
	}
}

func TestInTx_onCockroachDoesNotGuessEither(t *testing.T) {
	t.Parallel()
	p := &proxy{reply: asCockroach(t), request: func(m []byte) []byte {
		if query(m) == "commit" {
			return nil
		}
		return m
	}}
	db := open(t, p.through(t, testdb.New(t, schema)))
	err := db.InTx(bounded(t), func(ctx context.Context, tx *sqldb.Tx) error { return insert(ctx, tx, "once") })
	wantKind(t, err, sqldb.ErrOutcomeUnknown)

	ctx, cancel := context.WithCancel(bounded(t))
	err = db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		defer cancel()
		return insert(ctx, tx, "late")
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, sqldb.ErrOutcomeUnknown) {
		t.Errorf("got %v, want canceled and a known outcome", err)
	}
}

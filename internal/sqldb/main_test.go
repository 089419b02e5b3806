package sqldb_test

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// patience bounds everything that waits here; nothing asserts how long it took.
const patience = 30 * time.Second

// schema is what the tests of this package write to.
func schema(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `
		CREATE TABLE note (id text PRIMARY KEY, n bigint NOT NULL DEFAULT 0, CONSTRAINT note_n CHECK (n >= 0));
		CREATE TABLE page (id text PRIMARY KEY, note text NOT NULL, CONSTRAINT page_note FOREIGN KEY (note) REFERENCES note (id));
		CREATE TABLE doctor (pair bigint, name text, on_call bool NOT NULL, PRIMARY KEY (pair, name));
		INSERT INTO note (id) VALUES ('a'), ('b');`)
	return err
}

// with adds parameters to a database URL.
func with(t *testing.T, dsn string, pairs ...string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// at points a database URL to another address.
func at(t *testing.T, dsn, address string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = address
	return u.String()
}

// open is patient where the programs are not: on a busy machine a test may stall
// where it does not mean to. What a URL says stays.
func open(t *testing.T, dsn string, opts ...sqldb.Option) *sqldb.DB {
	t.Helper()
	for _, limit := range []string{"lock_timeout", "idle_in_transaction_session_timeout"} {
		if !strings.Contains(dsn, limit) {
			dsn = with(t, dsn, limit, "0")
		}
	}
	return openAsPrograms(t, dsn, opts...)
}

func openAsPrograms(t *testing.T, dsn string, opts ...sqldb.Option) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn, "guichet-test", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func fresh(t *testing.T, opts ...sqldb.Option) *sqldb.DB {
	t.Helper()
	return open(t, testdb.New(t, schema), opts...)
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// number asks for one bigint outside any transaction.
func number(t *testing.T, db *sqldb.DB, sql string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := db.Pool.QueryRow(bounded(t), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// poll asks until the answer is yes.
func poll(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !yes(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// meeting lets n goroutines go on once all have come.
func meeting(n int32) func(context.Context) error {
	var came atomic.Int32
	all := make(chan struct{})
	return func(ctx context.Context) error {
		if came.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func insert(ctx context.Context, q sqldb.Querier, id string) error {
	_, err := q.Exec(ctx, `INSERT INTO note (id) VALUES ($1)`, id)
	return err
}

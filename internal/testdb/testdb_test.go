package testdb_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"guichet/internal/testdb"
)

var migrations atomic.Int32

func migrate(ctx context.Context, dsn string) error {
	migrations.Add(1)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE TABLE hold (id text PRIMARY KEY)")
	return err
}

// named returns a closure: same code, another value.
func named(table string) testdb.Migrate {
	return func(ctx context.Context, dsn string) error {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "CREATE TABLE "+pgx.Identifier{table}.Sanitize()+" (id text)")
		return err
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestNew_givesEveryTestADatabaseOfItsOwnAndMigratesOnce(t *testing.T) {
	for _, name := range []string{"one", "two", "three"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, testdb.New(t, migrate))
			if _, err := conn.Exec(t.Context(), "INSERT INTO hold VALUES ('same')"); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		if n := migrations.Load(); n != 1 {
			t.Errorf("migrated %d times, want once", n)
		}
	})
}

func TestNew_tellsClosuresOverDifferentValuesApart(t *testing.T) {
	for _, table := range []string{"left", "right"} {
		conn := connect(t, testdb.New(t, named(table)))
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != table {
			t.Errorf("got the template with %q, want %q", got, table)
		}
	}
}

func TestNew_dropsTheDatabaseThoughSomebodyIsConnected(t *testing.T) {
	var dsn string
	var conn *pgx.Conn
	t.Run("inner", func(t *testing.T) {
		dsn = testdb.New(t, nil)
		var err error
		if conn, err = pgx.Connect(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
	})
	defer conn.Close(context.Background())
	if again, err := pgx.Connect(t.Context(), dsn); err == nil {
		again.Close(t.Context())
		t.Error("the database is still there")
	}
}

func TestDurable_writesBeforeItAcknowledges(t *testing.T) {
	for dsn, want := range map[string]string{testdb.New(t, nil, testdb.Durable): "on"} {
		var got string
		if err := connect(t, dsn).QueryRow(t.Context(), "SHOW fsync").Scan(&got); err != nil || got != want {
			t.Errorf("fsync = %q (%v), want %q", got, err, want)
		}
	}
}

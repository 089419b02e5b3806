package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	createMigration = `CREATE TABLE IF NOT EXISTS public.guichet_migration (
		file text NOT NULL, statement bigint NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (file, statement))`
	insertLockRow   = `INSERT INTO public.guichet_migration (file, statement) VALUES ('lock', 0) ON CONFLICT (file, statement) DO NOTHING`
	takeLock        = `SELECT file FROM public.guichet_migration WHERE file = 'lock' AND statement = 0 FOR UPDATE`
	allowIdle       = `SET LOCAL idle_in_transaction_session_timeout = 0`
	selectApplied   = `SELECT file, statement FROM public.guichet_migration`
	insertStatement = `INSERT INTO public.guichet_migration (file, statement) VALUES ($1, $2)`
	// insertStatements remembers many at once.
	insertStatements = `INSERT INTO public.guichet_migration (file, statement) SELECT u.file, u.statement FROM unnest($1::text[], $2::bigint[]) AS u (file, statement)`
	migrationLimit   = 2 * time.Minute
)

// Migrate applies the *.sql files of dir in name order, statement by statement,
// because a change of the schema of an old table inside a transaction is not atomic
// on CockroachDB. What was
// applied is remembered by file and number, so an interrupted run goes on where it
// stopped; several processes may start at once, a row lock lets one of them work, or on
// CockroachDB a lease. Files are forward only: of one that was applied, statements keep their
// order, number and meaning. On PostgreSQL a statement
// and its memory are one transaction; on CockroachDB a process that dies between
// the two repeats the statement, so write IF NOT EXISTS. An empty CockroachDB gets all files in one
// transaction.
func (db *DB) Migrate(ctx context.Context, dir fs.FS) error {
	ctx, cancel := context.WithTimeout(ctx, migrationLimit)
	defer cancel()
	return db.locked(ctx, func(ctx context.Context, conn *pgx.Conn) error { return applyMissing(ctx, conn, dir) })
}

// locked lets one process after the other work on the schema. It takes two
// connections beside the pool, which may be small: one holds the lock row, or renews the lease.
func (db *DB) locked(ctx context.Context, work func(ctx context.Context, conn *pgx.Conn) error) error {
	worker, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer closeSoon(ctx, worker)
	if onCockroach(worker) {
		return newLease(db.connect, leaseFor).during(ctx, func(ctx context.Context) error {
			if _, err := worker.Exec(ctx, createMigration); err != nil {
				return fmt.Errorf("create migration table: %w", Classify(err))
			}
			return work(ctx, worker)
		})
	}
	if err := createMigrationTable(ctx, worker); err != nil {
		return fmt.Errorf("create migration table: %w", Classify(err))
	}
	holder, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer closeSoon(ctx, holder)
	if err := lockMigrations(ctx, holder); err != nil {
		return fmt.Errorf("wait for the other migration: %w", Classify(err))
	}
	return work(ctx, worker)
}

// connect opens a session in which a statement may take as long as Migrate: an
// index on a large table outlives the limit of the pool's sessions.
func (db *DB) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg := db.Pool.Config().ConnConfig
	cfg.RuntimeParams["statement_timeout"] = "0"
	db.hosts.arrange(cfg)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to migrate: %w", Classify(err))
	}
	return conn, nil
}

// closeSoon says good-bye though ctx may be over; it also ends the lock.
func closeSoon(ctx context.Context, conn *pgx.Conn) {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(end)
}

// lockMigrations leaves conn in a transaction that holds the lock row. It asks
// again whenever the session's lock_timeout cuts its wait short.
func lockMigrations(ctx context.Context, conn *pgx.Conn) error {
	for {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, allowIdle); err == nil {
			_, err = tx.Exec(ctx, takeLock)
		}
		if err == nil {
			return nil
		}
		if err := tx.Rollback(ctx); err != nil {
			return err
		}
		if SQLState(err) != "55P03" {
			return err
		}
	}
}

func createMigrationTable(ctx context.Context, conn *pgx.Conn) error {
	for {
		_, err := conn.Exec(ctx, createMigration)
		if err == nil {
			_, err = conn.Exec(ctx, insertLockRow)
		}
		// Two at once: PostgreSQL tells the loser of IF NOT EXISTS about its catalog,
		// or makes it wait there for longer than lock_timeout.
		if code := SQLState(err); code != "23505" && code != "42P07" && code != "42710" && code != "55P03" {
			return err
		}
	}
}

// step is one statement of a file, counted from zero.
type step struct {
	file      string
	statement int64
}

func applyMissing(ctx context.Context, conn *pgx.Conn, dir fs.FS) error {
	rows, err := conn.Query(ctx, selectApplied)
	if err != nil {
		return Classify(err)
	}
	applied, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (step, error) {
		var s step
		err := row.Scan(&s.file, &s.statement)
		return s, err
	})
	if err != nil {
		return Classify(err)
	}
	files, err := fs.Glob(dir, "*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	if len(files) == 0 {
		return errors.New("there are no migrations")
	}
	slices.Sort(files)
	var missing []change
	for _, file := range files {
		text, err := fs.ReadFile(dir, file)
		if err != nil {
			return fmt.Errorf("read migration: %w", err)
		}
		for i, statement := range SplitStatements(string(text)) {
			s := step{file, int64(i)}
			if slices.Contains(applied, s) {
				continue
			}
			missing = append(missing, change{s, statement})
		}
	}
	empty := !slices.ContainsFunc(applied, func(s step) bool { return s.file != "lock" })
	if onCockroach(conn) && empty {
		return changeAtOnce(ctx, conn, func(q Querier) error { return applyAll(ctx, q, missing) })
	}
	for _, c := range missing {
		if err := apply(ctx, conn, c); err != nil {
			return c.failed(err)
		}
	}
	return nil
}

// change is a statement that was not applied yet.
type change struct {
	step
	sql string
}

func (c change) failed(err error) error {
	return fmt.Errorf("migration %s statement %d: %w", c.file, c.statement+1, Classify(err))
}

// applyAll runs the statements and remembers them together.
func applyAll(ctx context.Context, q Querier, missing []change) error {
	files, numbers := make([]string, len(missing)), make([]int64, len(missing))
	for i, c := range missing {
		if _, err := q.Exec(ctx, c.sql); retryable(err) {
			return err // it runs again
		} else if err != nil {
			return c.failed(err)
		}
		files[i], numbers[i] = c.file, c.statement
	}
	_, err := q.Exec(ctx, insertStatements, files, numbers)
	return err
}

// apply runs a statement and remembers it.
func apply(ctx context.Context, conn *pgx.Conn, c change) error {
	both := func(q Querier) error {
		if _, err := q.Exec(ctx, c.sql); err != nil {
			return err
		}
		_, err := q.Exec(ctx, insertStatement, c.file, c.statement)
		return err
	}
	if onCockroach(conn) {
		return both(conn)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return both(tx) })
}

// SplitStatements splits a migration file: a statement ends with a semicolon at
// the end of a line, and lines that start with "--" are comments.
func SplitStatements(text string) []string {
	var out []string
	add := func(statement string) {
		if s := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(statement), ";")); s != "" {
			out = append(out, s)
		}
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(trimmed, ";") {
			add(b.String())
			b.Reset()
		}
	}
	add(b.String())
	return out
}

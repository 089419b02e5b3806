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
	migrationLimit  = 2 * time.Minute
)

// Migrate applies the *.sql files of dir in name order, statement by statement,
// because DDL inside a transaction is not atomic on CockroachDB. What was
// applied is remembered, so an interrupted run goes on where it stopped; several
// processes may start at once, a row lock lets one of them work. Files are
// forward only, a file that was applied never changes. On PostgreSQL a statement
// and its memory are one transaction; on CockroachDB a process that dies between
// the two repeats the statement, so write IF NOT EXISTS.
func (db *DB) Migrate(ctx context.Context, dir fs.FS) error {
	ctx, cancel := context.WithTimeout(ctx, migrationLimit)
	defer cancel()
	return db.locked(ctx, func(conn *pgx.Conn) error { return applyMissing(ctx, conn, dir) })
}

// locked lets one process after the other work on the schema. It takes two
// connections beside the pool, which may be small: one holds the lock row.
func (db *DB) locked(ctx context.Context, work func(conn *pgx.Conn) error) error {
	holder, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer closeSoon(ctx, holder)
	worker, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer closeSoon(ctx, worker)
	if err := createMigrationTable(ctx, worker); err != nil {
		return fmt.Errorf("create migration table: %w", Classify(err))
	}
	if err := lockMigrations(ctx, holder); err != nil {
		return fmt.Errorf("wait for the other migration: %w", Classify(err))
	}
	return work(worker)
}

// connect opens a session in which a statement may take as long as Migrate: an
// index on a large table outlives the limit of the pool's sessions.
func (db *DB) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg := db.Pool.Config().ConnConfig
	cfg.RuntimeParams["statement_timeout"] = "0"
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
			if err := apply(ctx, conn, s, statement); err != nil {
				return fmt.Errorf("migration %s statement %d: %w", file, i+1, Classify(err))
			}
		}
	}
	return nil
}

// apply runs a statement and remembers it.
func apply(ctx context.Context, conn *pgx.Conn, s step, statement string) error {
	both := func(q Querier) error {
		if _, err := q.Exec(ctx, statement); err != nil {
			return err
		}
		_, err := q.Exec(ctx, insertStatement, s.file, s.statement)
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

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
// forward only, a file that was applied never changes.
func (db *DB) Migrate(ctx context.Context, dir fs.FS) error {
	ctx, cancel := context.WithTimeout(ctx, migrationLimit)
	defer cancel()
	if err := db.createMigrationTable(ctx); err != nil {
		return fmt.Errorf("create migration table: %w", Classify(err))
	}
	lock, err := db.lockMigrations(ctx)
	if err != nil {
		return fmt.Errorf("wait for the other migration: %w", Classify(err))
	}
	defer func() { _ = lock.Rollback(context.WithoutCancel(ctx)) }()
	return db.applyMissing(ctx, dir)
}

// lockMigrations answers a transaction that holds the lock row until it ends. It
// asks again whenever the session's lock_timeout cuts its wait short.
func (db *DB) lockMigrations(ctx context.Context) (pgx.Tx, error) {
	for {
		tx, err := db.Pool.Begin(ctx)
		if err != nil {
			return nil, err
		}
		if _, err = tx.Exec(ctx, allowIdle); err == nil {
			_, err = tx.Exec(ctx, takeLock)
		}
		if err == nil {
			return tx, nil
		}
		_ = tx.Rollback(context.WithoutCancel(ctx))
		if SQLState(err) != "55P03" {
			return nil, err
		}
	}
}

func (db *DB) createMigrationTable(ctx context.Context) error {
	for {
		_, err := db.Pool.Exec(ctx, createMigration)
		if err == nil {
			_, err = db.Pool.Exec(ctx, insertLockRow)
			return err
		}
		// Two at once: PostgreSQL tells the loser of IF NOT EXISTS about its catalog.
		if code := SQLState(err); code != "23505" && code != "42P07" && code != "42710" {
			return err
		}
	}
}

func (db *DB) applyMissing(ctx context.Context, dir fs.FS) error {
	type at struct {
		file      string
		statement int64
	}
	rows, err := db.Pool.Query(ctx, selectApplied)
	if err != nil {
		return Classify(err)
	}
	applied, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (at, error) {
		var a at
		err := row.Scan(&a.file, &a.statement)
		return a, err
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
			if slices.Contains(applied, at{file, int64(i)}) {
				continue
			}
			if _, err := db.Pool.Exec(ctx, statement); err != nil {
				return fmt.Errorf("migration %s statement %d: %w", file, i+1, Classify(err))
			}
			if _, err := db.Pool.Exec(ctx, insertStatement, file, int64(i)); err != nil {
				return fmt.Errorf("remember migration %s: %w", file, Classify(err))
			}
		}
	}
	return nil
}

// SplitStatements splits a migration file: a statement ends with a semicolon at
// the end of a line, and lines that start with "--" are comments.
func SplitStatements(text string) []string {
	var out []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(trimmed, ";") {
			out = append(out, strings.TrimSuffix(strings.TrimSpace(b.String()), ";"))
			b.Reset()
		}
	}
	if rest := strings.TrimSpace(b.String()); rest != "" {
		out = append(out, rest)
	}
	return out
}

// Package sqldb is how the programs reach a SQL database: a bounded pool,
// transactions that are retried correctly on both engines, errors as kinds and
// forward-only migrations. It knows no tables. Only stores use it.
package sqldb

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Limits of every session. A process that stalls in mid-transaction loses its
// locks after idleInTx (drill 2); nobody waits for a lock longer than lockWait.
const (
	idleInTx         = "1000"  // ms
	lockWait         = "2000"  // ms
	statementTimeout = "15000" // ms
	connectTimeout   = 5 * time.Second
	// DefaultMaxConns bounds a pool when the configuration says nothing.
	DefaultMaxConns = 16
)

// Querier is what reading code needs: the pool, or the transaction in ctx.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// DB is one database of one engine, PostgreSQL or CockroachDB.
type DB struct {
	Pool *pgxpool.Pool
	role atomic.Pointer[string] // whom new sessions work as; see Confine
}

// Option changes a DB, or its pool's configuration, before it is opened.
type Option func(*DB, *pgxpool.Config)

// MaxConns bounds the pool.
func MaxConns(n int) Option {
	return func(_ *DB, c *pgxpool.Config) {
		if n > 0 && n <= 1000 {
			c.MaxConns = int32(n)
		}
	}
}

// Open prepares a pool; it does not wait for the database to be there.
func Open(ctx context.Context, dsn, application string, opts ...Option) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	cfg.MaxConns = DefaultMaxConns
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	for k, v := range map[string]string{
		"application_name": application, "timezone": "UTC", "lock_timeout": lockWait,
		"idle_in_transaction_session_timeout": idleInTx, "statement_timeout": statementTimeout,
	} {
		if _, set := cfg.ConnConfig.RuntimeParams[k]; !set {
			cfg.ConnConfig.RuntimeParams[k] = v
		}
	}
	db := &DB{}
	cfg.AfterConnect = db.assumeRole
	for _, o := range opts {
		o(db, cfg)
	}
	if db.Pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return db, nil
}

// Close waits for running transactions and closes the pool.
func (db *DB) Close() { db.Pool.Close() }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return Classify(db.Pool.Ping(ctx)) }

// On is the transaction in ctx when there is one, else the pool.
func (db *DB) On(ctx context.Context) Querier {
	if tx := txOf(ctx); tx != nil {
		return tx
	}
	return db.Pool
}

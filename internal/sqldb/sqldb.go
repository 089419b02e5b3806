// Package sqldb is how the programs reach a SQL database: a bounded pool,
// transactions that are retried correctly on both engines, errors as kinds and
// forward-only migrations. It knows no tables. Only stores use it.
package sqldb

import (
	"context"
	"fmt"
	"slices"
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
	// DefaultMaxConns bounds the sessions when the configuration says nothing.
	DefaultMaxConns = 24
)

// Querier is what reading code needs: the pool, or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// DB is one database of one engine, PostgreSQL or CockroachDB.
type DB struct {
	Pool *pgxpool.Pool
	// pipes are the sessions of InPipe and Together, gathered those of Ask and Store: apart,
	// and mostly the same few, so that what they ask again and again is planned once and is
	// at hand, and nobody who is served by many waits for a session behind many. The two
	// are apart since who decides may wait for a lock, and who reads does not.
	pipes, gathered *pgxpool.Pool
	// asked and stored let many share a message outside of transactions.
	asked, stored *gathering
	role          atomic.Pointer[string] // whom new sessions work as; see Confine
	hosts         *hosts                 // nil when the URL names one
}

// Option changes a DB, or its pool's configuration, before it is opened.
type Option func(*DB, *pgxpool.Config)

// MaxConns bounds the sessions, of all pools together.
func MaxConns(n int) Option {
	return func(_ *DB, c *pgxpool.Config) {
		if n > 0 && n <= 1000 {
			c.MaxConns = int32(n)
		}
	}
}

// Open prepares a pool; it does not wait for the database to be there. Several hosts in
// the URL are nodes of one database: they share the sessions, and one that does not answer
// is left within 2 s.
func Open(ctx context.Context, dsn, application string, opts ...Option) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	cfg.MaxConns = DefaultMaxConns
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	cfg.ConnConfig.Tracer = tracer{}
	for k, v := range map[string]string{
		"application_name": application, "timezone": "UTC", "lock_timeout": lockWait,
		"idle_in_transaction_session_timeout": idleInTx, "statement_timeout": statementTimeout,
		// What is asked outside a transaction is SERIALIZABLE on CockroachDB, and waits for rows
		// that another only has locked.
		"default_transaction_isolation": "read committed",
	} {
		if _, set := cfg.ConnConfig.RuntimeParams[k]; !set {
			cfg.ConnConfig.RuntimeParams[k] = v
		}
	}
	db := &DB{hosts: spread(cfg)}
	cfg.AfterConnect = db.assumeRole
	for _, o := range opts {
		o(db, cfg)
	}
	pipes, gathered := shares(cfg.MaxConns)
	byKey := cfg.Copy()
	byKey.AfterConnect = db.plansByKey
	for _, p := range []struct {
		pool  **pgxpool.Pool
		cfg   *pgxpool.Config
		conns int32
	}{{&db.Pool, cfg, max(cfg.MaxConns-pipes-gathered, 1)}, {&db.pipes, byKey, pipes}, {&db.gathered, byKey, gathered}} {
		own := p.cfg.Copy()
		own.MaxConns = p.conns
		if *p.pool, err = pgxpool.NewWithConfig(ctx, own); err != nil {
			db.Close()
			return nil, fmt.Errorf("open database: %w", err)
		}
	}
	db.hosts.watch(ctx, cfg.ConnConfig)
	db.asked, db.stored = &gathering{pool: db.gathered}, &gathering{pool: db.gathered}
	return db, nil
}

// shares are what pipes and gathering get of so many sessions: a third, as each clerk of a
// desk that waits for another process's lock keeps one, and what the messages on their
// way need.
func shares(all int32) (pipes, gathered int32) {
	return max(all/3, 1), min(max(all/6, 1), 2*gatherers)
}

// pools are those that are open.
func (db *DB) pools() []*pgxpool.Pool {
	return slices.DeleteFunc([]*pgxpool.Pool{db.gathered, db.pipes, db.Pool}, func(p *pgxpool.Pool) bool { return p == nil })
}

const (
	planOnce  = `SET plan_cache_mode = 'force_generic_plan'`
	planByKey = `SET enable_seqscan = off`
	// A plan that had to read a whole table all the same would look so costly that
	// it were compiled each time.
	neverCompile = `SET jit = off`
)

// plansByKey is asked for each new session of a pipe. All that is asked there is asked by
// key: PostgreSQL's plan of a statement must not be one that was made while its table was small and
// reads all of it when it has grown, and none is made twice. CockroachDB plans by itself.
func (db *DB) plansByKey(ctx context.Context, conn *pgx.Conn) error {
	if !onCockroach(conn) {
		b := &pgx.Batch{}
		for _, sql := range []string{planOnce, planByKey, neverCompile} {
			b.Queue(sql)
		}
		if err := conn.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
	}
	return db.assumeRole(ctx, conn)
}

// Close waits for running transactions and closes the pools.
func (db *DB) Close() {
	for _, p := range db.pools() {
		p.Close()
	}
	db.hosts.end()
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return Classify(db.Pool.Ping(ctx)) }

package sqldb

import (
	"context"
)

// Engine is which database answers.
type Engine string

// The engines.
const (
	PostgreSQL  Engine = "PostgreSQL"
	CockroachDB Engine = "CockroachDB"
)

// Alone runs work as the owner, in a session of its own without a limit for a statement, while no other process migrates
// or is alone. It is for changes of the whole database, which must be right when they are made again.
func (db *DB) Alone(ctx context.Context, work func(ctx context.Context, engine Engine, q Querier) error) error {
	ctx, cancel := context.WithTimeout(ctx, migrationLimit)
	defer cancel()
	return Classify(db.OwnSession(ctx, func(ctx context.Context, engine Engine, q Querier) error {
		if engine == PostgreSQL {
			return work(ctx, engine, q) // nothing is changed there
		}
		return newLease(db.connect, leaseFor).during(ctx, func(ctx context.Context) error { return work(ctx, engine, q) })
	}))
}

// OwnSession runs work as the owner, in a session that is closed afterwards, whatever was set in it.
func (db *DB) OwnSession(ctx context.Context, work func(ctx context.Context, engine Engine, q Querier) error) error {
	conn, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer closeSoon(ctx, conn)
	engine := PostgreSQL
	if onCockroach(conn) {
		engine = CockroachDB
	}
	return Classify(work(ctx, engine, conn))
}

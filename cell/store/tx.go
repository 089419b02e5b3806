package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// InTx runs fn in one transaction, which it begins and ends: store calls are a part of it
// when they are given its tx. fn may run again.
func (s *Store) InTx(ctx context.Context, fn func(ctx context.Context, tx txn.Tx) error) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return fn(ctx, tx) })
}

// InSnapshot runs fn's reads on one state of the database, when they are given its tx; fn
// may run again.
func (s *Store) InSnapshot(ctx context.Context, fn func(ctx context.Context, tx txn.Tx) error) error {
	return s.DB.InSnapshot(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return fn(ctx, tx) })
}

// ours is the transaction that the domain has passed on, nil for txn.None. Anything else is
// our own bug, and no reason to work outside of a transaction that somebody counts on.
func ours(tx txn.Tx) *sqldb.Tx {
	if tx == txn.None {
		return nil
	}
	own, ok := tx.(*sqldb.Tx)
	if !ok || own == nil {
		panic(fmt.Sprintf("store: %T is no transaction of a store", tx))
	}
	return own
}

// on is where single statements go: to the transaction, or to the pool for txn.None.
func (s *Store) on(tx txn.Tx) sqldb.Querier {
	if own := ours(tx); own != nil {
		return own
	}
	return s.DB.Pool
}

// within runs fn in the transaction, or in one of its own for txn.None: for what takes
// several statements and is a whole by itself.
func (s *Store) within(ctx context.Context, tx txn.Tx, fn func(ctx context.Context, tx *sqldb.Tx) error) error {
	if own := ours(tx); own != nil {
		return fn(ctx, own)
	}
	return s.DB.InTx(ctx, fn)
}

// ask is sqldb's Ask: reads in one message.
func (s *Store) ask(ctx context.Context, tx txn.Tx, b *pgx.Batch) error {
	if own := ours(tx); own != nil {
		return own.Ask(ctx, b)
	}
	return s.DB.Ask(ctx, b)
}

// keep is sqldb's Store: writes about rows, each right by itself.
func (s *Store) keep(ctx context.Context, tx txn.Tx, b *pgx.Batch) error {
	if own := ours(tx); own != nil {
		return own.Ask(ctx, b)
	}
	return s.DB.Store(ctx, b)
}

// putAll is sqldb's Put: writes whose answers nobody waits for.
func (s *Store) putAll(ctx context.Context, tx txn.Tx, b *pgx.Batch) error {
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error { return tx.Put(ctx, b) })
}

// put is putAll for one statement.
func (s *Store) put(ctx context.Context, tx txn.Tx, sql string, args ...any) error {
	if own := ours(tx); own == nil || !own.Shared() {
		_, err := s.on(tx).Exec(ctx, sql, args...)
		return sqldb.Classify(err)
	}
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	return s.putAll(ctx, tx, b)
}

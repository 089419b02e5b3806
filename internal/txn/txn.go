// Package txn is how the domain passes a database transaction on without knowing the
// database: as a parameter, never in a context (docs/adr/016). A function that takes a
// Tx works in it; None says that it works outside of any.
package txn

import "context"

// Tx is a transaction that somebody else began and ends. Only a store looks into it.
type Tx interface {
	// After lets do run when the transaction has been committed, and never when it was
	// not or its outcome is unknown. It is for hints to this process: what must happen is
	// written in the transaction.
	After(do func())
}

// None stands for no transaction: each statement is one by itself.
var None Tx = none{}

type none struct{}

// After runs do at once: there is nothing to wait for.
func (none) After(do func()) { do() }

// Beginner begins transactions.
type Beginner interface {
	// InTx runs do in a transaction of its own. do may run again, so nothing in it may be
	// seen from outside.
	InTx(ctx context.Context, do func(ctx context.Context, tx Tx) error) error
}

// In runs do in tx, or in one that it begins at db when tx is None: for work that must be
// one transaction, and is a part of its caller's when that has one. Its errors are do's, or
// those of the commit.
func In(ctx context.Context, db Beginner, tx Tx, do func(ctx context.Context, tx Tx) error) error {
	if tx != None {
		return do(ctx, tx)
	}
	return db.InTx(ctx, do)
}

package saga_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"guichet/cell/saga"
	"guichet/internal/txn"
)

// keeping counts how often a definition's text is sent.
type keeping struct {
	saga.Store
	sent atomic.Int64
}

func (k *keeping) InsertDefinition(ctx context.Context, tx txn.Tx, name, version string, text []byte) error {
	k.sent.Add(1)
	return k.Store.InsertDefinition(ctx, tx, name, version, text)
}

func TestRunner_sendsADefinitionUntilItIsCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := &keeping{Store: w.store()}
	r := w.runner(t, "one", k)
	undone := errors.New("undone")
	err := k.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		return errors.Join(w.start(ctx, tx, r, "never"), undone)
	})
	if !errors.Is(err, undone) || k.sent.Load() != 1 {
		t.Fatalf("%v after %d", err, k.sent.Load())
	}
	for _, run := range []string{"a", "b", "c"} {
		if err := w.start(t.Context(), txn.None, r, run); err != nil {
			t.Fatal(err)
		}
	}
	if n := k.sent.Load(); n != 2 {
		t.Errorf("sent %d times, want once more after what was undone", n)
	}
	var kept int
	if err := w.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM saga.definition WHERE name = 'parcel'`).Scan(&kept); err != nil || kept != 1 {
		t.Errorf("%d definitions are kept: %v", kept, err)
	}
}

package saga_test

import (
	"context"
	"errors"
	"testing"

	"guichet/cell/saga"
	"guichet/internal/txn"
)

// startSoon begins a parcel whose starter says that he will drive it.
func (w *world) startSoon(t *testing.T, r *saga.Runner, id string) {
	t.Helper()
	err := r.Store.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		if _, err := w.on(tx).Exec(ctx, effect, id, "Begin"); err != nil {
			return err
		}
		_, err := r.Start(ctx, tx, saga.New{ID: id, Name: "parcel", Event: event, Input: map[string]any{"n": 1}, Result: map[string]any{"n": 1}, Soon: true})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Who says that he will come has the run to himself for a moment, with the call written
// down: a peer keeps his hands off it, and the call is made once.
func TestStart_lendsTheRunToWhoDrivesItSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.runner(t, "a", w.store()), w.runner(t, "b", w.store())
	w.startSoon(t, a, "p")
	if _, steps, err := a.Run(t.Context(), txn.None, "p"); err != nil || len(steps) != 1 {
		t.Errorf("%d calls are written down, %v", len(steps), err)
	}
	if err := b.Drive(t.Context(), "p"); !errors.Is(err, saga.ErrElsewhere) {
		t.Errorf("a peer worked on it: %v", err)
	}
	if err := a.Drive(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if n := w.calls["p:Charge:3"]; len(w.calls) != 1 || n != 1 {
		t.Errorf("called %v", w.calls)
	}
	if err := w.sign(t.Context(), b, "p"); err != nil {
		t.Fatal(err)
	}
	w.finish(t, b, "p")
	w.wantOnce(t, "p")
}

// He does not come until his lease has run out, and then he does.
func TestStart_whoComesTooLateFindsTheRunWithAPeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.runner(t, "a", w.store()), w.runner(t, "b", w.store())
	w.startSoon(t, a, "p")
	if _, err := w.db.Pool.Exec(t.Context(), expire); err != nil {
		t.Fatal(err)
	}
	if err := b.Drive(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if err := a.Drive(t.Context(), "p"); !errors.Is(err, saga.ErrElsewhere) {
		t.Errorf("he was believed: %v", err)
	}
	if err := w.sign(t.Context(), b, "p"); err != nil {
		t.Fatal(err)
	}
	w.finish(t, b, "p")
	w.wantOnce(t, "p")
}

package saga_test

import (
	"testing"

	"guichet/cell/saga"
	"guichet/internal/txn"
)

// Somebody outside who is not ready is not asked, and nothing is written down of it;
// the flow goes on as if he had failed.
func TestReady_nothingIsWrittenDownWhereNobodyIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.runner(t, "a", w.store())
	var away error = errAway
	r.Handle("charge", saga.Handler{Outside: w.outside, Note: w.note, Ready: func() error { return away }})
	if err := w.start(t.Context(), txn.None, r, "p"); err != nil {
		t.Fatal(err)
	}
	if err := r.Drive(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	got, steps, err := w.store().Run(t.Context(), txn.None, "p")
	if err != nil || got.Where() != "Charge" || got.Error != "away" || len(steps) != 0 || len(w.calls) != 0 {
		t.Errorf("it is at %s: %s, with %d steps and %v calls, %v", got.Where(), got.Error, len(steps), w.calls, err)
	}
	away = nil
	if err := w.sign(t.Context(), r, "p"); err != nil {
		t.Fatal(err)
	}
	if err := r.Drive(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	w.wantOnce(t, "p")
}

package saga_test

import (
	"testing"

	"guichet/cell/saga"
	"guichet/internal/txn"
)

// Who asks for a run ends the wait of a task that may be hurried, as its time would;
// others' waits stay, and so does this one when nobody asks.
func TestDrive_hurriesTheWaitsThatMayBe(t *testing.T) {
	t.Parallel()
	for _, may := range []bool{false, true} {
		w := newWorld(t)
		r := w.runner(t, "a", w.store())
		r.Handle("signed", saga.Handler{Await: true, Hurry: may})
		if err := w.start(t.Context(), txn.None, r, "p"); err != nil {
			t.Fatal(err)
		}
		if err := r.Drive(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.status(t, "p"); got.Status != saga.Running || got.Where() != "Signed" {
			t.Fatalf("it is %s at %s", got.Status, got.Where())
		}
		if err := r.Drive(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
		want := saga.Running
		if may {
			want = saga.Failed // nothing catches the timeout
		}
		if got := w.status(t, "p"); got.Status != want || may && got.Error != "States.Timeout" {
			t.Errorf("may be hurried %t: it is %s at %s: %s", may, got.Status, got.Where(), got.Error)
		}
	}
}

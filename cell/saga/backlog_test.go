package saga_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"guichet/cell/saga"
	"guichet/internal/txn"
)

const (
	allWake = `UPDATE saga.run SET wake_at = clock_timestamp() WHERE status = 'running'`
	atCall  = `SELECT count(*) FROM saga.run WHERE place = 'Signed'`
)

// Many runs that become due at once, as when a provider is back, are worked on as fast
// as workers get free, not so many with each look for them.
func TestWork_backlogDoesNotWaitForTheNextLook(t *testing.T) {
	t.Parallel()
	const runs = 40 * saga.DefaultWorkers // 40 s, if each look took one for each worker
	w := newWorld(t)
	r := w.runner(t, "a", w.store())
	for i := range runs {
		if err := w.start(t.Context(), txn.None, r, fmt.Sprintf("p%03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.db.Pool.Exec(t.Context(), allWake); err != nil {
		t.Fatal(err)
	}
	peer := w.runner(t, "b", w.store()) // nobody kicks it
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		peer.Work(ctx, func(err error) { t.Error(err) })
	}()
	began := time.Now()
	for n := 0; n < runs; {
		if time.Since(began) > patience {
			t.Fatalf("after %s %d of %d runs are done", patience, n, runs)
		}
		if err := w.db.Pool.QueryRow(t.Context(), atCall).Scan(&n); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("%d runs took %s", runs, took)
	} else {
		t.Logf("%d runs took %s", runs, took)
	}
	stop()
	<-done
}

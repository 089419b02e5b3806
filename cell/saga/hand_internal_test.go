package saga

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"guichet/internal/txn"
)

// atOnce is a store whose transactions are committed at once.
type atOnce struct{ Store }

func (atOnce) After(_ context.Context, do func()) { do() }

// A call that was lent is made soon or not at all: later the run has gone on.
func TestRecall_forgetsACallWhoseLeaseIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &Runner{Store: atOnce{}}
		for _, c := range []struct {
			after time.Duration
			there bool
		}{{soon / 2, true}, {soon, false}} {
			r.remember(txn.None, &Run{ID: "p"}, &outside{})
			time.Sleep(c.after)
			if h := r.recall("p"); (h != nil) != c.there {
				t.Errorf("after %s: there %t, want %t", c.after, h != nil, c.there)
			}
			if r.recall("p") != nil {
				t.Error("it is there twice")
			}
		}
	})
}

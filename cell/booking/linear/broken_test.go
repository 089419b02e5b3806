package linear

import (
	"context"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"guichet/cell/booking"
	"guichet/cell/store"
	"guichet/internal/pgproxy"
)

// most is how many games a broken desk may go undiscovered.
const most = 300

// unlocked takes the row locks out of every statement about stock, on the wire:
// the product's own code stays as it is.
func unlocked(m []byte) []byte {
	return pgproxy.Blank(pgproxy.Blank(m, "FOR UPDATE SKIP LOCKED"), "FOR UPDATE")
}

// bookless takes the ledger's rows out of each batch: its primary key is a second
// lock, which refuses two batches that read the same past.
type bookless struct{ booking.Batcher }

func (b bookless) Batch(ctx context.Context, ttl time.Duration, groups []*booking.Group) error {
	for _, g := range groups {
		for _, op := range g.Ops {
			decide := op.Decide
			op.Decide = func(s *booking.Stock) error {
				err := decide(s)
				s.Log = nil
				return err
			}
		}
	}
	return b.Batcher.Batch(ctx, ttl, groups)
}

// A desk without its lock must be found, or the test above proves nothing.
func TestDesk_withoutItsLockIsCaught(t *testing.T) {
	for _, c := range []struct {
		name    string
		batcher func(s *store.Store) booking.Batcher
	}{
		{"the lock is gone", func(s *store.Store) booking.Batcher { return s }},
		{"the lock and the ledger are gone", func(s *store.Store) booking.Batcher { return bookless{s} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := seeds(t, most)
			p, _ := open(t, all[0], nil, unlocked)
			p.batcher, p.calm = c.batcher, true
			results := p.run(t.Context(), t, all, func(r result) bool { return r.verdict == porcupine.Illegal })
			for _, r := range results {
				if r.verdict == porcupine.Illegal {
					t.Logf("caught after %d histories\n%s", len(results), r.tell())
					return
				}
			}
			t.Errorf("%d histories of a desk without a lock, and not one was found wrong", len(results))
		})
	}
}

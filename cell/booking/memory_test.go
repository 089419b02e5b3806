package booking_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/kind"
)

const (
	crowd = 50_000
	// memoryLimit is what requests that wait at desks may take of a process, in
	// bytes, their goroutines included (docs/desk.md).
	memoryLimit = 192 << 20
)

// wall is a store that answers nobody until it is opened.
type wall struct{ opened chan struct{} }

func (w wall) Batch(_ context.Context, _ time.Duration, groups []*booking.Group) error {
	<-w.opened
	for _, g := range groups {
		for _, op := range g.Ops {
			op.Settle(&booking.Stock{}, nil)
		}
	}
	return nil
}

// 50,000 requests against a store that stands still: as many wait as the limits
// say, all others are told to come back, and the process does not grow beyond its limit.
func TestDesks_boundWhatFiftyThousandRequestsTake(t *testing.T) {
	if raced {
		t.Skip("SKIPPED under the race detector, which allows fewer goroutines")
	}
	for _, c := range []struct {
		name   string
		events int
		most   int64 // that wait in the end
	}{
		{"at one event", 1, booking.MaxQueue + booking.BatchSize},
		{"at a hundred events", 100, booking.MaxWaiting},
		{"each at an event of its own", crowd, booking.MaxWaiting},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := wall{make(chan struct{})}
			d := &booking.Desks{Store: w, HoldTTL: time.Minute, Patience: booking.DefaultPatience, Now: time.Now}
			events := make([]id.Event, c.events)
			for i := range events {
				events[i] = id.NewEvent("euw3")
			}
			before := inUse()
			var refused, answered atomic.Int64
			var all sync.WaitGroup
			for i := range crowd {
				all.Go(func() {
					err := d.Do(t.Context(), events[i%len(events)], &booking.Op{Decide: yes})
					if e := kind.As(err); errors.Is(err, booking.ErrBusy) && e.Retry >= time.Second {
						refused.Add(1)
					} else if err == nil {
						answered.Add(1)
					} else {
						t.Error(err)
					}
				})
			}
			// Who is just being refused counts for a moment: it has settled when it stays so.
			deadline, same := time.Now().Add(30*time.Second), 0
			for last := int64(0); same < 20 && time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) { // polling with a deadline
				n := d.Waiting()
				if n == last && refused.Load()+n == crowd {
					same++
				} else {
					same = 0
				}
				last = n
			}
			waiting, grown := d.Waiting(), inUse()-before
			t.Logf("%d wait, %d refused, %d MiB", waiting, refused.Load(), grown>>20)
			if waiting > c.most || waiting < c.most/2 || grown > memoryLimit {
				t.Errorf("%d wait, at most %d may; they take %d bytes of %d", waiting, c.most, grown, memoryLimit)
			}
			close(w.opened)
			all.Wait()
			if answered.Load() != waiting || d.Waiting() != 0 {
				t.Errorf("%d of %d that waited were answered, %d are still counted", answered.Load(), waiting, d.Waiting())
			}
		})
	}
}

// inUse is what the heap and the stacks take, garbage aside.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// Desks for events that nobody asks for again do not pile up.
func TestDesks_closeAtOnceWhenThereAreTooMany(t *testing.T) {
	d := desksOf(&counter{})
	before := runtime.NumGoroutine()
	for range 20_000 {
		if err := d.Do(t.Context(), id.NewEvent("euw3"), &booking.Op{Decide: yes}); err != nil {
			t.Fatal(err)
		}
	}
	if n := runtime.NumGoroutine() - before; n > 2000 {
		t.Errorf("%d desks are open after 20,000 events were asked for once", n)
	}
}

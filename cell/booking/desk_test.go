package booking_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// counter is a store that remembers batches and answers as it is told.
type counter struct {
	mu      sync.Mutex
	took    time.Duration // of each batch
	sizes   []int
	tries   map[*booking.Op]int
	answer  func(batch int, ops []*booking.Op) error
	decided []*booking.Op
}

func (c *counter) Batch(_ context.Context, _ time.Duration, groups []*booking.Group) error {
	time.Sleep(c.took)
	c.mu.Lock()
	defer c.mu.Unlock()
	var ops []*booking.Op
	for _, g := range groups {
		ops = append(ops, g.Ops...)
	}
	c.sizes = append(c.sizes, len(ops))
	if c.tries == nil {
		c.tries = map[*booking.Op]int{}
	}
	for _, op := range ops {
		c.tries[op]++
	}
	if c.answer != nil {
		if err := c.answer(len(c.sizes), ops); err != nil {
			return err
		}
	}
	for _, op := range ops {
		if op.Turn != nil {
			op.Err = op.Turn(op.Context(), txn.None)
			continue
		}
		op.Settle(&booking.Stock{}, nil)
		c.decided = append(c.decided, op)
	}
	return nil
}

func (c *counter) triesOf(op *booking.Op) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries[op]
}

func yes(*booking.Stock) error { return nil }

func desksOf(c *counter) *booking.Desks {
	return &booking.Desks{Store: c, HoldTTL: time.Minute, Patience: booking.DefaultPatience, Now: time.Now}
}

func TestDesk_takesAllThatWaitsInOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{took: 10 * time.Millisecond}
		d, event := desksOf(c), id.NewEvent("euw3")
		var all sync.WaitGroup
		for range 1 + booking.BatchSize + 100 {
			all.Go(func() {
				if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		var sum int
		for _, n := range c.sizes {
			sum += n
		}
		if sum != 1+booking.BatchSize+100 || len(c.sizes) > 4 || slices.Max(c.sizes) > booking.BatchSize {
			t.Errorf("batches of %v", c.sizes)
		}
		time.Sleep(time.Minute) // the desk closes, or synctest complains about its goroutine
	})
}

func TestDesk_splitsABatchUntilTheGuiltyOneStandsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guilty := &booking.Op{Decide: yes}
		bad := errors.New("numeric field overflow")
		c := &counter{took: time.Millisecond, answer: func(_ int, ops []*booking.Op) error {
			if slices.Contains(ops, guilty) {
				return bad
			}
			return nil
		}}
		d, event := desksOf(c), id.NewEvent("euw3")
		var all sync.WaitGroup
		for i := range 40 {
			op := &booking.Op{Decide: yes}
			if i == 17 {
				op = guilty
			}
			all.Go(func() {
				if err := d.Do(t.Context(), event, op); (op == guilty) != errors.Is(err, bad) {
					t.Errorf("op %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if len(c.decided) != 39 {
			t.Errorf("%d were decided, want 39", len(c.decided))
		}
		time.Sleep(time.Minute)
	})
}

func TestDesk_runsABatchAgainWhoseCommitWasNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := kind.Unavailable.New("outcome_unknown")
		c := &counter{answer: func(batch int, _ []*booking.Op) error {
			if batch == 1 {
				return lost
			}
			return nil
		}}
		op := &booking.Op{Decide: yes}
		if err := desksOf(c).Do(t.Context(), id.NewEvent("euw3"), op); err != nil || c.triesOf(op) != 2 {
			t.Errorf("%v after %d tries", err, c.triesOf(op))
		}
		time.Sleep(time.Minute)
	})
}

// Of who cannot be asked about again after a commit was lost nobody knows whether he has
// what he wanted: he is not told that he has not, whatever stood in the way.
func TestDesk_saysThatNobodyKnowsWhereABatchCannotBeRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost, busy, odd := kind.Unavailable.New("outcome_unknown"), kind.Busy.New("busy"), errors.New("a row cannot be read")
		for name, then := range map[string][]error{"busy": {busy}, "split, then busy": {odd, busy}, "too late": {context.DeadlineExceeded}} {
			c := &counter{took: time.Millisecond, answer: func(batch int, _ []*booking.Op) error {
				switch batch {
				case 1:
					return nil
				case 2:
					return lost
				default:
					return then[min(batch-3, len(then)-1)]
				}
			}}
			d, event := desksOf(c), id.NewEvent("euw3")
			var all sync.WaitGroup
			all.Go(func() { _ = d.Do(t.Context(), event, &booking.Op{Decide: yes}) })
			synctest.Wait()
			for range 4 { // in the second batch
				all.Go(func() {
					if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); !errors.Is(err, lost) {
						t.Errorf("%s: told %v", name, err)
					}
				})
			}
			all.Wait()
		}
		time.Sleep(time.Minute)
	})
}

// The same where the event's lock is somebody else's when the batch is run again.
func TestDesks_sayThatNobodyKnowsWhereAnEventIsLeftOutOfTheSecondRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost, busy := kind.Unavailable.New("outcome_unknown"), kind.Busy.New("busy")
		events := eventsOf(3)
		runs := 0
		s := &groupStore{}
		s.do = func(groups []*booking.Group) error {
			time.Sleep(time.Millisecond)
			switch {
			case len(groups) == 3:
				if runs++; runs == 1 {
					return lost
				}
				groups[1].Elsewhere = true
			case groups[0].Event == events[1]:
				return busy
			}
			return nil
		}
		d := s.desks()
		var all sync.WaitGroup
		for range booking.Clerks { // at work while the others come together
			all.Go(func() { _ = d.Do(t.Context(), id.NewEvent("euw3"), &booking.Op{Decide: yes}) })
			synctest.Wait()
		}
		for i, event := range events {
			all.Go(func() {
				if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); errors.Is(err, lost) != (i == 1) || err != nil && i != 1 {
					t.Errorf("event %d: told %v", i, err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if runs != 2 {
			t.Errorf("the three stood together %d times", runs)
		}
	})
}

func TestDesk_sharesAFailureThatWouldMeetEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := kind.Unavailable.New("database_unavailable")
		c := &counter{took: time.Millisecond, answer: func(int, []*booking.Op) error { return away }}
		d, event := desksOf(c), id.NewEvent("euw3")
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); !errors.Is(err, away) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(c.sizes) > 3 {
			t.Errorf("an outage was asked about in batches of %v", c.sizes)
		}
		time.Sleep(time.Minute)
	})
}

func TestDesk_letsThoseWhoLeftOutOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{took: time.Second}
		d, event := desksOf(c), id.NewEvent("euw3")
		go func() { _ = d.Do(t.Context(), event, &booking.Op{Decide: yes}) }()
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		gone := &booking.Op{Decide: func(*booking.Stock) error { t.Error("decided for somebody who left"); return nil }}
		told := make(chan error)
		go func() { told <- d.Do(ctx, event, gone) }()
		synctest.Wait()
		leave()
		if err := <-told; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if c.triesOf(gone) != 0 {
			t.Error("it was taken to the database")
		}
	})
}

func TestDesk_refusesWhoWouldWaitTooLongAndSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{took: 400 * time.Millisecond}
		d, event := desksOf(c), id.NewEvent("euw3")
		for range 30 { // until the desk knows its pace
			if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); err != nil {
				t.Fatal(err)
			}
		}
		go func() { _ = d.Do(t.Context(), event, &booking.Op{Decide: yes}) }()
		synctest.Wait()
		err := d.Do(t.Context(), event, &booking.Op{Decide: yes})
		if e := kind.As(err); !errors.Is(err, booking.ErrBusy) || e.Retry < time.Second {
			t.Errorf("behind a batch of 400 ms: %v", err)
		}
		if err := d.Do(t.Context(), id.NewEvent("euw3"), &booking.Op{Decide: yes}); err != nil {
			t.Errorf("another event's desk is free: %v", err)
		}
		time.Sleep(time.Minute)
	})
}

func TestDesk_outlivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, event := desksOf(&counter{}), id.NewEvent("euw3")
		if err := d.Do(t.Context(), event, &booking.Op{Decide: func(*booking.Stock) error { panic("our bug") }}); kind.Of(err) != kind.Internal || err == nil {
			t.Errorf("a panic in a decision: %v", err)
		}
		if err := d.Turn(t.Context(), event, func(context.Context, txn.Tx) error { panic("our bug") }); kind.Of(err) != kind.Internal || err == nil {
			t.Errorf("a panic in a turn: %v", err)
		}
		if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}

func TestDesk_keepsTheOrderOfTurnsAndBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{took: time.Millisecond}
		d, event := desksOf(c), id.NewEvent("euw3")
		var order []int
		done := make(chan struct{}, 9)
		for i := range 9 {
			go func() {
				if i%3 == 1 {
					_ = d.Turn(t.Context(), event, func(context.Context, txn.Tx) error { order = append(order, i); return nil })
				} else {
					_ = d.Do(t.Context(), event, &booking.Op{Decide: func(*booking.Stock) error { order = append(order, i); return nil }})
				}
				done <- struct{}{}
			}()
			synctest.Wait()
		}
		for range 9 {
			<-done
		}
		if !slices.IsSorted(order) || len(order) != 9 {
			t.Errorf("decided in the order %v", order)
		}
		time.Sleep(time.Minute)
	})
}

// Everybody in a batch waits for its turns, so it takes few.
func TestDesk_takesFewTurnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		d, event := desksOf(c), id.NewEvent("euw3")
		open := make(chan struct{})
		var crowd sync.WaitGroup
		crowd.Go(func() { _ = d.Turn(t.Context(), event, func(context.Context, txn.Tx) error { <-open; return nil }) })
		synctest.Wait()
		ran := 0
		for range 2*booking.TurnsAtOnce + 1 {
			crowd.Go(func() {
				if err := d.Share(t.Context(), event, "", nil, func(context.Context, txn.Tx) error { ran++; return nil }); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			crowd.Go(func() {
				if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(open)
		crowd.Wait()
		if want := []int{2 * booking.TurnsAtOnce, 2 * booking.TurnsAtOnce, 2}; !slices.Equal(c.sizes, want) || ran != 2*booking.TurnsAtOnce+1 {
			t.Errorf("batches of %v, want %v; %d turns", c.sizes, want, ran)
		}
		time.Sleep(time.Minute)
	})
}

package booking_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// groupStore is a store that is told what to do with each batch.
type groupStore struct {
	mu      sync.Mutex
	batches [][]id.Event
	do      func(groups []*booking.Group) error
}

func (s *groupStore) Batch(_ context.Context, _ time.Duration, groups []*booking.Group) error {
	var events []id.Event
	for _, g := range groups {
		events, g.Elsewhere = append(events, g.Event), false
	}
	s.mu.Lock()
	s.batches = append(s.batches, events)
	s.mu.Unlock()
	if err := s.do(groups); err != nil {
		return err
	}
	for _, g := range groups {
		if !g.Elsewhere {
			for _, op := range g.Ops {
				op.Settle(&booking.Stock{}, nil)
			}
		}
	}
	return nil
}

func (s *groupStore) desks() *booking.Desks {
	return &booking.Desks{Store: s, HoldTTL: time.Minute, Patience: booking.DefaultPatience, Now: time.Now}
}

func eventsOf(n int) []id.Event {
	events := make([]id.Event, n)
	for i := range events {
		events[i] = id.NewEvent("euw3")
	}
	return events
}

func slow(d time.Duration) func([]*booking.Group) error {
	return func([]*booking.Group) error { time.Sleep(d); return nil }
}

func TestDesks_shareOneTransactionAmongEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &groupStore{do: slow(10 * time.Millisecond)}
		d := s.desks()
		var all sync.WaitGroup
		for _, event := range eventsOf(300) {
			for range 2 {
				all.Go(func() {
					if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if len(s.batches) > 3*booking.Clerks {
			t.Errorf("%d batches for 600 requests at 300 events", len(s.batches))
		}
		for _, events := range s.batches {
			if slices.SortFunc(events, func(a, b id.Event) int { return cmpText(a, b) }); len(slices.Compact(events)) != len(events) {
				t.Error("an event twice in one batch")
			}
		}
	})
}

func cmpText(a, b id.Event) int {
	if a.String() < b.String() {
		return -1
	}
	return 1
}

func TestDesks_neverWorkTwiceAtTheSameTimeOnOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		at := map[id.Event]bool{}
		s := &groupStore{do: func(groups []*booking.Group) error {
			mu.Lock()
			for _, g := range groups {
				if at[g.Event] {
					t.Error("two batches of one event at the same time")
				}
				at[g.Event] = true
			}
			mu.Unlock()
			time.Sleep(time.Duration(1+len(groups)) * 20 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			for _, g := range groups {
				at[g.Event] = false
			}
			return nil
		}}
		d := s.desks()
		d.Patience = time.Hour
		var all sync.WaitGroup
		for i, event := range slices.Repeat(eventsOf(7), 30) {
			all.Go(func() {
				time.Sleep(time.Duration(i%50) * 7 * time.Millisecond)
				_ = d.Do(t.Context(), event, &booking.Op{Decide: yes})
			})
		}
		all.Wait()
	})
}

// An event that was left out keeps its place, and is decided where its lock is waited for.
func TestDesks_decideAloneWhatABatchLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := eventsOf(10)
		locked := events[3]
		s := &groupStore{do: func(groups []*booking.Group) error {
			time.Sleep(5 * time.Millisecond)
			for _, g := range groups {
				if g.Event == locked && len(groups) > 1 {
					g.Elsewhere = true
				}
			}
			if len(groups) == 1 && groups[0].Event == locked {
				time.Sleep(time.Second) // for the lock
			}
			return nil
		}}
		d := s.desks()
		var order []int
		var all sync.WaitGroup
		began := time.Now()
		for range booking.Clerks { // at work while the others come together
			all.Go(func() { _ = d.Do(t.Context(), id.NewEvent("euw3"), &booking.Op{Decide: yes}) })
		}
		synctest.Wait()
		for i, event := range slices.Concat(events, []id.Event{locked, locked}) {
			all.Go(func() {
				if err := d.Do(t.Context(), event, &booking.Op{Decide: func(*booking.Stock) error {
					if event == locked {
						order = append(order, i)
					}
					return nil
				}}); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); (took > 500*time.Millisecond) != (event == locked) {
					t.Errorf("event %d was answered after %s", i, took)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if !slices.Equal(order, []int{3, 10, 11}) {
			t.Errorf("decided in the order %v", order)
		}
	})
}

func TestDesks_splitAGroupUntilTheGuiltyEventStandsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := eventsOf(40)
		for _, bad := range []error{errors.New("a row cannot be read"), kind.NotFound.New("event_not_found"), kind.Moved.New("moved")} {
			s := &groupStore{do: func(groups []*booking.Group) error {
				time.Sleep(time.Millisecond)
				for _, g := range groups {
					if g.Event == events[17] {
						return bad
					}
				}
				return nil
			}}
			d := s.desks()
			var all sync.WaitGroup
			for i, event := range slices.Repeat(events, 3) {
				all.Go(func() {
					if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); errors.Is(err, bad) != (i%40 == 17) {
						t.Errorf("event %d: %v", i%40, err)
					}
				})
			}
			all.Wait()
		}
	})
}

func TestDesks_keepAPanicToItsEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &groupStore{do: slow(time.Millisecond)}
		d := s.desks()
		var all sync.WaitGroup
		for i, event := range eventsOf(30) {
			all.Go(func() {
				err := d.Do(t.Context(), event, &booking.Op{Decide: func(*booking.Stock) error {
					if i == 20 {
						panic("our bug")
					}
					return nil
				}})
				if (err != nil) != (i == 20) {
					t.Errorf("event %d: %v", i, err)
				}
			})
		}
		all.Wait()
	})
}

// Who is held up gives his place to another: however many events are slow, the
// others go on, and nobody is told of a wait that is not his.
func TestDesks_goOnWhileSomeEventsAreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := eventsOf(3 * booking.Clerks)
		s := &groupStore{do: func(groups []*booking.Group) error {
			time.Sleep(2 * time.Millisecond)
			if slices.Contains(stuck, groups[0].Event) {
				time.Sleep(2 * time.Second)
			}
			return nil
		}}
		d := s.desks()
		var all sync.WaitGroup
		for _, event := range stuck {
			all.Go(func() { _ = d.Do(t.Context(), event, &booking.Op{Decide: yes}) })
			synctest.Wait()
		}
		time.Sleep(time.Second)
		for _, event := range eventsOf(500) {
			all.Go(func() {
				began := time.Now()
				if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); err != nil || time.Since(began) > 100*time.Millisecond {
					t.Errorf("%v after %s", err, time.Since(began))
				}
			})
		}
		all.Wait()
	})
}

// A clerk who finds no work just when another is to take his place leaves one place,
// not two: however often that happens, no more than Clerks work at the same time.
func TestDesks_haveNoMoreClerksAfterSomeWereRelievedAsTheyLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var atWork, most atomic.Int64
		lasts := 50 * time.Millisecond // as long as a clerk may take
		s := &groupStore{do: func([]*booking.Group) error {
			most.Store(max(most.Load(), atWork.Add(1)))
			defer atWork.Add(-1)
			time.Sleep(lasts)
			return nil
		}}
		d := s.desks()
		for range 200 {
			if err := d.Do(t.Context(), id.NewEvent("euw3"), &booking.Op{Decide: yes}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		lasts = time.Millisecond
		most.Store(0)
		var all sync.WaitGroup
		for _, event := range eventsOf(10 * booking.Clerks) {
			all.Go(func() {
				if err := d.Do(t.Context(), event, &booking.Op{Decide: yes}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if n := most.Load(); n > booking.Clerks {
			t.Errorf("%d clerks at the same time", n)
		}
	})
}

// Where more is asked at ever new events than all clerks can do, the wait for a clerk counts.
func TestDesks_refuseWhoWouldWaitTooLongForAClerk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &groupStore{do: slow(40 * time.Millisecond)}
		d := s.desks()
		for range 60 { // until the pace is known
			if err := d.Do(t.Context(), id.NewEvent("euw3"), &booking.Op{Decide: yes}); err != nil {
				t.Fatal(err)
			}
		}
		var refused, answered int
		var mu sync.Mutex
		var all sync.WaitGroup
		for _, event := range eventsOf(12_000) {
			all.Go(func() {
				began := time.Now()
				err := d.Do(t.Context(), event, &booking.Op{Decide: yes})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, booking.ErrBusy):
					refused++
				case err == nil && time.Since(began) <= 2*booking.DefaultPatience:
					answered++
				default:
					t.Errorf("%v after %s", err, time.Since(began))
				}
			})
		}
		all.Wait()
		if refused == 0 || answered < 4*booking.BatchSize {
			t.Errorf("%d refused, %d answered", refused, answered)
		}
	})
}

func TestDesks_letATurnWaitForNoClerk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &groupStore{do: slow(45 * time.Millisecond)}
		d := s.desks()
		var all sync.WaitGroup
		for _, event := range eventsOf(booking.Clerks) {
			all.Go(func() { _ = d.Do(t.Context(), event, &booking.Op{Decide: yes}) })
			synctest.Wait()
		}
		for range 50 {
			all.Go(func() {
				began := time.Now()
				err := d.Turn(t.Context(), id.NewEvent("euw3"), func(context.Context, txn.Tx) error { time.Sleep(10 * time.Millisecond); return nil })
				if err != nil || time.Since(began) > 20*time.Millisecond {
					t.Errorf("%v after %s", err, time.Since(began))
				}
			})
		}
		all.Wait()
	})
}

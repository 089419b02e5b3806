package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/control-plane/topology"
)

// far is another cell whose beats reach this one's database, or are lost on the way.
type far struct {
	now     time.Time
	events  []string
	class   map[string]client.Availability
	changed map[string]search.StockChange
	version int64
	lost    bool
	beater  *search.Beater
}

// openFar is a cell whose events are all told to the store already.
func openFar(t *testing.T, intake *search.Intake, cell topology.CellID, events int) *far {
	t.Helper()
	f := &far{now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC), class: map[string]client.Availability{}, changed: map[string]search.StockChange{}}
	for range events {
		f.events = append(f.events, id.NewEvent(cell).String())
	}
	slices.Sort(f.events)
	for _, event := range f.events {
		f.set(event, client.Available)
	}
	intake.Now = func() time.Time { return f.now }
	f.beater = &search.Beater{Cell: cell, Changes: f, Now: intake.Now, Send: func(ctx context.Context, payload []byte) error {
		if f.lost {
			return nil // the leaf took it, and it never came here
		}
		return intake.HandleBeat(ctx, "glb.avail."+string(cell), "", payload)
	}}
	f.pass(t, 5*time.Second)
	return f
}

func (f *far) set(event string, class client.Availability) {
	f.version++
	f.class[event] = class
	f.changed[event] = search.StockChange{Event: event, At: f.now, Version: f.version}
}

// pass lets time go by, with a look every quarter of a second.
func (f *far) pass(t *testing.T, d time.Duration) {
	t.Helper()
	for end := f.now.Add(d); f.now.Before(end); {
		f.now = f.now.Add(search.LookPeriod)
		if err := f.beater.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *far) StockChanges(_ context.Context, since time.Time, limit int) ([]search.StockChange, time.Time, error) {
	var out []search.StockChange
	for _, event := range f.events {
		if c := f.changed[event]; !c.At.Before(since) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b search.StockChange) int { return a.At.Compare(b.At) })
	return out[:min(limit, len(out))], f.now, nil
}

func (f *far) Live(_ context.Context, after string, limit int) ([]search.StockChange, string, error) {
	at, _ := slices.BinarySearch(f.events, after+"\x00")
	page := f.events[at:min(len(f.events), at+limit)]
	out, next := make([]search.StockChange, len(page)), ""
	for i, event := range page {
		out[i] = f.changed[event]
	}
	if at+len(page) < len(f.events) {
		next = page[len(page)-1]
	}
	return out, next, nil
}

func (f *far) Classes(_ context.Context, events []string) (map[string]client.Availability, error) {
	classes := map[string]client.Availability{}
	for _, event := range events {
		classes[event] = f.class[event]
	}
	return classes, nil
}

// found is an index that finds all of a cell's events.
type found struct {
	search.Index
	docs []search.Document
}

func (x found) Search(context.Context, search.Query) (search.Result, error) {
	var r search.Result
	for _, d := range x.docs {
		r.Hits = append(r.Hits, search.Hit{Doc: d})
	}
	return r, nil
}

// shown is what a search here shows of the cell's events.
func (f *far) shown(t *testing.T, hints search.Hints) map[string]client.Availability {
	t.Helper()
	var x found
	for _, event := range f.events {
		eid, err := id.ParseEvent(event)
		if err != nil {
			t.Fatal(err)
		}
		d := catalogDocument(eid, 1, "concert")
		d.Event.TicketTypes = []client.TicketType{{Availability: client.Available}}
		x.docs = append(x.docs, d)
	}
	s := &search.Service{Index: x, Hints: hints, Now: func() time.Time { return f.now }}
	page, err := s.Search(t.Context(), search.Query{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]client.Availability{}
	for _, item := range page.Items {
		out[item.ID] = item.Availability
	}
	return out
}

// A change that was told while nobody heard must not be covered by the beats that
// come afterwards (P9): until the cell has told everything again its hints are unknown.
func TestHints_afterThreeMinutesOfLostBeatsAreUnknownUntilAllIsToldAgain(t *testing.T) {
	t.Parallel()
	s := searchStore(t)
	f := openFar(t, &search.Intake{Hints: s}, "apn1", 40)
	gone, kept := f.events[7], f.events[8]
	if got := f.shown(t, s); got[gone] != client.Available || got[kept] != client.Available {
		t.Fatalf("before the loss: %v", got)
	}
	f.lost = true
	f.pass(t, time.Minute)
	f.set(gone, client.None)
	f.pass(t, 2*time.Minute)
	if got := f.shown(t, s); got[gone] != client.Unknown || got[kept] != client.Unknown {
		t.Errorf("while nothing is heard: %q and %q", got[gone], got[kept])
	}
	f.lost = false
	healed := time.Duration(0)
	for step := search.LookPeriod; healed < 2*time.Minute; healed += step {
		f.pass(t, step)
		got := f.shown(t, s)
		if got[gone] == client.Available {
			t.Fatalf("%s after the heal a sold out event is told to be available", healed)
		}
		if got[gone] == client.None {
			break
		}
	}
	if got := f.shown(t, s); got[gone] != client.None || got[kept] != client.Available {
		t.Errorf("%s after the heal: %q and %q", healed, got[gone], got[kept])
	}
}

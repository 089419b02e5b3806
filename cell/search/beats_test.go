package search

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"guichet/cell/client"
)

// ground is a cell's stock as a Beater sees it.
type ground struct {
	now     time.Time
	changes []StockChange // in the order of their times
	classes map[string]client.Availability
	looks   int // at classes
	reads   int // rows of changes
	deaf    bool
	heard   []Beat
}

func (g *ground) StockChanges(_ context.Context, since time.Time, limit int) ([]StockChange, time.Time, error) {
	var out []StockChange
	for _, c := range g.changes {
		if !c.At.Before(since) && len(out) < limit {
			out = append(out, c)
		}
	}
	g.reads += len(out)
	return out, g.now, nil
}

func (g *ground) ClassOf(_ context.Context, event string) (client.Availability, error) {
	g.looks++
	return g.classes[event], nil
}

// change lets an event's stock change at a time; it shows from now on.
func (g *ground) change(event string, class client.Availability, at time.Time) {
	g.changes = slices.DeleteFunc(g.changes, func(c StockChange) bool { return c.Event == event })
	g.changes = append(g.changes, StockChange{event, at})
	slices.SortFunc(g.changes, func(a, b StockChange) int { return a.At.Compare(b.At) })
	g.classes[event] = class
}

func openGround() (*ground, *Beater) {
	g := &ground{now: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), classes: map[string]client.Availability{}}
	return g, &Beater{Cell: "euw3", Changes: g, Now: func() time.Time { return g.now }, Send: func(_ context.Context, payload []byte) error {
		if g.deaf {
			return errors.New("the leaf is away")
		}
		b, err := ParseBeat(payload)
		g.heard = append(g.heard, b)
		return err
	}}
}

// beat lets a second pass and answers what the beat told.
func (g *ground) beat(t *testing.T, b *Beater) map[string]client.Availability {
	t.Helper()
	g.now = g.now.Add(time.Second)
	if err := b.Beat(t.Context()); (err != nil) != g.deaf {
		t.Fatal(err)
	}
	if g.deaf {
		return nil
	}
	return g.heard[len(g.heard)-1].Changed
}

func eventID(n int) string { return fmt.Sprintf("evt_euw3_%012d", n) }

func TestBeater_tellsEachChangeOfClassOnceAndThenOnlyThatItHolds(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	one := eventID(1)
	g.change(one, client.Few, g.now)
	if got := g.beat(t, b); !maps.Equal(got, map[string]client.Availability{one: client.Few}) {
		t.Errorf("first beat: %v", got)
	}
	g.change(one, client.Few, g.now) // sold one more: still few
	if got := g.beat(t, b); len(got) != 0 {
		t.Errorf("the class did not change, told %v", got)
	}
	g.change(one, client.None, g.now)
	if got := g.beat(t, b); got[one] != client.None {
		t.Errorf("sold out: told %v", got)
	}
	for range 3 {
		if got := g.beat(t, b); len(got) != 0 {
			t.Errorf("nothing changed, told %v", got)
		}
	}
	if g.looks != 3 || g.heard[len(g.heard)-1].AsOf != g.now {
		t.Errorf("looked %d times at the class, the last beat is true for %s", g.looks, g.heard[len(g.heard)-1].AsOf)
	}
}

func TestBeater_ofAQuietCellReadsNothing(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	for n := range 1500 { // more than a page
		g.change(eventID(n), client.Available, g.now.Add(time.Duration(n)*time.Millisecond))
	}
	g.now = g.now.Add(2 * time.Second)
	if got := g.beat(t, b); len(got) != 1500 {
		t.Fatalf("told %d of 1500", len(got))
	}
	for g.now.Sub(g.changes[1499].At) <= beatOverlap+time.Second {
		g.beat(t, b)
	}
	before, looks := g.reads, g.looks
	g.beat(t, b)
	if g.reads != before || looks != 1500 || len(b.told) != 0 {
		t.Errorf("a quiet beat read %d rows; %d looks in all, %d events remembered", g.reads-before, looks, len(b.told))
	}
}

func TestBeater_catchesAChangeThatWasCommittedLate(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	slow := g.now.Add(500 * time.Millisecond) // its transaction read the clock, and commits 15 s later
	for n := range 15 {
		g.change(eventID(n), client.Available, g.now)
		g.beat(t, b)
	}
	g.change(eventID(99), client.None, slow)
	if got := g.beat(t, b); got[eventID(99)] != client.None {
		t.Errorf("told %v", got)
	}
}

func TestBeater_saysAgainWhatNobodyHeard(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	g.change(eventID(1), client.None, g.now)
	g.deaf = true
	for range 30 { // longer than the overlap
		g.beat(t, b)
	}
	g.deaf = false
	if got := g.beat(t, b); got[eventID(1)] != client.None {
		t.Errorf("told %v", got)
	}
}

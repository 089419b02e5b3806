package search

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"guichet/cell/client"
)

// ground is a cell's stock as a Beater sees it.
type ground struct {
	mu      sync.Mutex // a Beater runs beside the test
	now     time.Time
	changes []StockChange // in the order of their times
	classes map[string]client.Availability
	looks   int // at classes
	reads   int // rows of changes
	asked   int // times that changes were read
	deaf    bool

	meanwhile func() // once, before the next page of a round

	versions int64
	heard    []Beat
}

func (g *ground) StockChanges(_ context.Context, since time.Time, limit int) ([]StockChange, time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []StockChange
	for _, c := range g.changes {
		if !c.At.Before(since) && len(out) < limit {
			out = append(out, c)
		}
	}
	g.reads += len(out)
	g.asked++
	return out, g.now, nil
}

func (g *ground) Live(_ context.Context, after string, limit int) ([]StockChange, string, error) {
	if g.meanwhile != nil {
		g.meanwhile()
		g.meanwhile = nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	live := slices.DeleteFunc(slices.Clone(g.changes), func(c StockChange) bool {
		_, there := g.classes[c.Event]
		return !there || c.Event <= after
	})
	slices.SortFunc(live, func(a, b StockChange) int { return strings.Compare(a.Event, b.Event) })
	if len(live) <= limit {
		return live, "", nil
	}
	return live[:limit], live[limit-1].Event, nil
}

func (g *ground) Classes(_ context.Context, events []string) (map[string]client.Availability, error) {
	if len(events) > classPage {
		return nil, fmt.Errorf("asked for %d classes at once", len(events))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	classes := map[string]client.Availability{}
	for _, event := range events {
		if class, there := g.classes[event]; there {
			classes[event] = class
		}
	}
	g.looks += len(events)
	return classes, nil
}

// tick sets the database's clock to the test's.
func (g *ground) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = time.Now()
}

// change lets an event's stock change at a time; it shows from now on.
func (g *ground) change(event string, class client.Availability, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes = slices.DeleteFunc(g.changes, func(c StockChange) bool { return c.Event == event })
	g.versions++
	g.changes = append(g.changes, StockChange{event, at, g.versions})
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

// The bus hears of an event at most four times a second, however fast its stock
// changes, and only of changes of class: the last one always gets there.
func TestBeater_tellsAStormAtMostFourTimesASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, b := openGround()
		b.Now = time.Now
		storm, calm := eventID(1), eventID(2)
		var told []time.Time
		classes := []client.Availability{client.Available, client.Few, client.None}
		var last client.Availability
		b.Send = func(_ context.Context, payload []byte) error {
			beat, err := ParseBeat(payload)
			if class, there := beat.Changed[storm]; there {
				told, last = append(told, time.Now()), class
			}
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.Run(ctx, func(err error) { t.Error(err) }); close(done) }()
		turns, r := 0, rand.New(rand.NewPCG(1, 2))
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); turns++ {
			g.tick()
			g.change(storm, classes[r.IntN(len(classes))], time.Now())
			g.change(calm, client.Available, time.Now()) // sells all the time, and stays what it is
			time.Sleep(7 * time.Millisecond)
		}
		g.tick()
		g.change(storm, client.Few, time.Now())
		time.Sleep(BeatPeriod)
		cancel()
		<-done
		if len(told) < 10 || len(told) > 4*6 || last != client.Few {
			t.Errorf("%d changes were told %d times, the last one is %q", turns, len(told), last)
		}
		for i := 4; i < len(told); i++ {
			if d := told[i].Sub(told[i-4]); d < time.Second {
				t.Errorf("five within %s", d)
			}
		}
	})
}

// A cell without news beats once a second, and looks for news with one read.
func TestBeater_withoutNewsBeatsOnceASecondAndReadsOnceALook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, b := openGround()
		b.Now = time.Now
		beats, ages := 0, []time.Duration{}
		b.Send = func(_ context.Context, payload []byte) error {
			beat, err := ParseBeat(payload)
			beats++
			ages = append(ages, time.Since(beat.AsOf))
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+LookPeriod/2)
		defer cancel()
		b.Run(ctx, func(err error) { t.Error(err) })
		if beats < 10 || beats > 11 || g.asked > 42 || g.looks != 0 || g.reads != 0 {
			t.Errorf("%d beats, %d reads of %d rows, %d looks at classes in 10 s", beats, g.asked, g.reads, g.looks)
		}
		for _, age := range ages {
			if age != 0 {
				t.Errorf("a beat says that it was true %s ago", age)
			}
		}
	})
}

func TestBeater_tellsAChangeThatHasTheTimeOfTheOneBefore(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	one, stamp := eventID(1), g.now
	g.change(one, client.Available, stamp)
	g.beat(t, b)
	g.now = g.now.Add(LookPeriod)
	if err := b.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.now = stamp.Add(StampGrain + LookPeriod) // as late as a change may keep the time, and the look before it
	g.change(one, client.None, stamp)
	if err := b.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := g.heard[len(g.heard)-1].Changed; got[one] != client.None {
		t.Errorf("told %v", got)
	}
}

func TestBeater_tellsNewsWithTheNextLookAndLateCommitsWithTheNextBeat(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	look := func(after time.Duration) map[string]client.Availability {
		t.Helper()
		g.now = g.now.Add(after)
		before := len(g.heard)
		if err := b.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(g.heard) == before {
			return nil
		}
		return g.heard[len(g.heard)-1].Changed
	}
	look(0) // a beat
	began := g.now
	g.change(eventID(1), client.Few, g.now.Add(100*time.Millisecond))
	if got := look(LookPeriod); got[eventID(1)] != client.Few {
		t.Errorf("the next look told %v", got)
	}
	if got := look(LookPeriod); got != nil {
		t.Errorf("nothing new, told %v", got)
	}
	g.change(eventID(2), client.None, began.Add(-5*time.Second)) // was open for long
	if got := look(LookPeriod); got != nil {
		t.Errorf("a look reads back too far: %v", got)
	}
	if got := look(BeatPeriod); got[eventID(2)] != client.None {
		t.Errorf("the next beat told %v", got)
	}
	g.change(eventID(4), client.Few, g.now.Add(-20*time.Second-StampGrain)) // open for as long as may be, with the time of the change before
	if got := look(2 * BeatPeriod); got[eventID(4)] != client.Few {
		t.Errorf("the beat after told %v", got)
	}
	// An event that was dropped meanwhile is nobody's news.
	g.change(eventID(3), client.Few, g.now.Add(time.Millisecond))
	delete(g.classes, eventID(3))
	if got := look(LookPeriod); got != nil {
		t.Errorf("told %v", got)
	}
}

package drill

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/chaos/world"
)

const (
	blastRate     = 10              // requests or purchases begun each second, in each of the two regions
	blastInFlight = 64              // begun at once at most; more would say that the town stands still
	unknownWithin = 7 * time.Second // search.HintTrust and a beat
	backWithin    = 5 * time.Second
	busyMachine   = 3 * time.Second // what a look itself may take beside a compiler
	politeTries   = 4               // of a visitor who is told to come back later
)

// P7 and P9: a cell is killed. Attendees at the other two notice nothing at all;
// its own events show "unknown", never "none", and decisions are refused with a
// time to come back. Once it is ready again it serves within five seconds.
func TestBlastRadius_oneCellKilledIsNobodyElsesErrorAndComesBackByItself(t *testing.T) {
	w := sharedTown(t)
	mends(t, w)
	ctx := t.Context()
	name := unique("Blast radius")
	lost := stage(t, w, "use1", name, 100, 0)
	inParis, inNewYork := attendee(t, w, world.Paris), attendee(t, w, world.NewYork)
	until(t, 30*time.Second, "Paris finds the event and that it is available", func() bool { return shown(t, inParis, name, lost.ID) == client.Available })
	hold, _, err := inNewYork.CreateHold(ctx, lost.ID, lost.want(1), key("hold"))
	must(t, err)

	others := startBlastLoad(t, w)
	must(t, pause(ctx, time.Second)) // load before the fault, as during and after it
	must(t, w.Kill(ctx, "cell-use1"))
	killed := time.Now()
	unknownAtOnce(t, inParis, inNewYork, lost)
	refusedWithRetryAfter(t, inNewYork, lost, hold)
	// The nearest cell is away: its neighbours search for its attendees.
	if _, m, err := inNewYork.Search(ctx, client.Query{Limit: 1}); err != nil || m.Cell == "use1" || m.Route != "nearest" {
		t.Errorf("New York's search: answered by %q (%q), %v", m.Cell, m.Route, err)
	}
	for shown(t, inParis, name, lost.ID) != client.Unknown {
		if time.Since(killed) > unknownWithin+busyMachine {
			t.Fatalf("the search still knows about the stock of a cell that died %s ago", time.Since(killed))
		}
		must(t, pause(ctx, 100*time.Millisecond))
	}
	t.Logf("search says unknown %s after the kill", time.Since(killed).Round(100*time.Millisecond))
	refusedWithRetryAfter(t, inParis, lost, hold)

	comesBack(t, w, inNewYork, lost)
	if h, _, err := inNewYork.GetHold(ctx, hold.ID); err != nil || h.State != "active" || !h.ExpiresAt.Equal(hold.ExpiresAt) {
		t.Errorf("the hold of before is %+v (%v)", h, err)
	}
	until(t, 20*time.Second, "the search knows about the stock again", func() bool { return shown(t, inParis, name, lost.ID) == client.Available })
	others.end(t)
}

// shown is the availability of an event in a search by its name.
func shown(t *testing.T, c *client.Client, name, eventID string) client.Availability {
	t.Helper()
	found, _, err := c.Search(t.Context(), client.Query{Text: name, Limit: 3})
	must(t, err)
	for _, l := range found.Items {
		if l.ID != eventID {
			continue
		}
		if l.Availability == client.None {
			t.Error("a search says none of an event that has tickets (P9)")
		}
		if l.Availability == client.Unknown && l.AvailabilityAge != nil {
			t.Errorf("unknown is %v s old", *l.AvailabilityAge)
		}
		return l.Availability
	}
	return ""
}

// unknownAtOnce asks for the event's page as soon as the cell is dead.
func unknownAtOnce(t *testing.T, inParis, inNewYork *client.Client, lost concert) {
	t.Helper()
	for i, c := range []*client.Client{inParis, inNewYork} {
		page, m, err := c.Event(t.Context(), lost.ID)
		must(t, err)
		if m.Cell == "use1" || i == 0 && m.Cell != "euw3" || page.Name != lost.Name || len(page.TicketTypes) != 2 {
			t.Errorf("the page came from %q: %+v", m.Cell, page)
		}
		for _, typ := range page.TicketTypes {
			if typ.Availability != client.Unknown {
				t.Errorf("%s is %q while the home is away", typ.Name, typ.Availability)
			}
		}
	}
}

// refusedWithRetryAfter tries every kind of decision about the event.
func refusedWithRetryAfter(t *testing.T, c *client.Client, lost concert, hold client.Hold) {
	t.Helper()
	ctx := t.Context()
	for what, try := range map[string]func() error{
		"hold":    func() error { _, _, err := c.CreateHold(ctx, lost.ID, lost.want(1), key("hold")); return err },
		"extend":  func() error { _, _, err := c.ExtendHold(ctx, hold.ID, key("extend")); return err },
		"release": func() error { _, err := c.ReleaseHold(ctx, hold.ID); return err },
		"order":   func() error { _, _, err := c.CreateOrder(ctx, orderOf(hold), key("order")); return err },
		"look":    func() error { _, _, err := c.GetHold(ctx, hold.ID); return err },
	} {
		err := try()
		var p *client.ProblemError
		if !errors.As(err, &p) || p.Status != 503 || p.Code != "home_unavailable" || p.RetryAfter <= 0 || p.Problem.RetryAfter <= 0 {
			t.Errorf("%s while the home is away: %v", what, err)
		}
	}
}

// comesBack restarts the cell and measures from its own "ready" to the first
// decision through the router.
func comesBack(t *testing.T, w *world.World, c *client.Client, lost concert) {
	t.Helper()
	var ready, served atomic.Int64 // Unix nanoseconds
	url := cellURL(t, w, lost.Home.Cell)
	direct, err := credentials(t, w).Direct()
	must(t, err)
	var watching sync.WaitGroup
	watching.Go(func() {
		ready.Store(whenever(t.Context(), func() bool {
			res, err := direct.Get(url + "/readyz")
			if err == nil {
				_ = res.Body.Close()
			}
			return err == nil && res.StatusCode == http.StatusOK
		}))
	})
	watching.Go(func() {
		served.Store(whenever(t.Context(), func() bool {
			_, m, err := c.CreateHold(t.Context(), lost.ID, lost.want(1), key("back"))
			return err == nil && m.Cell == "use1" && m.Route == "home"
		}))
	})
	must(t, w.Restart(t.Context(), "cell-use1"))
	watching.Wait()
	if ready.Load() == 0 || served.Load() == 0 {
		t.Fatal("the cell does not come back")
	}
	took := time.Duration(served.Load() - ready.Load())
	if took > backWithin {
		t.Errorf("the first decision came %s after the cell was ready, want at most %s", took, backWithin)
	}
	t.Logf("the first decision came %s after the cell was ready", took.Round(time.Millisecond))
}

// cellURL is where a cell's only process is, running or not.
func cellURL(t *testing.T, w *world.World, cell string) string {
	t.Helper()
	snapshot, _, err := attendee(t, w, world.Paris).Topology(t.Context())
	must(t, err)
	for _, c := range snapshot.Cells {
		if string(c.ID) == cell && len(c.URLs) == 1 {
			return c.URLs[0]
		}
	}
	t.Fatalf("the map does not say where %s is", cell)
	return ""
}

// whenever polls until yes and answers when that was; 0 if a minute was not enough.
func whenever(ctx context.Context, yes func() bool) int64 {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !yes() {
		if pause(ctx, 20*time.Millisecond) != nil {
			return 0
		}
	}
	return time.Now().UnixNano()
}

// blastLoad is what attendees of the untouched regions do meanwhile: arrivals on
// a fixed beat, whether earlier ones were answered or not. Nothing may fail. One
// thing is allowed for, and counted: a machine that stands still for longer than
// a database session may be idle in a transaction, and the home says so itself.
type blastLoad struct {
	stop      context.CancelFunc
	running   sync.WaitGroup
	begun     atomic.Int64
	purchases atomic.Int64
	stalls    atomic.Int64
	inFlight  atomic.Int64

	mu     sync.Mutex
	faults []error
}

func startBlastLoad(t *testing.T, w *world.World) *blastLoad {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &blastLoad{stop: stop}
	t.Cleanup(stop)
	events := []concert{stage(t, w, "euw3", unique("Load"), 10_000, 0), stage(t, w, "apn1", unique("Load"), 10_000, 0)}
	for i, c := range []*client.Client{attendee(t, w, world.Paris), attendee(t, w, world.Tokyo)} {
		home, away := events[i], events[1-i]
		l.running.Go(func() { l.arrive(ctx, w, c, home, away) })
	}
	return l
}

// arrive begins something on every beat: mostly looking around, and buying, at
// home and from the other region.
func (l *blastLoad) arrive(ctx context.Context, w *world.World, c *client.Client, home, away concert) {
	beat := time.NewTicker(time.Second / blastRate)
	defer beat.Stop()
	alive := context.WithoutCancel(ctx) // what has begun is brought to its end
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		if l.inFlight.Add(1) > blastInFlight {
			l.inFlight.Add(-1)
			l.fault(errors.New("the others stand still: too much is in flight"))
			return
		}
		l.begun.Add(1)
		l.running.Go(func() {
			defer l.inFlight.Add(-1)
			err := l.visit(alive, w, c, i, home, away)
			for tries := 1; tries < politeTries; tries++ {
				wait, busy := told(err)
				if !busy || pause(alive, wait) != nil {
					break
				}
				l.stalls.Add(1)
				err = l.visit(alive, w, c, i, home, away)
			}
			if err != nil {
				l.fault(err)
			}
		})
	}
}

func (l *blastLoad) visit(ctx context.Context, w *world.World, c *client.Client, i int, home, away concert) (err error) {
	switch i % 5 {
	case 0:
		_, err = buy(ctx, w, c, home, 1)
		l.purchases.Add(1)
	case 1:
		_, err = buy(ctx, w, c, away, 1)
		l.purchases.Add(1)
	case 2:
		_, _, err = c.Event(ctx, away.ID)
	default:
		_, _, err = c.Search(ctx, client.Query{Text: "load", Limit: 10})
	}
	return err
}

// told is how long the home asked the visitor to wait, when too many did: on a
// machine that stands still, or is somebody else's for a while, that is its right
// answer. A visitor who comes back as asked must be served.
func told(err error) (wait time.Duration, busy bool) {
	var p *client.ProblemError
	if !errors.As(err, &p) || p.Meta.Cell == "" || p.RetryAfter <= 0 || p.Code != "busy" {
		return 0, false
	}
	return p.RetryAfter, true
}

func (l *blastLoad) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, err)
}

// end stops the load and holds it to zero errors.
func (l *blastLoad) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.running.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) > 0 {
		t.Errorf("%d of %d visits at the other cells failed (P7): %v", len(l.faults), l.begun.Load(), errors.Join(l.faults[:min(5, len(l.faults))]...))
	}
	if l.purchases.Load() < 20 {
		t.Errorf("only %d purchases were made beside the fault: that proves nothing", l.purchases.Load())
	}
	t.Logf("%d visits with %d purchases at the other cells, which came back %d times because they were told to", l.begun.Load(), l.purchases.Load(), l.stalls.Load())
}

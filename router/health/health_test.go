package health_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"guichet/control-plane/topology"
	"guichet/router/health"
)

// process is a cell's process that can be told how to be.
type process struct {
	*httptest.Server
	sick   atomic.Bool // /readyz answers 503
	stuck  atomic.Bool // /readyz does not answer
	probes atomic.Int64
}

func newProcess(t *testing.T) *process {
	t.Helper()
	p := &process{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.probes.Add(1)
		switch {
		case r.URL.Path != "/readyz":
			w.WriteHeader(http.StatusTeapot)
		case p.stuck.Load():
			<-r.Context().Done()
		case p.sick.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func run(t *testing.T, cfg health.Config) *health.Checker {
	t.Helper()
	cfg.Period, cfg.Timeout = 2*time.Millisecond, 50*time.Millisecond
	c := health.New(cfg)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return c
}

func cells(cs ...topology.Cell) func() []topology.Cell {
	return func() []topology.Cell { return cs }
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it did not happen within 10 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestChecker_aCellIsUpWhileAnyOfItsProcessesIs(t *testing.T) {
	a, b := newProcess(t), newProcess(t)
	euw3 := topology.Cell{ID: "euw3", URLs: []string{a.URL, b.URL}}
	c := run(t, health.Config{Cells: cells(euw3)})
	isDown := func() bool { return c.View().Cells["euw3"].Down }
	until(t, "both up", func() bool { return c.View().AnyUp() && len(c.View().Processes()) == 2 })

	a.sick.Store(true)
	until(t, "one sick", func() bool { return slices.Equal(c.View().Order(euw3, "x"), []string{b.URL}) })
	if isDown() {
		t.Error("the cell is down although a process of it is up")
	}
	b.stuck.Store(true)
	until(t, "the other stuck", isDown)
	if got := c.View().Order(euw3, "x"); len(got) != 2 {
		t.Errorf("with all down there are %v to try, want both", got)
	}
	a.sick.Store(false)
	until(t, "one back", func() bool { return !isDown() && slices.Equal(c.View().Order(euw3, "x"), []string{a.URL}) })
	if rtt := c.View().Cells["euw3"].RTT; rtt <= 0 {
		t.Errorf("round trip %v", rtt)
	}
}

func TestChecker_beforeTheFirstLookEverythingCountsAsUp(t *testing.T) {
	euw3 := topology.Cell{ID: "euw3", URLs: []string{"http://a", "http://b"}}
	c := health.New(health.Config{Cells: cells(euw3)})
	if c.View().Cells["euw3"].Down || len(c.View().Order(euw3, "x")) != 2 {
		t.Error("an unseen cell is down")
	}
	if c.View().AnyUp() {
		t.Error("an unseen cell counts as seen to be up")
	}
}

func TestRefused_isBelievedAtOnceAndProbesBringTheProcessBack(t *testing.T) {
	a := newProcess(t)
	euw3 := topology.Cell{ID: "euw3", URLs: []string{a.URL}}
	var changes atomic.Int64
	c := run(t, health.Config{Cells: cells(euw3), Changed: func(health.Process) { changes.Add(1) }})
	until(t, "up", func() bool { return c.View().AnyUp() })

	a.stuck.Store(true) // so that no good probe comes between
	c.Refused(a.URL)
	if !c.View().Cells["euw3"].Down {
		t.Error("a refused connection was not believed")
	}
	a.stuck.Store(false)
	until(t, "back", func() bool { return !c.View().Cells["euw3"].Down })
	if n := changes.Load(); n < 3 {
		t.Errorf("%d changes were told, want at least 3: seen, down, up", n)
	}
	c.Refused("http://nobody")
}

func TestChecker_followsCellsThatComeAndGo(t *testing.T) {
	a, b := newProcess(t), newProcess(t)
	var list atomic.Pointer[[]topology.Cell]
	list.Store(&[]topology.Cell{{ID: "euw3", URLs: []string{a.URL}}})
	c := run(t, health.Config{Cells: func() []topology.Cell { return *list.Load() }})
	until(t, "a is probed", func() bool { return a.probes.Load() > 0 })
	list.Store(&[]topology.Cell{{ID: "euw3", URLs: []string{b.URL}}, {ID: "use1", URLs: []string{a.URL}, State: topology.CellLeft}})
	until(t, "b instead of a", func() bool {
		ps := c.View().Processes()
		return len(ps) == 1 && ps[0].URL == b.URL && ps[0].Seen
	})
	seen := a.probes.Load()
	until(t, "more probes of b", func() bool { return b.probes.Load() > 20 })
	if extra := a.probes.Load() - seen; extra > 1 {
		t.Errorf("a process that went was probed %d more times", extra)
	}
}

func TestChecker_anAddressThatChangesHandsBelongsToItsNewCell(t *testing.T) {
	a := newProcess(t)
	var list atomic.Pointer[[]topology.Cell]
	list.Store(&[]topology.Cell{{ID: "euw3", URLs: []string{a.URL}}})
	c := run(t, health.Config{Cells: func() []topology.Cell { return *list.Load() }})
	until(t, "euw3", func() bool { return c.View().AnyUp() })
	list.Store(&[]topology.Cell{{ID: "use1", URLs: []string{a.URL}}})
	until(t, "use1", func() bool {
		ps := c.View().Processes()
		return len(ps) == 1 && ps[0].Cell == "use1" && ps[0].Seen
	})
}

func TestOrder_isStableAndSpreadsEvents(t *testing.T) {
	urls := []string{"http://a", "http://b", "http://c"}
	c := topology.Cell{ID: "euw3", URLs: urls}
	v := &health.View{}
	firsts := map[string]int{}
	for i := range 300 {
		affinity := "euw3_" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		first := v.Order(c, affinity)
		if again := v.Order(c, affinity); !slices.Equal(first, again) {
			t.Fatalf("%s: %v, then %v", affinity, first, again)
		}
		firsts[first[0]]++
	}
	if len(firsts) != 3 {
		t.Errorf("three processes took %v", firsts)
	}
}

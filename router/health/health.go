// Package health watches the processes of all cells: it asks each for /readyz on
// a period, and believes the proxy when a connection is refused. It publishes an
// immutable View; only Checker makes one. It chooses no cell: router/route does.
package health

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/mtls"
	"guichet/router/route"
)

// Defaults and limits. A process that becomes ready is used again after at most
// backAfter probes: 2 × (500 ms + jitter) and a probe's own time, well within 5 s.
const (
	Period       = 500 * time.Millisecond
	Timeout      = time.Second
	downAfter    = 2   // failed probes in a row that take a process out
	backAfter    = 2   // good probes in a row that bring it back
	jitter       = 0.1 // of the period, so that routers do not probe in step
	ewmaWeight   = 0.2 // of the newest round trip
	processLimit = 512 // processes watched at once
	answerLimit  = 4 << 10
)

// View is how all processes and cells are at one moment. It never changes.
type View struct {
	Cells     route.Health
	processes map[string]Process
}

// Process is one process of a cell as last seen.
type Process struct {
	Cell topology.CellID
	URL  string
	Up   bool
	Seen bool // it has been probed, or a connection has failed
	RTT  time.Duration
}

// Order lists a cell's processes in the order to try them: those that are up, by
// rendezvous of the affinity, so that everything about an event meets at one
// desk. When all are down it lists them all: somebody may have forced the cell.
func (v *View) Order(c topology.Cell, affinity string) []string {
	ordered := route.Rendezvous(affinity, c.URLs)
	up := make([]string, 0, len(ordered))
	for _, u := range ordered {
		if p, watched := v.processes[u]; !watched || p.Up {
			up = append(up, u)
		}
	}
	if len(up) == 0 {
		return ordered
	}
	return up
}

// Processes lists what is watched, by cell and URL.
func (v *View) Processes() []Process {
	list := make([]Process, 0, len(v.processes))
	for _, p := range v.processes {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Process) int {
		return strings.Compare(string(a.Cell)+" "+a.URL, string(b.Cell)+" "+b.URL)
	})
	return list
}

// AnyUp reports whether a cell has answered and is up.
func (v *View) AnyUp() bool {
	for _, p := range v.processes {
		if p.Up && p.Seen {
			return true
		}
	}
	return false
}

// Config is what a checker needs.
type Config struct {
	Cells   func() []topology.Cell // the cells to watch, asked once a period
	Period  time.Duration          // Period if 0
	Timeout time.Duration          // Timeout if 0
	Ways    *mtls.Ways             // to each cell as itself; plain HTTP if nil
	Changed func(p Process)        // told when a process goes up or down; may be nil
}

// Checker watches.
type Checker struct {
	cfg  Config
	view atomic.Pointer[View]

	mu      sync.Mutex
	watched map[string]*watch
}

type watch struct {
	Process
	stop      context.CancelFunc
	good, bad int // probes in a row
}

// Transport is what probes need.
func Transport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}
}

// New makes a checker; Run makes it watch.
func New(cfg Config) *Checker {
	if cfg.Period <= 0 {
		cfg.Period = Period
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = Timeout
	}
	if cfg.Ways == nil {
		cfg.Ways = mtls.NewWays(nil, Transport)
	}
	if cfg.Changed == nil {
		cfg.Changed = func(Process) {}
	}
	c := &Checker{cfg: cfg, watched: map[string]*watch{}}
	c.view.Store(&View{})
	return c
}

// View is the newest view.
func (c *Checker) View() *View { return c.view.Load() }

// Run watches until ctx ends; it follows cells that come and go.
func (c *Checker) Run(ctx context.Context) {
	var probes sync.WaitGroup
	defer probes.Wait()
	tick := time.NewTicker(c.cfg.Period)
	defer tick.Stop()
	for {
		c.follow(ctx, &probes)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// follow starts watching new processes and stops watching those that are gone.
func (c *Checker) follow(ctx context.Context, probes *sync.WaitGroup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	here := map[string]bool{}
	for _, cell := range c.cfg.Cells() {
		if cell.State == topology.CellLeft {
			continue
		}
		for _, u := range cell.URLs {
			here[u] = true
			if w, ok := c.watched[u]; ok && w.Cell == cell.ID || len(c.watched) >= processLimit {
				continue
			} else if ok {
				w.stop()
			}
			// Up until seen otherwise: a router that has just started must not
			// refuse what works (P8).
			watchCtx, stop := context.WithCancel(ctx)
			w := &watch{Process: Process{Cell: cell.ID, URL: u, Up: true}, stop: stop}
			c.watched[u] = w
			probes.Go(func() { c.probeLoop(watchCtx, w) })
		}
	}
	for u, w := range c.watched {
		if !here[u] {
			w.stop()
			delete(c.watched, u)
		}
	}
	c.publish()
}

func (c *Checker) probeLoop(ctx context.Context, w *watch) {
	for {
		rtt, err := c.probe(ctx, w.Cell, w.URL)
		if ctx.Err() != nil {
			return
		}
		c.note(w, rtt, err == nil)
		pause := time.NewTimer(time.Duration(float64(c.cfg.Period) * (1 - jitter + 2*jitter*rand.Float64()))) //nolint:gosec // jitter is no secret
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// probe asks one process whether it is ready. Another cell's process, or one that no
// certificate of the town speaks for, is as good as none.
func (c *Checker) probe(ctx context.Context, cell topology.CellID, base string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/readyz", nil)
	if err != nil {
		return 0, err
	}
	start := time.Now() //nolint:forbidigo // a round trip has no other clock
	client := http.Client{Transport: c.cfg.Ways.To(mtls.Peer{Kind: mtls.Cell, Name: string(cell)})}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	rtt := time.Since(start)
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, answerLimit))
	if resp.StatusCode != http.StatusOK {
		return 0, errNotReady
	}
	return rtt, nil
}

var errNotReady = errors.New("not ready")

// note counts a probe's outcome and publishes what follows from it.
func (c *Checker) note(w *watch, rtt time.Duration, ok bool) {
	c.mu.Lock()
	before := w.Process
	if ok {
		w.good, w.bad = w.good+1, 0
		if w.RTT == 0 {
			w.RTT = rtt
		}
		w.RTT += time.Duration(ewmaWeight * float64(rtt-w.RTT))
		if w.good >= backAfter || !w.Seen {
			w.Up = true
		}
	} else {
		w.good, w.bad = 0, w.bad+1
		// The very first probe decides alone: nothing good is known of it.
		if w.bad >= downAfter || !w.Seen {
			w.Up = false
		}
	}
	w.Seen = true
	if c.watched[w.URL] == w {
		c.publish()
	}
	after := w.Process
	c.mu.Unlock()
	if before.Up != after.Up || !before.Seen {
		c.cfg.Changed(after)
	}
}

// Refused tells the checker that a connection to a process could not be opened.
// That is believed at once: a process that is not there answers nobody, and its
// next good probes bring it back.
func (c *Checker) Refused(url string) {
	c.mu.Lock()
	w, ok := c.watched[url]
	changed := ok && w.Up
	var after Process
	if ok {
		w.good, w.Up, w.Seen = 0, false, true
		after = w.Process
		c.publish()
	}
	c.mu.Unlock()
	if changed {
		c.cfg.Changed(after)
	}
}

// publish makes a view of what is known; c.mu is held.
func (c *Checker) publish() {
	v := &View{Cells: route.Health{}, processes: make(map[string]Process, len(c.watched))}
	for u, w := range c.watched {
		v.processes[u] = w.Process
		vital, seen := v.Cells[w.Cell]
		if !seen {
			vital.Down = true
		}
		if w.Up {
			vital.Down = false
			if w.RTT > 0 && (vital.RTT == 0 || w.RTT < vital.RTT) {
				vital.RTT = w.RTT
			}
		}
		v.Cells[w.Cell] = vital
	}
	c.view.Store(v)
}

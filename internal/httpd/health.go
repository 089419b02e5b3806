package httpd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// checkTimeout bounds one readiness check.
const checkTimeout = time.Second

// Check reports why a part is not ready; nil means ready. It must end with its
// context, and may run beside others.
type Check func(ctx context.Context) error

// Health answers /livez and /readyz. Ready means: send requests here.
type Health struct {
	mu     sync.Mutex
	names  []string
	checks map[string]Check
	notes  map[string]bool // names of what is said and does not decide

	draining atomic.Bool
}

// Drain makes the program not ready for the rest of its life, whatever its checks say.
func (h *Health) Drain() { h.draining.Store(true) }

// Note registers a check that is told in the answer and does not decide it: a part
// whose own calls say that they must wait, while the rest works.
func (h *Health) Note(name string, check Check) {
	h.Add(name, check)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.notes == nil {
		h.notes = map[string]bool{}
	}
	h.notes[name] = true
}

// Add registers a named check; all but notes must pass for readiness.
func (h *Health) Add(name string, check Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]Check{}
	}
	if _, there := h.checks[name]; !there {
		h.names = append(h.names, name)
	}
	h.checks[name] = check
}

type readiness struct {
	Status  string            `json:"status"`
	Checks  map[string]string `json:"checks"`
	Reasons []string          `json:"reasons,omitempty"`
}

// Live answers 200 as long as the process can answer at all.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"status\":\"live\"}\n"))
}

// ask runs all checks at once, so that a slow one does not make the others late.
func (h *Health) ask(ctx context.Context) (names []string, notes map[string]bool, faults []error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	h.mu.Lock()
	names = slices.Clone(h.names)
	checks := maps.Clone(h.checks)
	notes = maps.Clone(h.notes)
	h.mu.Unlock()
	faults = make([]error, len(names))
	var running sync.WaitGroup
	for i, name := range names {
		running.Go(func() { faults[i] = run(ctx, checks[name]) })
	}
	running.Wait()
	return names, notes, faults
}

// run turns a panic into a reason: asking must not end the process.
func run(ctx context.Context, check Check) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the check panicked: %v", p)
		}
	}()
	return check(ctx)
}

// Ready answers 200, or 503 with the reasons.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	out := readiness{Status: "ready", Checks: map[string]string{}}
	if h.draining.Load() {
		out.Status, out.Reasons = "not ready", []string{errDraining.Error()}
	}
	names, notes, faults := h.ask(r.Context())
	for i, name := range names {
		switch err := faults[i]; {
		case err == nil:
			out.Checks[name] = "ok"
		case notes[name]:
			out.Checks[name] = err.Error()
		default:
			out.Status = "not ready"
			out.Checks[name] = err.Error()
			out.Reasons = append(out.Reasons, name+": "+err.Error())
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if out.Status != "ready" {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(out)
}

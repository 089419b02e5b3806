package httpd

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// checkTimeout bounds one readiness check.
const checkTimeout = time.Second

// Check reports why a part is not ready; nil means ready.
type Check func(ctx context.Context) error

// Health answers /livez and /readyz. Ready means: send requests here.
type Health struct {
	mu     sync.Mutex
	names  []string
	checks map[string]Check
}

// Add registers a named check; all must pass for readiness.
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

// Ready answers 200, or 503 with the reasons.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	h.mu.Lock()
	names := append([]string(nil), h.names...)
	h.mu.Unlock()
	out := readiness{Status: "ready", Checks: map[string]string{}}
	for _, name := range names {
		h.mu.Lock()
		check := h.checks[name]
		h.mu.Unlock()
		if err := check(ctx); err != nil {
			out.Status = "not ready"
			out.Checks[name] = err.Error()
			out.Reasons = append(out.Reasons, name+": "+err.Error())
			continue
		}
		out.Checks[name] = "ok"
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if out.Status != "ready" {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(out)
}

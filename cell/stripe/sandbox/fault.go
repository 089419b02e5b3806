package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Faults are what can be switched on to see how a cell takes it. They are not
// kept over a restart.
type Faults struct {
	LatencyMS                 int  `json:"latency_ms"`                   // before every API call is looked at
	Error500Percent           int  `json:"error_500_percent"`            // of API calls fail and do nothing
	TimeoutAfterEffectPercent int  `json:"timeout_after_effect_percent"` // of POSTs do their work and never answer
	WebhookBlackout           bool `json:"webhook_blackout"`             // nothing is delivered until it is off again
	Duplicates                int  `json:"duplicates"`                   // copies of each event; 0 means as configured
	Reorder                   bool `json:"reorder"`                      // deliveries come in random order, up to a second late
}

func (f Faults) check() error {
	for name, v := range map[string]int{"error_500_percent": f.Error500Percent, "timeout_after_effect_percent": f.TimeoutAfterEffectPercent} {
		if v < 0 || v > 100 {
			return fmt.Errorf("%s is %d, must be 0 to 100", name, v)
		}
	}
	if f.LatencyMS < 0 || time.Duration(f.LatencyMS)*time.Millisecond > maxLatency {
		return fmt.Errorf("latency_ms is %d, must be 0 to %d", f.LatencyMS, maxLatency.Milliseconds())
	}
	if f.Duplicates < 0 || f.Duplicates > maxCopies {
		return fmt.Errorf("duplicates is %d, must be 0 to %d", f.Duplicates, maxCopies)
	}
	return nil
}

// faults are the switches of all accounts and of single ones.
type faults struct {
	mu   sync.Mutex // guards the fields below
	all  Faults
	cell map[string]Faults
}

func (f *faults) of(cell string) Faults {
	f.mu.Lock()
	defer f.mu.Unlock()
	if own, ok := f.cell[cell]; ok {
		return own
	}
	return f.all
}

func (f *faults) set(cell string, v Faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cell == "" {
		f.all, f.cell = v, nil
		return
	}
	if f.cell == nil {
		f.cell = map[string]Faults{}
	}
	f.cell[cell] = v
}

// SetFaults sets the switches of one cell's account, or of all with "", from
// then on; what v does not name is off.
func (s *Sandbox) SetFaults(cell string, v Faults) error {
	if err := v.check(); err != nil {
		return err
	}
	if _, ok := s.couriers[cell]; cell != "" && !ok {
		return fmt.Errorf("no account of a cell %q", cell)
	}
	s.faults.set(cell, v)
	for _, c := range s.couriers {
		c.nudge()
	}
	return nil
}

// getFaults is GET /sandbox/faults[?cell=].
func (s *Sandbox) getFaults(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, s.faults.of(r.URL.Query().Get("cell")))
}

// setFaults is POST /sandbox/faults[?cell=]: the body replaces all switches, {} ends the trouble.
func (s *Sandbox) setFaults(w http.ResponseWriter, r *http.Request) {
	var v Faults
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(&v)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("something follows the JSON object")
		}
	}
	if err == nil {
		err = s.SetFaults(r.URL.Query().Get("cell"), v)
	}
	if err != nil {
		writeFailure(w, invalid("", "The switches were not understood: %v", err))
		return
	}
	s.log.InfoContext(r.Context(), "faults", slog.String("cell", r.URL.Query().Get("cell")), slog.Any("faults", v))
	writeJSON(w, http.StatusOK, v)
}

func chance(percent int) bool { return percent > 0 && rand.IntN(100) < percent }

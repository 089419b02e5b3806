package saga

import (
	"encoding/json"
	"strings"
	"time"
)

// Limits of runs.
const (
	// MaxData is the most that a run may carry from state to state, in bytes of JSON.
	MaxData = 64 << 10
	// MaxSteps bounds the states that one run enters: a flow in a circle ends.
	MaxSteps = 10_000
)

// Status of a run.
type Status string

// The statuses of a run.
const (
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
)

// Run is one execution of a definition. Its row moves with its event.
type Run struct {
	ID      string // chosen by the starter, the key for once-only: "purchase:ord_…"
	Event   string // the event whose row this is, by its id
	Name    string // of the definition
	Version string // of the definition; a run finishes with the one that it began with
	Status  Status
	Input   json.RawMessage
	Output  json.RawMessage // of a run that succeeded
	At      *Position
	Steps   int64  // states that were entered
	Error   string // name of the last error, "" when there was none since
	Cause   string

	StartedAt time.Time // the database's clock, like every time here
	Deadline  time.Time // zero is never
	WakeAt    time.Time // when somebody should look again
	EndedAt   time.Time // zero while it runs

	// Signals says that some waited to be heard when the run was locked. Nobody adds any
	// without that lock. It is not stored.
	Signals bool

	Owner string // who works on it now
	Taken int64  // grows with every claim: a fence against who came before
}

// Waiting is why a position rests.
type Waiting string

// What a position may wait for.
const (
	ForNothing Waiting = ""
	ForTime    Waiting = "time"   // a Wait state
	ForRetry   Waiting = "retry"  // the pause before the next try
	ForSignal  Waiting = "signal" // something from outside, or its timeout
)

// Position is where a run, or a branch of it, stands: the state that it is in and
// that state's input.
type Position struct {
	State    string      `json:"state"`
	Data     any         `json:"data"`
	Visit    int64       `json:"visit"` // states entered by this branch so far
	Entered  time.Time   `json:"entered"`
	Tries    []int       `json:"tries,omitempty"` // used up, by retrier
	Waiting  Waiting     `json:"waiting,omitempty"`
	Until    *time.Time  `json:"until,omitempty"`
	Branches []*Position `json:"branches,omitempty"` // of a Parallel state that runs
	Done     bool        `json:"done,omitempty"`     // a branch that ended; Data is its output
}

// UnmarshalJSON keeps numbers as they were written.
func (p *Position) UnmarshalJSON(text []byte) error {
	type plain Position
	var raw struct {
		plain
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	*p = Position(raw.plain)
	if raw.Data == nil {
		return nil
	}
	data, err := decode(raw.Data)
	p.Data = data
	return err
}

// Where says in words where the run stands: its state, or those of its branches.
func (r *Run) Where() string { return where(r.At) }

func where(p *Position) string {
	if len(p.Branches) == 0 {
		return p.State
	}
	parts := make([]string, len(p.Branches))
	for i, b := range p.Branches {
		if parts[i] = "✓"; !b.Done {
			parts[i] = where(b)
		}
	}
	return p.State + "[" + strings.Join(parts, " ") + "]"
}

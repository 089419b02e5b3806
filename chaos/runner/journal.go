package runner

import (
	"time"

	"guichet/chaos/experiment"
)

// Journal is what a run leaves, in Chaos Toolkit's form
// (https://chaostoolkit.org/reference/api/journal/).
type Journal struct {
	Version    string                 `json:"chaoslib-version"` // whose form it has
	Runner     string                 `json:"runner"`
	Platform   string                 `json:"platform"`
	Node       string                 `json:"node"`
	Experiment *experiment.Experiment `json:"experiment"`
	Start      time.Time              `json:"start"`
	End        time.Time              `json:"end"`
	Duration   float64                `json:"duration"` // seconds
	Status     string                 `json:"status"`   // completed, aborted, interrupted, failed
	Deviated   bool                   `json:"deviated"` // the hypothesis did not hold during or after
	Steady     States                 `json:"steady_states"`
	Run        []Entry                `json:"run"`
	Rollbacks  []Entry                `json:"rollbacks"`
	Reason     string                 `json:"reason,omitempty"` // why it was not completed
}

// States are how the hypothesis did.
type States struct {
	Before *State  `json:"before"`
	After  *State  `json:"after"`
	During []State `json:"during"`
}

// State is one look at the hypothesis.
type State struct {
	Met    bool    `json:"steady_state_met"`
	Probes []Entry `json:"probes"`
}

// Entry is an activity that was done.
type Entry struct {
	Activity  experiment.Activity `json:"activity"`
	Status    string              `json:"status"` // succeeded, failed
	Start     time.Time           `json:"start"`
	End       time.Time           `json:"end"`
	Duration  float64             `json:"duration"` // seconds
	Output    Output              `json:"output"`
	Met       *bool               `json:"tolerance_met,omitempty"`
	Exception []string            `json:"exception,omitempty"`
}

// Output is what the activity gave, cut.
type Output struct {
	Status int    `json:"status"` // HTTP's, or the exit code
	Body   string `json:"body,omitempty"`
}

// The states in which a run ends.
const (
	Completed   = "completed"
	Aborted     = "aborted"     // the stop condition, the expiry, or an action that failed
	Interrupted = "interrupted" // somebody did
	Failed      = "failed"      // the town was not well before
)

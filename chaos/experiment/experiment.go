// Package experiment is the form in which a drill is written down: an experiment of the
// open Chaos Toolkit (https://chaostoolkit.org/reference/api/experiment/), in JSON or
// YAML, with the extension "guichet" that says what may break, for how long, and what
// must hold meanwhile. The package reads and checks; it runs nothing.
package experiment

import (
	"encoding/json"
	"strconv"
	"time"
)

// Experiment is one drill as it is written down.
type Experiment struct {
	Version       string                     `json:"version,omitempty"`
	Title         string                     `json:"title"`
	Description   string                     `json:"description"`
	Tags          []string                   `json:"tags,omitempty"`
	Contributions map[string]string          `json:"contributions,omitempty"`
	Configuration map[string]json.RawMessage `json:"configuration,omitempty"`
	Controls      []Control                  `json:"controls,omitempty"`
	SteadyState   *Hypothesis                `json:"steady-state-hypothesis"`
	Method        []Activity                 `json:"method"`
	Rollbacks     []Activity                 `json:"rollbacks"`
	Extensions    []Extension                `json:"extensions"`
}

// Hypothesis is what is true of a town that is well: each probe meets its tolerance.
type Hypothesis struct {
	Title  string     `json:"title"`
	Probes []Activity `json:"probes"`
}

// Activity is a probe, which looks, or an action, which does.
type Activity struct {
	Type       string          `json:"type"`
	Name       string          `json:"name"`
	Provider   Provider        `json:"provider"`
	Tolerance  json.RawMessage `json:"tolerance,omitempty"`
	Pauses     *Pauses         `json:"pauses,omitempty"`
	Background bool            `json:"background,omitempty"`
}

// Pauses are seconds to wait before and after an activity.
type Pauses struct {
	Before float64 `json:"before,omitempty"`
	After  float64 `json:"after,omitempty"`
}

// Control runs before or after the whole experiment. One that fails before it keeps it
// from starting.
type Control struct {
	Name     string   `json:"name"`
	Scope    string   `json:"scope,omitempty"` // before or after
	Provider Provider `json:"provider"`
}

// Provider is how an activity is done: an HTTP call or a process.
type Provider struct {
	Type      string            `json:"type"`
	URL       string            `json:"url,omitempty"`
	Method    string            `json:"method,omitempty"` // default GET
	Headers   map[string]string `json:"headers,omitempty"`
	Path      string            `json:"path,omitempty"`      // of a process: its program
	Arguments json.RawMessage   `json:"arguments,omitempty"` // of http: the body; of process: a text or a list
	Timeout   float64           `json:"timeout,omitempty"`   // seconds
	Env       map[string]string `json:"env,omitempty"`
}

// Patience is how long the activity may take; def when the experiment does not say.
func (p Provider) Patience(def time.Duration) time.Duration {
	if p.Timeout > 0 {
		return time.Duration(p.Timeout * float64(time.Second))
	}
	return def
}

// Extension is what Chaos Toolkit leaves to others, by name.
type Extension struct {
	Name string `json:"name"`

	// Cell is where the fault is made, unless the command line says another.
	Cell string `json:"cell"`
	// BlastRadius says what may fail while the fault lasts. Everything else must not.
	BlastRadius *BlastRadius `json:"blast_radius"`
	// Expiry bounds the method: then it is broken off and rolled back.
	Expiry Duration `json:"expiry"`
	// Recovery is how long after the rollback all must work again.
	Recovery Duration `json:"recovery"`
	// Promises are those of cell/doc.go that are checked.
	Promises []string `json:"promises"`
	// StopAfter breaks the drill off when so many requests outside of the blast radius failed.
	StopAfter int `json:"stop_after_errors"`
	// Fault tells a reader in one sentence what is broken.
	Fault string `json:"fault"`
	// Expected tells a reader in one sentence what people should notice.
	Expected string `json:"expected"`
}

// BlastRadius is what may fail: actions of attendees that need one of the cells.
type BlastRadius struct {
	Cells   []string `json:"cells"`   // whose events; "*" are all
	Actions []string `json:"actions"` // see Actions
	Why     string   `json:"why"`
}

// Actions are what attendees do in a drill.
var Actions = []string{"search", "event", "hold", "order", "pay"}

// Covers says whether an action with an event of a cell may fail. A search needs no home.
func (b BlastRadius) Covers(home, action string) bool {
	cell, doing := false, false
	for _, c := range b.Cells {
		cell = cell || c == "*" || c == home
	}
	for _, a := range b.Actions {
		doing = doing || a == action
	}
	return cell && doing
}

// Extend is the experiment's extension "guichet"; Check says that there is one.
func (e *Experiment) Extend() Extension {
	for _, x := range e.Extensions {
		if x.Name == ExtensionName {
			return x
		}
	}
	return Extension{}
}

// ExtensionName is how the extension is called.
const ExtensionName = "guichet"

// Duration is a time span that JSON writes as Go does, "25s".
type Duration time.Duration

// UnmarshalJSON reads "25s", or a number of seconds.
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		var seconds float64
		if err := json.Unmarshal(raw, &seconds); err != nil {
			return errDuration
		}
		text = strconv.FormatFloat(seconds, 'f', -1, 64) + "s"
	}
	got, err := time.ParseDuration(text)
	if err != nil {
		return errDuration
	}
	*d = Duration(got)
	return nil
}

// MarshalJSON writes "25s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

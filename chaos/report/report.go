// Package report draws a drill for somebody who has never seen the project: one HTML page
// without scripts, fonts or pictures from elsewhere. It decides nothing: the promises were
// judged before.
package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"guichet/chaos/experiment"
	"guichet/chaos/load"
	"guichet/chaos/runner"
)

// Run is all that is known of one run; it is kept as JSON, so that its page can be drawn
// again.
type Run struct {
	Name     string             `json:"name"` // of the run
	Drill    string             `json:"drill"`
	Command  string             `json:"command"` // that repeats it
	Seed     uint64             `json:"seed"`
	Rate     float64            `json:"rate"` // arrivals per second and region
	Journal  *runner.Journal    `json:"journal"`
	Places   []Place            `json:"places"`
	Stages   map[string]float64 `json:"stages"` // when each began, seconds from the start of the load
	Records  []load.Record      `json:"records"`
	Verdicts []load.Verdict     `json:"verdicts"`
}

// Place is a region with its cell.
type Place struct {
	Cell   string `json:"cell"`
	Region string `json:"region"`
	City   string `json:"city"`
}

// Passed says whether the drill went as it must.
func (r *Run) Passed() bool {
	return r.Journal.Status == runner.Completed && !r.Journal.Deviated && !slices.ContainsFunc(r.Verdicts, func(v load.Verdict) bool { return v.Result == load.Broken })
}

// Why says in words why it did not pass; nothing when it did.
func (r *Run) Why() []string {
	var why []string
	if r.Journal.Status != runner.Completed {
		why = append(why, "it was "+r.Journal.Status+": "+r.Journal.Reason)
	}
	if r.Journal.Deviated {
		why = append(why, "the town was not in its steady state while it had to be")
	}
	for _, v := range r.Verdicts {
		if v.Result == load.Broken {
			why = append(why, "promise "+v.Promise+" is broken: "+v.Says)
		}
	}
	return why
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"seconds": func(s float64) string { return fmt.Sprintf("%.1f s", s) },
	"clock":   func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"date":    func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") },
	"join":    strings.Join,
}).Parse(pageText))

// Write draws the page.
func (r *Run) Write(w io.Writer) error {
	return page.Execute(w, struct {
		*Run
		Extension experiment.Extension
		Chart     template.HTML
		Could     []row
		Refusals  []refusal
		City      string
		Looks     int
		LooksMet  int
		Requests  int
	}{r, r.Journal.Experiment.Extend(), r.chart(), r.could(), r.refusals(), r.city(r.Journal.Experiment.Extend().Cell), len(r.Journal.Steady.During), r.looksMet(), len(r.Records)})
}

// Sums tells in one sentence how many requests failed, and whose.
func (r *Run) Sums() string {
	x := r.Journal.Experiment.Extend()
	failed, covered := 0, 0
	for _, rec := range r.Records {
		if rec.OK || rec.SoldOut {
			continue
		}
		if failed++; x.BlastRadius.Covers(rec.Home, rec.Action) {
			covered++
		}
	}
	switch {
	case failed == 0:
		return fmt.Sprintf("People asked %d times, and nobody noticed anything.", len(r.Records))
	case failed == covered:
		return fmt.Sprintf("People asked %d times and failed %d times, only with what was allowed to fail.", len(r.Records), failed)
	}
	return fmt.Sprintf("People asked %d times and failed %d times, %d of them with what must not fail.", len(r.Records), failed, failed-covered)
}

// RecoverySeconds is how long after the repair the blast radius might still fail.
func (r *Run) RecoverySeconds() float64 {
	return time.Duration(r.Journal.Experiment.Extend().Recovery).Seconds()
}

func (r *Run) looksMet() (n int) {
	for _, s := range r.Journal.Steady.During {
		if s.Met {
			n++
		}
	}
	return n
}

func (r *Run) city(cell string) string {
	for _, p := range r.Places {
		if p.Cell == cell {
			return p.City
		}
	}
	return cell
}

// row is what people near one place could do while something was broken.
type row struct {
	City  string
	Cells []could
}

// could is how one kind of thing went.
type could struct {
	Title string
	Items []item
}

// item is one action with how often it was tried and succeeded.
type item struct {
	Name      string
	OK, Tried int
}

// Class colours it; the numbers say the same.
func (i item) Class() string {
	switch {
	case i.Tried == 0:
		return "none"
	case i.OK == i.Tried:
		return "good"
	case i.OK == 0:
		return "bad"
	}
	return "some"
}

var words = map[string]string{"search": "search", "event": "look at", "hold": "hold", "order": "order", "pay": "pay"}

// could counts what people did between the fault and the end of the rollback.
func (r *Run) could() (rows []row) {
	from, to := r.Stages["fault"], r.Stages["after"]
	count := func(near, home, action string) item {
		i := item{Name: words[action]}
		for _, x := range r.Records {
			if at := x.At.Seconds(); at < from || at > to || x.Near != near || x.Home != home || x.Action != action {
				continue
			}
			i.Tried++
			if x.OK || x.SoldOut {
				i.OK++
			}
		}
		return i
	}
	if from == 0 {
		return nil
	}
	for _, near := range r.Places {
		line := row{City: near.City, Cells: []could{{"search", []item{count(near.Cell, near.Cell, "search")}}}}
		for _, home := range r.Places {
			c := could{Title: "events of " + home.City}
			for _, action := range experiment.Actions[1:] {
				c.Items = append(c.Items, count(near.Cell, home.Cell, action))
			}
			line.Cells = append(line.Cells, c)
		}
		rows = append(rows, line)
	}
	return rows
}

// refusal is how often people were told something else than what they asked for.
type refusal struct {
	Code, Meaning, Where string
	Times                int
}

var meanings = map[string]string{
	"no_answer":     "the connection broke or was refused",
	"too_slow":      "no answer within the time that an attendee waits",
	"provider_away": "the payment provider did not answer the buyer's browser",
	"not_payable":   "the order did not say how to pay: the cell could not ask the provider",
	"sold_out":      "the event with few tickets was sold out, which is right",
	"crowd_full":    "the drill's own crowd was too large for this machine",
}

func (r *Run) refusals() (all []refusal) {
	index := map[string]int{}
	for _, x := range r.Records {
		if x.OK {
			continue
		}
		where := words[x.Action] + ", events of " + r.city(x.Home)
		if x.Action == "search" {
			where = "search, near " + r.city(x.Near)
		}
		key := x.Code + where
		i, ok := index[key]
		if !ok {
			meaning := meanings[x.Code]
			if meaning == "" && x.Retry {
				meaning = "refused, with a time to try again"
			}
			i = len(all)
			index[key] = i
			all = append(all, refusal{Code: x.Code, Meaning: meaning, Where: where})
		}
		all[i].Times++
	}
	slices.SortFunc(all, func(a, b refusal) int { return b.Times - a.Times })
	return all
}

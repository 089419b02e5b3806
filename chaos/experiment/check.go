package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"time"
)

var promise = regexp.MustCompile(`^P[1-9]$`)

// Check reports all faults of an experiment at once. One that could leave something
// broken, or whose effect nobody looks at, is refused.
func (e *Experiment) Check() error {
	c := &checker{}
	c.want(e.Title != "" && e.Description != "", "it has no title or no description")
	c.want(e.SteadyState != nil && len(e.SteadyState.Probes) > 0, "it has no steady-state-hypothesis: nobody could say whether it went well")
	c.want(len(e.Method) > 0, "it has no method")
	c.want(len(e.Rollbacks) > 0, "it has no rollbacks: what it breaks would stay broken")
	c.want(len(e.Method)+len(e.Rollbacks)+len(e.Controls) <= maxActivities, "it has more than %d activities", maxActivities)
	if e.SteadyState != nil {
		for i, a := range e.SteadyState.Probes {
			where := fmt.Sprintf("steady-state-hypothesis, probe %d (%s)", i+1, a.Name)
			c.activity(where, a)
			c.want(a.Type == "probe" && len(a.Tolerance) > 0, "%s: it is not a probe with a tolerance", where)
			c.want(!a.Background, "%s: a probe of the hypothesis cannot run in the background", where)
		}
	}
	for i, a := range e.Method {
		c.activity(fmt.Sprintf("method, activity %d (%s)", i+1, a.Name), a)
	}
	for i, a := range e.Rollbacks {
		where := fmt.Sprintf("rollbacks, activity %d (%s)", i+1, a.Name)
		c.activity(where, a)
		c.want(!a.Background, "%s: a rollback that nobody waits for is none", where)
	}
	for i, k := range e.Controls {
		where := fmt.Sprintf("control %d (%s)", i+1, k.Name)
		c.want(k.Scope == "before" || k.Scope == "after", "%s: its scope is neither before nor after", where)
		c.provider(where, k.Provider)
	}
	c.extension(e)
	if len(c.faults) > 0 {
		return fmt.Errorf("%w: %w", ErrRefused, errors.Join(c.faults...))
	}
	return nil
}

type checker struct{ faults []error }

func (c *checker) want(ok bool, format string, args ...any) {
	if !ok {
		c.faults = append(c.faults, fmt.Errorf(format, args...))
	}
}

func (c *checker) extension(e *Experiment) {
	own := slices.ContainsFunc(e.Extensions, func(x Extension) bool { return x.Name == ExtensionName })
	c.want(own, "it has no extension named %s: blast radius and expiry are not said", ExtensionName)
	if !own {
		return
	}
	x := e.Extend()
	c.want(x.Cell != "", "extension: cell is not said")
	c.want(x.Fault != "" && x.Expected != "", "extension: fault or expected is not said; the page has to tell a reader")
	c.want(x.Expiry > 0, "extension: it has no expiry: it could break something forever")
	c.want(time.Duration(x.Expiry) <= MaxExpiry, "extension: expiry is more than %s", MaxExpiry)
	c.want(x.Recovery > 0 && time.Duration(x.Recovery) <= maxRecovery, "extension: recovery is not within 0 and %s", maxRecovery)
	c.want(x.StopAfter > 0, "extension: stop_after_errors is not said: nothing would stop a drill that does harm")
	c.want(len(x.Promises) > 0, "extension: promises are not said: nothing would be checked")
	for _, p := range x.Promises {
		c.want(promise.MatchString(p), "extension: %q is not a promise of cell/doc.go", p)
	}
	c.want(x.BlastRadius != nil, "extension: it has no blast_radius")
	if x.BlastRadius == nil {
		return
	}
	c.want(len(x.BlastRadius.Actions) == 0 || len(x.BlastRadius.Cells) > 0, "extension: blast_radius names actions and no cells")
	c.want(x.BlastRadius.Why != "", "extension: blast_radius does not say why")
	for _, a := range x.BlastRadius.Actions {
		c.want(slices.Contains(Actions, a), "extension: blast_radius: %q is none of %v", a, Actions)
	}
}

func (c *checker) activity(where string, a Activity) {
	c.want(a.Type == "probe" || a.Type == "action", "%s: its type is neither probe nor action", where)
	c.want(a.Name != "", "%s: it has no name", where)
	c.provider(where, a.Provider)
	if len(a.Tolerance) > 0 {
		_, err := ParseTolerance(a.Tolerance)
		c.want(err == nil, "%s: %v", where, err)
	}
	if p := a.Pauses; p != nil {
		c.want(p.Before >= 0 && p.After >= 0 && p.Before+p.After <= maxPause, "%s: its pauses are not within 0 and %d seconds", where, maxPause)
	}
}

func (c *checker) provider(where string, p Provider) {
	c.want(p.Timeout >= 0 && p.Timeout <= MaxExpiry.Seconds(), "%s: its timeout is not within 0 and %s", where, MaxExpiry)
	switch p.Type {
	case "http":
		u, err := url.Parse(p.URL)
		c.want(err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"), "%s: %q is no http or https URL", where, p.URL)
	case "process":
		c.want(p.Path != "", "%s: its process has no path", where)
		_, err := p.Args()
		c.want(err == nil, "%s: %v", where, err)
	case "python":
		c.want(false, "%s: a provider of type python needs the Chaos Toolkit itself; here there are http and process", where)
	default:
		c.want(false, "%s: its provider is neither http nor process", where)
	}
}

// Args are a process's arguments: a list, or a text that is split at spaces.
func (p Provider) Args() ([]string, error) {
	if len(p.Arguments) == 0 {
		return nil, nil
	}
	var list []string
	if json.Unmarshal(p.Arguments, &list) == nil {
		return list, nil
	}
	var text string
	if json.Unmarshal(p.Arguments, &text) != nil {
		return nil, errors.New("the arguments of a process are a text or a list of texts")
	}
	return splitWords(text)
}

// splitWords splits as a shell does, with quotes and without anything else.
func splitWords(text string) (words []string, err error) {
	var word []rune
	quote, inside := rune(0), false
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word = append(word, r)
		case r == '"' || r == '\'':
			quote, inside = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if inside {
				words = append(words, string(word))
			}
			word, inside = nil, false
		default:
			word, inside = append(word, r), true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote in the arguments is not closed")
	}
	if inside {
		words = append(words, string(word))
	}
	return words, nil
}

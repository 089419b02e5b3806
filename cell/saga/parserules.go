package saga

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Defaults of a retrier, by the standard.
const (
	defaultInterval = 1
	defaultBackoff  = 2.0
	defaultTries    = 3
	maxBackoff      = 100.0
	// maxRetryDelay bounds a pause when a definition does not.
	maxRetryDelay = 86_400
)

// recovery reads Retry and Catch.
func (p *parser) recovery(f *fields, s *State) {
	retry, catch := f.list("Retry", false), f.list("Catch", false)
	for i, v := range retry {
		r := newFields(v, f.at+"/Retry/"+strconv.Itoa(i))
		got := Retrier{Errors: errorNames(r, i == len(retry)-1), Backoff: r.float("BackoffRate", 1, maxBackoff, defaultBackoff)}
		got.Interval, got.Max, got.MaxDelay = defaultInterval*time.Second, defaultTries, maxRetryDelay*time.Second
		if n := r.seconds("IntervalSeconds", 1); n != nil {
			got.Interval = time.Duration(*n) * time.Second
		}
		if n := r.seconds("MaxAttempts", 0); n != nil {
			got.Max = int(*n)
		}
		if n := r.seconds("MaxDelaySeconds", 1); n != nil {
			got.MaxDelay = time.Duration(*n) * time.Second
		}
		if got.MaxDelay < got.Interval {
			r.fault("MaxDelaySeconds", "must not be less than IntervalSeconds")
		}
		switch r.text("JitterStrategy", false) {
		case "", "NONE":
		case "FULL":
			got.Jitter = true
		default:
			r.fault("JitterStrategy", "must be FULL or NONE")
		}
		p.note(r)
		f.keep(r.done())
		s.Retry = append(s.Retry, got)
	}
	for i, v := range catch {
		c := newFields(v, f.at+"/Catch/"+strconv.Itoa(i))
		s.Catch = append(s.Catch, Catcher{Errors: errorNames(c, i == len(catch)-1), Next: c.text("Next", true), result: c.place("ResultPath", true)})
		p.note(c)
		f.keep(c.done())
	}
}

// note lets a comment stand.
func (p *parser) note(f *fields) { f.text("Comment", false) }

func (f *fields) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

// errorNames reads ErrorEquals. States.ALL stands alone and last, by the standard.
func errorNames(f *fields, last bool) (names []string) {
	for i, v := range f.list("ErrorEquals", true) {
		name, ok := v.(string)
		if !ok || name == "" {
			f.fault("ErrorEquals", "must be names of errors")
		}
		if name == errAll && (i > 0 || !last) {
			f.fault("ErrorEquals", "States.ALL stands alone and last")
		}
		if strings.HasPrefix(name, "States.") && !knownErrors[name] {
			f.fault("ErrorEquals", "%s is no error of the language", name)
		}
		if len(names) > 0 && names[0] == errAll {
			f.fault("ErrorEquals", "States.ALL stands alone and last")
		}
		names = append(names, name)
	}
	return names
}

var knownErrors = map[string]bool{
	errAll: true, errTimeout: true, errTaskFailed: true, errRuntime: true, errResultPath: true,
	errParameterPath: true, errBranch: true, errNoChoice: true, errDataLimit: true,
}

func (p *parser) choice(f *fields, s *State) {
	s.Default = f.text("Default", false)
	for i, v := range f.list("Choices", true) {
		r, err := p.rule(v, f.at+"/Choices/"+strconv.Itoa(i), true, 0)
		if err != nil {
			f.keep(err)
			return
		}
		s.choices = append(s.choices, r)
		s.Choices = append(s.Choices, Branch{When: r.String(), Next: r.next})
	}
}

func (p *parser) rule(v any, at string, top bool, depth int) (*rule, error) {
	f := newFields(v, at)
	if depth > maxDepth {
		f.fault("", "is nested more than %d deep", maxDepth)
	}
	if f.err != nil {
		return nil, f.err
	}
	r := &rule{}
	if top {
		r.next = f.text("Next", true)
		p.note(f)
	}
	rules := func(name string) (all []*rule) {
		for i, v := range f.list(name, true) {
			part, err := p.rule(v, at+"/"+name+"/"+strconv.Itoa(i), false, depth+1)
			f.keep(err)
			all = append(all, part)
		}
		return all
	}
	switch {
	case f.members["And"] != nil:
		r.and = rules("And")
	case f.members["Or"] != nil:
		r.or = rules("Or")
	case f.members["Not"] != nil:
		inner, _ := f.take("Not")
		part, err := p.rule(inner, at+"/Not", false, depth+1)
		f.keep(err)
		r.not = part
	default:
		comparison(f, r)
	}
	return r, f.done()
}

func comparison(f *fields, r *rule) {
	if r.variable = f.path("Variable"); r.variable == nil {
		f.fault("Variable", "is missing")
	}
	for _, name := range sortedNames(f.members) {
		op, isPath := strings.CutSuffix(name, "Path")
		if family, compare := splitOp(op); family == "" || isPath && (family == "Is" || compare == "Matches") {
			continue
		}
		if r.op != "" {
			f.fault(name, "one comparison is enough for a rule")
			return
		}
		r.op = op
		if isPath {
			r.other = f.path(name)
			continue
		}
		r.value, _ = f.take(name)
		if wrong := checkValue(op, r.value); wrong != "" {
			f.fault(name, "%s", wrong)
		}
	}
	if r.op == "" {
		f.fault("", "compares nothing")
	}
}

// String is the rule in words.
func (r *rule) String() string {
	list := func(rules []*rule, word string) string {
		parts := make([]string, len(rules))
		for i, part := range rules {
			parts[i] = part.String()
		}
		return strings.Join(parts, " "+word+" ")
	}
	switch {
	case r.and != nil:
		return list(r.and, "and")
	case r.or != nil:
		return list(r.or, "or")
	case r.not != nil:
		return "not (" + r.not.String() + ")"
	case r.other != nil:
		return r.variable.text + " " + r.op + " " + r.other.text
	}
	return r.variable.text + " " + r.op + " " + fmt.Sprint(r.value)
}

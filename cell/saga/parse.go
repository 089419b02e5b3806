package saga

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"guichet/internal/kind"
)

// ErrDefinition refuses a state machine, with a JSON pointer to what is wrong.
var ErrDefinition = kind.Invalid.New("invalid_definition")

// Parse reads a state machine strictly: unknown fields, states that nothing leads
// to or that lead nowhere, and fields that this runner does not do are refused.
func Parse(text []byte) (*Machine, error) {
	if len(text) > MaxDefinition {
		return nil, ErrDefinition.At("", "is longer than %d bytes", MaxDefinition)
	}
	v, err := readObject(text)
	if err != nil {
		return nil, err
	}
	p := &parser{names: map[string]bool{}}
	return p.machine(v, "", false, 0)
}

// parser counts what must be unique or bounded in the whole definition.
type parser struct{ names map[string]bool }

func (p *parser) machine(v any, at string, branch bool, depth int) (*Machine, error) {
	f := newFields(v, at)
	if depth > maxDepth {
		f.fault("", "is nested more than %d deep", maxDepth)
	}
	m := &Machine{Comment: f.text("Comment", false), StartAt: f.text("StartAt", true), States: map[string]*State{}}
	if !branch {
		if version := f.text("Version", false); version != "" && version != "1.0" {
			f.fault("Version", "must be 1.0, the language's version")
		}
		if n := f.seconds("TimeoutSeconds", 1); n != nil {
			m.Timeout = time.Duration(*n) * time.Second
		}
	}
	if language := f.text("QueryLanguage", false); language != "" && language != "JSONPath" {
		f.fault("QueryLanguage", "must be JSONPath")
	}
	states, _ := f.take("States")
	if err := f.done(); err != nil {
		return nil, err
	}
	all := newFields(states, at+"/States")
	if len(all.members) == 0 {
		all.fault("", "must have a state")
	}
	if all.err != nil {
		return nil, all.err
	}
	for _, name := range sortedNames(all.members) {
		here := all.at + "/" + escape(name)
		switch {
		case name == "" || utf8.RuneCountInString(name) > maxName:
			return nil, ErrDefinition.At(here, "a state's name is 1 to %d characters", maxName)
		case p.names[name]:
			return nil, ErrDefinition.At(here, "another state has this name")
		case len(p.names) == maxStates:
			return nil, ErrDefinition.At(here, "more than %d states", maxStates)
		}
		p.names[name] = true
		s, err := p.state(name, all.members[name], here, depth)
		if err != nil {
			return nil, err
		}
		m.States[name] = s
	}
	return m, m.connected(at)
}

func sortedNames(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// connected: every state is reached from the first one, leads to states that are
// there, and can come to an end.
func (m *Machine) connected(at string) error {
	if m.States[m.StartAt] == nil {
		return ErrDefinition.At(at+"/StartAt", "there is no state %q", m.StartAt)
	}
	seen := map[string]bool{}
	queue := []string{m.StartAt}
	ends := false
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		next := m.States[name].leadsTo()
		ends = ends || m.States[name].mayEnd()
		for _, to := range next {
			if m.States[to] == nil {
				return ErrDefinition.At(at+"/States/"+escape(name), "leads to %q, which is not there", to)
			}
		}
		queue = append(queue, next...)
	}
	if !ends {
		return ErrDefinition.At(at+"/States", "no way comes to an end")
	}
	for _, name := range sortedStates(m.States) {
		if !seen[name] {
			return ErrDefinition.At(at+"/States/"+escape(name), "nothing leads here")
		}
	}
	return nil
}

func sortedStates(m map[string]*State) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// leadsTo lists the states that may come next.
func (s *State) leadsTo() (next []string) {
	for _, to := range append([]string{s.Next, s.Default}, targets(s)...) {
		if to != "" {
			next = append(next, to)
		}
	}
	return next
}

func targets(s *State) (next []string) {
	for _, c := range s.Choices {
		next = append(next, c.Next)
	}
	for _, c := range s.Catch {
		next = append(next, c.Next)
	}
	return next
}

func (s *State) mayEnd() bool { return s.Next == "" && s.Type != Choice }

func (p *parser) state(name string, v any, at string, depth int) (*State, error) {
	f := newFields(v, at)
	if f.err != nil {
		return nil, f.err
	}
	s := &State{Name: name, Type: Type(f.text("Type", true)), Comment: f.text("Comment", false)}
	if language := f.text("QueryLanguage", false); language != "" && language != "JSONPath" {
		f.fault("QueryLanguage", "must be JSONPath")
	}
	if s.Type != Fail {
		s.input, s.output = f.place("InputPath", false), f.place("OutputPath", false)
	}
	if s.Type == Task || s.Type == Parallel || s.Type == Pass || s.Type == Wait {
		s.Next = f.text("Next", false)
		end, there := f.take("End")
		isEnd, ok := end.(bool)
		if there && !ok || isEnd == (s.Next != "") {
			f.fault("", "needs either Next or \"End\": true")
		}
	}
	if s.Type == Task || s.Type == Parallel || s.Type == Pass {
		s.result, s.parameters = f.place("ResultPath", true), f.template("Parameters")
	}
	switch s.Type {
	case Task:
		p.task(f, s)
	case Parallel:
		p.parallel(f, s, depth)
	case Pass:
		s.fixed, s.hasFixed = f.take("Result")
	case Choice:
		p.choice(f, s)
	case Wait:
		p.wait(f, s)
	case Succeed:
	case Fail:
		f.onlyOne(false, "Error", "ErrorPath")
		f.onlyOne(false, "Cause", "CausePath")
		s.errorName, s.errorPath = f.text("Error", false), f.path("ErrorPath")
		s.cause, s.causePath = f.text("Cause", false), f.path("CausePath")
	default:
		f.fault("Type", "must be Task, Choice, Wait, Parallel, Pass, Succeed or Fail")
	}
	return s, f.done()
}

func (p *parser) task(f *fields, s *State) {
	s.Resource = f.text("Resource", true)
	if s.Handler() == "" {
		f.fault("Resource", "must be the ARN of an activity: arn:aws:states:::activity:name")
	}
	f.onlyOne(false, "TimeoutSeconds", "TimeoutSecondsPath")
	if n := f.seconds("TimeoutSeconds", 1); n != nil {
		s.Timeout = time.Duration(*n) * time.Second
	}
	s.timeoutPath = f.path("TimeoutSecondsPath")
	s.selector = f.template("ResultSelector")
	p.recovery(f, s)
}

// Handler is the name under which a Task's handler is registered.
func (s *State) Handler() string {
	rest, ok := strings.CutPrefix(s.Resource, "arn:aws:states:")
	if !ok {
		return ""
	}
	_, name, ok := strings.Cut(rest, ":activity:")
	if !ok || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return ""
	}
	return name
}

func (p *parser) parallel(f *fields, s *State, depth int) {
	s.selector = f.template("ResultSelector")
	p.recovery(f, s)
	branches := f.list("Branches", true)
	if len(branches) > maxBranches {
		f.fault("Branches", "at most %d", maxBranches)
	}
	if f.err != nil {
		return
	}
	for i, b := range branches {
		m, err := p.machine(b, f.at+"/Branches/"+strconv.Itoa(i), true, depth+1)
		if err != nil {
			f.err = err
			return
		}
		s.Branches = append(s.Branches, m)
	}
}

func (p *parser) wait(f *fields, s *State) {
	f.onlyOne(true, "Seconds", "SecondsPath", "Timestamp", "TimestampPath")
	s.seconds, s.secondsPath = f.seconds("Seconds", 0), f.path("SecondsPath")
	s.until, s.untilPath = f.timestamp("Timestamp"), f.path("TimestampPath")
}

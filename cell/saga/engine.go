package saga

import (
	"encoding/json"
	"strconv"
	"time"
)

// maxMoves bounds how far one transaction carries a run.
const maxMoves = 100

// engine moves a run on by the rules of the language. It decides only: what a task
// does happens outside and comes back by succeed or fail.
type engine struct {
	machine *Machine
	run     *Run
	now     time.Time
	random  func() float64 // for jitter
}

// frame is a position with the machine that it is in.
type frame struct {
	machine *Machine
	at      *Position
	up      *frame // of the Parallel state, nil for the run itself
	path    string // of branch numbers, "" for the run itself
}

func (f *frame) state() *State { return f.machine.States[f.at.State] }

// job is a Task whose time has come.
type job struct {
	frame   *frame
	state   *State
	input   any
	key     string // stable over tries and takeovers: state, branch and visit
	timeout time.Duration
}

// begin puts a new run at its first state.
func (e *engine) begin(input any) {
	e.run.At = &Position{}
	e.enter(e.root(), e.machine.StartAt, input)
}

func (e *engine) root() *frame { return &frame{machine: e.machine, at: e.run.At} }

func (e *engine) enter(f *frame, state string, data any) {
	*f.at = Position{State: state, Data: data, Visit: f.at.Visit + 1, Entered: e.now}
	e.run.Steps++
}

// next moves everything on that moves by itself and answers the next task; nil
// means that the run is over or rests.
func (e *engine) next() *job {
	for range maxMoves {
		if e.run.Status != Running {
			return nil
		}
		if e.overdue() {
			e.end(Failed, &failure{errTimeout, "the run is past its deadline"})
			return nil
		}
		f := e.ready(e.root())
		if f == nil {
			return nil
		}
		if e.run.Steps > MaxSteps {
			e.end(Failed, &failure{errRuntime, "more than " + strconv.Itoa(MaxSteps) + " states were entered"})
			return nil
		}
		if j := e.step(f); j != nil {
			return j
		}
	}
	return nil // it goes on in the next transaction
}

func (e *engine) overdue() bool {
	return !e.run.Deadline.IsZero() && !e.now.Before(e.run.Deadline)
}

// ready finds the first position that can move on.
func (e *engine) ready(f *frame) *frame {
	p := f.at
	if p.Done || p.Waiting != ForNothing && (p.Until == nil || e.now.Before(*p.Until)) {
		return nil
	}
	if len(p.Branches) == 0 {
		return f
	}
	for i, b := range p.Branches {
		inner := &frame{f.state().Branches[i], b, f, f.path + strconv.Itoa(i) + "."}
		if found := e.ready(inner); found != nil {
			return found
		}
	}
	return nil
}

// rest is the next time at which something is due; zero is never.
func rest(p *Position) (at time.Time) {
	if !p.Done && p.Waiting != ForNothing && p.Until != nil {
		at = *p.Until
	}
	for _, b := range p.Branches {
		if t := rest(b); at.IsZero() || !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return at
}

// step does one move of a position; a task is answered instead.
func (e *engine) step(f *frame) *job {
	s := f.state()
	if s == nil { // not our definition
		e.end(Failed, &failure{errRuntime, "there is no state " + f.at.State})
		return nil
	}
	was := f.at.Waiting
	f.at.Waiting, f.at.Until = ForNothing, nil
	switch {
	case was == ForTime:
		e.leave(f, f.at.Data)
		return nil
	case was == ForSignal:
		e.fail(f, &failure{errTimeout, "nothing came in time"})
		return nil
	}
	input, fault := e.inputOf(f)
	if fault != nil {
		e.fail(f, fault)
		return nil
	}
	switch s.Type {
	case Task:
		j := &job{frame: f, state: s, input: input, key: f.path + s.Name + ":" + strconv.FormatInt(f.at.Visit, 10), timeout: s.Timeout}
		if s.timeoutPath != nil {
			n, ok := wholeSeconds(s.timeoutPath.look(f.at.Data, e.context(f)))
			if !ok || n < 1 {
				e.fail(f, &failure{errRuntime, "there are no seconds at " + s.timeoutPath.text})
				return nil
			}
			j.timeout = time.Duration(n) * time.Second
		}
		return j
	case Parallel:
		for i, m := range s.Branches {
			b := &Position{}
			f.at.Branches = append(f.at.Branches, b)
			e.enter(&frame{m, b, f, f.path + strconv.Itoa(i) + "."}, m.StartAt, input)
			b.Visit += f.at.Visit * MaxSteps // so that a branch that is run again has other keys
		}
	case Pass:
		if s.hasFixed {
			input = s.fixed
		}
		e.finish(f, input)
	case Choice:
		e.choose(f, input)
	case Wait:
		e.wait(f, input)
	case Succeed:
		e.leave(f, input)
	case Fail:
		e.failState(f, input)
	}
	return nil
}

// inputOf is the effective input: InputPath, then Parameters.
func (e *engine) inputOf(f *frame) (any, *failure) {
	s := f.state()
	input := f.at.Data
	switch {
	case s.input.nowhere:
		input = map[string]any{}
	case s.input.at != nil:
		var ok bool
		if input, ok = s.input.at.look(f.at.Data, e.context(f)); !ok {
			return nil, &failure{errRuntime, "there is nothing at " + s.input.at.text}
		}
	}
	if s.parameters == nil {
		return input, nil
	}
	return s.parameters.fill(input, e.context(f))
}

// context is the context object, $$.
func (e *engine) context(f *frame) contextObject {
	return func() any {
		input, _ := decode(e.run.Input)
		retries := 0
		for _, n := range f.at.Tries {
			retries += n
		}
		return map[string]any{
			"Execution": map[string]any{
				"Id": e.run.ID, "Name": e.run.ID, "Input": input, "StartTime": e.run.StartedAt.UTC().Format(time.RFC3339Nano),
			},
			"State": map[string]any{
				"Name": f.at.State, "EnteredTime": f.at.Entered.UTC().Format(time.RFC3339Nano), "RetryCount": json.Number(strconv.Itoa(retries)),
			},
			"StateMachine": map[string]any{"Id": e.run.Name + "@" + e.run.Version, "Name": e.run.Name},
			"Task":         map[string]any{"Token": Token(e.run.ID, f.state().Handler())},
		}
	}
}

// Token is what somebody outside wakes a waiting task with.
func Token(run, handler string) string { return run + "#" + handler }

// succeed takes a task's result in.
func (e *engine) succeed(f *frame, result any) {
	s := f.state()
	if s.selector != nil {
		selected, fault := s.selector.fill(result, e.context(f))
		if fault != nil {
			e.fail(f, fault)
			return
		}
		result = selected
	}
	e.finish(f, result)
}

// finish puts a state's result where it belongs and leaves the state.
func (e *engine) finish(f *frame, result any) {
	s := f.state()
	out, ok := f.at.Data, true
	switch {
	case s.result.nowhere:
	case s.result.at == nil:
		out = result
	default:
		out, ok = s.result.at.put(f.at.Data, result)
	}
	if !ok {
		e.fail(f, &failure{errResultPath, "the result cannot be put at " + s.result.at.text})
		return
	}
	e.leave(f, out)
}

// leave ends a state: OutputPath, then the next state or the end.
func (e *engine) leave(f *frame, out any) {
	s := f.state()
	switch {
	case s.output.nowhere:
		out = map[string]any{}
	case s.output.at != nil:
		var ok bool
		if out, ok = s.output.at.look(out, e.context(f)); !ok {
			e.fail(f, &failure{errRuntime, "there is nothing at " + s.output.at.text})
			return
		}
	}
	e.moveTo(f, s.Next, out)
}

func (e *engine) moveTo(f *frame, next string, data any) {
	if tooLarge(data) {
		e.fail(f, &failure{errDataLimit, "more than " + strconv.Itoa(MaxData) + " bytes of data"})
		return
	}
	if next != "" {
		e.enter(f, next, data)
		return
	}
	if f.up == nil {
		f.at.Data = data
		e.end(Succeeded, nil)
		return
	}
	*f.at = Position{State: f.at.State, Data: data, Visit: f.at.Visit, Entered: f.at.Entered, Done: true}
	var outputs []any
	for _, b := range f.up.at.Branches {
		if !b.Done {
			return
		}
		outputs = append(outputs, b.Data)
	}
	f.up.at.Branches = nil
	e.succeed(f.up, outputs)
}

// tooLarge says of data whether it is more than MaxData as JSON; so is what cannot be
// written. It is asked with each step, so what is far below is not written out.
func tooLarge(data any) bool {
	if most, known := atMost(data); known && most <= MaxData {
		return false
	}
	text, err := json.Marshal(data)
	return err != nil || len(text) > MaxData
}

// Bounds of what JSON makes of a value.
const (
	longestEscape = 6 // bytes for one: \u0000
	longestNumber = 25
)

// atMost is a bound of the bytes that data takes as JSON, for what plain makes.
func atMost(data any) (n int, known bool) {
	switch v := data.(type) {
	case nil, bool, float64, int64, int:
		return longestNumber, true
	case json.Number:
		return len(v), true
	case string:
		return longestEscape*len(v) + 2, true
	case []any:
		for _, item := range v {
			most, known := atMost(item)
			if !known {
				return 0, false
			}
			n += most + 1
		}
		return n + 2, true
	case map[string]any:
		for key, item := range v {
			most, known := atMost(item)
			if !known {
				return 0, false
			}
			n += longestEscape*len(key) + most + 4
		}
		return n + 2, true
	default:
		return 0, false
	}
}

// end closes the run. A failed one keeps its position: it can be tried again.
func (e *engine) end(as Status, why *failure) {
	e.run.Status, e.run.EndedAt = as, e.now
	if why != nil {
		e.run.Error, e.run.Cause = why.name, why.cause
		return
	}
	e.run.Error, e.run.Cause = "", ""
	text, err := json.Marshal(e.run.At.Data)
	if err == nil {
		e.run.Output = text
	}
}

package saga

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxCause bounds what is kept of an error's text, in bytes.
const maxCause = 1000

// fail lets a state fail: it is tried again after a pause, or caught, or fails
// the whole, by the definition.
func (e *engine) fail(f *frame, why *failure) {
	s := f.state()
	if len(why.cause) > maxCause {
		why.cause = why.cause[:maxCause]
		for !utf8.ValidString(why.cause) {
			why.cause = why.cause[:len(why.cause)-1]
		}
	}
	e.run.Error, e.run.Cause = why.name, why.cause
	branch := s.Type == Parallel
	for i := range s.Retry {
		r := &s.Retry[i]
		if !why.matches(r.Errors, branch) {
			continue
		}
		if len(f.at.Tries) < len(s.Retry) {
			f.at.Tries = append(f.at.Tries, make([]int, len(s.Retry)-len(f.at.Tries))...)
		}
		if f.at.Tries[i] >= r.Max {
			break
		}
		until := e.now.Add(r.delay(f.at.Tries[i], e.random))
		f.at.Tries[i]++
		f.at.Branches, f.at.Waiting, f.at.Until = nil, ForRetry, &until
		return
	}
	for i := range s.Catch {
		c := &s.Catch[i]
		if !why.matches(c.Errors, branch) {
			continue
		}
		data, ok := any(map[string]any{"Error": why.name, "Cause": why.cause}), true
		switch {
		case c.result.nowhere:
			data = f.at.Data
		case c.result.at != nil:
			data, ok = c.result.at.put(f.at.Data, data)
		}
		if !ok {
			why = &failure{errResultPath, "the error cannot be put at " + c.result.at.text}
			break
		}
		f.at.Branches = nil
		e.moveTo(f, c.Next, data)
		return
	}
	f.at.Branches = nil
	if f.up == nil {
		e.end(Failed, why)
		return
	}
	e.fail(f.up, why)
}

func (e *engine) failState(f *frame, input any) {
	s := f.state()
	why := &failure{s.errorName, s.cause}
	for _, from := range []struct {
		path *path
		into *string
	}{{s.errorPath, &why.name}, {s.causePath, &why.cause}} {
		if from.path == nil {
			continue
		}
		v, _ := from.path.look(input, e.context(f))
		text, ok := v.(string)
		if !ok {
			why = &failure{errRuntime, "there is no text at " + from.path.text}
			break
		}
		*from.into = text
	}
	e.fail(f, why)
}

func (e *engine) choose(f *frame, input any) {
	s := f.state()
	for _, r := range s.choices {
		ok, fault := r.holds(input, e.context(f))
		if fault != nil {
			e.fail(f, fault)
			return
		}
		if ok {
			e.choice(f, r.next, input)
			return
		}
	}
	if s.Default == "" {
		e.fail(f, &failure{errNoChoice, "no choice of " + s.Name + " matches"})
		return
	}
	e.choice(f, s.Default, input)
}

func (e *engine) choice(f *frame, next string, out any) {
	switch s := f.state(); {
	case s.output.nowhere:
		out = map[string]any{}
	case s.output.at != nil:
		var ok bool
		if out, ok = s.output.at.look(out, e.context(f)); !ok {
			e.fail(f, &failure{errRuntime, "there is nothing at " + s.output.at.text})
			return
		}
	}
	e.moveTo(f, next, out)
}

// wait sets a Wait state's end; the data go on as they came in.
func (e *engine) wait(f *frame, input any) {
	s := f.state()
	until, ok := e.now, true
	switch {
	case s.seconds != nil:
		until = f.at.Entered.Add(time.Duration(*s.seconds) * time.Second)
	case s.secondsPath != nil:
		var n int64
		n, ok = wholeSeconds(s.secondsPath.look(input, e.context(f)))
		until = f.at.Entered.Add(time.Duration(n) * time.Second)
	case s.until != nil:
		until = *s.until
	case s.untilPath != nil:
		v, _ := s.untilPath.look(input, e.context(f))
		until, ok = timestamp(v)
	}
	if !ok {
		e.fail(f, &failure{errRuntime, "there is no time to wait for"})
		return
	}
	f.at.Data = input
	f.at.Waiting, f.at.Until = ForTime, &until
}

// wholeSeconds reads what a path found.
func wholeSeconds(v any, there bool) (int64, bool) {
	n, ok := v.(json.Number)
	if !there || !ok {
		return 0, false
	}
	whole, err := strconv.ParseInt(string(n), 10, 64)
	return whole, err == nil && whole >= 0 && whole <= MaxSeconds
}

// await lets a task wait for something from outside, at most timeout long; zero is for ever.
func (e *engine) await(f *frame, timeout time.Duration) {
	f.at.Waiting, f.at.Until = ForSignal, nil
	if timeout > 0 {
		until := f.at.Entered.Add(timeout)
		f.at.Until = &until
	}
}

// signaled finds a position that waits for a handler's signal.
func (e *engine) signaled(f *frame, handler string) *frame {
	if f.at.Done {
		return nil
	}
	if s := f.state(); s != nil && f.at.Waiting == ForSignal && s.Handler() == handler {
		return f
	}
	for i, b := range f.at.Branches {
		if found := e.signaled(&frame{f.state().Branches[i], b, f, f.path + strconv.Itoa(i) + "."}, handler); found != nil {
			return found
		}
	}
	return nil
}

// hurry ends the waits of tasks that may be hurried, for those who ask now.
func (e *engine) hurry(f *frame, may func(handler string) bool) {
	if s := f.state(); s != nil && f.at.Waiting == ForSignal && may(s.Handler()) {
		now := e.now
		f.at.Until = &now
	}
	for i, b := range f.at.Branches {
		e.hurry(&frame{f.state().Branches[i], b, f, f.path + strconv.Itoa(i) + "."}, may)
	}
}

// rush ends the pauses before next tries, for those who ask now. Waits stay.
func rush(p *Position) {
	if p.Waiting == ForRetry {
		p.Waiting, p.Until = ForNothing, nil
	}
	for _, b := range p.Branches {
		rush(b)
	}
}

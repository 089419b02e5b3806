package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"guichet/internal/kind"
)

// play runs a machine to its end in pretended time, with tasks that answer what
// the test says. It answers the run and what happened, in order.
func play(t *testing.T, definition, input string, tasks map[string]func(n int, in any) (any, *failure)) (run *Run, story []string) {
	t.Helper()
	m, err := Parse([]byte(definition))
	if err != nil {
		t.Fatalf("%v\n%s", err, definition)
	}
	data, err := decode([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	run = &Run{ID: "r1", Name: "m", Version: "v", Status: Running, StartedAt: start, Input: json.RawMessage(input)}
	if m.Timeout > 0 {
		run.Deadline = start.Add(m.Timeout)
	}
	e := &engine{machine: m, run: run, now: start, random: func() float64 { return 0.5 }}
	e.begin(data)
	calls := map[string]int{}
	for range 10_000 {
		j := e.next()
		if j == nil {
			if run.Status != Running {
				return run, story
			}
			at := e.wake()
			if at.IsZero() {
				return run, append(story, "rests for ever")
			}
			if at.After(e.now) {
				story = append(story, fmt.Sprintf("+%s", at.Sub(start)))
				e.now = at
			}
			// what is stored is what goes on
			text, err := json.Marshal(run.At)
			if err != nil {
				t.Fatal(err)
			}
			run.At = nil
			if err := json.Unmarshal(text, &run.At); err != nil {
				t.Fatal(err)
			}
			continue
		}
		name := j.state.Handler()
		do := tasks[name]
		if do == nil { // a task that waits
			e.await(j.frame, j.timeout)
			continue
		}
		in, _ := json.Marshal(j.input)
		story = append(story, name+string(in))
		out, fault := do(calls[name], j.input)
		calls[name]++
		if fault != nil {
			e.fail(j.frame, fault)
			continue
		}
		out, err := plain(out)
		if err != nil {
			t.Fatal(err)
		}
		e.succeed(j.frame, out)
	}
	t.Fatal("it does not end")
	return nil, nil
}

const act = `"Type":"Task","Resource":"arn:aws:states:::activity:`

func echo(_ int, in any) (any, *failure) { return in, nil }

// failing fails n times, then answers.
func failing(n int, name string) func(int, any) (any, *failure) {
	return func(i int, _ any) (any, *failure) {
		if i < n {
			return nil, &failure{name, "as the test says"}
		}
		return map[string]any{"after": i}, nil
	}
}

// The language's rules, one row each (https://states-language.net/spec.html).
func TestSemantics_areThoseOfTheLanguage(t *testing.T) {
	t.Parallel()
	type tasks = map[string]func(int, any) (any, *failure)
	retry := func(more string) string {
		return `{"StartAt":"A","States":{"A":{` + act + `a","Retry":[{"ErrorEquals":["x","States.Timeout"]` + more + `}],"End":true}}}`
	}
	choice := func(rule string) string {
		return `{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[` + rule[:len(rule)-1] + `,"Next":"Y"}],"Default":"N"},
			"Y":{"Type":"Pass","Result":"yes","End":true},"N":{"Type":"Pass","Result":"no","End":true}}}`
	}
	for _, c := range []struct {
		name, definition, input string
		tasks                   tasks
		output                  string // of a run that succeeds
		failed                  string // error of one that fails
		story                   string // "" is not looked at
	}{
		{name: "a Pass hands its input on", definition: `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`, input: `{"a":1}`, output: `{"a":1}`},
		{name: "a Pass puts its Result where ResultPath says", definition: `{"StartAt":"P","States":{"P":{"Type":"Pass","Result":{"x":[1]},"ResultPath":"$.b.c","End":true}}}`, input: `{"a":1}`, output: `{"a":1,"b":{"c":{"x":[1]}}}`},
		{name: "InputPath, Parameters, ResultSelector, ResultPath and OutputPath follow each other", definition: `{"StartAt":"A","States":{"A":{` + act + `a","InputPath":"$.in","Parameters":{"k":"v","n.$":"$.deep[1]","list":[{"id.$":"$$.Execution.Id"}]},
			"ResultSelector":{"got.$":"$.n"},"ResultPath":"$.out","OutputPath":"$.out","End":true}}}`, input: `{"in":{"deep":[7,8]},"other":true}`, tasks: tasks{"a": echo}, output: `{"got":8}`, story: `a{"k":"v","list":[{"id":"r1"}],"n":8}`},
		{name: "a null ResultPath discards the result", definition: `{"StartAt":"A","States":{"A":{` + act + `a","ResultPath":null,"End":true}}}`, input: `{"a":1}`, tasks: tasks{"a": echo}, output: `{"a":1}`},
		{name: "a null InputPath and OutputPath are empty objects", definition: `{"StartAt":"A","States":{"A":{` + act + `a","InputPath":null,"Next":"B"},"B":{"Type":"Pass","OutputPath":null,"End":true}}}`, input: `{"a":1}`, tasks: tasks{"a": echo}, output: `{}`, story: `a{}`},
		{name: "a parameter that is not there fails", definition: `{"StartAt":"A","States":{"A":{` + act + `a","Parameters":{"x.$":"$.no"},"End":true}}}`, input: `{}`, tasks: tasks{"a": echo}, failed: errParameterPath},
		{name: "a ResultPath into something else fails", definition: `{"StartAt":"A","States":{"A":{` + act + `a","ResultPath":"$.n.x","End":true}}}`, input: `{"n":5}`, tasks: tasks{"a": echo}, failed: errResultPath},
		{name: "an InputPath to nothing is a fault of the flow, which nothing catches", definition: `{"StartAt":"A","States":{"A":{` + act + `a","InputPath":"$.no","Catch":[{"ErrorEquals":["States.ALL"],"Next":"B"}],"End":true},"B":{"Type":"Succeed"}}}`, input: `{}`, tasks: tasks{"a": echo}, failed: errRuntime},
		{name: "numbers keep their digits", definition: `{"StartAt":"A","States":{"A":{` + act + `a","Next":"W"},"W":{"Type":"Wait","Seconds":1,"End":true}}}`, input: `{"n":9007199254740993}`, tasks: tasks{"a": echo}, output: `{"n":9007199254740993}`},
		{name: "too much data fails", definition: `{"StartAt":"A","States":{"A":{` + act + `a","Catch":[{"ErrorEquals":["States.ALL"],"Next":"B"}],"End":true},"B":{"Type":"Succeed"}}}`, input: `{}`, tasks: tasks{"a": func(int, any) (any, *failure) { return strings.Repeat("x", MaxData), nil }}, failed: errDataLimit},

		{name: "a Wait of seconds", definition: `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":90,"Next":"S"},"S":{"Type":"Succeed"}}}`, input: `{"a":1}`, output: `{"a":1}`, story: "+1m30s"},
		{name: "a Wait of seconds at a path", definition: `{"StartAt":"W","States":{"W":{"Type":"Wait","SecondsPath":"$.s","End":true}}}`, input: `{"s":5}`, output: `{"s":5}`, story: "+5s"},
		{name: "a Wait until a time", definition: `{"StartAt":"W","States":{"W":{"Type":"Wait","Timestamp":"2026-01-02T04:04:06+01:00","End":true}}}`, input: `1`, output: `1`, story: "+1s"},
		{name: "a Wait until a time at a path, which is over", definition: `{"StartAt":"W","States":{"W":{"Type":"Wait","TimestampPath":"$.t","End":true}}}`, input: `{"t":"2025-01-01T00:00:00Z"}`, output: `{"t":"2025-01-01T00:00:00Z"}`, story: ""},
		{name: "a Wait without a time fails", definition: `{"StartAt":"W","States":{"W":{"Type":"Wait","SecondsPath":"$.s","End":true}}}`, input: `{"s":-5}`, failed: errRuntime},

		{name: "a Choice takes the first rule that holds", definition: choice(`{"Variable":"$.a","NumericEquals":1}`), input: `{"a":1.0}`, output: `"yes"`},
		{name: "a Choice takes its default", definition: choice(`{"Variable":"$.a","NumericEquals":1}`), input: `{"a":"1"}`, output: `"no"`},
		{name: "And", definition: choice(`{"And":[{"Variable":"$.a","NumericGreaterThan":1},{"Variable":"$.b","BooleanEquals":true}]}`), input: `{"a":2,"b":true}`, output: `"yes"`},
		{name: "And fails by one", definition: choice(`{"And":[{"Variable":"$.a","NumericGreaterThan":1},{"Variable":"$.b","BooleanEquals":true}]}`), input: `{"a":2,"b":false}`, output: `"no"`},
		{name: "Or, Not", definition: choice(`{"Or":[{"Not":{"Variable":"$.s","StringEquals":"x"}},{"Variable":"$.b","IsNull":true}]}`), input: `{"s":"x","b":null}`, output: `"yes"`},
		{name: "IsPresent asks without failing", definition: choice(`{"And":[{"Variable":"$.s","IsPresent":true},{"Variable":"$.s","IsTimestamp":true}]}`), input: `{}`, output: `"no"`},
		{name: "a variable that is not there fails", definition: choice(`{"Variable":"$.a","NumericEquals":1}`), input: `{}`, failed: errRuntime},
		{name: "comparison of paths", definition: choice(`{"Variable":"$.t","TimestampLessThanPath":"$$.State.EnteredTime"}`), input: `{"t":"2026-01-02T03:04:04.9Z"}`, output: `"yes"`},
		{name: "money is compared exactly", definition: choice(`{"Variable":"$.a","NumericLessThanPath":"$.b"}`), input: `{"a":9007199254740992,"b":9007199254740993}`, output: `"yes"`},
		{name: "StringMatches", definition: choice(`{"Variable":"$.s","StringMatches":"ord_*_\\**"}`), input: `{"s":"ord_euw3_*x"}`, output: `"yes"`},
		{name: "StringMatches does not use a letter twice", definition: choice(`{"Variable":"$.s","StringMatches":"ab*ba"}`), input: `{"s":"aba"}`, output: `"no"`},
		{name: "no choice at all fails and is caught by nobody", definition: `{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$.a","NumericEquals":1,"Next":"S"}]},"S":{"Type":"Succeed"}}}`, input: `{"a":2}`, failed: errNoChoice},

		{name: "Retry with its defaults", definition: retry(""), input: `{}`, tasks: tasks{"a": failing(3, "x")}, output: `{"after":3}`, story: "a{} +1s a{} +3s a{} +7s a{}"},
		{name: "Retry gives up", definition: retry(`,"MaxAttempts":2,"BackoffRate":1`), input: `{}`, tasks: tasks{"a": failing(9, "x")}, failed: "x", story: "a{} +1s a{} +2s a{}"},
		{name: "Retry has a longest pause", definition: retry(`,"MaxAttempts":4,"IntervalSeconds":3,"BackoffRate":10,"MaxDelaySeconds":5`), input: `{}`, tasks: tasks{"a": failing(4, "x")}, output: `{"after":4}`, story: "a{} +3s a{} +8s a{} +13s a{} +18s a{}"},
		{name: "Retry with jitter waits a part of it", definition: retry(`,"MaxAttempts":1,"IntervalSeconds":4,"JitterStrategy":"FULL"`), input: `{}`, tasks: tasks{"a": failing(1, "x")}, output: `{"after":1}`, story: "a{} +2s a{}"},
		{name: "Retry of no attempts means never", definition: retry(`,"MaxAttempts":0`), input: `{}`, tasks: tasks{"a": failing(1, "x")}, failed: "x", story: "a{}"},
		{name: "Retry only of what it names", definition: retry(""), input: `{}`, tasks: tasks{"a": failing(1, "y")}, failed: "y", story: "a{}"},
		{name: "States.TaskFailed is everything but a timeout", definition: strings.Replace(retry(""), `["x","States.Timeout"]`, `["States.TaskFailed"]`, 1), input: `{}`, tasks: tasks{"a": failing(1, errTimeout)}, failed: errTimeout},
		{
			name: "each retrier counts for itself", definition: `{"StartAt":"A","States":{"A":{` + act + `a","Retry":[{"ErrorEquals":["x"],"MaxAttempts":1},{"ErrorEquals":["States.ALL"],"MaxAttempts":1,"IntervalSeconds":5}],"End":true}}}`, input: `{}`,
			tasks:  tasks{"a": func(i int, _ any) (any, *failure) { return nil, &failure{[]string{"x", "y", "x"}[i], ""} }},
			failed: "x", story: "a{} +1s a{} +6s a{}",
		},
		{
			name: "a Catch comes after the retries and keeps the input", definition: `{"StartAt":"A","States":{"A":{` + act + `a","Retry":[{"ErrorEquals":["States.ALL"],"MaxAttempts":1}],"Catch":[{"ErrorEquals":["y"],"Next":"N"},{"ErrorEquals":["States.ALL"],"ResultPath":"$.e","Next":"S"}],"End":true},"N":{"Type":"Fail"},"S":{"Type":"Succeed"}}}`,
			input: `{"a":1}`, tasks: tasks{"a": failing(9, "x")}, output: `{"a":1,"e":{"Cause":"as the test says","Error":"x"}}`, story: "a{\"a\":1} +1s a{\"a\":1}",
		},
		{name: "the retry count is in the context", definition: `{"StartAt":"A","States":{"A":{` + act + `a","Parameters":{"n.$":"$$.State.RetryCount"},"Retry":[{"ErrorEquals":["States.ALL"]}],"End":true}}}`, input: `{}`, tasks: tasks{"a": failing(1, "x")}, output: `{"after":1}`, story: `a{"n":0} +1s a{"n":1}`},
		{name: "a Fail state", definition: `{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"Gone","Cause":"all of it"}}}`, input: `{}`, failed: "Gone"},
		{name: "a Fail state by paths", definition: `{"StartAt":"F","States":{"F":{"Type":"Fail","ErrorPath":"$.e","CausePath":"$$.Execution.Id"}}}`, input: `{"e":"Other"}`, failed: "Other"},

		{name: "a task that waits is timed out", definition: `{"StartAt":"A","States":{"A":{` + act + `wait","TimeoutSecondsPath":"$.s","Catch":[{"ErrorEquals":["States.Timeout"],"ResultPath":null,"Next":"S"}],"End":true},"S":{"Type":"Succeed"}}}`, input: `{"s":20}`, output: `{"s":20}`, story: "+20s"},
		{name: "a task that waits without a limit rests", definition: `{"StartAt":"A","States":{"A":{` + act + `wait","End":true}}}`, input: `{}`, story: "rests for ever"},
		{name: "the deadline of all ends the run, caught by nobody", definition: `{"StartAt":"A","TimeoutSeconds":30,"States":{"A":{` + act + `wait","Catch":[{"ErrorEquals":["States.ALL"],"Next":"S"}],"End":true},"S":{"Type":"Succeed"}}}`, input: `{}`, failed: errTimeout, story: "+30s"},
		{name: "a circle ends", definition: `{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Variable":"$","IsNull":true,"Next":"S"}],"Default":"A"},"S":{"Type":"Succeed"}}}`, input: `{}`, failed: errRuntime},

		{
			name: "Parallel answers a list in the branches' order", definition: `{"StartAt":"P","States":{"P":{"Type":"Parallel","Branches":[
			{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":9,"Next":"A2"},"A2":{` + act + `a","End":true}}},{"StartAt":"B","States":{"B":{` + act + `b","End":true}}}],"ResultPath":"$.r","End":true}}}`,
			input: `{"x":1}`, tasks: tasks{"a": func(int, any) (any, *failure) { return "first", nil }, "b": func(int, any) (any, *failure) { return 2, nil }},
			output: `{"r":["first",2],"x":1}`, story: `b{"x":1} +9s a{"x":1}`,
		},
		{
			name: "a branch that fails takes the others with it, and Parallel is tried again whole", definition: `{"StartAt":"P","States":{"P":{"Type":"Parallel","Branches":[
			{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":9,"End":true}}},{"StartAt":"B","States":{"B":{` + act + `b","End":true}}}],"Retry":[{"ErrorEquals":["States.BranchFailed"],"MaxAttempts":1}],
			"Catch":[{"ErrorEquals":["x"],"Next":"S"}],"End":true},"S":{"Type":"Succeed"}}}`,
			input: `{}`, tasks: tasks{"b": failing(5, "x")}, output: `{"Cause":"as the test says","Error":"x"}`, story: "b{} +1s b{}",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			run, story := play(t, c.definition, c.input, c.tasks)
			if c.failed != "" && (run.Status != Failed || run.Error != c.failed) {
				t.Errorf("it is %s, %s: %s", run.Status, run.Error, run.Cause)
			}
			if c.output != "" && (run.Status != Succeeded || string(run.Output) != c.output) {
				t.Errorf("it is %s (%s: %s) with %s, want %s", run.Status, run.Error, run.Cause, run.Output, c.output)
			}
			if got := strings.Join(story, " "); c.story != "" && got != c.story {
				t.Errorf("story %s, want %s", got, c.story)
			}
		})
	}
}

// A key is the same for all tries of a visit and another one for the next visit.
func TestKeys_areStableOverTriesAndNewForEachVisit(t *testing.T) {
	t.Parallel()
	m, err := Parse([]byte(`{"StartAt":"A","States":{"A":{` + act + `a","Retry":[{"ErrorEquals":["x"]}],"Next":"C"},
		"C":{"Type":"Choice","Choices":[{"Variable":"$.again","BooleanEquals":true,"Next":"A"}],"Default":"S"},"S":{"Type":"Succeed"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{machine: m, run: &Run{ID: "r", Status: Running, Input: json.RawMessage("{}")}, now: time.Unix(1, 0), random: func() float64 { return 0 }}
	e.begin(map[string]any{})
	first := e.next()
	e.fail(first.frame, &failure{"x", ""})
	e.now = e.now.Add(time.Hour)
	second := e.next()
	if first.key != second.key || first.key != "A:1" {
		t.Errorf("%q, then %q", first.key, second.key)
	}
	e.succeed(second.frame, map[string]any{"again": true})
	if third := e.next(); third.key == first.key {
		t.Errorf("the second visit has the key of the first, %q", third.key)
	}
}

func TestParse_pointsAtWhatIsWrong(t *testing.T) {
	t.Parallel()
	one := func(state string) string {
		return `{"StartAt":"A","States":{"A":` + state + `,"Z":{"Type":"Succeed"}}}`
	}
	task := func(more string) string { return one(`{` + act + `a","Next":"Z"` + more + `}`) }
	rule := func(r string) string { return one(`{"Type":"Choice","Choices":[` + r + `],"Default":"Z"}`) }
	for _, c := range [][2]string{
		{`["StartAt","A","States","which is no object"]`, ""},
		{`{"StartAt":"A","Comment":"it has no states"}`, "/States"},
		{`{"StartAt":"A","Comment":"nor this","States":{}}`, "/States"},
		{`{"StartAt":"B","States":{"A":{"Type":"Succeed"}}}`, "/StartAt"},
		{`{"StartAt":"A","Version":"2","States":{"A":{"Type":"Succeed"}}}`, "/Version"},
		{`{"StartAt":"A","TimeoutSeconds":0,"States":{"A":{"Type":"Succeed"}}}`, "/TimeoutSeconds"},
		{`{"StartAt":"A","QueryLanguage":"JSONata","States":{"A":{"Type":"Succeed"}}}`, "/QueryLanguage"},
		{`{"StartAt":"A","Extra":1,"States":{"A":{"Type":"Succeed"}}}`, "/Extra"},
		{`{"StartAt":"A","States":{"A":{"Type":"Succeed","Type":"Fail"}}}`, "/States/A/Type"},
		{`{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"A"}}}`, "/States"},
		{`{"StartAt":"A","States":{"A":{"Type":"Succeed"},"B":{"Type":"Succeed"}}}`, "/States/B"},
		{one(`{"Type":"Map","Next":"Z"}`), "/States/A/Type"},
		{one(`{"Type":"Pass","Next":"Q"}`), "/States/A"},
		{one(`{"Type":"Pass"}`), "/States/A"},
		{one(`{"Type":"Pass","Next":"Z","End":true}`), "/States/A"},
		{one(`{"Type":"Pass","Next":"Z","Resource":"x"}`), "/States/A/Resource"},
		{one(`{"Type":"Wait","Next":"Z"}`), "/States/A"},
		{one(`{"Type":"Wait","Next":"Z","Seconds":1,"Timestamp":"2026-01-01T00:00:00Z"}`), "/States/A"},
		{one(`{"Type":"Wait","Next":"Z","Seconds":1.5}`), "/States/A/Seconds"},
		{one(`{"Type":"Wait","Next":"Z","Timestamp":"tomorrow"}`), "/States/A/Timestamp"},
		{one(`{"Type":"Task","Resource":"arn:aws:lambda:::function:x","Next":"Z"}`), "/States/A/Resource"},
		{task(`,"HeartbeatSeconds":1`), "/States/A/HeartbeatSeconds"},
		{task(`,"InputPath":"$.a[*]"`), "/States/A/InputPath"},
		{task(`,"InputPath":"$..a"`), "/States/A/InputPath"},
		{task(`,"ResultPath":"$$.x"`), "/States/A/ResultPath"},
		{task(`,"Parameters":{"a":[{"b.$":"States.UUID()"}]}`), "/States/A/Parameters/a/0/b.$"},
		{task(`,"Parameters":{"a.$":"$.a","a":1}`), "/States/A/Parameters/a.$"},
		{task(`,"TimeoutSeconds":1,"TimeoutSecondsPath":"$.x"`), "/States/A"},
		{task(`,"Retry":[]`), "/States/A/Retry"},
		{task(`,"Retry":[{"ErrorEquals":[]}]`), "/States/A/Retry/0/ErrorEquals"},
		{task(`,"Retry":[{"ErrorEquals":["States.ALL","x"]}]`), "/States/A/Retry/0/ErrorEquals"},
		{task(`,"Retry":[{"ErrorEquals":["States.ALL"]},{"ErrorEquals":["x"]}]`), "/States/A/Retry/0/ErrorEquals"},
		{task(`,"Retry":[{"ErrorEquals":["States.Typo"]}]`), "/States/A/Retry/0/ErrorEquals"},
		{task(`,"Retry":[{"ErrorEquals":["x"],"BackoffRate":0.5}]`), "/States/A/Retry/0/BackoffRate"},
		{task(`,"Retry":[{"ErrorEquals":["x"],"MaxAttempts":-1}]`), "/States/A/Retry/0/MaxAttempts"},
		{task(`,"Retry":[{"ErrorEquals":["x"],"JitterStrategy":"SOME"}]`), "/States/A/Retry/0/JitterStrategy"},
		{task(`,"Catch":[{"ErrorEquals":["x"]}]`), "/States/A/Catch/0/Next"},
		{task(`,"Catch":[{"ErrorEquals":["x"],"Next":"Q"}]`), "/States/A"},
		{rule(`{"Variable":"$.a","NumericEquals":1}`), "/States/A/Choices/0/Next"},
		{rule(`{"Variable":"$.a","NumericEquals":"1","Next":"Z"}`), "/States/A/Choices/0/NumericEquals"},
		{rule(`{"Variable":"$.a","Next":"Z"}`), "/States/A/Choices/0"},
		{rule(`{"NumericEquals":1,"Next":"Z"}`), "/States/A/Choices/0/Variable"},
		{rule(`{"Variable":"$.a","NumericEquals":1,"IsNull":true,"Next":"Z"}`), "/States/A/Choices/0/NumericEquals"},
		{rule(`{"Variable":"$.a","IsNullPath":"$.b","Next":"Z"}`), "/States/A/Choices/0"},
		{rule(`{"And":[{"Variable":"$.a","IsNull":true,"Next":"Z"}],"Next":"Z"}`), "/States/A/Choices/0/And/0/Next"},
		{rule(`{"Variable":"$.a","StringMatches":"\\x","Next":"Z"}`), "/States/A/Choices/0/StringMatches"},
		{one(`{"Type":"Parallel","Next":"Z","Branches":[{"StartAt":"B","States":{"B":{"Type":"Pass","Next":"Z"}}}]}`), "/States/A/Branches/0/States/B"},
		{one(`{"Type":"Parallel","Next":"Z","Branches":[{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}]}`), "/States/A/Branches/0/States/A"},
	} {
		definition, pointer := c[0], c[1]
		_, err := Parse([]byte(definition))
		if !errors.Is(err, ErrDefinition) {
			t.Errorf("%s: %v", definition, err)
			continue
		}
		var got string
		if faults, _ := kind.As(err).Fields["errors"].([]kind.Fault); len(faults) == 1 {
			got = faults[0].Pointer
		}
		if got != pointer {
			t.Errorf("%s: the error points at %q, want %q: %v", definition, got, pointer, err)
		}
	}
	for _, text := range []string{``, `{`, `{"a":}`, `{} {}`, strings.Repeat("[", 1000), `{"StartAt":"` + strings.Repeat("x", MaxDefinition) + `"}`} {
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrDefinition) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// Whatever bytes come, Parse answers an error or a machine that runs to an end.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"StartAt":"A","States":{"A":{` + act + `a","Retry":[{"ErrorEquals":["States.ALL"]}],"Catch":[{"ErrorEquals":["States.ALL"],"Next":"B"}],"ResultPath":"$.r","End":true},"B":{"Type":"Succeed"}}}`))
	f.Add([]byte(`{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"And":[{"Variable":"$.a[0]['x']","StringMatches":"a*"},{"Not":{"Variable":"$$.State.Name","IsString":true}}],"Next":"W"}],"Default":"W"},"W":{"Type":"Wait","TimestampPath":"$.t","End":true}}}`))
	f.Add([]byte(`{"StartAt":"P","States":{"P":{"Type":"Parallel","Branches":[{"StartAt":"X","States":{"X":{"Type":"Pass","Result":1e9,"End":true}}},{"StartAt":"Y","States":{"Y":{"Type":"Fail","Error":"e"}}}],"ResultSelector":{"a.$":"$[0]"},"Catch":[{"ErrorEquals":["States.BranchFailed"],"Next":"S"}],"End":true},"S":{"Type":"Succeed"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrDefinition) {
				t.Fatalf("%v", err)
			}
			return
		}
		run := &Run{ID: "r", Status: Running, Input: json.RawMessage(`{"a":[{"x":"abc"}],"t":"2026-01-01T00:00:00Z"}`)}
		data, err := decode(run.Input)
		if err != nil {
			t.Fatal(err)
		}
		e := &engine{machine: m, run: run, now: time.Unix(1, 0), random: func() float64 { return 1 }}
		e.begin(data)
		for n := 0; n < 3*MaxSteps && run.Status == Running; n++ {
			if j := e.next(); j != nil {
				if n%3 == 0 {
					e.fail(j.frame, &failure{"x", ""})
				} else {
					e.succeed(j.frame, j.input)
				}
				continue
			}
			at := e.wake()
			if at.After(e.now) {
				e.now = at
			}
		}
	})
}

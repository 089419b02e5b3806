package experiment

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const whole = `
title: A cell dies
description: It is killed.
configuration: {cell: apn1, state: {type: env, key: GUICHET_TEST_UNSET, default: .town}}
steady-state-hypothesis:
  title: All is well
  probes:
    - {type: probe, name: search, tolerance: 200, provider: {type: http, url: "http://127.0.0.1:1/", timeout: 1}}
method:
  - {type: action, name: kill, provider: {type: process, path: guichet, arguments: "town kill cell-${cell} --state '${state} x'"}, pauses: {after: 1}}
rollbacks:
  - {type: action, name: restart, provider: {type: process, path: guichet, arguments: [town, restart, "cell-${cell}"]}}
extensions:
  - name: guichet
    cell: "${cell}"
    fault: a cell dies
    expected: nothing
    blast_radius: {cells: ["${cell}"], actions: [hold], why: its home}
    expiry: 20s
    recovery: 10
    stop_after_errors: 5
    promises: [P2, P7]
`

func TestRead_fillsInTheConfiguration(t *testing.T) {
	t.Parallel()
	e, err := Read([]byte(whole), map[string]string{"cell": "euw3"})
	if err != nil {
		t.Fatal(err)
	}
	x := e.Extend()
	args, err := e.Method[0].Provider.Args()
	if err != nil || strings.Join(args, "|") != "town|kill|cell-euw3|--state|.town x" {
		t.Errorf("%q, %v", args, err)
	}
	if x.Cell != "euw3" || time.Duration(x.Expiry) != 20*time.Second || time.Duration(x.Recovery) != 10*time.Second {
		t.Errorf("%+v", x)
	}
	if !x.BlastRadius.Covers("euw3", "hold") || x.BlastRadius.Covers("use1", "hold") || x.BlastRadius.Covers("euw3", "event") {
		t.Errorf("%+v", x.BlastRadius)
	}
}

func TestRead_takesJSON(t *testing.T) {
	t.Parallel()
	text := `{"title": "t", "description": "d", "steady-state-hypothesis": {"title": "s", "probes": [{"type": "probe", "name": "p", "tolerance": [200, 404], "provider": {"type": "http", "url": "http://127.0.0.1:1"}}]},
	"method": [{"type": "action", "name": "a", "provider": {"type": "process", "path": "true"}}], "rollbacks": [{"type": "action", "name": "r", "provider": {"type": "process", "path": "true"}}],
	"extensions": [{"name": "guichet", "cell": "c", "fault": "f", "expected": "e", "blast_radius": {"why": "w"}, "expiry": "1s", "recovery": "1s", "stop_after_errors": 1, "promises": ["P1"]}]}`
	if _, err := Read([]byte(text), nil); err != nil {
		t.Error(err)
	}
}

func TestRead_refusesWhatCouldDoHarm(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, why string }{
		"no rollbacks":            {"rollbacks:\n  - {type: action, name: restart, provider: {type: process, path: guichet, arguments: [town, restart, \"cell-${cell}\"]}}", "rollbacks: []", "no rollbacks"},
		"no hypothesis":           {"steady-state-hypothesis:\n  title: All is well\n  probes:\n    - {type: probe, name: search, tolerance: 200, provider: {type: http, url: \"http://127.0.0.1:1/\", timeout: 1}}\n", "", "no steady-state-hypothesis"},
		"a probe of no tolerance": {"tolerance: 200, ", "", "not a probe with a tolerance"},
		"no expiry":               {"    expiry: 20s\n", "", "no expiry"},
		"an expiry too long":      {"expiry: 20s", "expiry: 6m", "expiry is more than"},
		"no blast radius":         {"    blast_radius: {cells: [\"${cell}\"], actions: [hold], why: its home}\n", "", "no blast_radius"},
		"a blast radius of guess": {"actions: [hold]", "actions: [dance]", "dance"},
		"no extension":            {"name: guichet\n", "name: other\n", "no extension named guichet"},
		"no stop condition":       {"    stop_after_errors: 5\n", "", "stop_after_errors"},
		"no promises":             {"promises: [P2, P7]", "promises: []", "promises"},
		"an unknown promise":      {"P7", "P10", "P10"},
		"a misspelt guard":        {"expiry:", "expires:", "expires"},
		"python":                  {"type: process, path: guichet, arguments: \"town", "type: python, module: x, arguments: \"town", "module"},
		"python alone":            {"type: process, path: guichet, arguments: \"town", "type: python, path: x, arguments: \"town", "Chaos Toolkit itself"},
		"an unknown variable":     {"cell-${cell} --", "cell-${call} --", "${call}"},
		"a rollback behind":       {"name: restart,", "name: restart, background: true,", "nobody waits for"},
		"a file as URL":           {"http://127.0.0.1:1/", "file:///etc/passwd", "no http or https URL"},
		"an unknown tolerance":    {"tolerance: 200", "tolerance: {type: jsonpath, path: $.x}", "tolerance is none of"},
		"a pause too long":        {"after: 1}", "after: 1000}", "pauses"},
		"an open quote":           {"x'\"", "x\"", "quote"},
		"no YAML":                 {"title: A", "title: {A", "neither JSON nor YAML"},
		"no words for a reader":   {"    fault: a cell dies\n", "", "fault or expected"},
		"a control of no scope":   {"method:", "controls: [{name: c, provider: {type: process, path: \"true\"}}]\nmethod:", "neither before nor after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(whole, c.from, c.to, 1)
			if text == whole {
				t.Fatal("nothing was changed")
			}
			_, err := Read([]byte(text), nil)
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want a refusal about %q", err, c.why)
			}
		})
	}
	if _, err := Read([]byte(whole+strings.Repeat("#", maxText)), nil); !errors.Is(err, ErrRefused) {
		t.Errorf("too long: %v", err)
	}
}

func TestTolerance_meets(t *testing.T) {
	t.Parallel()
	for raw, c := range map[string]struct {
		result Result
		met    bool
	}{
		`200`:                                    {Result{Code: 200}, true},
		`[200, 404]`:                             {Result{Code: 404}, true},
		`true`:                                   {Result{Code: 1}, false},
		`{"type": "range", "range": [200, 299]}`: {Result{Code: 300}, false},
		`{"type": "range", "range": [200, 299], "target": "status"}`:     {Result{Code: 299}, true},
		`{"type": "regex", "pattern": "unk.own", "target": "body"}`:      {Result{Text: `{"a":"unknown"}`}, true},
		`{"type": "regex", "pattern": "^sold_out$", "target": "stdout"}`: {Result{Text: "unknown"}, false},
	} {
		tolerance, err := ParseTolerance([]byte(raw))
		if err != nil || tolerance.Meets(c.result) != c.met {
			t.Errorf("%s: %v, %v", raw, tolerance.Meets(c.result), err)
		}
	}
	for _, raw := range []string{`"x"`, `false`, `[]`, `{"type": "range", "range": [3, 1]}`, `{"type": "regex", "pattern": "(", "target": "body"}`} {
		if _, err := ParseTolerance([]byte(raw)); err == nil {
			t.Errorf("%s is taken", raw)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(whole))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Read(text, nil)
		if err == nil && (len(e.Rollbacks) == 0 || e.Extend().Expiry <= 0 || e.Extend().BlastRadius == nil) {
			t.Errorf("%q was taken", text)
		}
	})
}

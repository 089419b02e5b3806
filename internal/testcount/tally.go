package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Limits of what is remembered of a run that says too much.
const (
	maxLine   = 16 << 20 // bytes of one event
	maxOutput = 256 << 10
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

type place struct{ pkg, test string }

// tally counts tests that have no subtests of their own: a table of ten rows is
// ten tests, not eleven.
type tally struct {
	out                     io.Writer
	passed, failed, skipped int
	packages                int
	broken                  []string // packages that failed
	output                  map[place][]byte
	parents                 map[place]bool
	inPackage               map[string]int
	skips                   map[string][]place
}

func newTally(out io.Writer) *tally {
	return &tally{
		out: out, output: map[place][]byte{}, parents: map[place]bool{},
		inPackage: map[string]int{}, skips: map[string][]place{},
	}
}

// String is what was counted: the plain line that machines look for stands alone
// and last.
func (t *tally) String() string {
	s := fmt.Sprintf("%d packages", t.packages)
	if len(t.broken) > 0 {
		slices.Sort(t.broken)
		s += "; failed: " + strings.Join(t.broken, " ")
	}
	return s + fmt.Sprintf("\n%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}

// read takes events until the stream ends. Lines that are no events are shown
// as they are: they are a tool's own last words.
func (t *tally) read(r io.Reader) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(lines)
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprintln(t.out, string(line))
			} else {
				t.take(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine gives a line without its end; what is longer than maxLine is cut.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, more, err := r.ReadLine()
		if room := maxLine - len(line); room > 0 {
			line = append(line, part[:min(len(part), room)]...)
		}
		if err != nil || !more {
			return line, err
		}
	}
}

func (t *tally) take(e event) {
	at := place{e.Package, e.Test}
	switch e.Action {
	case "run":
		// A subtest's own name may hold slashes: every part before one may be a parent.
		for i, c := range e.Test {
			if c == '/' {
				t.parents[place{e.Package, e.Test[:i]}] = true
			}
		}
	case "output":
		if buffer := t.output[at]; len(buffer) < maxOutput {
			t.output[at] = append(buffer, e.Output...)
		}
	case "build-output":
		fmt.Fprint(t.out, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.endPackage(e)
			return
		}
		t.endTest(e.Action, at)
	}
}

func (t *tally) endTest(action string, at place) {
	switch action {
	case "fail":
		// A parent failed because its child did; only its own words are news.
		if !t.parents[at] || reason(t.output[at]) != silent {
			fmt.Fprintf(t.out, "FAIL %s %s\n%s", at.pkg, at.test, t.output[at])
		}
	case "skip":
		t.skips[at.pkg] = append(t.skips[at.pkg], at)
	}
	if t.parents[at] {
		if action != "skip" {
			delete(t.output, at)
		}
		return
	}
	t.inPackage[at.pkg]++
	switch action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
	case "skip":
		t.skipped++
		return
	}
	delete(t.output, at)
}

func (t *tally) endPackage(e event) {
	if e.Action == "skip" { // no test files
		return
	}
	t.packages++
	word := "ok  "
	if e.Action == "fail" {
		word = "FAIL"
		t.broken = append(t.broken, e.Package)
		// Panics, timeouts and races speak outside of a test that ended.
		for at, text := range t.output {
			if at.pkg == e.Package && !slices.Contains(t.skips[e.Package], at) {
				fmt.Fprintf(t.out, "%s %s\n%s", at.pkg, at.test, text)
			}
		}
	}
	fmt.Fprintf(t.out, "%s %s %d tests %.1f s\n", word, e.Package, t.inPackage[e.Package], e.Elapsed)
	for _, at := range t.skips[e.Package] {
		fmt.Fprintf(t.out, "     skipped %s: %s\n", at.test, reason(t.output[at]))
	}
	for at := range t.output {
		if at.pkg == e.Package {
			delete(t.output, at)
		}
	}
}

const silent = "no reason given"

// reason is what a skipped test said, on one line.
func reason(output []byte) string {
	var said []string
	for line := range strings.Lines(string(output)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return silent
	}
	return strings.Join(said, " ")
}

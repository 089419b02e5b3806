package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Tolerance decides whether a probe's result is what it should be.
type Tolerance struct {
	codes   []float64      // one of these statuses or exit codes
	low     float64        // a range of them
	high    float64        //
	ranged  bool           //
	pattern *regexp.Regexp // on the body or the output
}

// Result is what an activity gave.
type Result struct {
	Code int    // HTTP's status, a process's exit code
	Text string // body or output
}

var errTolerance = errors.New(`the tolerance is none of: a code, a list of codes, true, {"type": "range", "range": [a, b]}, {"type": "regex", "pattern": …}`)

// ParseTolerance reads the kinds of tolerance that the runner knows.
func ParseTolerance(raw json.RawMessage) (t Tolerance, err error) {
	var code float64
	if json.Unmarshal(raw, &code) == nil {
		return Tolerance{codes: []float64{code}}, nil
	}
	var ok bool
	if json.Unmarshal(raw, &ok) == nil && ok {
		return Tolerance{codes: []float64{0}}, nil
	}
	if json.Unmarshal(raw, &t.codes) == nil && len(t.codes) > 0 {
		return t, nil
	}
	var kind struct {
		Type    string
		Range   []float64
		Pattern string
		Target  string
	}
	if json.Unmarshal(raw, &kind) != nil {
		return t, errTolerance
	}
	switch {
	case kind.Type == "range" && len(kind.Range) == 2 && kind.Range[0] <= kind.Range[1] && (kind.Target == "" || kind.Target == "status"):
		return Tolerance{low: kind.Range[0], high: kind.Range[1], ranged: true}, nil
	case kind.Type == "regex" && kind.Pattern != "" && (kind.Target == "body" || kind.Target == "stdout"):
		if t.pattern, err = regexp.Compile(kind.Pattern); err != nil {
			return t, fmt.Errorf("the tolerance's pattern: %w", err)
		}
		return Tolerance{pattern: t.pattern}, nil
	}
	return t, errTolerance
}

// Meets says whether the result is within the tolerance.
func (t Tolerance) Meets(r Result) bool {
	switch {
	case t.pattern != nil:
		return t.pattern.MatchString(r.Text)
	case t.ranged:
		return float64(r.Code) >= t.low && float64(r.Code) <= t.high
	}
	return slices.Contains(t.codes, float64(r.Code))
}

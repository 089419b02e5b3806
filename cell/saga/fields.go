package saga

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fields is a JSON object whose members are taken one by one; what is left in the
// end is not known. The first fault stays.
type fields struct {
	at      string // JSON pointer
	members map[string]any
	taken   map[string]bool
	err     error
}

func newFields(v any, at string) *fields {
	f := &fields{at: at, taken: map[string]bool{}}
	var ok bool
	if f.members, ok = v.(map[string]any); !ok {
		f.fault("", "must be an object")
	}
	return f
}

func (f *fields) fault(name, format string, args ...any) {
	if f.err == nil {
		at := f.at
		if name != "" {
			at += "/" + escape(name)
		}
		f.err = ErrDefinition.At(at, format, args...)
	}
}

func (f *fields) take(name string) (any, bool) {
	f.taken[name] = true
	v, ok := f.members[name]
	return v, ok
}

// done complains about members that nobody took.
func (f *fields) done() error {
	var unknown []string
	for name := range f.members {
		if !f.taken[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		f.fault(slices.Min(unknown), "is not known here")
	}
	return f.err
}

func (f *fields) text(name string, required bool) string {
	v, there := f.take(name)
	s, ok := v.(string)
	switch {
	case !there && required:
		f.fault(name, "is missing")
	case there && (!ok || s == ""):
		f.fault(name, "must be a string that is not empty")
	}
	return s
}

// seconds is a whole number of them, at least least; nil when there is none.
func (f *fields) seconds(name string, least int64) *int64 {
	v, there := f.take(name)
	if !there {
		return nil
	}
	n, ok := v.(json.Number)
	whole, err := strconv.ParseInt(string(n), 10, 64)
	if !ok || err != nil || whole < least || whole > MaxSeconds {
		f.fault(name, "must be a whole number from %d to %d", least, MaxSeconds)
		return nil
	}
	return &whole
}

func (f *fields) float(name string, least, most, otherwise float64) float64 {
	v, there := f.take(name)
	if !there {
		return otherwise
	}
	n, ok := v.(json.Number)
	x, err := n.Float64()
	if !ok || err != nil || math.IsNaN(x) || x < least || x > most {
		f.fault(name, "must be a number from %g to %g", least, most)
		return otherwise
	}
	return x
}

func (f *fields) timestamp(name string) *time.Time {
	v, there := f.take(name)
	if !there {
		return nil
	}
	at, ok := timestamp(v)
	if !ok {
		f.fault(name, "must be an RFC 3339 time")
		return nil
	}
	return &at
}

// path is nil when there is none.
func (f *fields) path(name string) *path {
	v, there := f.take(name)
	if !there {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		f.fault(name, "must be a path")
		return nil
	}
	p, err := parsePath(s)
	if err != nil {
		f.fault(name, "%s", err)
	}
	return p
}

// place is a path or null; written is where something is put: there the context is no place.
func (f *fields) place(name string, written bool) place {
	if v, there := f.members[name]; there && v == nil {
		f.taken[name] = true
		return place{nowhere: true}
	}
	p := f.path(name)
	if p != nil && p.context && written {
		f.fault(name, "must not point into the context object")
	}
	return place{at: p}
}

func (f *fields) template(name string) *template {
	v, there := f.take(name)
	if !there {
		return nil
	}
	t, err := parseTemplate(v, f.at+"/"+name, 0)
	if err != nil && f.err == nil {
		f.err = err
	}
	return t
}

// list is a list of at least one; nil when there is none.
func (f *fields) list(name string, required bool) []any {
	v, there := f.take(name)
	if !there {
		if required {
			f.fault(name, "is missing")
		}
		return nil
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		f.fault(name, "must be a list that is not empty")
	}
	return list
}

// onlyOne says which of the names is there; more than one is a fault, and none
// when one is needed.
func (f *fields) onlyOne(needed bool, names ...string) {
	n := 0
	for _, name := range names {
		if _, there := f.members[name]; there {
			n++
		}
	}
	if n > 1 || needed && n == 0 {
		f.fault("", "needs one of %s", strings.Join(names, ", "))
	}
}

// readObject decodes JSON strictly: one value, and no name twice in one object.
func readObject(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := noTwins(d, "", 0); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, ErrDefinition.At("", "has more behind its end")
	}
	if _, err := d.Token(); err == nil {
		return nil, ErrDefinition.At("", "has more behind its end")
	}
	v, err := decode(text)
	if err != nil {
		return nil, ErrDefinition.With("is not JSON: %s", err)
	}
	return v, nil
}

// noTwins walks one value.
func noTwins(d *json.Decoder, at string, depth int) error {
	token, err := d.Token()
	if err != nil {
		return ErrDefinition.With("is not JSON: %s", err)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth > 2*maxDepth {
		return ErrDefinition.At(at, "is nested too deep")
	}
	seen := map[string]bool{}
	for i := 0; d.More(); i++ {
		here := at + "/" + strconv.Itoa(i)
		if delim == '{' {
			token, err := d.Token()
			name, ok := token.(string)
			if err != nil || !ok {
				return ErrDefinition.With("is not JSON")
			}
			here = at + "/" + escape(name)
			if seen[name] {
				return ErrDefinition.At(here, "is there twice")
			}
			seen[name] = true
		}
		if err := noTwins(d, here, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return ErrDefinition.With("is not JSON: %s", err)
	}
	return nil
}

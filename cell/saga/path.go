package saga

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxPath bounds the steps of one path.
const maxPath = 32

// path is a reference path: JSONPath that points at one node ("$.order.lines[0]").
// context says that it begins at the context object ("$$.State.Name").
type path struct {
	steps   []any // string: a member; int: an element
	context bool
	text    string
}

// parsePath reads a reference path: $, .name, ['name'] and [0]. Queries that may
// answer several nodes are refused: nothing here needs one.
func parsePath(text string) (*path, error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, ErrDefinition.With("the path %q does not begin with $", text)
	}
	p := &path{text: text}
	if inner, ok := strings.CutPrefix(rest, "$"); ok {
		rest, p.context = inner, true
	}
	for rest != "" {
		var step any
		var err error
		if step, rest, err = cutStep(rest); err != nil {
			return nil, ErrDefinition.With("the path %q: %s", text, err)
		}
		if p.steps = append(p.steps, step); len(p.steps) > maxPath {
			return nil, ErrDefinition.With("the path %q has more than %d steps", text, maxPath)
		}
	}
	return p, nil
}

type pathError string

func (e pathError) Error() string { return string(e) }

// cutStep takes the first step off.
func cutStep(text string) (step any, rest string, err error) {
	if name, ok := strings.CutPrefix(text, "."); ok {
		end := strings.IndexAny(name, ".[")
		if end < 0 {
			end = len(name)
		}
		if end == 0 || strings.ContainsAny(name[:end], "*?@() \t\n'\"]:,") {
			return nil, "", pathError("after a dot comes one plain name")
		}
		return name[:end], name[end:], nil
	}
	inner, ok := strings.CutPrefix(text, "[")
	if !ok {
		return nil, "", pathError("a step is .name, ['name'] or [0]")
	}
	if quoted, ok := strings.CutPrefix(inner, "'"); ok {
		name, rest, ok := strings.Cut(quoted, "']")
		if !ok || name == "" || strings.ContainsAny(name, `'\`) {
			return nil, "", pathError("a quoted name ends with ']")
		}
		return name, rest, nil
	}
	digits, rest, ok := strings.Cut(inner, "]")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || digits != strconv.FormatUint(n, 10) {
		return nil, "", pathError("an index is a number of at most five digits")
	}
	return int(n), rest, nil
}

// contextObject makes the context object, for the few paths that ask for it.
type contextObject func() any

// look answers the node, false when there is none.
func (p *path) look(data any, context contextObject) (any, bool) {
	at := data
	if p.context {
		at = context()
	}
	for _, step := range p.steps {
		switch step := step.(type) {
		case string:
			object, ok := at.(map[string]any)
			if !ok {
				return nil, false
			}
			if at, ok = object[step]; !ok {
				return nil, false
			}
		case int:
			list, ok := at.([]any)
			if !ok || step >= len(list) {
				return nil, false
			}
			at = list[step]
		}
	}
	return at, true
}

// put answers data with value at the path. What was there is not changed; objects
// on the way are made where nothing is.
func (p *path) put(data, value any) (any, bool) { return put(data, p.steps, value) }

func put(data any, steps []any, value any) (any, bool) {
	if len(steps) == 0 {
		return value, true
	}
	switch step := steps[0].(type) {
	case string:
		object, ok := data.(map[string]any)
		if !ok && data != nil {
			return nil, false
		}
		changed := make(map[string]any, len(object)+1)
		maps.Copy(changed, object)
		inner, ok := put(changed[step], steps[1:], value)
		changed[step] = inner
		return changed, ok
	case int:
		list, ok := data.([]any)
		if !ok || step >= len(list) {
			return nil, false
		}
		list = slices.Clone(list)
		list[step], ok = put(list[step], steps[1:], value)
		return list, ok
	}
	return nil, false
}

// decode reads JSON with its numbers as they are written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

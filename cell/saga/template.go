package saga

import (
	"strconv"
	"strings"
)

// maxDepth bounds how deep payload templates and rules may be nested.
const maxDepth = 32

// template is a payload template: Parameters, ResultSelector. A member whose name
// ends in ".$" has a path as its value; the path's node takes its place.
type template struct {
	object  map[string]*template
	list    []*template
	path    *path
	literal any
}

// parseTemplate reads one; at is its place in the definition. Intrinsic functions
// are refused: what is to be computed, a task computes.
func parseTemplate(v any, at string, depth int) (*template, error) {
	if depth > maxDepth {
		return nil, ErrDefinition.At(at, "is nested more than %d deep", maxDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		t := &template{object: make(map[string]*template, len(v))}
		for name, member := range v {
			here := at + "/" + escape(name)
			plain, dynamic := strings.CutSuffix(name, ".$")
			if _, twice := v[plain]; dynamic && twice {
				return nil, ErrDefinition.At(here, "is there as %q too", plain)
			}
			if !dynamic {
				inner, err := parseTemplate(member, here, depth+1)
				if err != nil {
					return nil, err
				}
				t.object[name] = inner
				continue
			}
			text, ok := member.(string)
			if !ok || !strings.HasPrefix(text, "$") {
				return nil, ErrDefinition.At(here, "must be a path: intrinsic functions are not known here")
			}
			p, err := parsePath(text)
			if err != nil {
				return nil, ErrDefinition.At(here, "%s", err)
			}
			t.object[plain] = &template{path: p}
		}
		return t, nil
	case []any:
		t := &template{list: make([]*template, len(v))}
		for i, member := range v {
			var err error
			if t.list[i], err = parseTemplate(member, at+"/"+strconv.Itoa(i), depth+1); err != nil {
				return nil, err
			}
		}
		return t, nil
	default:
		return &template{literal: v}, nil
	}
}

// fill answers the payload; a path without a node is a failure of the flow.
func (t *template) fill(data any, context contextObject) (any, *failure) {
	switch {
	case t.path != nil:
		v, ok := t.path.look(data, context)
		if !ok {
			return nil, &failure{errParameterPath, "there is nothing at " + t.path.text}
		}
		return v, nil
	case t.object != nil:
		out := make(map[string]any, len(t.object))
		for name, member := range t.object {
			v, fault := member.fill(data, context)
			if fault != nil {
				return nil, fault
			}
			out[name] = v
		}
		return out, nil
	case t.list != nil:
		out := make([]any, len(t.list))
		for i, member := range t.list {
			v, fault := member.fill(data, context)
			if fault != nil {
				return nil, fault
			}
			out[i] = v
		}
		return out, nil
	}
	return t.literal, nil
}

// escape writes a name as a part of a JSON pointer (RFC 6901).
func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

package httpd

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Member is a member of a JSON object as a request may have it.
type Member struct {
	Name     string
	Field    int    // which field of the struct
	Required bool   // leaving it out is refused, never read as zero
	NotNull  bool   // null is refused though the field is a pointer or an array
	Spared   string // members of its object that may be left out here, "+" between them
}

// Members are the members that an object in a request has, by the tags of the Go type
// that it is read into. It is the one place that says what is required: Unmarshal keeps
// to it, and openapi.json is made from it.
//
// A member is required unless its json tag has omitempty or omitzero. A pointer that is
// required must be named and may be null; null for an optional pointer or array says no
// more than leaving it out; any other null is refused. The tag in, with commas between its words, says where requests differ
// from answers:
//
//	in:"-"              answers only: in a request it is an unknown field
//	in:"optional"       a request may leave it out, answers always have it
//	in:"notnull"        a pointer for which null is refused
//	in:"spare=a+b"      members of this object that may be left out here though its type requires them
//
// spared is such a list, for the object itself.
func Members(t reflect.Type, spared string) []Member {
	spare := strings.Split(spared, "+")
	var all []Member
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		m := Member{Name: name, Field: i, Required: !strings.Contains(opts, "omit") && !slices.Contains(spare, name)}
		m.NotNull = m.Required && f.Type.Kind() == reflect.Slice
		hidden := false
		for word := range strings.SplitSeq(f.Tag.Get("in"), ",") {
			switch list, isSpare := strings.CutPrefix(word, "spare="); {
			case isSpare:
				m.Spared = list
			case word == "-":
				hidden = true
			case word == "optional":
				m.Required = false
			case word == "notnull":
				m.NotNull = true
			case word != "":
				panic("httpd: " + t.String() + "." + f.Name + " has the unknown word " + word)
			}
		}
		if !hidden {
			all = append(all, m)
		}
	}
	return all
}

// maxFields bounds the structs that are filled; more is our own bug.
const maxFields = 64

// shape is Members, to be looked up.
type shape struct {
	members  []Member
	index    map[string]int // by name, places in members
	required []int          // places in members
}

type shapeKey struct {
	of     reflect.Type
	spared string
}

// shapes remembers shapeOf: the types of the API are few.
var shapes sync.Map

func shapeOf(t reflect.Type, spared string) *shape {
	key := shapeKey{t, spared}
	if known, ok := shapes.Load(key); ok {
		s, _ := known.(*shape)
		return s
	}
	s := &shape{members: Members(t, spared), index: map[string]int{}}
	if len(s.members) > maxFields {
		panic("httpd: " + t.String() + " has too many fields")
	}
	for i, m := range s.members {
		s.index[m.Name] = i
		if m.Required {
			s.required = append(s.required, i)
		}
	}
	shapes.Store(key, s)
	return s
}

// missing is the error about the first required member that was not there.
func (s *shape) missing(at *place, seen *[maxFields]bool) error {
	for _, i := range s.required {
		if !seen[i] {
			return ErrMissing.At(at.String()+"/"+escaped.Replace(s.members[i].Name), "is required")
		}
	}
	return nil
}

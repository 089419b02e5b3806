package api

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"guichet/cell/client"
	"guichet/internal/httpd"
)

// TestFacets_nameMembersThatThereAre walks the types of all bodies and answers.
func TestFacets_nameMembersThatThereAre(t *testing.T) {
	known := map[string]bool{}
	var walk func(of reflect.Type, members func(reflect.Type) []string, into map[reflect.Type]bool)
	walk = func(of reflect.Type, members func(reflect.Type) []string, seen map[reflect.Type]bool) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || seen[of] {
			return
		}
		seen[of] = true
		for _, name := range members(of) {
			known[of.Name()+"."+name] = true
		}
		for f := range of.Fields() {
			walk(f.Type, members, seen)
		}
	}
	requests, answers := map[reflect.Type]bool{}, map[reflect.Type]bool{}
	for _, r := range routes {
		if r.in != nil {
			walk(reflect.TypeOf(r.in), func(of reflect.Type) (names []string) {
				for _, m := range httpd.Members(of, "") {
					names = append(names, m.Name)
				}
				return names
			}, requests)
		}
	}
	asked := known
	known = map[string]bool{}
	for _, out := range slices.Concat([]any{client.Problem{}}, outs()) {
		walk(reflect.TypeOf(out), func(of reflect.Type) (names []string) {
			for f := range of.Fields() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				names = append(names, name)
			}
			return names
		}, answers)
	}
	for name := range requestFacets {
		if !asked[name] {
			t.Errorf("no request has %s", name)
		}
	}
	for name := range answerFacets {
		if !known[name] {
			t.Errorf("no answer has %s", name)
		}
	}
}

func outs() (all []any) {
	for _, r := range routes {
		if r.out != nil {
			all = append(all, r.out)
		}
	}
	return all
}

package catalog

import "maps"

// maxNesting bounds how deep events stand in events.
const maxNesting = 4

// soldAs is a key of ours: the name of the event whose tickets let people into
// this one too.
const soldAs = "\x00soldAs"

// eventNodes are the events of one JSON value: itself, those of its subEvent, those
// that a place lists as its own, and those of a list of items. A part takes from its
// whole what it does not say; a whole that only holds parts is none itself.
func eventNodes(v any) []any { return nodesOf(v, maxNesting) }

func nodesOf(v any, depth int) []any {
	m, ok := v.(map[string]any)
	if !ok || depth == 0 {
		return []any{v}
	}
	var out []any
	each := func(children []any, from map[string]any) {
		for _, c := range children {
			child := obj(c)
			if item := obj(child["item"]); item != nil {
				child = item
			}
			if child == nil || reference(child) {
				continue
			}
			child = maps.Clone(child)
			for key, value := range from {
				if _, said := child[key]; !said {
					child[key] = value
				}
			}
			out = append(out, nodesOf(child, depth-1)...)
		}
	}
	if !isEvent(types(m)) {
		place := maps.Clone(m)
		delete(place, "event")
		delete(place, "events")
		each(append(list(m["event"]), list(m["events"])...), map[string]any{"location": place})
		each(list(m["itemListElement"]), nil)
		if out == nil {
			return []any{v}
		}
		return out
	}
	from := map[string]any{}
	for _, key := range []string{"location", "name", "keywords", "eventStatus", "eventAttendanceMode", "isAccessibleForFree"} {
		if value, said := m[key]; said {
			from[key] = value
		}
	}
	parts := append(append([]any(nil), list(m["subEvent"])...), list(m["subEvents"])...)
	sold := len(offersOf(m["offers"])) > 0
	for _, c := range parts {
		if child := obj(c); sold && child != nil && len(offersOf(child["offers"])) == 0 {
			child[soldAs] = m["name"]
		}
	}
	each(parts, from)
	if len(out) > 0 && !sold { // it holds its parts together and sells nothing
		return out
	}
	return append([]any{v}, out...)
}

// reference is an object that only names another.
func reference(m map[string]any) bool {
	for key := range m {
		if key != "@id" && key != "@type" {
			return false
		}
	}
	return true
}

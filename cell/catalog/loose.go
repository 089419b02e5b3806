package catalog

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
)

// Loose reading of JSON-LD, where any value may be a text, a number, an object
// with the text inside, or an array of these. Absent and wrong are the same: zero.

// obj is v as an object; of an array, its first object.
func obj(v any) map[string]any {
	for _, x := range list(v) {
		if m, ok := x.(map[string]any); ok {
			return m
		}
	}
	return nil
}

// list is v as an array; a single value is an array of one, null of none.
func list(v any) []any {
	switch x := v.(type) {
	case nil:
		return nil
	case []any:
		return x
	default:
		return []any{v}
	}
}

// str is v as a text: of an object its @value, value or name, of an array the
// first that is not empty.
func str(v any) string { return strDeep(v, 4) }

func strDeep(v any, depth int) string {
	switch x := v.(type) {
	case string:
		return strings.TrimSpace(x)
	case json.Number:
		return x.String()
	case []any:
		for _, y := range x {
			if s := strDeep(y, depth-1); s != "" && depth > 0 {
				return s
			}
		}
	case map[string]any:
		for _, k := range []string{"@value", "value", "name"} {
			if s := strDeep(x[k], depth-1); s != "" && depth > 0 {
				return s
			}
		}
	}
	return ""
}

// number is v as a float: 43.6, "43.6" or "43,6".
func number(v any) (float64, bool) {
	f, err := strconv.ParseFloat(strings.Replace(str(v), ",", ".", 1), 64)
	return f, err == nil && f == f
}

// count is v as a positive whole number, else 0.
func count(v any) int64 {
	n, err := strconv.ParseInt(str(v), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// objects are the objects among v.
func objects(v any) []map[string]any {
	var out []map[string]any
	for _, x := range list(v) {
		if m, ok := x.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// vocabulary are the values of a vocabulary in v, as texts, addresses, objects or
// lists of these: their last part, in lower case.
func vocabulary(v any) []string {
	var out []string
	for _, x := range list(v) {
		text := str(x)
		if m, ok := x.(map[string]any); ok {
			text = cmp.Or(str(m["@id"]), str(m["url"]), str(m["sameAs"]), text)
		}
		text = strings.TrimRight(strings.ToLower(text), "/#")
		if text = text[strings.LastIndexAny(text, "/:#")+1:]; text != "" {
			out = append(out, strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '_' || r == '-' }), ""))
		}
	}
	return out
}

// truth is v as a boolean, in any spelling; whatever else is no.
func truth(v any) bool {
	for _, x := range list(v) {
		if b, ok := x.(bool); ok {
			return b
		}
	}
	for _, s := range vocabulary(v) {
		return s == "true" || s == "yes" || s == "1"
	}
	return false
}

// types are the @type of a node, without the vocabulary's address.
func types(m map[string]any) []string {
	var out []string
	for _, t := range list(m["@type"]) {
		if s := str(t); s != "" {
			s = s[strings.LastIndexAny(s, "/:#")+1:]
			out = append(out, s)
		}
	}
	return out
}

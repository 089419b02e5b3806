package sandbox

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// params are a request's fields, Stripe's way: metadata[order_id]=…, expand[]=….
type params url.Values

// parseParams reads a form or a query.
func parseParams(raw string) (params, *failure) {
	v, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalid("", "The request's parameters could not be read: %v", err)
	}
	n := 0
	for name, values := range v {
		n += len(values)
		if !utf8.ValidString(name) || slices.ContainsFunc(values, func(s string) bool { return !utf8.ValidString(s) }) {
			return nil, invalid("", "Invalid UTF-8 in the request's parameters.")
		}
	}
	if n > maxParams {
		return nil, invalid("", "Too many parameters: %d, at most %d.", n, maxParams)
	}
	return params(v), nil
}

// known refuses parameters that the request does not have.
func (p params) known(names ...string) *failure {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		top, _, _ := strings.Cut(name, "[")
		if !slices.Contains(names, top) && top != "expand" {
			return refuse(http.StatusBadRequest, "parameter_unknown", top, "Received unknown parameter: %.60s", top)
		}
	}
	return nil
}

func (p params) has(name string) bool { return len(p[name]) > 0 }

// text is the last value, as Stripe takes it.
func (p params) text(name string) string {
	if v := p[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// short is a text with a limit.
func (p params) short(name string, limit int) (string, *failure) {
	s := p.text(name)
	if n := utf8.RuneCountInString(s); n > limit {
		return "", refuse(http.StatusBadRequest, "", name, "Invalid string: %.20s…; must be at most %d characters", s, limit)
	}
	return s, nil
}

func (p params) integer(name string) (int64, *failure) {
	n, err := strconv.ParseInt(p.text(name), 10, 64)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "parameter_invalid_integer", name, "Invalid integer: %.40s", p.text(name))
	}
	return n, nil
}

func (p params) boolean(name string) (bool, *failure) {
	switch p.text(name) {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, invalid(name, "Invalid boolean: %.20s", p.text(name))
}

// oneOf is a text out of a few, the first when it is absent.
func (p params) oneOf(name string, allowed ...string) (string, *failure) {
	if !p.has(name) {
		return allowed[0], nil
	}
	if v := p.text(name); slices.Contains(allowed, v) && v != "" {
		return v, nil
	}
	return "", invalid(name, "Invalid %s: must be one of %s", name, strings.Trim(strings.Join(allowed, ", "), ", "))
}

// texts are the values of name[] or name[0], name[1]….
func (p params) texts(name string) []string {
	out := append(slices.Clone(p[name]), p[name+"[]"]...)
	for i := range maxParams {
		v, ok := p[name+"["+strconv.Itoa(i)+"]"]
		if !ok {
			break
		}
		out = append(out, v...)
	}
	return out
}

// metadata are the entries of metadata[…].
func (p params) metadata() (map[string]string, *failure) {
	out := map[string]string{}
	for name, values := range p {
		rest, ok := strings.CutPrefix(name, "metadata[")
		if !ok {
			if name == "metadata" && p.text(name) != "" {
				return nil, invalid("metadata", "Invalid hash")
			}
			continue
		}
		key, ok := strings.CutSuffix(rest, "]")
		if !ok || key == "" || strings.ContainsAny(key, "[]") || utf8.RuneCountInString(key) > maxMetadataKey {
			return nil, invalid("metadata", "Metadata keys must have 1 to %d characters and no brackets.", maxMetadataKey)
		}
		value := values[len(values)-1]
		if utf8.RuneCountInString(value) > maxMetadataValue {
			return nil, invalid("metadata["+key+"]", "Metadata values can have up to %d characters.", maxMetadataValue)
		}
		if value != "" {
			out[key] = value
		}
	}
	if len(out) > maxMetadata {
		return nil, invalid("metadata", "Metadata can have up to %d keys.", maxMetadata)
	}
	return out, nil
}

// canonical is the same for the same parameters in any order.
func (p params) canonical() string { return url.Values(p).Encode() }

package httpd

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
)

// members walks the members of an object or array whose text is known to be
// valid JSON. A hold's body goes through here ten thousand times a second; a
// json.Decoder for each level took a third of a request's work.
type members struct {
	raw []byte
	at  int
}

// more steps to the next member; it is false behind the last one.
func (m *members) more() bool {
	for {
		switch m.raw[m.at] {
		case ' ', '\t', '\r', '\n', ',':
			m.at++
		case ']', '}':
			return false
		default:
			return true
		}
	}
}

// name reads the name of an object's member, in its quotes, and steps to its value.
func (m *members) name() []byte {
	text := m.value()
	for m.raw[m.at] != ':' {
		m.at++
	}
	m.at++
	return text
}

// value reads the value that begins here, without the space around it.
func (m *members) value() json.RawMessage {
	for space(m.raw[m.at]) {
		m.at++
	}
	begin, depth := m.at, 0
	for m.at < len(m.raw) {
		switch m.raw[m.at] {
		case '"':
			m.at = quoteEnd(m.raw, m.at)
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if depth < 0 || depth == 0 && (m.raw[m.at] == ',' || m.raw[m.at] == ':' || space(m.raw[m.at])) {
			return m.raw[begin:m.at]
		}
		m.at++
		if depth == 0 && (m.raw[m.at-1] == '"' || m.raw[m.at-1] == ']' || m.raw[m.at-1] == '}') {
			break
		}
	}
	return m.raw[begin:m.at]
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// quoteEnd finds the closing quote of the string that opens at i.
func quoteEnd(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i
}

// unquoted is the string a JSON string stands for.
func unquoted(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	_ = json.Unmarshal(raw, &s) // it is valid
	return s
}

// plain fills what needs no decoder: strings without escapes, and integers. It is
// false when encoding/json must have a look, or the last word in an error.
func plain(raw []byte, v reflect.Value) bool {
	if v.Type().PkgPath() != "" { // a named type may read itself
		return false
	}
	switch v.Kind() {
	case reflect.String:
		if raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 {
			return false
		}
		v.SetString(string(raw[1 : len(raw)-1]))
		return true
	case reflect.Int64:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return false
		}
		v.SetInt(n)
		return true
	default:
		return false
	}
}

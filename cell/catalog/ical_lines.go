package catalog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/transform"
)

// Limits of a calendar.
const (
	maxCalendar  = 64 << 20 // bytes of a file; it is held in memory
	maxComponent = 8        // components in components
)

// component is one BEGIN to END of RFC 5545.
type component struct {
	name     string
	line     int // where it begins
	props    map[string][]property
	children []*component
	err      error // its first line that cannot be read
}

// property is one content line.
type property struct {
	name   string
	params map[string]string
	value  string
}

// first is the first property of a name, empty when there is none.
func (c *component) first(name string) property {
	if all := c.props[name]; len(all) > 0 {
		return all[0]
	}
	return property{}
}

func (c *component) text(name string) string { return unescape(c.first(name).value) }

// components reads the calendars of a file. Lines are unfolded before they are
// decoded: some programs fold inside of a character. A file that ends, or goes wrong,
// in the middle gives what was whole and an error with the line.
func (in *input) components(r io.Reader) (calendars []*component, line int, err error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxCalendar+1))
	if err == nil && len(raw) > maxCalendar {
		err = fmt.Errorf("larger than %d bytes", maxCalendar)
	}
	if err != nil {
		return nil, 0, err
	}
	decode := &guess{}
	in.guess = decode
	var open []*component
	for line, text := range unfolded(raw) {
		text, _, err := transform.String(decode, text)
		if err != nil {
			return calendars, line, err
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		p, bad := contentLine(text)
		switch {
		case bad != nil && len(open) == 0:
			return calendars, line, errors.New("not a calendar: no BEGIN:VCALENDAR")
		case bad != nil:
			if c := open[len(open)-1]; c.err == nil {
				c.err = fmt.Errorf("line %d: %w", line, bad)
			}
		case p.name == "BEGIN":
			c := &component{name: strings.ToUpper(p.value), line: line, props: map[string][]property{}}
			if len(open) == maxComponent || len(open) == 0 && c.name != "VCALENDAR" {
				return calendars, line, fmt.Errorf("%.40q does not begin here", c.name)
			}
			if open = append(open, c); len(open) > 1 {
				over := open[len(open)-2]
				over.children = append(over.children, c)
			}
		case len(open) == 0:
			return calendars, line, errors.New("not a calendar: no BEGIN:VCALENDAR")
		case p.name == "END":
			c := open[len(open)-1]
			if !strings.EqualFold(p.value, c.name) {
				return append(calendars, open[0]), line, fmt.Errorf("%.40q ends inside of %s", p.value, c.name)
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				calendars = append(calendars, c)
			}
		default:
			c := open[len(open)-1]
			c.props[p.name] = append(c.props[p.name], p)
		}
	}
	if len(open) > 0 {
		c := open[len(open)-1]
		if len(open) > 1 { // it is not whole
			over := open[len(open)-2]
			over.children = over.children[:len(over.children)-1]
		}
		return append(calendars, open[0]), c.line, fmt.Errorf("the file ends inside of the %s that begins here", c.name)
	}
	if len(calendars) == 0 {
		return nil, 1, errors.New("not a calendar: no BEGIN:VCALENDAR")
	}
	return calendars, 0, nil
}

// unfolded are the content lines with the number of the line where each begins.
func unfolded(raw []byte) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		raw := bytes.TrimPrefix(raw, bom)
		s := bufio.NewScanner(transform.NewReader(bytes.NewReader(raw), lineEnds{}))
		s.Buffer(make([]byte, 0, 64<<10), maxCalendar)
		var b strings.Builder
		began, n := 1, 0
		for s.Scan() {
			n++
			text := s.Bytes()
			if n > 1 && len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
				b.Write(text[1:])
				continue
			}
			if n > 1 && !yield(began, b.String()) {
				return
			}
			b.Reset()
			b.Write(text)
			began = n
		}
		if n > 0 {
			yield(began, b.String())
		}
	}
}

// contentLine reads NAME;PARAM=value;PARAM="value":value (section 3.1).
func contentLine(text string) (property, error) {
	p := property{params: map[string]string{}}
	i := strings.IndexAny(text, ";:")
	if i <= 0 {
		return p, fmt.Errorf("%.30q is no content line", text)
	}
	p.name = strings.ToUpper(strings.TrimSpace(text[:i]))
	if _, bare, grouped := strings.Cut(p.name, "."); grouped { // "item1.X-NAME" of vCard's relatives
		p.name = bare
	}
	for text = text[i:]; strings.HasPrefix(text, ";"); {
		name, rest, ok := strings.Cut(text[1:], "=")
		if !ok {
			return p, fmt.Errorf("%s has a parameter without a value", p.name)
		}
		end, quoted := 0, false
		for end < len(rest) && (quoted || rest[end] != ';' && rest[end] != ':') {
			if rest[end] == '"' {
				quoted = !quoted
			}
			end++
		}
		if end == len(rest) {
			return p, fmt.Errorf("%s has no value", p.name)
		}
		p.params[strings.ToUpper(name)] = caret.Replace(strings.ReplaceAll(rest[:end], `"`, ""))
		text = rest[end:]
	}
	if p.value = text; text != "" {
		p.value = text[1:]
	}
	return p, nil
}

var (
	caret   = strings.NewReplacer("^n", "\n", "^'", `"`, "^^", "^") // RFC 6868
	escapes = strings.NewReplacer(`\\`, `\`, `\;`, ";", `\,`, ",", `\n`, "\n", `\N`, "\n", `\:`, ":", `\"`, `"`)
)

// unescape reads a TEXT (section 3.3.11).
func unescape(s string) string { return strings.TrimSpace(escapes.Replace(s)) }

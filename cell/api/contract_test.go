package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// contract is the served openapi.json, read by a library that is not ours.
type contract struct {
	doc   *openapi3.T
	paths []pathPattern // the most literal first
}

type pathPattern struct {
	path string
	re   *regexp.Regexp
}

var (
	contractOnce sync.Once
	theContract  *contract
)

func contractOf(t testing.TB, h *house) *contract {
	t.Helper()
	contractOnce.Do(func() {
		resp, err := http.Get(h.url + "/openapi.json")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := openapi3.NewLoader().LoadFromData(text)
		if err != nil {
			t.Fatalf("openapi.json does not load: %v", err)
		}
		c := &contract{doc: doc}
		for path := range doc.Paths.Map() {
			re := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[^/]+`)
			c.paths = append(c.paths, pathPattern{path, regexp.MustCompile("^" + re + "$")})
		}
		slices.SortFunc(c.paths, func(a, b pathPattern) int {
			if d := strings.Count(a.path, "{") - strings.Count(b.path, "{"); d != 0 {
				return d
			}
			return len(b.path) - len(a.path)
		})
		theContract = c
	})
	if theContract == nil {
		t.Fatal("there is no openapi.json")
	}
	return theContract
}

// operation finds what openapi.json says of a request line.
func (c *contract) operation(line string) (*openapi3.Operation, string) {
	method, path, _ := strings.Cut(line, " ")
	path, _, _ = strings.Cut(path, "?")
	for _, p := range c.paths {
		if p.re.MatchString(path) {
			if op := c.doc.Paths.Value(p.path).GetOperation(method); op != nil {
				return op, method + " " + p.path
			}
		}
	}
	return nil, ""
}

// judge holds an answer to openapi.json: its status and media type are declared,
// its body fits the schema and has no field besides, a problem's code is listed.
func judge(t testing.TB, h *house, a answer) {
	t.Helper()
	if strings.HasPrefix(a.line, "OPTIONS ") || a.status == http.StatusMethodNotAllowed { // of every path
		return
	}
	if a.status == http.StatusNotFound && a.code() != "" && a.member("detail") == "" {
		t.Errorf("%s: a 404 does not say what was not found: %s", a.line, a.body)
	}
	c := contractOf(t, h)
	op, name := c.operation(a.line)
	if op == nil {
		if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s is served but openapi.json does not know it", a.line)
		}
		return
	}
	said := op.Responses.Value(strconv.Itoa(a.status))
	if said == nil && a.status >= 400 {
		said = op.Responses.Default()
	}
	if said == nil {
		t.Errorf("%s: openapi.json does not know the status %d", name, a.status)
		return
	}
	for header, ref := range said.Value.Headers {
		must := header == "X-Guichet-Cell" || header == "X-Request-Id" || header == "ETag"
		if must && (a.header.Get(header) == "" || ref.Value.Description == "") {
			t.Errorf("%s: openapi.json promises %s", name, header)
		}
	}
	if len(a.body) == 0 && len(said.Value.Content) == 0 {
		return
	}
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	content := said.Value.Content[media]
	if content == nil {
		t.Errorf("%s: openapi.json does not know %s with %d", name, media, a.status)
		return
	}
	if code := a.code(); media == "application/problem+json" && !slices.Contains(codesOf(op), code) {
		t.Errorf("%s: openapi.json does not list the code %s", name, code)
	}
	if content.Schema == nil {
		return
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(a.body))
	if err := d.Decode(&value); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if err := content.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s: the answer does not fit openapi.json: %v\n%.500s", name, err, a.body)
	}
	if media == "application/json" {
		for _, extra := range extras("", value, content.Schema.Value) {
			t.Errorf("%s: openapi.json does not know the field %s", name, extra)
		}
	}
}

func codesOf(op *openapi3.Operation) []string {
	_, list, _ := strings.Cut(*op.Responses.Default().Value.Description, ": ")
	return strings.Split(list, ", ")
}

// extras are the fields of value that the schema does not name.
func extras(at string, value any, s *openapi3.Schema) []string {
	for _, alternative := range s.AnyOf {
		if value != nil && !alternative.Value.Type.Is("null") {
			return extras(at, value, alternative.Value)
		}
	}
	var out []string
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			out = append(out, extras(at+"/*", item, s.Items.Value)...)
		}
	case map[string]any:
		for name, field := range v {
			switch known := s.Properties[name]; {
			case known != nil:
				out = append(out, extras(at+"/"+name, field, known.Value)...)
			case s.AdditionalProperties.Schema == nil && len(s.Properties) > 0:
				out = append(out, at+"/"+name)
			}
		}
	}
	return out
}

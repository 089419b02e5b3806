package httpd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/kind"
)

// body has a field of every sort that the contract knows.
type body struct {
	Text    string          `json:"text,omitempty"`
	Flag    bool            `json:"flag,omitempty"`
	Whole   int64           `json:"whole,omitempty"`
	Small   int8            `json:"small,omitempty"`
	Count   uint16          `json:"count,omitempty"`
	Degrees float64         `json:"degrees,omitempty"`
	At      time.Time       `json:"at,omitzero"`
	Event   id.Event        `json:"event,omitzero"`
	Hold    *id.Hold        `json:"hold,omitempty"`
	Maybe   *int64          `json:"maybe,omitempty"`
	Later   *time.Time      `json:"later,omitempty"`
	Line    line            `json:"line,omitzero"`
	Lines   []line          `json:"lines,omitempty"`
	Other   *line           `json:"other,omitempty"`
	Names   []string        `json:"names,omitempty"`
	Raw     json.RawMessage `json:"raw,omitempty"`
	Slash   string          `json:"a/b~c,omitempty"`
	Plain   string          `json:",omitempty"`
	Hidden  string          `json:"-"`
	private string
}

type line struct {
	Quantity int64  `json:"quantity,omitempty"`
	Name     string `json:"name,omitempty"`
}

func TestUnmarshal_readsEverySortOfField(t *testing.T) {
	const text = ` {"text":"Zoë \u20ac 💥","flag":true,"whole":-9223372036854775808,"small":-128,"count":65535,"degrees":1e-3,
		"at":"2027-05-01T19:30:00+02:00","event":"evt_euw3_k3v9x2m4q7rt","hold":"hld_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v","maybe":0,"later":null,
		"line":{"quantity":2,"name":"a"},"lines":[{"quantity":1},{"name":"b"}],"other":{},"names":[],"raw":{"any":[1]},"a/b~c":"x","Plain":"y"} `
	later := time.Now()
	got := body{Later: &later, Names: []string{"old"}, Lines: make([]line, 9)}
	if err := httpd.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	var want body
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.Whole != math.MinInt64 || got.Later != nil || got.Names == nil || got.Event.IsZero() || got.private != "" {
		t.Errorf("the sample lost its meaning: %+v", got)
	}
}

func TestUnmarshal_pointsAtWhatIsWrong(t *testing.T) {
	field, unknown, syntax := httpd.ErrField, httpd.ErrUnknownField, httpd.ErrJSON
	for _, c := range []struct {
		text    string
		want    *kind.Error
		pointer string
		detail  string // a part of it
	}{
		{``, syntax, "", "unexpected end"},
		{`{`, syntax, "", "unexpected end"},
		{`{} {}`, syntax, "", "after top-level value"},
		{`{"text":"a",}`, syntax, "", "invalid character"},
		{`{'text':'a'}`, syntax, "", "invalid character"},
		{`{"degrees":NaN}`, syntax, "", "invalid character"},
		{`{"whole":01}`, syntax, "", "invalid character"},
		{`{"whole":0x10}`, syntax, "", "invalid character"},
		{"\ufeff{}", syntax, "", "invalid character"},
		{"{\"text\":\"\xff\"}", syntax, "", "UTF-8"},
		{"{\"text\":\"\xed\xa0\x80\"}", syntax, "", "UTF-8"}, // half a surrogate pair
		{"{\"text\":\"\x00\"}", syntax, "", "invalid character"},
		{strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), syntax, "", "depth"},
		{`{"raw":` + strings.Repeat(`{"a":`, 20_000) + `1` + strings.Repeat(`}`, 20_000) + `}`, syntax, "", "depth"},
		{`null`, field, "", "the body must be an object"},
		{`[]`, field, "", "the body must be an object"},
		{`"text"`, field, "", "must be an object"},
		{`7`, field, "", "must be an object"},

		{`{"text":null}`, field, "/text", "null"},
		{`{"text":7}`, field, "/text", "a string"},
		{`{"text":["a"]}`, field, "/text", "a string"},
		{`{"text":"a\u0000b"}`, field, "/text", "NUL"},
		{`{"text":"\\\u0000"}`, field, "/text", "NUL"},
		{`{"names":["a","\u0000"]}`, field, "/names/1", "NUL"},
		{`{"raw":{"deep":["\u0000"]}}`, field, "/raw", "NUL"},
		{`{"flag":null}`, field, "/flag", "null"},
		{`{"flag":"true"}`, field, "/flag", "true or false"},
		{`{"flag":1}`, field, "/flag", "true or false"},
		{`{"whole":null}`, field, "/whole", "null"},
		{`{"whole":"1"}`, field, "/whole", "an integer"},
		{`{"whole":1.0}`, field, "/whole", "an integer"},
		{`{"whole":1.5}`, field, "/whole", "an integer"},
		{`{"whole":1e3}`, field, "/whole", "an integer"},
		{`{"whole":9223372036854775808}`, field, "/whole", "an integer"},
		{`{"whole":` + strings.Repeat("9", 10_000) + `}`, field, "/whole", "an integer"},
		{`{"whole":true}`, field, "/whole", "an integer"},
		{`{"whole":{}}`, field, "/whole", "an integer"},
		{`{"small":128}`, field, "/small", "an integer"},
		{`{"count":-1}`, field, "/count", "not negative"},
		{`{"count":65536}`, field, "/count", "not negative"},
		{`{"degrees":null}`, field, "/degrees", "null"},
		{`{"degrees":"1"}`, field, "/degrees", "a number"},
		{`{"degrees":1e400}`, field, "/degrees", "a number"},
		{`{"at":null}`, field, "/at", "null"},
		{`{"at":0}`, field, "/at", "a time like"},
		{`{"at":"2027-05-01"}`, field, "/at", "a time like"},
		{`{"at":"2027-02-30T00:00:00Z"}`, field, "/at", "a time like"},
		{`{"later":"tomorrow"}`, field, "/later", "a time like"},
		{`{"event":null}`, field, "/event", "null"},
		{`{"event":7}`, field, "/event", "a string"},
		{`{"event":{}}`, field, "/event", "a string"},
		{`{"event":"evt_EUW3_k3v9x2m4q7rt"}`, id.ErrMalformed, "/event", "is not an id like evt_"},
		{`{"event":"hld_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v"}`, id.ErrMalformed, "/event", "is not an id like evt_"},
		{`{"hold":"evt_euw3_k3v9x2m4q7rt"}`, id.ErrMalformed, "/hold", "is not an id like hld_"},
		{`{"maybe":"x"}`, field, "/maybe", "an integer"},
		{`{"line":null}`, field, "/line", "an object"},
		{`{"line":[]}`, field, "/line", "an object"},
		{`{"line":{"quantity":"2"}}`, field, "/line/quantity", "an integer"},
		{`{"lines":{}}`, field, "/lines", "an array"},
		{`{"lines":"a"}`, field, "/lines", "an array"},
		{`{"lines":[{},{"name":1}]}`, field, "/lines/1/name", "a string"},
		{`{"lines":[null]}`, field, "/lines/0", "an object"},
		{`{"names":[null]}`, field, "/names/0", "null"},
		{`{"other":[]}`, field, "/other", "an object"},
		{`{"raw":null}`, field, "/raw", "null"},
		{`{"a/b~c":1}`, field, "/a~1b~0c", "a string"},

		{`{"nope":1}`, unknown, "/nope", "not a field"},
		{`{"line":{"nope":1}}`, unknown, "/line/nope", "not a field"},
		{`{"lines":[{"~/":1}]}`, unknown, "/lines/0/~0~1", "not a field"},
		{`{"Text":"a"}`, unknown, "/Text", "not a field"}, // names have one spelling
		{`{"plain":"a"}`, unknown, "/plain", "not a field"},
		{`{"-":"a"}`, unknown, "/-", "not a field"},
		{`{"Hidden":"a"}`, unknown, "/Hidden", "not a field"},
		{`{"private":"a"}`, unknown, "/private", "not a field"},
		{`{"":1}`, unknown, "/", "not a field"},
		{`{"text":"a","text":"a"}`, field, "/text", "twice"},
		{`{"text":"a","te\u0078t":"a"}`, field, "/text", "twice"},
		{`{"line":{"name":"a","name":"b"}}`, field, "/line/name", "twice"},
	} {
		var b body
		err := httpd.Unmarshal([]byte(c.text), &b)
		e := kind.As(err)
		if !errors.Is(err, c.want) {
			t.Errorf("%.60q: got %v, want %v", c.text, err, c.want)
			continue
		}
		if !strings.Contains(e.Detail, c.detail) {
			t.Errorf("%.60q: the detail is %q, want a word of %q", c.text, e.Detail, c.detail)
		}
		if faults, _ := e.Fields["errors"].([]kind.Fault); c.want != syntax && (len(faults) != 1 || faults[0].Pointer != c.pointer || faults[0].Detail == "") {
			t.Errorf("%.60q: the faults are %v, want one at %q", c.text, faults, c.pointer)
		}
	}
}

func TestUnmarshal_doesNotEchoANameOfAMebibyte(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", httpd.MaxBody-10), strings.Repeat("é", 1000), "a" + strings.Repeat("💥", 1000)} {
		err := httpd.Unmarshal([]byte(`{"line":{"`+name+`":1}}`), new(body))
		e := kind.As(err)
		if !errors.Is(err, httpd.ErrUnknownField) || len(e.Detail) > 200 || !utf8.ValidString(e.Detail) {
			t.Errorf("got %.300q", err)
		}
		if !strings.HasPrefix(e.Detail, "/line/"+name[:50]) {
			t.Errorf("%.100q does not say where", e.Detail)
		}
	}
}

func TestUnmarshal_boundsArrays(t *testing.T) {
	array := func(n int) []byte {
		return []byte(`{"lines":[` + strings.TrimSuffix(strings.Repeat("{},", n), ",") + `]}`)
	}
	var b body
	if err := httpd.Unmarshal(array(10_000), &b); err != nil || len(b.Lines) != 10_000 {
		t.Errorf("10,000 elements: %v", err)
	}
	err := httpd.Unmarshal(array(10_001), &b)
	if e := kind.As(err); !errors.Is(err, httpd.ErrField) || e.Fields["limit"] != 10_000 {
		t.Errorf("10,001 elements: %v, want refused with the limit", err)
	}
}

// decode runs DecodeJSON as a handler does.
func decode(t *testing.T, contentType string, text []byte) (raw []byte, err error) {
	t.Helper()
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(text))
	c.Request.Header.Set("Content-Type", contentType)
	return httpd.DecodeJSON(c, new(body))
}

func TestDecodeJSON_takesOnlyJSON(t *testing.T) {
	for _, ct := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON"} {
		if raw, err := decode(t, ct, []byte(`{"text":"a"}`)); err != nil || string(raw) != `{"text":"a"}` {
			t.Errorf("%q: %q, %v", ct, raw, err)
		}
	}
	for _, ct := range []string{"", "text/json", "text/plain", "application/x-www-form-urlencoded", "application/json/x", "application/problem+json", ";;"} {
		if _, err := decode(t, ct, []byte(`{}`)); !errors.Is(err, httpd.ErrContentType) || kind.Of(err).Status() != 415 {
			t.Errorf("%q: %v, want 415", ct, err)
		}
	}
}

func TestDecodeJSON_takesAMebibyteAndNotAByteMore(t *testing.T) {
	fit := func(n int) []byte { return []byte(`{"text":"` + strings.Repeat("a", n-len(`{"text":""}`)) + `"}`) }
	if raw, err := decode(t, "application/json", fit(httpd.MaxBody)); err != nil || len(raw) != 1<<20 {
		t.Errorf("1 MiB: %d bytes, %v", len(raw), err)
	}
	_, err := decode(t, "application/json", fit(httpd.MaxBody+1))
	if e := kind.As(err); !errors.Is(err, httpd.ErrBodyTooLarge) || e.Kind.Status() != 413 || e.Fields["limit"] != 1<<20 {
		t.Errorf("1 MiB + 1: %v, want 413 with the limit", err)
	}
}

// What the strict reader takes, Go's own reads alike; what it refuses is told
// politely; and nothing that was taken holds a NUL.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"text":"a\u0000"}`, `{"lines":[{"quantity":1},{"name":"x"}],"names":["a"]}`, `{"event":"evt_euw3_k3v9x2m4q7rt"}`,
		`{"hold":"hld_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v","at":"2027-05-01T19:30:00+02:00"}`, `{"raw":{"a":[1,"\\u0000"]},"whole":-0}`, `{"degrees":1e308,"maybe":null}`,
		`{"text":"\ud800"}`, `{"a/b~c":"x","Plain":"","text":"\u2028"}`, "{\"text\":\"\xff\"}", `[[[[`, `{"lines":[null]}`, `{"text":1,"text":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got body
		if err := httpd.Unmarshal(text, &got); err != nil {
			e := kind.As(err)
			if e == nil || e.Kind != kind.Invalid || e.Code == "" || e.Detail == "" {
				t.Fatalf("%q is refused with %v", text, err)
			}
			return
		}
		var want body
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%q was taken; Go's own reader says %v", text, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q gives\n%+v, Go's own reader\n%+v", text, got, want)
		}
		for _, s := range append([]string{got.Text, got.Line.Name, got.Slash, got.Plain}, got.Names...) {
			if strings.ContainsRune(s, 0) {
				t.Fatalf("%q let a NUL in", text)
			}
		}
	})
}

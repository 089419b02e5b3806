package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/telemetry"
)

// with changes a request before it is sent.
type with func(*http.Request)

func key(k string) with { return header("Idempotency-Key", k) }

func bearer(token string) with { return header("Authorization", "Bearer "+token) }

func ifMatch(tag string) with { return header("If-Match", tag) }

func header(name, value string) with {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func withoutKey(r *http.Request) { r.Header.Del("Idempotency-Key") }

// answer is what came back.
type answer struct {
	line   string
	status int
	header http.Header
	body   []byte
}

var keys atomic.Int64

// newKey is an Idempotency-Key nobody used before.
func newKey() with { return key("key-" + strconv.FormatInt(keys.Add(1), 10)) }

// ask sends "METHOD /path" with a body (nil for none, []byte as it is, else as
// JSON) and a new Idempotency-Key for POST, and holds the answer to what every
// answer promises and to openapi.json.
func (h *house) ask(t testing.TB, line string, body any, opts ...with) answer {
	t.Helper()
	a := h.askRaw(t, line, body, opts...)
	judge(t, h, a)
	return a
}

// askRaw is ask without openapi.json, for thousands of requests.
func (h *house) askRaw(t testing.TB, line string, body any, opts ...with) answer {
	t.Helper()
	a, err := h.send(t, line, body, opts...)
	if err != nil {
		t.Fatal(err)
	}
	a.check(t)
	return a
}

// metrics is what the private listener tells Prometheus.
func (h *house) metrics(t testing.TB) string {
	t.Helper()
	w := httptest.NewRecorder()
	telemetry.Handler(h.server.Metrics).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func (h *house) send(t testing.TB, line string, body any, opts ...with) (answer, error) {
	t.Helper()
	method, path, _ := strings.Cut(line, " ")
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case io.Reader: // of a length that is not said
		payload = b
	case []byte:
		payload = bytes.NewReader(b)
	case string:
		payload = strings.NewReader(b)
	default:
		payload = bytes.NewReader(mustJSON(t, body))
	}
	r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, payload)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPost {
		newKey()(r)
	}
	for _, o := range opts {
		o(r)
	}
	h.asHolder(r, body)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{line: line, status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}

// strangerMark keeps asHolder from a request; it does not leave the test.
const strangerMark = "X-Test-Stranger"

// stranger sends a request without the token that a hold's, an order's or a ticket's
// holder would send with it.
func stranger(r *http.Request) { r.Header.Set(strangerMark, "1") }

// asHolder adds the token of what a request is about, as its holder would, unless the
// request says who sends it.
func (h *house) asHolder(r *http.Request, body any) {
	_, said := r.Header["Authorization"]
	if r.Header.Get(strangerMark) != "" || said {
		r.Header.Del(strangerMark)
		return
	}
	keys := h.server.Access
	token := ""
	about := func(kind string) string {
		rest, _ := strings.CutPrefix(r.URL.Path, "/v1/"+kind+"/")
		text, _, _ := strings.Cut(rest, "/")
		text, _, _ = strings.Cut(text, ".")
		return text
	}
	if hold, err := id.ParseHold(about("holds")); err == nil {
		token = keys.HoldToken(hold)
	}
	if order, err := id.ParseOrder(about("orders")); err == nil {
		token = keys.OrderToken(order, 0, time.Now())
	}
	if t, err := id.ParseTicket(about("tickets")); err == nil {
		token = keys.TicketToken(t, 0, time.Now())
	}
	if r.Method == http.MethodPost && r.URL.Path == "/v1/orders" && body != nil {
		text, raw := body.([]byte)
		if s, ok := body.(string); ok {
			text, raw = []byte(s), true
		}
		if !raw {
			text, _ = json.Marshal(body)
		}
		var in struct {
			HoldID string `json:"hold_id"`
		}
		_ = json.Unmarshal(text, &in)
		if hold, err := id.ParseHold(in.HoldID); err == nil {
			token = keys.HoldToken(hold)
		}
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

// by is the bearer of staff, but for what is asked of holders, who send their own.
func by(line string, staff with) with {
	_, path, _ := strings.Cut(line, " ")
	for _, kind := range []string{"/v1/holds/", "/v1/orders", "/v1/tickets/"} {
		if strings.HasPrefix(path, kind) {
			return func(*http.Request) {}
		}
	}
	return staff
}

// check holds an answer to what all of them promise.
func (a answer) check(t testing.TB) {
	t.Helper()
	if a.status >= 500 && a.status != http.StatusServiceUnavailable {
		t.Errorf("%.200s: %d %.500s", a.line, a.status, a.body)
	}
	if a.header.Get("X-Guichet-Cell") != "euw3" || a.header.Get("X-Request-Id") == "" {
		t.Errorf("%.200s: X-Guichet-Cell %q, X-Request-Id %q", a.line, a.header.Get("X-Guichet-Cell"), a.header.Get("X-Request-Id"))
	}
	if a.header.Get("Cache-Control") == "" {
		t.Errorf("%.200s: a cache in between could keep this", a.line)
	}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 {
			t.Errorf("%.200s: %d with Retry-After %q", a.line, a.status, a.header.Get("Retry-After"))
		}
	}
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.status < 400 || media == "application/json" && strings.HasSuffix(a.line, "/readyz") {
		return
	}
	if a.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%.200s: %d is told as the key's first answer", a.line, a.status)
	}
	var p client.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || media != "application/problem+json" {
		t.Errorf("%.200s: %d %s is no problem document: %.300s", a.line, a.status, media, a.body)
		return
	}
	if p.Status != a.status || p.Code == "" || p.Type != "urn:guichet:problem:"+p.Code || p.Title != http.StatusText(a.status) ||
		p.Instance != "urn:guichet:request:"+a.header.Get("X-Request-Id") {
		t.Errorf("%.200s: %d with the problem %s", a.line, a.status, a.body)
	}
}

// code is the problem's code, "" when it is none.
func (a answer) code() string {
	var p client.Problem
	_ = json.Unmarshal(a.body, &p)
	return p.Code
}

// is says status, code and, if there is one, the pointer, in one text.
func (a answer) is() string {
	var p client.Problem
	if a.status < 400 || json.Unmarshal(a.body, &p) != nil {
		return strconv.Itoa(a.status)
	}
	out := strconv.Itoa(a.status) + " " + p.Code
	for _, f := range p.Errors {
		out += " " + f.Pointer
	}
	return out
}

func (a answer) want(t testing.TB, is string) answer {
	t.Helper()
	if a.is() != is {
		t.Fatalf("%.200s: %s, want %s\n%.600s", a.line, a.is(), is, a.body)
	}
	return a
}

// read decodes the body.
func read[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v: %.300s", a.line, err, a.body)
	}
	return v
}

// member is one field of a JSON object as text.
func (a answer) member(name string) string {
	var m map[string]json.RawMessage
	_ = json.Unmarshal(a.body, &m)
	return string(m[name])
}

var volatile = regexp.MustCompile(`\b(evt|org|hld|ord|tkt|typ|quo|alc|ser)_euw3_[0-9a-z]{12}(_[0-9a-z]{16})?|"\d{4}-\d\d-\d\dT[^"]*"|"code":"[2-9A-HJ-NP-Z]{7}"|"(barcode|client_secret|api_key|access_token)":"[^"]+"`)

// shape is the body with everything that differs from run to run named instead:
// the nth id of a kind is evt_n, times are TIME.
func (a answer) shape() string {
	seen := map[string]string{}
	count := map[string]int{}
	return volatile.ReplaceAllStringFunc(strings.TrimSpace(string(a.body)), func(s string) string {
		switch {
		case strings.HasPrefix(s, `"code"`):
			return `"code":"CODE"`
		case strings.HasPrefix(s, `"2`):
			return `"TIME"`
		case strings.HasPrefix(s, `"`):
			name, _, _ := strings.Cut(s[1:], `"`)
			return `"` + name + `":"` + strings.ToUpper(name) + `"`
		}
		if seen[s] == "" {
			count[s[:3]]++
			seen[s] = s[:3] + "_" + strconv.Itoa(count[s[:3]])
		}
		return seen[s]
	})
}

// looks compares the shape with JSON that may be spread over lines.
func (a answer) looks(t testing.TB, want string) {
	t.Helper()
	want = regexp.MustCompile(`\n\s*`).ReplaceAllString(strings.TrimSpace(want), "")
	if got := a.shape(); got != want {
		t.Errorf("%s answers\n%s\nwant\n%s", a.line, got, want)
	}
}

package httpd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/internal/httpd"
	"guichet/internal/kind"
)

// problem is the document as a client sees it.
type problem struct {
	Type, Title, Detail, Code, Instance string
	Status                              int
	RetryAfter                          *int `json:"retry_after"`
	Errors                              []kind.Fault
	Limit                               int
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	text   string
}

func replied(w *httptest.ResponseRecorder) reply {
	return reply{status: w.Code, header: w.Header(), text: w.Body.String()}
}

func read(t *testing.T, res reply) problem {
	t.Helper()
	if ct := res.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("the content type is %q", ct)
	}
	if cc := res.header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("a problem may be cached: %q", cc)
	}
	var p problem
	if err := json.Unmarshal([]byte(res.text), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != res.status || p.Title != http.StatusText(res.status) || p.Type != "urn:guichet:problem:"+p.Code {
		t.Errorf("the document contradicts itself or the status %d: %+v", res.status, p)
	}
	return p
}

func answer(t *testing.T, err error) (problem, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	w.Header().Set(httpd.HeaderRequestID, "req-1")
	httpd.Problem(w, httptest.NewRequest(http.MethodGet, "/v1/x", nil), err)
	return read(t, replied(w)), w.Header()
}

// logged takes what is logged while the test runs. Tests that use it are not parallel.
func logged(t *testing.T) *safeBuffer {
	t.Helper()
	var b safeBuffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&b, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &b
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestProblem_speaksForEveryKind(t *testing.T) {
	for k, status := range map[kind.Kind]int{
		kind.Invalid: 400, kind.Unauthorized: 401, kind.Forbidden: 403, kind.NotFound: 404, kind.NotAllowed: 405, kind.Conflict: 409, kind.Stale: 412,
		kind.TooLarge: 413, kind.UnsupportedMedia: 415, kind.Moved: 421, kind.Unprocessable: 422, kind.ConditionMissing: 428, kind.Busy: 429, kind.Unavailable: 503,
	} {
		err := fmt.Errorf("rooms add words: %w", k.New("a_code").With("%d left", 3).Field("limit", 7))
		p, h := answer(t, err)
		if p.Status != status || p.Code != "a_code" || p.Detail != "3 left" || p.Limit != 7 || p.Instance != "urn:guichet:request:req-1" {
			t.Errorf("kind %d gives %+v, want %d", k, p, status)
		}
		retry := status == 429 || status == 503
		if (h.Get("Retry-After") == "1") != retry || (p.RetryAfter != nil && *p.RetryAfter == 1) != retry {
			t.Errorf("%d says Retry-After %q and retry_after %v", status, h.Get("Retry-After"), p.RetryAfter)
		}
		if (h.Get("WWW-Authenticate") == "Bearer") != (status == 401) {
			t.Errorf("%d asks for %q", status, h.Get("WWW-Authenticate"))
		}
	}
}

func TestProblem_roundsTheTimeToRetryUp(t *testing.T) {
	for after, want := range map[time.Duration]string{time.Millisecond: "1", time.Second: "1", 1100 * time.Millisecond: "2", time.Minute: "60"} {
		p, h := answer(t, kind.Conflict.New("in_flight").After(after))
		if h.Get("Retry-After") != want || p.RetryAfter == nil || fmt.Sprint(*p.RetryAfter) != want {
			t.Errorf("%s: Retry-After %q, retry_after %v, want %s", after, h.Get("Retry-After"), p.RetryAfter, want)
		}
	}
}

func TestProblem_pointsAtFields(t *testing.T) {
	p, _ := answer(t, httpd.ErrField.At("/items/0/quantity", "must be at least %d", 1))
	if want := (kind.Fault{Pointer: "/items/0/quantity", Detail: "must be at least 1"}); len(p.Errors) != 1 || p.Errors[0] != want {
		t.Errorf("got %v, want %v", p.Errors, want)
	}
	if p.Detail != "/items/0/quantity: must be at least 1" {
		t.Errorf("the detail is %q", p.Detail)
	}
}

func TestProblem_ofWhatIsNotFoundSaysWhat(t *testing.T) {
	for _, c := range []struct {
		err  *kind.Error
		want string
	}{
		{kind.NotFound.New("ticket_type_not_found"), "there is no such ticket type here"},
		{kind.NotFound.New("unknown_cell"), "there is nothing here"},
		{kind.NotFound.New("event_not_found").With("it was never sold"), "it was never sold"},
	} {
		w := httptest.NewRecorder()
		httpd.Problem(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil), c.err)
		var doc struct {
			Detail string `json:"detail"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != http.StatusNotFound || doc.Detail != c.want {
			t.Errorf("%s: %d %s", c.err.Code, w.Code, w.Body)
		}
	}
}

func TestProblem_keepsItsOwnMembers(t *testing.T) {
	e := kind.Conflict.New("sold_out").Field("status", 200).Field("code", "fine").Field("type", "x").Field("title", "y").Field("instance", "z")
	if p, _ := answer(t, e); p.Status != 409 || p.Code != "sold_out" || p.Instance != "urn:guichet:request:req-1" {
		t.Errorf("fields took the place of members: %+v", p)
	}
}

func TestProblem_keepsInternalThingsInTheLog(t *testing.T) {
	for _, err := range []error{
		errors.New("password hunter2 for 10.0.0.7 refused"),
		kind.Internal.New("hunter2").With("10.0.0.7").Field("password", "hunter2"),
		kind.Kind(99).New("nobody_knows").With("hunter2"),
	} {
		log := logged(t)
		w := httptest.NewRecorder()
		w.Header().Set(httpd.HeaderRequestID, "req-1")
		httpd.Problem(w, httptest.NewRequest(http.MethodGet, "/v1/x", nil), err)
		if kind.Of(err) == kind.Kind(99) {
			if w.Code != 500 {
				t.Errorf("an unknown kind gives %d", w.Code)
			}
			continue
		}
		text := w.Body.String()
		if p := read(t, replied(w)); p.Status != 500 || p.Code != "internal" || strings.Contains(text, "hunter2") || strings.Contains(text, "10.0.0.7") {
			t.Errorf("%v is told outside: %s", err, text)
		}
		if l := log.String(); !strings.Contains(l, "hunter2") || !strings.Contains(l, `"request_id":"req-1"`) {
			t.Errorf("the log does not find %v by its request id: %s", err, l)
		}
	}
}

func TestProblem_thatCannotBeWrittenIsInternal(t *testing.T) {
	log := logged(t)
	if p, _ := answer(t, kind.Conflict.New("odd").Field("f", func() {})); p.Status != 500 || p.Code != "internal" {
		t.Errorf("got %+v", p)
	}
	if !strings.Contains(log.String(), "odd") {
		t.Error("the log does not say which problem it was")
	}
}

func TestProblem_ofADeadlineSaysComeBack(t *testing.T) {
	log := logged(t)
	if p, h := answer(t, fmt.Errorf("ask the index: %w", context.DeadlineExceeded)); p.Status != 503 || p.Code != "timeout" || h.Get("Retry-After") == "" {
		t.Errorf("got %+v", p)
	}
	if !strings.Contains(log.String(), "ask the index") {
		t.Error("the log does not say what took so long")
	}
}

func TestProblem_ofAClientThatHungUpIsNoFaultOfOurs(t *testing.T) {
	log := logged(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	httpd.Problem(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx), fmt.Errorf("read: %w", context.Canceled))
	if l := log.String(); l != "" {
		t.Errorf("it was logged as an error: %s", l)
	}
	// A cancellation that was not the client's is a bug of ours.
	httpd.Problem(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), context.Canceled)
	if l := log.String(); !strings.Contains(l, "request failed") {
		t.Error("our own cancellation left no trace")
	}
}

package api_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"guichet/cell/client"
	"guichet/cell/search"
	"guichet/internal/httpd"
)

// TestHead_isAnsweredLikeGetOnEveryPath asks both of every path, without a token and with one.
func TestHead_isAnsweredLikeGetOnEveryPath(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	bought := s.paid(t, s.guest, 1)
	tried := 0
	for path, item := range contractOf(t, s.house).doc.Paths.Map() {
		if item.Get == nil || strings.Contains(path, "}.") {
			continue
		}
		line, as := s.callOf("", path, bought.ID, bought.Tickets[0].ID)
		get := s.askRaw(t, "GET"+line, nil, as)
		head, err := s.send(t, "HEAD"+line, nil, as)
		if err != nil {
			t.Fatal(err)
		}
		if head.status != get.status || len(head.body) != 0 || head.header.Get("Content-Type") != get.header.Get("Content-Type") || httpd.Unmarked(head.header.Get("ETag")) != httpd.Unmarked(get.header.Get("ETag")) {
			t.Errorf("HEAD %s: %d %s %s, GET %d %s %s", path, head.status, head.header.Get("ETag"), head.body, get.status, get.header.Get("ETag"), get.header.Get("Content-Type"))
		}
		tried++
	}
	if tried < 30 {
		t.Errorf("only %d paths", tried)
	}
}

// TestAllow_namesEveryMethodOfThePath walks the contract.
func TestAllow_namesEveryMethodOfThePath(t *testing.T) {
	t.Parallel()
	h := open(t)
	param := regexp.MustCompile(`\{\w+\}`)
	for path, item := range contractOf(t, h).doc.Paths.Map() {
		if strings.Contains(path, "}.") {
			continue
		}
		at := param.ReplaceAllString(path, "x")
		a := h.ask(t, "OPTIONS "+at, nil).want(t, "204")
		for method := range item.Operations() {
			if !strings.Contains(a.header.Get("Allow"), method) || method == http.MethodGet && !strings.Contains(a.header.Get("Allow"), http.MethodHead) {
				t.Errorf("%s: Allow is %s", path, a.header.Get("Allow"))
			}
			if !strings.Contains(a.header.Get("Allow"), "TRACE") {
				h.ask(t, "TRACE "+at, nil).want(t, "405 method_not_allowed")
			}
		}
	}
}

// TestETag_changesWithWhatIsShown keeps an event, its series-less search and its form, and
// buys the last tickets.
func TestETag_changesWithWhatIsShown(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"quotas": []object{{"name": "floor", "size": 2}, {"name": "balcony", "size": 5}}})
	s.announce(t, search.NewDocument(s.event, true))
	event, listing := "GET "+s.path(), "GET /v1/events"
	tags := map[string]string{}
	for _, line := range []string{event, listing, "GET /v1/regions", event + "/order_form", event + "/transfer_policy", "GET /v1/keys/tickets", "GET /openapi.json"} {
		a := s.ask(t, line, nil).want(t, "200")
		tag := a.header.Get("ETag")
		tags[line] = tag
		if tag == "" || strings.Contains(a.header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: ETag %q, Cache-Control %q", line, tag, a.header.Get("Cache-Control"))
		}
		for _, known := range []string{tag, `"x", ` + tag, "W/" + strings.TrimPrefix(tag, "W/"), "*"} {
			b := s.ask(t, line, nil, header("If-None-Match", known)).want(t, "304")
			if len(b.body) != 0 || b.header.Get("ETag") == "" {
				t.Errorf("%s: %s", line, b.body)
			}
		}
		s.ask(t, line, nil, header("If-None-Match", `"x"`)).want(t, "200")
	}
	if a := s.ask(t, event, nil, s.bearer); a.header.Get("Cache-Control") != "no-store" || a.header.Get("ETag") == tags[event] {
		t.Errorf("the organizer's own answer: %s", a.header)
	}
	s.paid(t, s.floor, 2)
	if a := s.ask(t, event, nil, header("If-None-Match", tags[event])).want(t, "200"); read[client.Event](t, a).TicketTypes[0].Availability != client.None {
		t.Errorf("%s", a.body)
	}
	patch := "PATCH " + s.path()
	s.ask(t, patch, object{"summary": "x"}, s.bearer, ifMatch(tags[event])).want(t, "200") // the version has not changed
	s.ask(t, patch, object{"summary": "y"}, s.bearer, ifMatch(tags[event])).want(t, "412 version_mismatch")
}

// TestCompression_isInTheCodingThatTheClientLikesBest reads openapi.json in each.
func TestCompression_isInTheCodingThatTheClientLikesBest(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	raw := func(line, accept string, opts ...with) answer {
		t.Helper()
		a, err := s.send(t, line, nil, append(opts, header("Accept-Encoding", accept))...)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	plain := raw("GET /openapi.json", "identity")
	for accept, want := range map[string]string{
		"gzip": "gzip", "br": "br", "zstd": "zstd", "gzip, br": "br", "gzip, deflate, br, zstd": "zstd", "zstd;q=0, br;q=0.1, gzip;q=0.5": "gzip", "*": "zstd", "*;q=0.1, gzip": "gzip",
		"": "", "identity": "", "deflate": "", "gzip;q=0": "", "gzip;q=nonsense": "", "GZIP": "gzip",
	} {
		a := raw("GET /openapi.json", accept)
		if a.header.Get("Content-Encoding") != want || !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("%q: %q, Vary %q", accept, a.header.Get("Content-Encoding"), a.header.Values("Vary"))
			continue
		}
		text := decoded(t, want, a.body)
		if string(text) != string(plain.body) || want != "" && len(a.body)*4 > len(plain.body) {
			t.Errorf("%q: %d bytes became %d", accept, len(plain.body), len(a.body))
		}
		if want != "" && a.header.Get("ETag") == plain.header.Get("ETag") {
			t.Errorf("%s: other bytes have the same strong ETag", want)
		}
		s.ask(t, "GET /openapi.json", nil, header("If-None-Match", a.header.Get("ETag")), header("Accept-Encoding", accept)).want(t, "304")
	}
	tag := raw("GET "+s.path(), "gzip", s.bearer).header.Get("ETag")
	if !strings.HasSuffix(tag, `+gzip"`) {
		t.Errorf("the event's ETag is %s", tag)
	}
	s.ask(t, "PATCH "+s.path(), object{"summary": "x"}, s.bearer, ifMatch(tag)).want(t, "200")
	bought := s.paid(t, s.floor, 5)
	for _, line := range []string{"GET /v1/orders/" + bought.ID, "GET /v1/orders/" + bought.ID + "/tickets", "GET /v1/events/suggest?q=n", "GET /readyz"} { // with tokens, or short
		if a := raw(line, "gzip"); a.header.Get("Content-Encoding") != "" {
			t.Errorf("%s is compressed", line)
		}
	}
}

func decoded(t *testing.T, coding string, body []byte) []byte {
	t.Helper()
	var in io.Reader = strings.NewReader(string(body))
	var err error
	switch coding {
	case "gzip":
		in, err = gzip.NewReader(in)
	case "br":
		in = brotli.NewReader(in)
	case "zstd":
		in, err = zstd.NewReader(in)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEncodedBodies_areRefused whatever is in them.
func TestEncodedBodies_areRefused(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	for _, coding := range []string{"gzip", "br", "x-unknown", "identity, gzip"} {
		a := s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1), header("Content-Encoding", coding)).want(t, "415 unsupported_content_encoding")
		if a.header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%s: %s", coding, a.header)
		}
	}
	s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1), header("Content-Encoding", "identity")).want(t, "201")
}

// TestCORS_letsInConfiguredOriginsForAttendeesCallsAlone asks as a browser would.
func TestCORS_letsInConfiguredOriginsForAttendeesCallsAlone(t *testing.T) {
	t.Parallel()
	s := open(t, func(h *house) { h.server.Origins = []string{"https://shop.example"} }).stage(t)
	preflight := func(line, origin string) answer {
		method, path, _ := strings.Cut(line, " ")
		return s.ask(t, "OPTIONS "+path, nil, header("Origin", origin), header("Access-Control-Request-Method", method), header("Access-Control-Request-Headers", "authorization,idempotency-key"))
	}
	allowed := func(a answer) string { return a.header.Get("Access-Control-Allow-Origin") }
	for line, want := range map[string]bool{
		"GET /v1/events": true, "GET " + s.path(): true, "POST " + s.path() + "/holds": true, "POST /v1/orders": true, "GET /v1/tickets/x": true, "POST /v1/tickets/find": true,
		"PATCH " + s.path(): false, "POST /v1/organizers": false, "POST /v1/open": false, "GET /v1/sagas": false, "POST " + s.path() + "/publish": false, "GET /v1/sign_in": false,
	} {
		a := preflight(line, "https://shop.example")
		if got := allowed(a) == "https://shop.example"; got != want || a.status != 204 || want && !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
			t.Errorf("%s: %d %s", line, a.status, a.header)
		}
		if b := preflight(line, "https://evil.example"); allowed(b) != "" {
			t.Errorf("%s lets evil in", line)
		}
	}
	a := s.ask(t, "GET "+s.path(), nil, header("Origin", "https://shop.example")).want(t, "200")
	if allowed(a) != "https://shop.example" || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "ETag") || !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin") {
		t.Errorf("%s", a.header)
	}
	a = s.ask(t, "GET /v1/events/nonsense", nil, header("Origin", "https://shop.example")).want(t, "400 invalid_id") // a page reads refusals too
	if allowed(a) == "" || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%s", a.header)
	}
	every := open(t, func(h *house) { h.server.Origins = []string{"*"} })
	if a := every.ask(t, "GET /v1/events", nil, header("Origin", "https://any.example")); allowed(a) != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%s", a.header)
	}
	if a := open(t).ask(t, "GET /v1/events", nil, header("Origin", "https://shop.example")); allowed(a) != "" {
		t.Errorf("without configuration: %s", a.header)
	}
}

// TestAllow_namesNoMethodOfAnotherPath asks where a path without a parameter stands beside
// one that has it in the same place.
func TestAllow_namesNoMethodOfAnotherPath(t *testing.T) {
	t.Parallel()
	h := open(t)
	for path, want := range map[string]string{"/v1/events/suggest": "GET, HEAD", "/v1/tickets/find": "POST", "/v1/tickets/found": "GET, HEAD"} {
		for _, method := range []string{"PATCH", "PUT", "DELETE"} {
			if a := h.ask(t, method+" "+path, nil).want(t, "405 method_not_allowed"); a.header.Get("Allow") != want {
				t.Errorf("%s %s: Allow is %s, want %s", method, path, a.header.Get("Allow"), want)
			}
		}
	}
	h.ask(t, "GET /v1/tickets/find", nil).want(t, "405 method_not_allowed")
}

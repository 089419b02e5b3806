package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"guichet/cell/client"
	"guichet/chaos/world"
)

// request is one piece of nonsense and the refusal it must get.
type request struct {
	what   string
	method string
	path   string
	body   any      // a string is sent as it is, anything else as JSON; nil sends none
	header []string // name, value, …; Content-Type and Idempotency-Key have good defaults, "" takes them away
	status int
	code   string
}

// nonsense sends bad requests through the real router and holds the answers to
// the contract: a problem document with a documented code, and never a 5xx.
type nonsense struct {
	router     string
	documented map[string]bool
}

// routerCodes are the refusals of the router itself and of every server, which
// no single call of openapi.json has.
var routerCodes = []string{"no_such_path", "method_not_allowed", "body_unreadable", "body_too_large", "unknown_region", "unknown_cell"}

var codesOf = regexp.MustCompile(`one of these codes: ([a-z_, ]+)`)

func newNonsense(t *testing.T, w *world.World) *nonsense {
	t.Helper()
	n := &nonsense{router: credentials(t, w).Router, documented: map[string]bool{}}
	status, _, doc := n.send(t, request{method: "GET", path: "/openapi.json"})
	if status != 200 {
		t.Fatalf("openapi.json: %d", status)
	}
	for _, match := range codesOf.FindAllSubmatch(doc, -1) {
		for code := range strings.SplitSeq(string(match[1]), ", ") {
			n.documented[code] = true
		}
	}
	if len(n.documented) < 20 {
		t.Fatalf("openapi.json documents only %d codes", len(n.documented))
	}
	for _, code := range routerCodes {
		n.documented[code] = true
	}
	return n
}

func (n *nonsense) send(t *testing.T, r request) (status int, header http.Header, body []byte) {
	t.Helper()
	var content io.Reader
	switch b := r.body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		must(t, err)
		content = bytes.NewReader(raw)
	}
	url := r.path
	if !strings.HasPrefix(url, "http://") { // what is not served to the public has its address with it
		url = n.router + r.path
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, url, content)
	must(t, err)
	req.Header.Set(client.HeaderNear, "48.8566,2.3522")
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.method == http.MethodPost {
		req.Header.Set(client.HeaderIdempotencyKey, key("nonsense"))
	}
	if token := world.Keys.Token(about(r)); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for pair := range slices.Chunk(r.header, 2) {
		req.Header.Del(pair[0])
		if pair[1] != "" {
			req.Header.Set(pair[0], pair[1])
		}
	}
	resp, err := world.HTTP.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	must(t, err)
	return resp.StatusCode, resp.Header, body
}

var idIn = regexp.MustCompile(`(hld|ord|tkt)_[a-z0-9]+_[a-z0-9]+_[a-z0-9]+`)

// about is the hold, order or ticket that a request is about, "" for none: its holder
// sends it, so what is wrong with it is the rest.
func about(r request) string {
	if r.path != "/v1/orders" {
		return idIn.FindString(r.path)
	}
	if text, ok := r.body.(string); ok {
		return idIn.FindString(text)
	}
	text, _ := json.Marshal(r.body)
	return idIn.FindString(string(text))
}

// refused sends a request that must be refused exactly so.
func (n *nonsense) refused(t *testing.T, r request) {
	t.Helper()
	status, header, body := n.send(t, r)
	if status != r.status {
		t.Errorf("%s: %s %.80s: %d, want %d %s: %.300s", r.what, r.method, r.path, status, r.status, r.code, body)
		return
	}
	if code := n.problem(t, r, status, header, body); code != r.code {
		t.Errorf("%s: %s %.80s: code %q, want %q", r.what, r.method, r.path, code, r.code)
	}
}

// harmless sends a request that may be good or bad, but not break anything.
func (n *nonsense) harmless(t *testing.T, r request) (status int) {
	t.Helper()
	status, header, body := n.send(t, r)
	if status >= 500 {
		t.Errorf("%s: %s %.120q: %d: %.300s", r.what, r.method, r.path, status, body)
		return status
	}
	if status >= 400 {
		n.problem(t, r, status, header, body)
	}
	return status
}

// problem holds a refusal to RFC 9457 and to what openapi.json says.
func (n *nonsense) problem(t *testing.T, r request, status int, header http.Header, body []byte) (code string) {
	t.Helper()
	var p client.Problem
	err := json.Unmarshal(body, &p)
	media := header.Get("Content-Type")
	if err != nil || media != "application/problem+json" || p.Status != status || p.Title == "" || p.Type == "" || !n.documented[p.Code] {
		t.Errorf("%s: %s %.80s: %d is no documented problem (%s, %v): %.300s", r.what, r.method, r.path, status, media, err, body)
	}
	if header.Get(client.HeaderRequestID) == "" {
		t.Errorf("%s: the refusal has no X-Request-Id", r.what)
	}
	if status == 429 && header.Get("Retry-After") == "" {
		t.Errorf("%s: 429 without Retry-After", r.what)
	}
	return p.Code
}

// Bad input through the real router: the documented problem, never a 5xx, and
// nothing is stored.
func TestNonsense_isRefusedAsDocumentedAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := sharedTown(t)
	n := newNonsense(t, w)
	e := stage(t, w, "apn1", unique("Nonsense"), 100, 10)
	hold, _, err := attendee(t, w, world.Paris).CreateHold(t.Context(), e.ID, e.want(1), key("hold"))
	must(t, err)
	before := e.stats(t)
	for _, r := range slices.Concat(badIDs(e), badHolds(e), badOrders(e, hold.ID), badEvents(t, w), badLines()) {
		n.refused(t, r)
	}
	after := e.stats(t)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the nonsense left something behind:\n%+v\n%+v", before, after)
	}
	_, err = attendee(t, w, world.Paris).ReleaseHold(t.Context(), hold.ID)
	must(t, err)
	n.reusedKeys(t, e)
}

// reusedKeys: the same key and body give the same answer, marked; another body
// is refused, and neither makes a second hold (P5).
func (n *nonsense) reusedKeys(t *testing.T, e concert) {
	t.Helper()
	c := client.New(n.router, client.WithHTTP(world.HTTP), client.WithKeyring(world.Keys))
	k := key("reused")
	first, m, err := c.CreateHold(t.Context(), e.ID, e.want(1), k)
	must(t, err)
	if m.Replayed {
		t.Error("the first answer says that it is a replay")
	}
	again, m, err := c.CreateHold(t.Context(), e.ID, e.want(1), k)
	if err != nil || !m.Replayed || again.ID != first.ID {
		t.Errorf("the same key again: %s (replayed %v), want %s: %v", again.ID, m.Replayed, first.ID, err)
	}
	if _, _, err := c.CreateHold(t.Context(), e.ID, e.want(2), k); client.CodeOf(err) != "idempotency_key_reused" {
		t.Errorf("the same key with another body: %v", err)
	}
	if q := e.stats(t).Quotas[0]; q.Held != 1 {
		t.Errorf("%d tickets are held, want 1", q.Held)
	}
}

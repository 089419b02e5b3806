package sandbox_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/stripe/sandbox"
)

const (
	patience = 20 * time.Second
	secret   = "sk_test_sandbox_euw3"
	browser  = "pk_test_sandbox_euw3"
)

// house is a sandbox that can be closed and opened again on the same journal.
type house struct {
	t      *testing.T
	config sandbox.Config
	box    *sandbox.Sandbox
	front  *httptest.Server
}

// open starts a sandbox for euw3, whose webhooks go to endpoint ("" for nowhere), and for use1.
func open(t *testing.T, endpoint string) *house {
	t.Helper()
	h := &house{t: t, config: sandbox.Config{
		StateDir: t.TempDir(), RetryBase: time.Millisecond, Now: time.Now,
		Accounts: []sandbox.Account{sandbox.AccountOf("euw3", endpoint), sandbox.AccountOf("use1", "")},
	}}
	h.start()
	t.Cleanup(h.stop)
	return h
}

func (h *house) start() {
	h.t.Helper()
	box, err := sandbox.Open(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	h.box, h.front = box, httptest.NewServer(box.Handler())
}

func (h *house) stop() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.box.Close(ctx); err != nil {
		h.t.Error(err)
	}
	h.front.Close()
}

func (h *house) restart() {
	h.t.Helper()
	h.stop()
	h.start()
}

// object is a JSON object of the sandbox.
type object map[string]any

func (o object) at(path string) any {
	var v any = map[string]any(o)
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func (o object) text(path string) string {
	s, _ := o.at(path).(string)
	return s
}

type reply struct {
	status int
	body   object
	raw    string
	header http.Header
}

// ask sends a form, or a query with GET. Extra are header names and values.
func (h *house) ask(method, path, key, form string, extra ...string) reply {
	h.t.Helper()
	r, err := h.try(h.t.Context(), method, path, key, form, extra...)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) try(ctx context.Context, method, path, key, form string, extra ...string) (reply, error) {
	var body io.Reader = http.NoBody
	if method == http.MethodPost {
		body = strings.NewReader(form)
	}
	r, err := http.NewRequestWithContext(ctx, method, h.front.URL+path, body)
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(extra); i += 2 {
		r.Header.Set(extra[i], extra[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	out := reply{status: resp.StatusCode, raw: string(b), header: resp.Header}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		err = json.Unmarshal(b, &out.body)
	}
	return out, err
}

func (h *house) must(r reply, status int) reply {
	h.t.Helper()
	if r.status != status {
		h.t.Fatalf("status %d, want %d: %s", r.status, status, r.raw)
	}
	return r
}

func (h *house) create(more string) object {
	h.t.Helper()
	return h.must(h.ask("POST", "/v1/payment_intents", secret, "amount=4250&currency=eur&metadata[order_id]=ord_1"+more), 200).body
}

func (h *house) confirm(id, card string) reply {
	h.t.Helper()
	return h.ask("POST", "/v1/payment_intents/"+id+"/confirm", secret, url.Values{"payment_method": {card}}.Encode())
}

func (h *house) get(path string) object {
	h.t.Helper()
	return h.must(h.ask("GET", path, secret, ""), 200).body
}

func (h *house) paid() object {
	h.t.Helper()
	return h.must(h.confirm(h.create("").text("id"), "pm_card_visa"), 200).body
}

func (h *house) faults(json string) {
	h.t.Helper()
	h.must(h.ask("POST", "/sandbox/faults", "", json), 200)
}

// endpoint is a cell's webhook endpoint; refuse makes it answer 500.
type endpoint struct {
	*httptest.Server
	mu      sync.Mutex // guards the fields below
	got     []object
	headers []string
	raw     []string
	refuse  bool
	refused int
	changed chan struct{}
}

func listen(t *testing.T) *endpoint {
	t.Helper()
	return listenAt(t, "127.0.0.1:0")
}

func listenAt(t *testing.T, address string) *endpoint {
	t.Helper()
	e := &endpoint{changed: make(chan struct{}, 1)}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var o object
		if err == nil {
			err = json.Unmarshal(b, &o)
		}
		if err != nil {
			t.Errorf("webhook: %v: %s", err, b)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.refuse {
			e.refused++
			w.WriteHeader(http.StatusInternalServerError)
		} else {
			e.got, e.raw, e.headers = append(e.got, o), append(e.raw, string(b)), append(e.headers, r.Header.Get("Stripe-Signature"))
		}
		select {
		case e.changed <- struct{}{}:
		default:
		}
	}))
	_ = e.Listener.Close()
	e.Listener = l
	e.Start()
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) setRefuse(v bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refuse = v
}

// times is how often each event type was accepted.
func (e *endpoint) times() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := map[string]int{}
	for _, o := range e.got {
		n[o.text("type")]++
	}
	return n
}

func (e *endpoint) refusals() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refused
}

// until waits for a condition on what has arrived.
func (e *endpoint) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-e.changed:
		case <-deadline:
			t.Fatalf("%s: not within %s; arrived %v", what, patience, e.times())
		}
	}
}

// eventually polls for what changes inside the sandbox without a signal.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/client/class"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/control-plane/topology/seal/sealtest"
	"guichet/internal/httpd"
	"guichet/internal/signed"
	"guichet/internal/telemetry"
	"guichet/router/limit"
)

func env(pairs ...string) func(string) string {
	m := map[string]string{"GUICHET_CONTROL_KEY": signed.PublicText(sealtest.Pinned[0])}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestConfigure_tellsAllFaultsAtOnce(t *testing.T) {
	_, err := configure(env(
		"GUICHET_CONTROL_PLANE", "nowhere", "GUICHET_CELLS", "EUW=http://a,euw3=ftp://b", "GUICHET_DEFAULT_CELL", "Paris", "GUICHET_WAN", "mars-north-1",
		"GUICHET_TRUSTED_PROXIES", "10.0.0.0/99", "GUICHET_MAX_IN_FLIGHT", "0", "GUICHET_PROBE_PERIOD", "-1s", "GUICHET_TRUST_NEAR", "maybe", "GUICHET_EDGE_MAIL_PER_MINUTE", "0", "GUICHET_LIMITS", "some", "GUICHET_CORS_ORIGINS", "https://a.example/path",
	))
	if err == nil {
		t.Fatal("nothing was wrong")
	}
	for _, want := range []string{"GUICHET_CONTROL_PLANE", `"EUW"`, `"ftp://b"`, "GUICHET_DEFAULT_CELL", "GUICHET_WAN", "GUICHET_TRUSTED_PROXIES", "GUICHET_MAX_IN_FLIGHT", "GUICHET_PROBE_PERIOD", "GUICHET_TRUST_NEAR", "GUICHET_EDGE_MAIL_PER_MINUTE", "GUICHET_LIMITS", "GUICHET_CORS_ORIGINS"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not told: %v", want, err)
		}
	}
	if _, err := configure(env()); err == nil || !strings.Contains(err.Error(), "GUICHET_CELLS") {
		t.Errorf("a router that can learn nothing: %v", err)
	}
	if _, err := configure(env("GUICHET_CONTROL_KEY", "", "GUICHET_STATE_DIR", "x")); err == nil || !strings.Contains(err.Error(), "GUICHET_CONTROL_KEY") {
		t.Errorf("a router that pins no key: %v", err)
	}
}

func TestConfigure_readsTheTownsEnvironment(t *testing.T) {
	s, err := configure(env(
		"GUICHET_CELLS", "euw3=http://127.0.0.1:8101, euw3=http://127.0.0.1:8111,http://127.0.0.1:8121,use1=http://127.0.0.1:8102",
		"GUICHET_WAN", "1", "GUICHET_TRUST_NEAR", "1", "GUICHET_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1",
	))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Bootstrap) != 4 || !s.WAN || s.WANRegion != "" || !s.TrustNear || len(s.Trusted) != 2 || s.Trusted[1].Bits() != 32 || s.Listen == "" {
		t.Errorf("%+v", s)
	}
	if s, err := configure(env("GUICHET_STATE_DIR", "x", "GUICHET_WAN", "eu-west-3")); err != nil || !s.WAN || s.WANRegion != "eu-west-3" {
		t.Errorf("%+v, %v", s, err)
	}
}

// fakeCell is a cell that also knows the topology.
func fakeCell(t *testing.T) *httptest.Server {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/readyz":
		case "/v1/topology":
			m := sealtest.Sign(&topology.Snapshot{Version: 3, Cells: []topology.Cell{{ID: "euw3", Region: "eu-west-3", URLs: []string{s.URL}, Weight: 100, State: topology.CellServing}}})
			w.Header().Set(seal.Header, m.Signature())
			_, _ = w.Write(m.Text())
		default:
			w.Header().Set(httpd.HeaderCell, "euw3")
			_, _ = io.WriteString(w, "cell "+r.URL.Path)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func open(t *testing.T, pairs ...string) *httptest.Server {
	t.Helper()
	cfg, err := configure(env(append(pairs, "GUICHET_SNAPSHOT_PERIOD", "5ms", "GUICHET_PROBE_PERIOD", "5ms")...))
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	r, err := newRouter(t.Context(), cfg, reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := r.watch(ctx)
	t.Cleanup(func() { stop(); <-done })
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	private := httptest.NewServer(httpd.Private(r.ready, telemetry.Handler(reg)))
	t.Cleanup(private.Close)
	privates.Store(s.URL, private.URL)
	operators := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(operators.Close)
	doors.Store(s.URL, operators.URL)
	return s
}

// privates are the private addresses of open routers, by their public ones.
var privates sync.Map

func privateOf(s *httptest.Server) string {
	at, _ := privates.Load(s.URL)
	return fmt.Sprint(at)
}

// doors are the operators' doors of open routers, by their public ones.
var doors sync.Map

func operatorsOf(s *httptest.Server) string {
	door, _ := doors.Load(s.URL)
	return fmt.Sprint(door)
}

func get(t *testing.T, url string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// until waits for what comes by itself.
func until(t *testing.T, there func() (ok bool, seen string)) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		ok, seen := there()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", seen)
		}
	}
}

func untilReady(t *testing.T, url string) {
	t.Helper()
	until(t, func() (bool, string) {
		code, _, body := get(t, url+"/readyz")
		return code == 200, body
	})
}

func TestRouter_learnsTheTownFromACellAndServes(t *testing.T) {
	dir := t.TempDir()
	cell := fakeCell(t)
	s := open(t, "GUICHET_CELLS", "euw3="+cell.URL, "GUICHET_STATE_DIR", dir, "GUICHET_CONTROL_PLANE", "http://127.0.0.1:1", "GUICHET_GEOIP_FILE", filepath.Join(dir, "missing.mmdb"), "GUICHET_WAN", "1")
	untilReady(t, s.URL)
	for path, want := range map[string]string{"/v1/events": "cell /v1/events", "/v1/topology": `"version":3`, "/": `"cell":"euw3"`, "/livez": "live", "/no/such": "cell /no/such"} {
		if code, _, body := get(t, s.URL+path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, code, body, want)
		}
	}
	if _, _, body := get(t, s.URL+"/", "Accept", "text/html,*/*"); !strings.Contains(body, "cell /") {
		t.Errorf("a browser gets no start page of the nearest cell: %s", body)
	}
	if _, h, body := get(t, s.URL+"/status", "Accept", "text/html,*/*"); !strings.HasPrefix(h.Get("Content-Type"), "text/html") || !strings.Contains(body, "Paris") {
		t.Errorf("status: %s %s", h.Get("Content-Type"), body)
	}
	_, _, metrics := get(t, privateOf(s)+"/metrics")
	for _, want := range []string{
		`guichet_router_requests_total{cell="euw3",class="2xx",route="nearest"} 3`, "guichet_router_added_latency_seconds_count 3", `guichet_router_in_flight{cell="euw3"} 0`,
		"guichet_router_snapshot_version 3", "guichet_router_snapshot_age_seconds", `guichet_router_process_up{cell="euw3"`, `guichet_router_located_total{by="default"} 3`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}

	// P8: a restart with everybody but the cell's API gone works from the disk.
	until(t, func() (bool, string) { // the town is served before it is on the disk
		_, err := os.Stat(filepath.Join(dir, "topology.json"))
		return err == nil, fmt.Sprint(err)
	})
	cold := open(t, "GUICHET_STATE_DIR", dir)
	untilReady(t, cold.URL)
	if code, _, body := get(t, cold.URL+"/v1/events"); code != 200 || body != "cell /v1/events" {
		t.Errorf("after a cold start: %d %s", code, body)
	}
}

func TestRouter_withoutATownIsAliveButNotReady(t *testing.T) {
	s := open(t, "GUICHET_CONTROL_PLANE", "http://127.0.0.1:1")
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/v1/topology": 503, "/v1/events": 503, "/": 200} {
		code, h, body := get(t, s.URL+path)
		if code != want || code == 503 && h.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
}

func TestRun_servesUntilItIsToldToStop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cell := fakeCell(t)
	busy := run(t.Context(), env("GUICHET_LISTEN", l.Addr().String(), "GUICHET_PRIVATE_LISTEN", "127.0.0.1:0", "GUICHET_OPERATOR_LISTEN", "127.0.0.1:0", "GUICHET_CELLS", "euw3="+cell.URL), io.Discard)
	if busy == nil || !strings.Contains(busy.Error(), l.Addr().String()) {
		t.Errorf("a port in use: %v", busy)
	}
	_ = l.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, env("GUICHET_LISTEN", "127.0.0.1:0", "GUICHET_PRIVATE_LISTEN", "127.0.0.1:0", "GUICHET_OPERATOR_LISTEN", "127.0.0.1:0", "GUICHET_CELLS", "euw3="+cell.URL), io.Discard)
	}()
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("stopping: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it did not stop")
	}
	if err := run(t.Context(), env(), io.Discard); err == nil {
		t.Error("it ran without a configuration")
	}
}

func TestConfigure_readsLimitsByTheirNames(t *testing.T) {
	base := []string{"GUICHET_STATE_DIR", "x"}
	s, err := configure(env(append(base, "GUICHET_EDGE_SIGN_IN_PER_MINUTE", "7")...))
	if err != nil || !slices.Contains(s.Limits, limit.Named{Class: class.SignIn, PerMinute: 7}) || len(s.Limits) != len(limit.Defaults) {
		t.Errorf("%v, %v", s.Limits, err)
	}
	if s, err := configure(env(append(base, "GUICHET_LIMITS", "off")...)); err != nil || s.Limits != nil {
		t.Errorf("switched off: %v, %v", s.Limits, err)
	}
}

// Operators' calls are served at their own door, and at the public one they are not
// there: nor is what they lead to at a cell.
func TestRouter_servesOperatorsAtTheirOwnDoorOnly(t *testing.T) {
	cell := fakeCell(t)
	s := open(t, "GUICHET_CELLS", "euw3="+cell.URL)
	untilReady(t, s.URL)
	for _, path := range []string{"/v1/sagas", "/v1/sagas/purchase:ord_x", "/v1/payments/notices/replay"} {
		if code, h, body := get(t, s.URL+path); code != 404 || !strings.Contains(body, "no_such_path") || h.Get(httpd.HeaderRequestID) == "" || h.Get(httpd.HeaderCell) != "" {
			t.Errorf("in public %s: %d %s", path, code, body)
		}
		if code, _, body := get(t, operatorsOf(s)+path); code != 200 {
			t.Errorf("for operators %s: %d %s", path, code, body)
		}
	}
}

// A burst of real requests of one address, whatever it says of itself, is let through
// up to the limit; another address behind the trusted proxy is served meanwhile, and
// probes and the payment provider always.
func TestRouter_refusesABurstOfOneAddress(t *testing.T) {
	cell := fakeCell(t)
	s := open(t, "GUICHET_CELLS", "euw3="+cell.URL, "GUICHET_EDGE_EVENT_PER_MINUTE", "40", "GUICHET_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")
	untilReady(t, s.URL)
	var passed, refused, strange atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				// The proxy adds the address it saw at the end; what a client wrote stands before it.
				spoofed := fmt.Sprintf("198.51.100.%d, 203.0.113.7", 10*i+j)
				code, h, _ := get(t, s.URL+"/v1/events/evt_euw3_x", "X-Forwarded-For", spoofed, "X-Real-IP", spoofed, "Forwarded", "for="+spoofed)
				switch {
				case code == 200:
					passed.Add(1)
				case code == 429 && h.Get("Retry-After") != "":
					refused.Add(1)
				default:
					strange.Add(1)
				}
			}
		})
	}
	all.Wait()
	// 40 at once, and one more for each 1.5 s that this took.
	if passed.Load() < 40 || passed.Load() > 50 || strange.Load() != 0 {
		t.Errorf("%d passed, %d were refused, %d were neither", passed.Load(), refused.Load(), strange.Load())
	}
	if code, _, body := get(t, s.URL+"/v1/events/evt_euw3_x", "X-Forwarded-For", "203.0.113.7, 198.51.100.1"); code != 200 {
		t.Errorf("another address: %d %s", code, body)
	}
	for range 50 {
		if code, _, _ := get(t, s.URL+"/readyz", "X-Forwarded-For", "203.0.113.7"); code != 200 {
			t.Fatal("a probe is limited")
		}
		res, err := http.Post(s.URL+"/v1/payments/stripe/webhook?cell=euw3", "application/json", strings.NewReader("{}"))
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("the payment provider is limited: %v", err)
		}
		_ = res.Body.Close()
	}
	if _, _, text := get(t, privateOf(s)+"/metrics"); !strings.Contains(text, fmt.Sprintf(`guichet_router_limited_total{class="event"} %d`, refused.Load())) {
		t.Error("the metric does not say how many were refused")
	}
}

// Whoever is no trusted proxy is the address it comes from, whatever it writes.
func TestRouter_believesNoStrangerAboutItsAddress(t *testing.T) {
	cell := fakeCell(t)
	s := open(t, "GUICHET_CELLS", "euw3="+cell.URL, "GUICHET_EDGE_EVENT_PER_MINUTE", "3")
	untilReady(t, s.URL)
	last := 0
	for i := range 8 {
		last, _, _ = get(t, s.URL+"/v1/events/evt_euw3_x", "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
	}
	if last != 429 {
		t.Errorf("the eighth of 3 a minute: %d", last)
	}
}

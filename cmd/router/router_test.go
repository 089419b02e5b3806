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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/control-plane/topology/seal/sealtest"
	"guichet/internal/httpd"
	"guichet/internal/signed"
	"guichet/internal/telemetry"
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
		"GUICHET_TRUSTED_PROXIES", "10.0.0.0/99", "GUICHET_MAX_IN_FLIGHT", "0", "GUICHET_PROBE_PERIOD", "-1s", "GUICHET_TRUST_NEAR", "maybe",
	))
	if err == nil {
		t.Fatal("nothing was wrong")
	}
	for _, want := range []string{"GUICHET_CONTROL_PLANE", `"EUW"`, `"ftp://b"`, "GUICHET_DEFAULT_CELL", "GUICHET_WAN", "GUICHET_TRUSTED_PROXIES", "GUICHET_MAX_IN_FLIGHT", "GUICHET_PROBE_PERIOD", "GUICHET_TRUST_NEAR"} {
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
	return s
}

// privates are the private addresses of open routers, by their public ones.
var privates sync.Map

func privateOf(s *httptest.Server) string {
	at, _ := privates.Load(s.URL)
	return fmt.Sprint(at)
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
	if _, h, body := get(t, s.URL+"/", "Accept", "text/html,*/*"); !strings.HasPrefix(h.Get("Content-Type"), "text/html") || !strings.Contains(body, "Paris") {
		t.Errorf("index: %s %s", h.Get("Content-Type"), body)
	}
	_, _, metrics := get(t, privateOf(s)+"/metrics")
	for _, want := range []string{
		`guichet_router_requests_total{cell="euw3",class="2xx",route="nearest"} 2`, "guichet_router_added_latency_seconds_count 2", `guichet_router_in_flight{cell="euw3"} 0`,
		"guichet_router_snapshot_version 3", "guichet_router_snapshot_age_seconds", `guichet_router_process_up{cell="euw3"`, `guichet_router_located_total{by="default"} 2`,
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
	busy := run(t.Context(), env("GUICHET_LISTEN", l.Addr().String(), "GUICHET_PRIVATE_LISTEN", "127.0.0.1:0", "GUICHET_CELLS", "euw3="+cell.URL), io.Discard)
	if busy == nil || !strings.Contains(busy.Error(), l.Addr().String()) {
		t.Errorf("a port in use: %v", busy)
	}
	_ = l.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, env("GUICHET_LISTEN", "127.0.0.1:0", "GUICHET_PRIVATE_LISTEN", "127.0.0.1:0", "GUICHET_CELLS", "euw3="+cell.URL), io.Discard)
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

package telemetry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/internal/telemetry"
)

// standing asks a database that does not answer until it is let go.
type standing struct {
	prometheus.Gauge
	asked chan struct{}
	let   chan struct{}
}

func (s standing) Collect(to chan<- prometheus.Metric) {
	s.asked <- struct{}{}
	<-s.let
	s.Gauge.Collect(to)
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", resp.StatusCode, err, body)
	}
	return string(body)
}

func TestMetrics_answerWhileTheDatabaseStandsStill(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	alive := prometheus.NewGauge(prometheus.GaugeOpts{Name: "alive", Help: "x"})
	s := standing{prometheus.NewGauge(prometheus.GaugeOpts{Name: "waiting", Help: "x"}), make(chan struct{}, 10), make(chan struct{})}
	reg.MustRegister(alive, telemetry.Bounded(s, 20*time.Millisecond))
	at := serve(t, reg)
	for range 3 { // and nobody asks again while the first is still being asked
		if page := scrape(t, at); !strings.Contains(page, "alive 0") || strings.Contains(page, "waiting 0") {
			t.Errorf("%s", page)
		}
	}
	if n := len(s.asked); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	close(s.let)
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(scrape(t, at), "waiting 0") {
		if time.Now().After(deadline) {
			t.Fatal("it is never told again")
		}
	}
}

func serve(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	srv := httptest.NewServer(telemetry.Handler(reg))
	t.Cleanup(srv.Close)
	return srv.URL
}

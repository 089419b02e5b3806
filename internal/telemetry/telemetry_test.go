package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"guichet/internal/telemetry"
)

const remote = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// setup runs Setup and puts the process's own logger and tracer back afterwards.
func setup(t *testing.T, log io.Writer) (*prometheus.Registry, func()) {
	t.Helper()
	logger, tracer, propagator := slog.Default(), otel.GetTracerProvider(), otel.GetTextMapPropagator()
	t.Cleanup(func() {
		slog.SetDefault(logger)
		otel.SetTracerProvider(tracer)
		otel.SetTextMapPropagator(propagator)
	})
	reg, stop, err := telemetry.Setup(t.Context(), "cell", log, slog.String("cell", "euw3"))
	if err != nil {
		t.Fatal(err)
	}
	return reg, stop
}

// arrive is the context of a request that came with a traceparent.
func arrive(t *testing.T) context.Context {
	t.Helper()
	return otel.GetTextMapPropagator().Extract(t.Context(), propagation.MapCarrier{"traceparent": remote})
}

func lines(t *testing.T, log *bytes.Buffer) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q is not JSON: %v", line, err)
		}
		out = append(out, m)
	}
	return out
}

func withoutCollector(t *testing.T) {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
}

func TestSetup_logsJSONWithTheTraceID(t *testing.T) {
	withoutCollector(t)
	var log bytes.Buffer
	_, stop := setup(t, &log)
	defer stop()
	ctx, span := otel.Tracer("test").Start(arrive(t), "hold")
	slog.InfoContext(ctx, "held", slog.Int("quantity", 2))
	slog.With(slog.String("event", "evt")).InfoContext(ctx, "held again")
	span.End()
	slog.InfoContext(t.Context(), "outside")
	slog.DebugContext(ctx, "unheard")
	got := lines(t, &log)
	if len(got) != 3 {
		t.Fatalf("%d lines, want 3: %s", len(got), &log)
	}
	for i, want := range []any{"4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736", nil} {
		if got[i]["trace_id"] != want || got[i]["service"] != "cell" || got[i]["cell"] != "euw3" || got[i]["level"] != "INFO" {
			t.Errorf("line %d is %v, want trace %v", i, got[i], want)
		}
	}
	if got[0]["msg"] != "held" || got[0]["quantity"] != 2.0 || got[1]["event"] != "evt" {
		t.Errorf("attributes are lost: %v", got)
	}
}

func TestSetup_takesTheLevelFromTheEnvironment(t *testing.T) {
	withoutCollector(t)
	for level, want := range map[string]int{"DEBUG": 3, "": 2, "nonsense": 2, "warn": 1, "ERROR": 0} {
		t.Setenv("GUICHET_LOG_LEVEL", level)
		var log bytes.Buffer
		_, stop := setup(t, &log)
		slog.DebugContext(t.Context(), "d")
		slog.InfoContext(t.Context(), "i")
		slog.WarnContext(t.Context(), "w")
		stop()
		if got := len(lines(t, &log)); got != want {
			t.Errorf("level %q lets %d lines through, want %d", level, got, want)
		}
	}
}

// collector is an OTLP/HTTP server that keeps what arrives.
func collector(t *testing.T) (url string, arrived chan string) {
	t.Helper()
	arrived = make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		arrived <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(s.Close)
	return s.URL, arrived
}

func TestSetup_exportsTracesWhenTheEnvironmentNamesACollector(t *testing.T) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		withoutCollector(t)
		url, arrived := collector(t)
		if variable == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" {
			url += "/v1/traces" // this form is the whole URL
		}
		t.Setenv(variable, url)
		var log bytes.Buffer
		_, stop := setup(t, &log)
		_, span := otel.Tracer("test").Start(arrive(t), "place hold")
		span.End()
		stop() // flushes
		select {
		case got := <-arrived:
			if !strings.HasPrefix(got, "POST /v1/traces application/x-protobuf ") {
				t.Errorf("%s: the collector got %.80q", variable, got)
			}
			for _, part := range []string{"place hold", "service.name", "cell", "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"} {
				if !strings.Contains(got, part) {
					t.Errorf("%s: %q is not in what was exported", variable, part)
				}
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: nothing arrived; the log says %s", variable, &log)
		}
	}
}

func TestSetup_withoutACollectorExportsNothingAndKeepsTheTrace(t *testing.T) {
	withoutCollector(t)
	_, stop := setup(t, io.Discard)
	defer stop()
	ctx, span := otel.Tracer("test").Start(arrive(t), "hold")
	defer span.End()
	if span.IsRecording() {
		t.Error("spans are recorded for nobody")
	}
	onward := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, onward)
	if !strings.HasPrefix(onward["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-") {
		t.Errorf("the next program is told %q", onward["traceparent"])
	}
}

func TestHandler_servesTheRegistry(t *testing.T) {
	withoutCollector(t)
	reg, stop := setup(t, io.Discard)
	defer stop()
	holds := prometheus.NewCounter(prometheus.CounterOpts{Name: "guichet_holds_total", Help: "Holds; high means a sale."})
	reg.MustRegister(holds)
	holds.Add(3)
	w := httptest.NewRecorder()
	telemetry.Handler(reg).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{"guichet_holds_total 3", "go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not in /metrics", want)
		}
	}
}

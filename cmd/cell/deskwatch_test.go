package main

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"guichet/cell/booking"
	"guichet/cell/notify"
)

func TestDeskWatch_putsTheWaitAndTheBatchIntoTheRequestsTrace(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider, before := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	var w booking.DeskTracer = newDeskWatch(prometheus.NewRegistry(), &notify.Pace{Now: time.Now})
	came := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	decided := func(ctx context.Context) {
		w.Decided(ctx, came, came.Add(30*time.Millisecond), came.Add(40*time.Millisecond), 7)
	}
	decided(t.Context())
	ctx, request := provider.Tracer("test").Start(t.Context(), "request")
	decided(ctx)
	request.End()
	want := map[string]time.Duration{"desk wait": 30 * time.Millisecond, "desk batch": 10 * time.Millisecond}
	for _, s := range spans.Ended() {
		if took := s.EndTime().Sub(s.StartTime()); s.Name() != "request" && (want[s.Name()] != took || s.Parent().SpanID() != request.SpanContext().SpanID()) {
			t.Errorf("%s of %s", s.Name(), took)
		}
		delete(want, s.Name())
	}
	if len(spans.Ended()) != 3 || len(want) != 0 {
		t.Errorf("%d spans, without %v", len(spans.Ended()), want)
	}
}

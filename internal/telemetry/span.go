package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

const scope = "guichet"

// Past adds a span that is over to the trace of ctx, if it has one that is recorded.
func Past(ctx context.Context, name string, began, ended time.Time, about ...attribute.KeyValue) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, span := otel.Tracer(scope).Start(ctx, name, trace.WithTimestamp(began), trace.WithAttributes(about...))
	span.End(trace.WithTimestamp(ended))
}

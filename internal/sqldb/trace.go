package sqldb

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracer makes a span of each statement and each pipeline of them, where the context
// has a trace that is recorded. A statement is told with its placeholders, which is
// how it stands in the store: what was put into them is nobody's business but the
// database's.
type tracer struct{}

var (
	_ pgx.QueryTracer = tracer{}
	_ pgx.BatchTracer = tracer{}
)

// maxStatement bounds what a span says of a statement, in bytes.
const maxStatement = 500

type spanKey struct{}

func begin(ctx context.Context, name string, about ...attribute.KeyValue) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	_, span := otel.Tracer("guichet").Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(about...)) //nolint:spancheck // end ends it
	// The span is not put where its children would look for it: a statement has none.
	return context.WithValue(ctx, spanKey{}, span) //nolint:spancheck // end ends it
}

func end(ctx context.Context, err error) {
	span, ok := ctx.Value(spanKey{}).(trace.Span)
	if !ok {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, SQLState(err)) // not the message, which repeats values
	}
	span.End()
}

func statement(sql string) attribute.KeyValue {
	return attribute.String("db.query.text", sql[:min(len(sql), maxStatement)])
}

// verb is a statement's first word.
func verb(sql string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	return word
}

// TraceQueryStart is pgx.QueryTracer's.
func (tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	return begin(ctx, "sql "+verb(q.SQL), attribute.String("db.system.name", "postgresql"), statement(q.SQL))
}

// TraceQueryEnd is pgx.QueryTracer's.
func (tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryEndData) {
	end(ctx, q.Err)
}

// TraceBatchStart is pgx.BatchTracer's.
func (tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchStartData) context.Context {
	return begin(ctx, "sql pipeline", attribute.String("db.system.name", "postgresql"), attribute.Int("db.operation.batch.size", b.Batch.Len()))
}

// TraceBatchQuery is pgx.BatchTracer's; a statement of a pipeline has no time of its own.
func (tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd is pgx.BatchTracer's.
func (tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchEndData) {
	end(ctx, b.Err)
}

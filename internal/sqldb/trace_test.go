package sqldb_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// A trace shows which statements a request waited for, and nothing of what is in them.
func TestTrace_aStatementIsASpanWithoutItsValues(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider, before := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	db, err := sqldb.Open(t.Context(), testdb.New(t, nil), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	ask := func(ctx context.Context) {
		var got string
		if err := db.Pool.QueryRow(ctx, `SELECT $1::text`, "zoe@example.org").Scan(&got); err != nil {
			t.Fatal(err)
		}
		b := &pgx.Batch{}
		b.Queue(`SELECT $1::text`, "zoe@example.org")
		if err := db.Pool.SendBatch(ctx, b).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Pool.Exec(ctx, `SELECT 1/(length($1::text)-15)`, "zoe@example.org"); err == nil {
			t.Error("divided by zero")
		}
	}
	ask(t.Context())
	if n := len(spans.Ended()); n != 0 {
		t.Errorf("%d spans of a request without a trace", n)
	}
	ctx, request := provider.Tracer("test").Start(t.Context(), "request")
	ask(ctx)
	request.End()
	var names []string
	for _, s := range spans.Ended() {
		names = append(names, s.Name())
		if s.Name() != "request" && s.Parent().SpanID() != request.SpanContext().SpanID() {
			t.Errorf("%s is not the request's", s.Name())
		}
		for _, a := range s.Attributes() {
			if strings.Contains(a.Value.String(), "zoe") {
				t.Errorf("%s tells %s", s.Name(), a.Value.String())
			}
		}
		if strings.Contains(s.Status().Description, "zoe") {
			t.Errorf("%s tells %s", s.Name(), s.Status().Description)
		}
	}
	if got := strings.Join(names, ", "); got != "sql SELECT, sql pipeline, sql SELECT, request" {
		t.Errorf("spans: %s", got)
	}
}

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/telemetry"
	"guichet/internal/testdb"
)

// Whoever looks what is wrong while the database stands still must get the rest.
func TestMetrics_answerWhileNoMailCanBeCounted(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, func(ctx context.Context, dsn string) error {
		db, err := sqldb.Open(ctx, dsn, "test")
		if err != nil {
			return err
		}
		defer db.Close()
		return store.New(db, "euw3").Migrate(ctx)
	})
	db, err := sqldb.Open(t.Context(), dsn, "test", sqldb.MaxConns(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	reg := prometheus.NewRegistry()
	newMailWatch(reg, store.New(db, "euw3")).Delayed("tickets")
	page := func() string {
		t.Helper()
		w := httptest.NewRecorder()
		telemetry.Handler(reg).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "guichet_mail_delays_total") {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	if !strings.Contains(page(), "guichet_mails_waiting") {
		t.Error("the queue is not told while the database is well")
	}
	held, err := db.Pool.Acquire(t.Context()) // the only session: who else asks waits
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	begin := time.Now()
	if strings.Contains(page(), "guichet_mails_waiting") {
		t.Error("it counts what it cannot read")
	}
	if took := time.Since(begin); took > 4*time.Second { // a scrape gives up after ten
		t.Errorf("the page took %s", took)
	}
}

package httpd_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"guichet/internal/httpd"
)

type ready struct {
	Status  string
	Checks  map[string]string
	Reasons []string
}

func ask(t *testing.T, h *httpd.Health) (ready, reply) {
	t.Helper()
	w := httptest.NewRecorder()
	h.Ready(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	var r ready
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r, replied(w)
}

func TestHealth_isReadyWhenEveryCheckPasses(t *testing.T) {
	var h httpd.Health
	if r, res := ask(t, &h); r.Status != "ready" || res.status != 200 {
		t.Errorf("without checks: %+v (%d)", r, res.status)
	}
	away := errors.New("nobody answers")
	h.Add("database", func(context.Context) error { return away })
	h.Add("index", func(context.Context) error { return nil })
	h.Add("leaf", func(context.Context) error { panic("nil leaf") })
	r, res := ask(t, &h)
	if r.Status != "not ready" || res.status != 503 || res.header.Get("Retry-After") != "1" || res.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %+v (%d)", r, res.status)
	}
	if want := []string{"database: nobody answers", "leaf: the check panicked: nil leaf"}; !slices.Equal(r.Reasons, want) {
		t.Errorf("the reasons are %q, want %q in the order of Add", r.Reasons, want)
	}
	if r.Checks["index"] != "ok" || r.Checks["database"] != "nobody answers" {
		t.Errorf("the checks are %v", r.Checks)
	}
	away = nil
	h.Add("leaf", func(context.Context) error { return nil }) // the same name again replaces
	if r, res := ask(t, &h); r.Status != "ready" || len(r.Checks) != 3 || len(r.Reasons) != 0 || res.status != 200 {
		t.Errorf("got %+v (%d)", r, res.status)
	}
}

func TestHealth_tellsANoteWithoutWaitingForIt(t *testing.T) {
	var h httpd.Health
	h.Add("database", func(context.Context) error { return nil })
	h.Note("index", func(context.Context) error { return errors.New("7 of 9 are indexed") })
	r, res := ask(t, &h)
	if r.Status != "ready" || res.status != 200 || len(r.Reasons) != 0 || r.Checks["index"] != "7 of 9 are indexed" || r.Checks["database"] != "ok" {
		t.Errorf("got %+v (%d)", r, res.status)
	}
}

func TestHealth_isLiveWhateverTheChecksSay(t *testing.T) {
	var h httpd.Health
	h.Add("database", func(context.Context) error { return errors.New("away") })
	w := httptest.NewRecorder()
	h.Live(w, httptest.NewRequest(http.MethodGet, "/livez", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"live"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestHealth_doesNotLetASlowCheckBlameTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h httpd.Health
		h.Add("hangs", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		h.Add("slow", func(ctx context.Context) error {
			select {
			case <-time.After(900 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		r, _ := ask(t, &h)
		if len(r.Reasons) != 1 || !strings.HasPrefix(r.Reasons[0], "hangs: ") || r.Checks["slow"] != "ok" {
			t.Errorf("got %+v, want only the check that hangs to fail", r)
		}
	})
}

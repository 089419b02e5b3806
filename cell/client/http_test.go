package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
)

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestClient_saysWhoItIsWhereItIsAndWhatItWants(t *testing.T) {
	var got *http.Request
	var body []byte
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Guichet-Cell", "apn1")
		w.Header().Set("X-Guichet-Route", "home")
		w.Header().Set("X-Request-Id", "r-1")
		w.Header().Set("Idempotent-Replayed", "true")
		w.Header().Set("ETag", `"3"`)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"id":"evt_apn1_x","name":"N","version":3}`))
	})
	c := client.New(base+"/", client.WithBearer("secret"), client.WithNear(48.85, 2.35))
	e, meta, err := c.CreateEvent(t.Context(), "org_x", "ap-northeast-1", client.NewEvent{Name: "N"}, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if e.Version != 3 || meta.Cell != "apn1" || meta.Route != "home" || meta.RequestID != "r-1" || !meta.Replayed || meta.ETag != `"3"` || meta.Status != 201 || meta.Elapsed <= 0 {
		t.Errorf("%+v %+v", e, meta)
	}
	h := got.Header
	if got.Method != http.MethodPost || got.URL.Path != "/v1/organizers/org_x/events" || got.URL.Query().Get("home_region") != "ap-northeast-1" ||
		h.Get("Authorization") != "Bearer secret" || h.Get("Idempotency-Key") != "key-1" || h.Get("X-Guichet-Near") != "48.85,2.35" || h.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s %v", got.Method, got.URL, h)
	}
	var sent client.NewEvent
	if err := json.Unmarshal(body, &sent); err != nil || sent.Name != "N" {
		t.Errorf("sent %s", body)
	}
	if _, _, err := c.As("other").At(1, 2).Event(t.Context(), "a/b?c"); err != nil {
		t.Fatal(err)
	}
	if got.URL.EscapedPath() != "/v1/events/a%2Fb%3Fc" || got.Header.Get("Authorization") != "Bearer other" || got.Header.Get("X-Guichet-Near") != "1,2" {
		t.Errorf("%s %v", got.URL.EscapedPath(), got.Header)
	}
}

func TestSearch_sendsOnlyWhatWasAskedFor(t *testing.T) {
	var query url.Values
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Query()
		_, _ = w.Write([]byte(`{"items":[{"id":"evt_x","price_from":{"amount":5,"currency":"JPY"}}],"total":1,"next_cursor":null}`))
	})
	found, _, err := client.New(base).Search(t.Context(), client.Query{})
	if err != nil || len(query) != 0 || found.Total != 1 || *found.Items[0].PriceFrom != (money.Money{Amount: 5, Currency: "JPY"}) {
		t.Errorf("%v %v %+v", err, query, found)
	}
	_, _, err = client.New(base).Search(t.Context(), client.Query{
		Text: "opéra", Near: &client.Location{Lat: 1.5, Lon: -2}, RadiusKM: 50, From: time.Unix(0, 0).UTC(), PriceMax: 100, Facets: []string{"category", "city"}, Limit: 7, Sort: "date",
	})
	want := "facets=category%2Ccity&from=1970-01-01T00%3A00%3A00Z&limit=7&near=1.5%2C-2&price_max=100&q=op%C3%A9ra&radius_km=50&sort=date"
	if err != nil || query.Encode() != want {
		t.Errorf("%v %s", err, query.Encode())
	}
}

func TestWriteAttendees_ofATransferThatBreaksOffFails(t *testing.T) {
	whole := true
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":"unauthorized"}`))
			return
		}
		for range 3000 { // more than one answer of JSON may have, and than a buffer holds
			_, _ = w.Write(bytes.Repeat([]byte("x"), 4096))
		}
		if !whole {
			panic(http.ErrAbortHandler)
		}
	})
	for _, whole = range []bool{true, false} {
		var got bytes.Buffer
		_, err := client.New(base, client.WithBearer("b")).WriteAttendees(t.Context(), "evt_x", &got)
		if (err == nil) != whole || whole && got.Len() != 3000*4096 {
			t.Errorf("whole %t: %d bytes, %v", whole, got.Len(), err)
		}
	}
	var p *client.ProblemError
	if _, err := client.New(base).WriteLedger(t.Context(), "evt_x", io.Discard); !errors.As(err, &p) || p.Code != "unauthorized" {
		t.Errorf("%v", err)
	}
}

func TestOwnEvents_sendsOnlyWhatWasAskedFor(t *testing.T) {
	var got *http.Request
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = w.Write([]byte(`{"items":[{"id":"evt_x","updated_at":"2026-01-02T03:04:05Z"}],"next_cursor":"c","cells":["euw3"],"unreachable":["use1"]}`))
	})
	list, _, err := client.New(base).OwnEvents(t.Context(), "org_x", client.OwnQuery{})
	if err != nil || got.URL.RequestURI() != "/v1/organizers/org_x/events" || len(list.Items) != 1 || list.Items[0].UpdatedAt.IsZero() || *list.NextCursor != "c" || list.Unreachable[0] != "use1" {
		t.Errorf("%v %s %+v", err, got.URL, list)
	}
	_, _, err = client.New(base).OwnSeries(t.Context(), "org_x", client.OwnQuery{Text: "a b", State: "draft", UpdatedSince: time.Unix(0, 5000).UTC(), Cursor: "c", Limit: 7, Here: true})
	if want := "cursor=c&here=true&limit=7&q=a+b&state=draft&updated_since=1970-01-01T00%3A00%3A00.000005Z"; err != nil || got.URL.Query().Encode() != want || got.URL.Path != "/v1/organizers/org_x/series" {
		t.Errorf("%v %s", err, got.URL)
	}
	_, next, _, err := client.New(base).Orders(t.Context(), "evt_x", client.OrderQuery{Find: "ABC", State: "paid"})
	if want := "/v1/events/evt_x/orders?q=ABC&state=paid"; err != nil || next != "c" || got.URL.RequestURI() != want {
		t.Errorf("%v %s", err, got.URL)
	}
}

func TestProblem_carriesStatusCodeAndWhenToRetry(t *testing.T) {
	for _, c := range []struct {
		status       int
		header, body string
		code, detail string
		retry        time.Duration
		retryable    bool
	}{
		{409, "", `{"code":"sold_out","detail":"none left","status":409}`, "sold_out", "none left", 0, false},
		{429, "3", `{"code":"busy"}`, "busy", "", 3 * time.Second, true},
		{503, "", `{"code":"home_away","retry_after":2}`, "home_away", "", 2 * time.Second, true},
		{409, "1", `{"code":"in_flight"}`, "in_flight", "", time.Second, true},
		{502, "later", `<html>bad gateway</html>`, "http_502", "<html>bad gateway</html>", 0, true},
		{500, "-5", ``, "http_500", "", 0, false},
	} {
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.header != "" {
				w.Header().Set("Retry-After", c.header)
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		})
		_, _, err := client.New(base).GetHold(t.Context(), "hld_x")
		var p *client.ProblemError
		if !errors.As(err, &p) {
			t.Fatalf("%d: %v is no ProblemError", c.status, err)
		}
		if p.Status != c.status || p.Code != c.code || p.Detail != c.detail || p.RetryAfter != c.retry || client.Retryable(err) != c.retryable || client.CodeOf(err) != c.code {
			t.Errorf("%d: %+v, retryable %v", c.status, p, client.Retryable(err))
		}
	}
}

func TestClient_readsNoEndlessAnswerAndNoGarbage(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/holds/big" {
			_, _ = io.Copy(w, io.LimitReader(endless{}, client.MaxAnswer+10))
			return
		}
		_, _ = w.Write([]byte("not json"))
	})
	if _, _, err := client.New(base).GetHold(t.Context(), "big"); !errors.Is(err, client.ErrAnswerTooLarge) {
		t.Errorf("big: %v", err)
	}
	if _, _, err := client.New(base).GetHold(t.Context(), "x"); err == nil || client.Retryable(err) {
		t.Errorf("garbage: %v", err)
	}
	for _, bad := range []string{"", "localhost:8080", "ftp://x", "http://", "http://[::1"} {
		if _, _, err := client.New(bad).Topology(t.Context()); err == nil || client.Retryable(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, strings.Repeat("x", len(p))), nil }

func TestRetry_triesAgainWhileItMayHelpAndNoLonger(t *testing.T) {
	var calls atomic.Int64
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch n := calls.Add(1); {
		case r.URL.Path == "/v1/holds/gone":
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/v1/holds/busy" || n < 3:
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte(`{"id":"hld"}`))
		}
	})
	c := client.New(base)
	ask := func(ctx context.Context, id string) (int64, error) {
		calls.Store(0)
		err := client.Retry(ctx, client.Patience{Attempts: 4, MaxWait: time.Millisecond}, func(ctx context.Context) error {
			_, _, err := c.GetHold(ctx, id)
			return err
		})
		return calls.Load(), err
	}
	if n, err := ask(t.Context(), "ok"); n != 3 || err != nil {
		t.Errorf("third time lucky: %d calls, %v", n, err)
	}
	if n, err := ask(t.Context(), "busy"); n != 4 || err == nil {
		t.Errorf("always busy: %d calls, %v", n, err)
	}
	if n, err := ask(t.Context(), "gone"); n != 1 || err == nil {
		t.Errorf("not found: %d calls, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ask(ctx, "busy"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	n := 0
	err := client.Retry(t.Context(), client.Patience{Attempts: 3, MaxWait: time.Millisecond}, func(ctx context.Context) error {
		n++
		_, _, err := client.New(dead.URL).GetHold(ctx, "x")
		return err
	})
	if n != 3 || err == nil {
		t.Errorf("nobody there: %d calls, %v", n, err)
	}
}

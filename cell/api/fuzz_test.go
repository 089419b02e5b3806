package api_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

// fuzzBody sends bytes as the body of one call to the real handler on a real
// database. Whatever comes, the answer is 201 or a refusal, never a 500, and a
// refusal leaves nothing behind.
func fuzzBody(f *testing.F, line func(*stage) string, table string, seeds func(*stage) []string) {
	f.Helper()
	var handler http.Handler
	s := open(f, func(h *house) {
		twin := *h.server
		twin.Metrics = newRegistry()
		handler = twin.Handler()
	}).stage(f)
	for _, seed := range seeds(s) {
		f.Add([]byte(seed))
	}
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{"`, `{"items":null}`, `{"items":[null]}`, `{"items":[{}]}`, "\xff", "{\"\x00\":1}", `{"a":1,"a":1}`, `{"items":[{"quantity":1e400}]}`,
		`{"items":[{"ticket_type_id":"\ud800","quantity":-0}]}`, `{"hold_id":"` + s.event.ID + `"}`, `{"buyer":{"email":"a@b.c","name":"\u0000"}}`, `{"shown_total":{"amount":9223372036854775808}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := s.count(t, table)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, line(s), bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		newKey()(r)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		made := s.count(t, table) - before
		if w.Code != http.StatusCreated && (w.Code < 400 || w.Code > 422) || w.Code == http.StatusCreated && made != 1 || w.Code != http.StatusCreated && made != 0 {
			t.Errorf("%q: %d, %d rows made: %s", body, w.Code, made, w.Body)
		}
	})
}

func FuzzHoldBody(f *testing.F) {
	fuzzBody(f, func(s *stage) string { return s.path() + "/holds" }, "booking.hold", func(s *stage) []string {
		one := `{"items":[{"ticket_type_id":"` + s.floor + `","quantity":1}]}`
		return []string{one, `{"items":[{"ticket_type_id":"` + s.floor + `","quantity":1},{"ticket_type_id":"` + s.both + `","quantity":2}],"promo_code":""}`, one[:len(one)-1], one + one, " " + one + "\n"}
	})
}

func FuzzOrderBody(f *testing.F) {
	fuzzBody(f, func(*stage) string { return "/v1/orders" }, "checkout.orders", func(s *stage) []string {
		hold := s.hold(f, s.guest, 1)
		good := `{"hold_id":"` + hold.ID + `","buyer":{"email":"ana@example.org","name":"Ana","locale":"fr"},"attendees":[{"name":"Ana","email":"a@b.c"}],"shown_total":{"amount":0,"currency":"EUR"}}`
		return []string{good, good[1:], `{"hold_id":"` + hold.ID + `","buyer":{"email":"a@b.c","name":"\u202e"},"attendees":[{}]}`}
	})
}

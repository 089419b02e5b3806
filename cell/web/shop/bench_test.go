package shop_test

import (
	"net/http/httptest"
	"strconv"
	"testing"
)

// The event's page as a browser asks for it, from this process's copy and drawn anew. The
// second reads the database and goes through the cell's own call.
func BenchmarkEvent(b *testing.B) {
	h := open(b)
	e := h.stage(b, nil)
	ask := func(b *testing.B, query string) {
		b.Helper()
		r := httptest.NewRequest("GET", "/en/events/"+e.ID+query, nil)
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Accept-Encoding", "br")
		w := httptest.NewRecorder()
		h.pages.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
	b.Run("copy", func(b *testing.B) {
		for b.Loop() {
			ask(b, "")
		}
	})
	b.Run("drawn", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			ask(b, "?at=n"+strconv.Itoa(n))
		}
	})
}

package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"guichet/cell/client/class"
	"guichet/internal/httpd"
)

// TestOrder_ofAnySizeFindsItsHome sends orders whose hold stands last, to an event that has
// moved: the new home gets the whole body.
func TestOrder_ofAnySizeFindsItsHome(t *testing.T) {
	for _, size := range []int{10, 70_000, 104_000, 1<<20 - 200} {
		w := newTown(t, false, nil)
		body := `{"attendees":[{"name":"` + strings.Repeat("x", size) + `"}],"hold_id":"` + strings.Replace(hldAPN, "apn1", "euw3", 1) + `"}`
		w.euw3.does(says421("use1", 2))
		a := w.ask(t, "POST /v1/orders", body, httpd.HeaderNear, inOsaka, httpd.HeaderIdemKey, "k")
		if a.summary() != "200 use1 moved" || w.use1.last(t).Form.Get("body") != body {
			t.Errorf("%d bytes: %s %.200s", len(body), a.summary(), a.body)
		}
	}
}

// TestCORS_isTheRoutersToSayWhereItIsConfigured has a cell that says something else.
func TestCORS_isTheRoutersToSayWhereItIsConfigured(t *testing.T) {
	w := newTown(t, false, nil)
	w.euw3.does(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Access-Control-Allow-Origin", "*")
		rw.Header().Set("Vary", "Accept-Encoding")
		_, _ = io.WriteString(rw, "{}")
	})
	if a := w.ask(t, "GET /v1/events", "", "Origin", "https://shop.example"); a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("without a word of the router's: %s", a.Header)
	}
	pages := httpd.CORS{Origins: []string{"https://shop.example"}, Covers: class.ForPages}
	w.router.Close()
	w.router = httptest.NewServer(pages.Wrap(w.Proxy))
	t.Cleanup(w.router.Close)
	a := w.ask(t, "GET /v1/events", "", "Origin", "https://shop.example")
	if got := a.Header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "https://shop.example" || strings.Join(a.Header["Vary"], ",") != "Accept-Encoding,Origin" {
		t.Errorf("%s", a.Header)
	}
	asked := len(w.euw3.requests())
	if a := w.ask(t, "OPTIONS /v1/orders", "", "Origin", "https://shop.example", "Access-Control-Request-Method", "POST"); a.StatusCode != 204 || len(w.euw3.requests()) != asked {
		t.Errorf("a preflight: %s %s", a.Status, a.Header)
	}
	if a := w.ask(t, "GET /v1/events", "", "Origin", "https://evil.example"); a.Header.Get("Access-Control-Expose-Headers") != "" {
		t.Errorf("%s", a.Header)
	}
}

package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"guichet/internal/kind"
)

func TestWords_areTheSameInEveryLanguage(t *testing.T) {
	t.Parallel()
	if len(known) < 5 || known[0].Code != "en" {
		t.Fatalf("%d languages", len(known))
	}
	for _, w := range known {
		for key := range known[0].Texts {
			if w.T(key) == "" {
				t.Errorf("%s has no %s", w.Code, key)
			}
		}
		if len(w.Texts) != len(known[0].Texts) {
			t.Errorf("%s has %d texts, English %d", w.Code, len(w.Texts), len(known[0].Texts))
		}
	}
}

func asked(path, accept, language string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Language", language)
	return r
}

func TestRefuse_saysInTheReadersLanguageWhenToComeBack(t *testing.T) {
	t.Parallel()
	away := kind.Unavailable.New("home_unavailable").With("<script>").After(5 * time.Second)
	for _, c := range []struct{ path, language, cookie, want string }{
		{"/orders/ord_x", "de-CH", "", "nicht erreichbar"},
		{"/orders/ord_x", "de", "fr", "injoignable"},
		{"/ja/events/evt_x", "de", "fr", "接続できません"},
		{"/x", "tlh", "", "cannot be reached"},
		{"/x", strings.Repeat("x,", 10_000), "", "cannot be reached"},
	} {
		r := asked(c.path, "text/html", c.language)
		if c.cookie != "" {
			r.AddCookie(&http.Cookie{Name: langCookie, Value: c.cookie})
		}
		w := httptest.NewRecorder()
		Refuse(w, r, away)
		body := w.Body.String()
		if w.Code != 503 || w.Header().Get("Retry-After") != "5" || !strings.Contains(body, c.want) || !strings.Contains(body, "home_unavailable") || strings.Contains(body, "<script>") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d %v %s", c.path, c.language, w.Code, w.Header(), body)
		}
	}
	w := httptest.NewRecorder()
	Refuse(w, asked("/x", "text/html", "en"), kind.Busy.New("too_many_requests").With("").After(20*time.Second))
	if w.Code != 429 || w.Header().Get("Retry-After") != "20" || strings.Contains(w.Body.String(), "http-equiv") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestStatus_saysWhichCellDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Status(w, asked("/status", "text/html", "en"), []Cell{{ID: "euw3", City: "Paris", Up: true, RTT: 1500 * time.Microsecond}, {ID: "apn1", City: "Tokyo"}})
	body := w.Body.String()
	if w.Code != 200 || !strings.Contains(body, "A region does not answer") || !strings.Contains(body, "1.5 ms") || !strings.Contains(body, "does not answer</span>") {
		t.Errorf("%d %s", w.Code, body)
	}
}

func TestWanted_byBrowsersForPagesOnly(t *testing.T) {
	t.Parallel()
	if !Wanted(asked("/fr/", "text/html,*/*", "")) || Wanted(asked("/v1/events", "text/html", "")) || Wanted(asked("/", "application/json", "")) {
		t.Error("programs get problem documents, browsers pages")
	}
}

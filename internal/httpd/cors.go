package httpd

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"guichet/internal/config"
)

// CORS lets pages of other origins make calls (the Fetch standard, CORS protocol). It never
// lets them send what a browser keeps: a page has a token, or it has nothing.
type CORS struct {
	Origins []string                       // like https://shop.example; "*" is every origin; none: no other
	Covers  func(method, path string) bool // which calls
}

// What pages may send and read besides what the standard always allows.
const (
	corsSends = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id, Traceparent"
	corsReads = "ETag, Age, Location, Retry-After, WWW-Authenticate, X-Request-Id, X-Guichet-Cell, X-Guichet-Route, Idempotent-Replayed"
	corsCalls = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsAge   = "600" // seconds that a browser need not ask again
)

// Origins reads GUICHET_CORS_ORIGINS: origins with commas between them, or *.
func Origins(r *config.Reader) (origins []string) {
	for item := range strings.SplitSeq(r.Text("GUICHET_CORS_ORIGINS", ""), ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		u, err := url.Parse(item)
		if item != "*" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ToLower(u.Scheme+"://"+u.Host) != item) {
			r.Fault("GUICHET_CORS_ORIGINS", "has %q, which is neither an origin like https://shop.example nor *", item)
			continue
		}
		origins = append(origins, item)
	}
	return origins
}

// Answer sets the headers of the protocol. done says that the request was a preflight and
// is answered.
func (o CORS) Answer(w http.ResponseWriter, r *http.Request) (done bool) {
	if len(o.Origins) == 0 {
		return false
	}
	method, preflight := r.Method, false
	if wanted := r.Header.Get("Access-Control-Request-Method"); r.Method == http.MethodOptions && wanted != "" {
		method, preflight = wanted, true
	}
	if !o.Covers(method, r.URL.Path) {
		return false
	}
	h := w.Header()
	every := slices.Contains(o.Origins, "*")
	if !every {
		h.Add("Vary", "Origin")
	}
	origin := r.Header.Get("Origin")
	if origin == "" || !every && !slices.Contains(o.Origins, origin) {
		return false
	}
	if every {
		origin = "*"
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if !preflight {
		h.Set("Access-Control-Expose-Headers", corsReads)
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsCalls)
	h.Set("Access-Control-Allow-Headers", corsSends)
	h.Set("Access-Control-Max-Age", corsAge)
	w.WriteHeader(http.StatusNoContent)
	return true
}

// Wrap is Answer before a handler.
func (o CORS) Wrap(next http.Handler) http.Handler {
	if len(o.Origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.Answer(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

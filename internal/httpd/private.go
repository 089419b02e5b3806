package httpd

import (
	"net/http"
	"net/http/pprof"
)

// Private is what a program tells those who run it, at an address that is not
// public: whether it lives and is ready, its metrics, and under /debug/pprof/ where
// its time and memory go. A profile of 30 seconds is the longest that the server's
// own deadline lets through.
func Private(health *Health, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", health.Live)
	mux.HandleFunc("GET /readyz", health.Ready)
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", withoutArguments)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// withoutArguments says that what a program was started with is not told: it may hold
// a URL with a password.
func withoutArguments(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "not told", http.StatusNotFound)
}

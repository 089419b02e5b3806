package httpd

import "net/http"

// Private is what a program tells those who run it, at an address that is not
// public: whether it lives and is ready, and its metrics.
func Private(health *Health, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", health.Live)
	mux.HandleFunc("GET /readyz", health.Ready)
	mux.Handle("GET /metrics", metrics)
	return mux
}

package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"guichet/internal/httpd"
)

// hopByHop headers belong to one connection (RFC 9110, 7.6.1) and go no further;
// so do those that Connection names. Expect is answered by this server.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
}

func dropHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

// dropOurs takes out what only the router may say to a cell: a client's own
// X-Guichet-… would otherwise pass for the router's.
func dropOurs(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Guichet-") {
			delete(h, name)
		}
	}
}

// outgoing is the header that a cell sees.
func (x *exchange) outgoing() http.Header {
	h := x.r.Header.Clone()
	dropHopByHop(h)
	dropOurs(h)
	for _, name := range []string{"Forwarded", "X-Real-Ip", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		h.Del(name)
	}
	if x.where.Client.IsValid() {
		h.Set("X-Forwarded-For", x.where.Client.String())
	}
	h.Set("X-Forwarded-Host", x.r.Host)
	h.Set("X-Forwarded-Proto", x.scheme())
	h.Set(httpd.HeaderHop, "1")
	if x.where.Located {
		h.Set(httpd.HeaderNear, x.where.At.String())
	}
	h.Set(httpd.HeaderRequestID, x.id)
	setTrace(x.r, h)
	if _, said := h["User-Agent"]; !said {
		h.Set("User-Agent", "") // or net/http would name itself
	}
	return h
}

func (x *exchange) scheme() string {
	if x.r.TLS != nil || x.where.Proxied && x.r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https"
	}
	return "http"
}

// requestID keeps a sane id that came in, else makes one; the same rule as in
// every cell, so that the id survives the way.
func requestID(r *http.Request) string {
	id := r.Header.Get(httpd.HeaderRequestID)
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}) {
		return rand.Text()
	}
	return id
}

// setTrace passes the W3C trace context on: our span's where tracing is set up,
// else the client's own if it is well-formed, else a new one, so that a request
// has a trace id in every log whoever collects.
func setTrace(r *http.Request, h http.Header) {
	if trace.SpanContextFromContext(r.Context()).IsValid() {
		otel.GetTextMapPropagator().Inject(r.Context(), propagation.HeaderCarrier(h))
		if h.Get("Traceparent") != "" {
			return
		}
	}
	w3c := propagation.TraceContext{}
	if trace.SpanContextFromContext(w3c.Extract(r.Context(), propagation.HeaderCarrier(r.Header))).IsValid() {
		return // cloned with the rest
	}
	h.Del("Tracestate")
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	h.Set("Traceparent", "00-"+hex.EncodeToString(b[:16])+"-"+hex.EncodeToString(b[16:])+"-00")
}

package shop

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
)

// insideURL is the base of calls that do not leave the process.
const insideURL = "http://inside.invalid"

type visitKey struct{}

// carried are the headers of the browser's request that a call needs: who asks, where
// from, and the names under which logs and traces find it.
var carried = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Guichet-Near", "X-Guichet-Hop", "X-Request-Id", "Traceparent", "Tracestate"}

// inside is a way to the cell's own calls without a network: gates and limits are the
// same as for a program, and count the same address.
type inside struct{ calls http.Handler }

// RoundTrip implements http.RoundTripper.
func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	v, _ := r.Context().Value(visitKey{}).(*visit)
	if v != nil {
		in.RemoteAddr, in.TLS, in.Host = v.r.RemoteAddr, v.r.TLS, v.r.Host
		for _, name := range carried {
			if values := v.r.Header[name]; values != nil {
				in.Header[name] = slices.Clone(values)
			}
		}
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	out := &recorder{header: http.Header{}, status: http.StatusOK}
	i.calls.ServeHTTP(out, in)
	if v != nil && out.status == http.StatusMisdirectedRequest {
		v.moved = slices.Clone(out.body.Bytes())
	}
	return &http.Response{
		Status: strconv.Itoa(out.status), StatusCode: out.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: out.header, Body: io.NopCloser(&out.body), ContentLength: int64(out.body.Len()), Request: r,
	}, nil
}

// recorder keeps an answer.
type recorder struct {
	header  http.Header
	status  int
	written bool
	body    bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.written {
		r.status, r.written = status, true
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.written = true
	return r.body.Write(b)
}

package httpd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"guichet/internal/httpd"
)

// served serves a handler as a program does and gives its address.
func served(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- httpd.ServeListener(ctx, l, "test", h) }()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return l.Addr().String()
}

// TestBelow_whatNoHandlerSeesIsRefusedByAProblemDocumentToo sends what net/http refuses.
func TestBelow_whatNoHandlerSeesIsRefusedByAProblemDocumentToo(t *testing.T) {
	t.Parallel()
	at := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }))
	for raw, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 64<<10) + "\r\n\r\n": "431 headers_too_large",
		"nonsense that is longer than a preface\r\n\r\n":                                   "400 bad_request",
		"GET / HTTP/1.1\r\n\r\n":                                        "400 bad_request", // no Host
		"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n":               "400 bad_request",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n": "501 transfer_encoding_not_supported",
		"GET / HTTP/3.0\r\nHost: x\r\n\r\n":                             "505 http_version_not_supported",
		"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ":                         "408 request_timeout",
		"GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET / HT":                "408 request_timeout", // on a connection that was answered before
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, raw); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			in := bufio.NewReader(c)
			resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // the connection is closed
			if err == nil && strings.HasPrefix(raw, "GET /first") {
				if text, _ := io.ReadAll(resp.Body); string(text) != "/first" {
					t.Errorf("the first answer is %q", text)
				}
				resp, err = http.ReadResponse(in, nil) //nolint:bodyclose // likewise
			}
			if err != nil {
				t.Fatalf("%.40q: %v", raw, err)
			}
			var doc struct {
				Status int    `json:"status"`
				Code   string `json:"code"`
			}
			body, _ := io.ReadAll(resp.Body)
			if err := json.Unmarshal(body, &doc); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" || doc.Status != resp.StatusCode {
				t.Errorf("%.40q: %s %s %s", raw, resp.Status, resp.Header, body)
			}
			if got := resp.Status[:4] + doc.Code; got != want {
				t.Errorf("%.40q: %s, want %s", raw, got, want)
			}
			if rest, err := in.ReadByte(); err == nil {
				t.Errorf("%.40q: something follows: %q", raw, rest)
			}
		})
	}
}

// TestBelow_changesNothingThatAHandlerSays: plain text of a handler stays what it is.
func TestBelow_changesNothingThatAHandlerSays(t *testing.T) {
	t.Parallel()
	at := served(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "400 Bad Request", http.StatusBadRequest)
	}))
	resp, err := http.Get("http://" + at)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "400 Bad Request\n" || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%s %s", resp.Header, body)
	}
}

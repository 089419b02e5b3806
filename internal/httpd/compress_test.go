package httpd_test

import (
	"compress/gzip"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"guichet/internal/httpd"
)

// TestCompressed_streamsAndTearsLikeThePlainAnswer reads a first piece while the handler
// waits, and then a stream that breaks off.
func TestCompressed_streamsAndTearsLikeThePlainAnswer(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	e := httpd.NewEngine("test")
	serve := func(path string, answer gin.HandlerFunc) {
		e.GET(path, func(c *gin.Context) { httpd.Compressed(c, func() { answer(c) }) })
	}
	serve("/stream", func(c *gin.Context) {
		c.Header("Content-Type", "text/csv")
		_, _ = io.WriteString(c.Writer, "first\n")
		c.Writer.Flush()
		<-read
		_, _ = io.WriteString(c.Writer, "last\n")
	})
	serve("/torn", func(c *gin.Context) {
		c.Header("Content-Type", "text/csv")
		for range 10_000 {
			_, _ = io.WriteString(c.Writer, rand.Text()+"\n")
		}
		panic(http.ErrAbortHandler)
	})
	serve("/broken", func(c *gin.Context) {
		c.Header("Content-Type", "text/csv")
		_, _ = io.WriteString(c.Writer, "a few bytes")
		panic("before anything was sent")
	})
	serve("/short", func(c *gin.Context) { c.String(http.StatusOK, "short") })
	serve("/none", func(c *gin.Context) { c.Status(http.StatusNoContent); c.Writer.WriteHeaderNow() })
	serve("/picture", func(c *gin.Context) { c.Data(http.StatusOK, "image/png", make([]byte, 4096)) })
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	ask := func(path string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", "gzip")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}

	resp := ask("/stream") //nolint:bodyclose // ask sees to it
	in, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 6)
	if _, err := io.ReadFull(in, first); err != nil || string(first) != "first\n" {
		t.Fatalf("%q, %v", first, err)
	}
	close(read)
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "last\n" {
		t.Errorf("%q, %v", rest, err)
	}

	resp = ask("/torn") //nolint:bodyclose // likewise
	if in, err = gzip.NewReader(resp.Body); err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a torn answer ends with %v", err)
	}
	if resp = ask("/broken"); resp.StatusCode != http.StatusInternalServerError || resp.Header.Get("Content-Type") != "application/problem+json" { //nolint:bodyclose // likewise
		t.Errorf("%s %s", resp.Status, resp.Header)
	}
	for path, want := range map[string]int{"/short": 200, "/none": 204, "/picture": 200} {
		if resp = ask(path); resp.StatusCode != want || resp.Header.Get("Content-Encoding") != "" { //nolint:bodyclose // likewise
			t.Errorf("%s: %s %s", path, resp.Status, resp.Header)
		}
	}
}

package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
)

// net/http answers some requests before any handler sees them: a header that is too large,
// a request line that is none, a coding of transfer that it does not know. It writes these
// answers itself, as text, in one piece that has no Date as every answer of a handler has.
// A connection that knows that piece puts a problem document in its place. A header that
// does not come in time is not answered at all; there the connection says 408.
//
// It does so where connections speak HTTP/1.1 without TLS: at the doors to the public,
// behind whatever ends TLS there. Over TLS (between routers and cells) net/http wants the
// connection for itself, and in HTTP/2 it writes a frame that a connection cannot know.

// belowCodes are the codes of such answers.
var belowCodes = map[int]string{
	http.StatusBadRequest:                  "bad_request",
	http.StatusRequestTimeout:              "request_timeout",
	http.StatusRequestHeaderFieldsTooLarge: "headers_too_large",
	http.StatusNotImplemented:              "transfer_encoding_not_supported",
	http.StatusHTTPVersionNotSupported:     "http_version_not_supported",
}

// belowHead is what net/http writes behind the status line of an answer of its own.
var belowHead = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// problemListener makes such connections.
type problemListener struct{ net.Listener }

func (l problemListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &problemConn{Conn: c}, nil
}

// problemConn is a connection on which net/http's own answers are problem documents.
type problemConn struct {
	net.Conn
	begun  atomic.Bool // some of a request's header has come, and it has no handler yet
	during atomic.Bool // a handler is at work, or its answer is being sent
	frames atomic.Bool // it speaks HTTP/2
	late   atomic.Bool // the rest of a header did not come in time, and nothing was said of it
}

func (c *problemConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.during.Load() && !c.begun.Swap(true) && bytes.HasPrefix(p[:n], []byte("PRI ")) {
		c.frames.Store(true)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.frames.Load() && !c.during.Load() {
		c.late.Store(true)
	}
	return n, err
}

// Close says why, to a client that began a request and was too slow with the rest. On a
// connection that only stood idle nobody waits for a word.
func (c *problemConn) Close() error {
	if c.late.Swap(false) && c.begun.Load() {
		_, _ = c.Conn.Write(tooSlow())
	}
	return c.Conn.Close()
}

func tooSlow() []byte {
	return below(http.StatusRequestTimeout, "the header of the request did not come in time")
}

func (c *problemConn) Write(p []byte) (int, error) {
	if status, detail, ok := ownAnswer(p); ok {
		answer := below(status, detail)
		if c.late.Swap(false) { // half a line that was waited for is no malformed line
			answer = tooSlow()
		}
		if _, err := c.Conn.Write(answer); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// CloseWrite lets net/http end its side, so that a client reads the answer to a header
// that it is still sending.
func (c *problemConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// ownAnswer tells net/http's own answer from a handler's.
func ownAnswer(p []byte) (status int, detail string, ok bool) {
	if len(p) < 12 || len(p) > 1024 || !bytes.HasPrefix(p, []byte("HTTP/1.1 ")) || p[9] != '4' && p[9] != '5' {
		return 0, "", false
	}
	line, text, ok := bytes.Cut(p, belowHead)
	if !ok || bytes.IndexByte(line, '\n') >= 0 {
		return 0, "", false
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil || belowCodes[status] == "" {
		return 0, "", false
	}
	return status, string(text), true
}

// below is an answer of the connection's own.
func below(status int, detail string) []byte {
	body, err := json.Marshal(map[string]any{
		"type": "urn:guichet:problem:" + belowCodes[status], "title": http.StatusText(status), "status": status, "code": belowCodes[status], "detail": detail,
	})
	if err != nil {
		return nil // a status and two texts
	}
	head := "HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\nConnection: close\r\n\r\n"
	return append([]byte(head), body...)
}

type connKey struct{}

// withConn lets followed find a request's connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if own, ok := c.(*problemConn); ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

// followed tells a connection that a handler is at work.
func followed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*problemConn); ok {
			c.during.Store(true)
			c.begun.Store(false)
		}
		next.ServeHTTP(w, r)
	})
}

// idle tells a connection that the next request may begin.
func idle(c net.Conn, state http.ConnState) {
	if own, ok := c.(*problemConn); ok && state == http.StateIdle {
		own.during.Store(false)
		own.begun.Store(false)
	}
}

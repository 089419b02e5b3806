// Package httpd is what every program's HTTP server has in common: limits,
// deadlines, request ids, problem documents, health and a clean end. It knows
// no resources. gin stays here and in the api packages.
package httpd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"guichet/internal/kind"
)

// Headers of the contract.
const (
	HeaderRequestID = "X-Request-Id"
	HeaderCell      = "X-Guichet-Cell"
	HeaderRoute     = "X-Guichet-Route"
	HeaderHop       = "X-Guichet-Hop"
	HeaderNear      = "X-Guichet-Near"
	HeaderForce     = "X-Guichet-Force"
	HeaderIdemKey   = "Idempotency-Key"
	HeaderReplayed  = "Idempotent-Replayed"
)

// Limits of every server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxStreams        = 250 // requests at once over one connection
	maxHeaderBytes    = 32 << 10
	maxRequestID      = 64
	requestDeadline   = 20 * time.Second
	drain             = 10 * time.Second
)

// Errors every server answers with.
var (
	ErrNoRoute   = kind.NotFound.New("no_such_path")
	ErrNoMethod  = kind.NotAllowed.New("method_not_allowed")
	ErrPortInUse = errors.New("port in use")
)

// NewEngine is a gin engine with the house's middleware and problem documents
// for paths and methods that do not exist.
func NewEngine(name string) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.ContextWithFallback = true
	_ = e.SetTrustedProxies(nil)
	e.Use(recovered, requestID, deadline)
	e.NoRoute(func(c *gin.Context) { Fail(c, ErrNoRoute.With("%s serves no %.100s", name, c.Request.URL.Path)) })
	e.NoMethod(func(c *gin.Context) {
		Fail(c, ErrNoMethod.With("%s is not allowed here", c.Request.Method))
	})
	return e
}

// recovered turns a panic, which is our own bug, into a 500 and a log line; an
// answer that had begun is cut off.
func recovered(c *gin.Context) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			slog.ErrorContext(c.Request.Context(), "handler panicked", slog.String("request_id", c.Writer.Header().Get(HeaderRequestID)),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			if c.Writer.Written() {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			Fail(c, errInternal)
		}
	}()
	c.Next()
}

// requestID keeps a sane id that came in, else makes one.
func requestID(c *gin.Context) {
	rid := c.GetHeader(HeaderRequestID)
	if rid == "" || len(rid) > maxRequestID || strings.ContainsFunc(rid, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		rid = rand.Text()
	}
	c.Header(HeaderRequestID, rid)
	c.Next()
}

func deadline(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), requestDeadline)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

// Serve listens and serves until ctx ends, then lets running requests finish.
func Serve(ctx context.Context, listen, name string, h http.Handler) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%w: %s cannot listen on %s because another process does", ErrPortInUse, name, listen)
		}
		return fmt.Errorf("%s listens on %s: %w", name, listen, err)
	}
	return ServeListener(ctx, l, name, h)
}

// ServeListener is Serve on a listener that is already open.
func ServeListener(ctx context.Context, l net.Listener, name string, h http.Handler) error {
	srv := &http.Server{
		Handler:           otelhttp.NewHandler(h, name, otelhttp.WithFilter(notHealth)),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, Protocols: protocols(), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:    slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	slog.InfoContext(ctx, "serving", slog.String("service", name), slog.String("address", l.Addr().String()), slog.Int("pid", os.Getpid()))
	select {
	case err := <-failed:
		return fmt.Errorf("%s stopped serving: %w", name, err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		_ = srv.Close()
		return fmt.Errorf("%s did not finish its requests within %s: %w", name, drain, err)
	}
	return nil
}

// protocols are HTTP/1.1 and HTTP/2, both without TLS, which ends before us: what stands in
// front may send a crowd's requests over a few connections.
func protocols() *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func notHealth(r *http.Request) bool {
	switch r.URL.Path {
	case "/livez", "/readyz", "/metrics":
		return false
	}
	return true
}

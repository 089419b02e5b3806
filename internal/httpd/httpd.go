// Package httpd is what every program's HTTP server has in common: limits,
// deadlines, request ids, problem documents, health and a clean end. It knows
// no resources. gin stays here and in the api packages.
package httpd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
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
	"guichet/internal/mtls"
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
)

// Errors every server answers with.
var (
	ErrNoRoute  = kind.NotFound.New("no_such_path")
	ErrNoMethod = kind.NotAllowed.New("method_not_allowed")
	// ErrCoding is the answer to a body in a content coding; none is understood.
	ErrCoding = kind.UnsupportedMedia.New("unsupported_content_encoding")
	// ErrCertificate is the answer to a peer whose certificate is not valid any more.
	ErrCertificate = kind.Unauthorized.New("certificate_refused")
	ErrPortInUse   = errors.New("port in use")
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
	e.NoMethod(NotAllowed)
	return e
}

// NotAllowed answers a request whose path does not have its method; Allow is set already.
func NotAllowed(c *gin.Context) {
	if c.Request.Method == http.MethodOptions {
		c.Header("Allow", c.Writer.Header().Get("Allow")+", OPTIONS")
		c.AbortWithStatus(http.StatusNoContent)
		return
	}
	Fail(c, ErrNoMethod.With("%s is not allowed here", c.Request.Method))
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

// RequestID is a sane id that came in, else a new one.
func RequestID(r *http.Request) string {
	rid := r.Header.Get(HeaderRequestID)
	if rid == "" || len(rid) > maxRequestID || strings.ContainsFunc(rid, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return rand.Text()
	}
	return rid
}

func requestID(c *gin.Context) {
	c.Header(HeaderRequestID, RequestID(c.Request))
	c.Next()
}

func deadline(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), requestDeadline)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

// Door is an address and what is served there.
type Door struct {
	Listen   string
	Name     string
	Handler  http.Handler
	Identity *mtls.Identity            // nil is plain HTTP
	Allow    func(peer mtls.Peer) bool // who may speak here, with an identity
	Last     bool                      // it is closed after the others, like that of readiness
}

// Serve listens and serves until ctx ends, then lets running requests finish.
func Serve(ctx context.Context, listen, name string, h http.Handler) error {
	return ServeAll(ctx, Door{Listen: listen, Name: name, Handler: h})
}

// ServeAll serves at all doors until ctx ends, then lets running requests finish.
// When one of them cannot be opened, or fails, none stays open.
func ServeAll(ctx context.Context, doors ...Door) error {
	return serveAll(ctx, Closing{}, doors)
}

// listenAll opens all doors or none.
func listenAll(ctx context.Context, doors []Door) (open []net.Listener, err error) {
	for _, d := range doors {
		l, err := listen(ctx, d)
		if err != nil {
			for _, l := range open {
				_ = l.Close()
			}
			return nil, err
		}
		open = append(open, l)
	}
	return open, nil
}

func listen(ctx context.Context, d Door) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", d.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %s cannot listen on %s because another process does", ErrPortInUse, d.Name, d.Listen)
	}
	if err != nil {
		return nil, fmt.Errorf("%s listens on %s: %w", d.Name, d.Listen, err)
	}
	return l, nil
}

// ServeListener is Serve on a listener that is already open.
func ServeListener(ctx context.Context, l net.Listener, name string, h http.Handler) error {
	return serve(ctx, l, Door{Name: name, Handler: h})
}

func serve(ctx context.Context, l net.Listener, d Door) error {
	h, secure := d.Handler, d.Identity != nil
	var config *tls.Config
	if secure {
		h, config = judged(d.Identity, h), d.Identity.Server(d.Allow)
	}
	srv := &http.Server{
		Handler:           otelhttp.NewHandler(h, d.Name, otelhttp.WithFilter(notHealth)),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, Protocols: protocols(secure), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:    slog.NewLogLogger(withoutHandshakes{slog.Default().Handler()}, slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		TLSConfig:   config,
	}
	if !secure {
		l, srv.Handler, srv.ConnContext, srv.ConnState = problemListener{l}, followed(srv.Handler), withConn, idle
	}
	failed := make(chan error, 1)
	go func() {
		if secure {
			failed <- srv.ServeTLS(l, "", "")
			return
		}
		failed <- srv.Serve(l)
	}()
	slog.InfoContext(ctx, "serving", slog.String("service", d.Name), slog.String("address", l.Addr().String()), slog.Bool("tls", secure), slog.Int("pid", os.Getpid()))
	select {
	case err := <-failed:
		return fmt.Errorf("%s stopped serving: %w", d.Name, err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), Drain)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		// Every request has a deadline that is over by now. The program was asked to end
		// and does; what it cuts off is a client that does not read, or a bug.
		slog.WarnContext(ctx, "requests were cut off", slog.String("service", d.Name), slog.Duration("after", Drain), slog.Any("error", err))
		_ = srv.Close()
	}
	return nil
}

// judged refuses a call over a connection that has outlived its peer's certificate.
func judged(i *mtls.Identity, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := i.Judge(r.TLS); err != nil {
			w.Header().Set("Connection", "close")
			Problem(w, r, ErrCertificate.With("%s", err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withoutHandshakes leaves out what every stranger that knocks would write to the
// log: internal/mtls says, counts and bounds whom it refused.
type withoutHandshakes struct{ slog.Handler }

func (h withoutHandshakes) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "http: TLS handshake error") {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// protocols are HTTP/1.1 and HTTP/2, where there is no TLS the latter without it: what
// stands in front may send a crowd's requests over a few connections.
func protocols(secure bool) *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetHTTP2(secure)
	p.SetUnencryptedHTTP2(!secure)
	return p
}

func notHealth(r *http.Request) bool {
	switch r.URL.Path {
	case "/livez", "/readyz", "/metrics":
		return false
	}
	return true
}

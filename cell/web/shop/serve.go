package shop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"guichet/cell/client"
	"guichet/internal/httpd"
)

// answer is what a handler gives.
type answer struct {
	page   templ.Component
	status int // 200 when it is 0
	// fresh is how long a public page may be shown as it is; 0 shows it as a private one.
	fresh time.Duration
	to    string // a redirect instead of a page
	// raw is a file instead of a page.
	raw   []byte
	media string
	name  string // the file's, for a download
	// secret says that the page has a secret in it: it is not compressed, because the
	// length of a compressed page tells of its content.
	secret bool
	// pays says that the page takes a card: its policy lets it speak to the provider.
	pays bool
	// frames are the origins on whose pages a public page may be shown in a frame.
	frames []string
}

// handler decides what a visit sees.
type handler func(*visit) (answer, error)

// route is one page.
type route struct {
	pattern string
	handle  handler
	name    string // for Watch
}

// show serves a public page from this process's copies.
func (p *Pages) show(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		key := keyOf(r, req)
		c, err := p.copies.get(req.Context(), key, p.cfg.Now(), func() (*pageCopy, error) { return p.make(r, w, req) })
		if err != nil {
			v := p.visit(w, req)
			if f, ok := err.(*failedError); ok { //nolint:errorlint // made below, never wrapped
				v.moved, err = f.moved, f.err
			}
			p.cfg.Watch(r.name, codeOf(err))
			v.fail(err) //nolint:contextcheck // a visit has its request's context
			return
		}
		p.cfg.Watch(r.name, "ok")
		if len(c.frames) > 0 {
			w.Header().Set("Content-Security-Policy", framedBy(p.headers.policy, c.frames))
		}
		c.serve(w, req)
	})
}

// keyOf is what tells a page from others: the parameters that it reads, and no other, or
// a reader could have each page drawn anew with parameters that mean nothing.
func keyOf(r route, req *http.Request) string {
	reads := []string{"at"}
	if r.name == "search" {
		reads = searchParams
	}
	var key strings.Builder
	key.WriteString(tongueOf(req).Code + " " + req.URL.Path)
	query := req.URL.Query()
	for _, name := range reads {
		if value := query.Get(name); value != "" {
			key.WriteString("\n" + name + "=" + value)
		}
	}
	if query.Get("near") == "me" { // it is about where the reader is
		key.WriteString("\n" + req.Header.Get(httpd.HeaderNear))
	}
	return key.String()
}

func tongueOf(r *http.Request) *tongue {
	l, _ := r.Context().Value(tongueKey{}).(*tongue)
	if l == nil {
		return tongues[fallback]
	}
	return l
}

// failedError is a failure on its way through the copies.
type failedError struct {
	err   error
	moved []byte
}

func (f *failedError) Error() string { return f.err.Error() }

// make renders a public page.
func (p *Pages) make(r route, w http.ResponseWriter, req *http.Request) (*pageCopy, error) {
	v := p.visit(w, req)
	a, err := r.handle(v)
	if err != nil {
		return nil, &failedError{err, v.moved}
	}
	c := &pageCopy{status: max(a.status, http.StatusOK), media: "text/html; charset=utf-8", to: a.to, until: p.cfg.Now().Add(min(a.fresh, maxKept)), fresh: a.fresh, name: a.name, frames: a.frames}
	if a.raw != nil {
		c.media = a.media
		c.fill(a.raw)
		return c, nil
	}
	if a.page != nil {
		var b bytes.Buffer
		if err := a.page.Render(context.WithoutCancel(req.Context()), &b); err != nil {
			return nil, err
		}
		c.fill(b.Bytes())
	}
	return c, nil
}

// serve serves a private page.
func (p *Pages) serve(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		v := p.visit(w, req)
		a, err := r.handle(v)
		p.cfg.Watch(r.name, codeOf(err))
		if err != nil {
			v.fail(err) //nolint:contextcheck // a visit has its request's context
			return
		}
		v.send(a) //nolint:contextcheck // as above
	})
}

// send answers with what is nobody else's.
func (v *visit) send(a answer) {
	h := v.w.Header()
	v.p.headers.private(h, a.pays)
	if a.to != "" {
		h.Set("Location", a.to)
		v.w.WriteHeader(http.StatusSeeOther)
		return
	}
	body, media := a.raw, a.media
	if a.page != nil {
		var b bytes.Buffer
		if err := a.page.Render(context.WithoutCancel(v.r.Context()), &b); err != nil { // not because the reader hung up
			slog.ErrorContext(v.r.Context(), "page cannot be drawn", slog.String("path", v.r.URL.Path), slog.Any("error", err))
			http.Error(v.w, "internal", http.StatusInternalServerError) // not fail: its page may be the one
			return
		}
		body, media = b.Bytes(), "text/html; charset=utf-8"
	}
	h.Set("Content-Type", media)
	if a.name != "" {
		h.Set("Content-Disposition", `inline; filename="`+a.name+`"`)
	}
	if a.page != nil && !a.secret && encodingOf(v.r) != "" && len(body) > 1<<10 {
		enc := encodingOf(v.r)
		body = squeeze(body, enc, quick)
		h.Set("Content-Encoding", enc)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	v.w.WriteHeader(max(a.status, http.StatusOK))
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(body) // the reader may be gone
	}
}

// etagOf is a strong validator of a body.
func etagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// codeOf is how a page ended, for metrics.
func codeOf(err error) string {
	if err == nil {
		return "ok"
	}
	if code := client.CodeOf(err); code != "" {
		return code
	}
	if e := ownError(err); e != nil {
		return e.code
	}
	return "internal"
}

// query is the visit's query.
func (v *visit) query() url.Values { return v.r.URL.Query() }

// form is the visit's form, trimmed; nil when it cannot be read.
func (v *visit) form() (url.Values, error) {
	if err := v.r.ParseForm(); err != nil {
		return nil, errBadForm
	}
	for _, values := range v.r.PostForm {
		for i := range values {
			values[i] = strings.TrimSpace(strings.ToValidUTF8(values[i], "\uFFFD"))
		}
	}
	return v.r.PostForm, nil
}

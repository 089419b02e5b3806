package shop

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
)

const (
	deadline = 20 * time.Second
	maxForm  = 64 << 10
)

// Config is what the pages need. API, SiteURL and Now are required.
type Config struct {
	Cell    topology.CellID
	Calls   http.Handler // the cell's own calls
	SiteURL string       // where browsers reach the town, without a slash at the end
	// Topology is the newest map of the town; its answer may be nil.
	Topology func() *topology.Snapshot
	// PaymentURL is where a browser reaches the payment sandbox; empty with a real
	// provider, whose own script then takes the card.
	PaymentURL string
	Imprint    Imprint
	Now        func() time.Time
	// Proved is when this cell's database last proved that all rows are in its region; zero, or
	// nil, when it never did or cannot.
	Proved func() time.Time
	// Watch is told how a page ended: its route and "ok" or a problem's code.
	Watch func(page, result string)
}

// Imprint is who operates the site, for the pages that the law asks for.
type Imprint struct {
	Name, Address, Email string
}

// Pages serve the shop.
type Pages struct {
	cfg     Config
	site    *url.URL
	http    *http.Client // to the cell's own calls
	public  *http.ServeMux
	private *http.ServeMux
	guard   http.Handler // private, behind the check of where a form comes from
	copies  *copies
	headers headers
}

// New makes the pages.
func New(cfg Config) (*Pages, error) {
	site, err := url.Parse(cfg.SiteURL)
	if err != nil || site.Host == "" {
		return nil, errors.New("shop: the site has no URL")
	}
	if cfg.Watch == nil {
		cfg.Watch = func(string, string) {}
	}
	if cfg.Topology == nil {
		cfg.Topology = func() *topology.Snapshot { return nil }
	}
	p := &Pages{cfg: cfg, site: site, http: &http.Client{Transport: inside{cfg.Calls}}, public: http.NewServeMux(), private: http.NewServeMux(), copies: newCopies()}
	p.headers = newHeaders(cfg.PaymentURL)
	guard := http.NewCrossOriginProtection()
	if err := guard.AddTrustedOrigin(site.Scheme + "://" + site.Host); err != nil {
		return nil, err
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.visit(w, r).fail(errForeignForm) //nolint:contextcheck // a visit has its request's context
	}))
	for _, r := range publicRoutes {
		p.public.Handle("GET "+r.pattern, p.show(r))
	}
	for _, r := range privateRoutes {
		p.private.Handle(r.pattern, p.serve(r))
	}
	p.private.HandleFunc("GET /assets/{name}", serveAsset)
	p.private.HandleFunc("GET /widget.js", serveWidget)
	p.guard = guard.Handler(p.private)
	return p, nil
}

// Serves says whether a request is for a page of the shop. The root is one for a browser
// only: programs get what the cell's calls say there.
func (p *Pages) Serves(r *http.Request) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if first == "" {
		return wantsPage(r)
	}
	return tongues[first] != nil || ownSegments[first] || r.URL.Path == mailedPath && r.Method == http.MethodGet && wantsPage(r)
}

// ownSegments are the first segments of paths without a language.
var ownSegments = map[string]bool{}

func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// ServeHTTP serves a page.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	w.Header().Set(httpd.HeaderCell, p.cfg.Cell.String())
	w.Header().Set(httpd.HeaderRequestID, httpd.RequestID(r))
	p.headers.common(w.Header())
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if l := tongues[first]; l != nil {
		ctx = context.WithValue(ctx, tongueKey{}, l)
		inner := r.WithContext(ctx)
		u := *r.URL
		u.Path, u.RawPath = "/"+rest, ""
		inner.URL = &u
		if _, pattern := p.public.Handler(inner); pattern != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			p.public.ServeHTTP(w, inner)
			return
		}
		p.personal(w, inner)
		return
	}
	inner := r.WithContext(ctx)
	if r.URL.Path == mailedPath {
		u := *r.URL
		u.Path = "/open"
		inner.URL = &u
	}
	if _, pattern := p.private.Handler(inner); pattern == "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		if _, pattern = p.public.Handler(inner); pattern != "" {
			p.translate(w, inner)
			return
		}
	}
	p.personal(w, inner)
}

// mailedPath is where mailed links lead. Programs get what the cell's calls say there.
const mailedPath = "/v1/open"

// personal serves what is not the same for everybody, and answers what is not there with
// a page.
func (p *Pages) personal(w http.ResponseWriter, r *http.Request) {
	if _, pattern := p.private.Handler(r); pattern == "" {
		p.visit(w, r).fail(errNoPage) //nolint:contextcheck // a visit has its request's context
		return
	}
	p.guard.ServeHTTP(w, r)
}

// translate sends the reader of a public page to it in the reader's language.
func (p *Pages) translate(w http.ResponseWriter, r *http.Request) {
	v := p.visit(w, r)
	to := "/" + v.l.Code + r.URL.Path
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	h := w.Header()
	h.Set("Vary", "Accept, Accept-Language, Cookie")
	h.Set("Cache-Control", "private, no-cache")
	http.Redirect(w, r, to, http.StatusFound) //nolint:gosec // G710: begins with a slash and a language
}

// visit is one request for a page.
type visit struct {
	p *Pages
	w http.ResponseWriter
	r *http.Request
	l *tongue
	// moved is the problem document of a call that this cell is not the home for; the
	// router reads it and asks the home.
	moved []byte
	// device is the browser's key, once it was read or made.
	device []byte
}

func (p *Pages) visit(w http.ResponseWriter, r *http.Request) *visit {
	l, ok := r.Context().Value(tongueKey{}).(*tongue)
	if !ok {
		l = preferred(r)
	}
	return &visit{p: p, w: w, r: r, l: l}
}

type tongueKey struct{}

// api is the way to the cell's calls with a bearer, "" for a stranger. Each visit has
// clients of its own: a client remembers tokens.
func (v *visit) api(token string) *client.Client {
	c := client.New(insideURL, client.WithHTTP(v.p.http), client.WithTimeout(0))
	if token != "" {
		c = c.As(token)
	}
	return c
}

// ctx is the context of calls that this visit makes.
func (v *visit) ctx() context.Context { return context.WithValue(v.r.Context(), visitKey{}, v) }

func (v *visit) now() time.Time { return v.p.cfg.Now() }

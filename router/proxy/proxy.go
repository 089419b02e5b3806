// Package proxy carries requests to the cells that router/route chooses. It
// streams answers, keeps a bulkhead per cell, forwards once, and repeats a
// request only where that cannot do a thing twice. It decides no routes and
// keeps nothing but homes it was told of; it reads no body but a new order's.
package proxy

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/mtls"
	"guichet/router/health"
	"guichet/router/page"
	"guichet/router/route"
)

// What the proxy refuses by itself, besides what router/route refuses.
var (
	ErrLoop           = kind.Moved.New("routing_loop")
	ErrCellBusy       = kind.Unavailable.New("cell_busy")
	ErrRouterBusy     = kind.Unavailable.New("router_busy")
	ErrOutcomeUnknown = kind.Unavailable.New("outcome_unknown")
)

// Limits. All waits together stay below the 60 s after which the server gives a
// request up.
const (
	dialTimeout      = time.Second
	handshakeTimeout = 2 * time.Second
	bodyIdle         = 30 * time.Second // between two pieces of an answer
	triesLimit       = 5                // cells asked for one request
	bodyBudget       = 256 << 20        // bytes of request bodies held at once
	idlePerHost      = 256
)

// Patience is how long a cell may take to begin its answer.
type Patience struct {
	Read  time.Duration // when another cell could answer as well
	Home  time.Duration // a read that only the home can answer
	Write time.Duration
	Total time.Duration // over all tries
}

// DefaultPatience is longer than any healthy answer and short enough for people.
var DefaultPatience = Patience{Read: 2500 * time.Millisecond, Home: 5 * time.Second, Write: 10 * time.Second, Total: 20 * time.Second}

// Town is where the proxy learns what is where.
type Town interface {
	Map() *route.Map
}

// Vitals is where the proxy learns who is well, and tells who is not.
type Vitals interface {
	View() *health.View
	Refused(url string)
}

// Config is what a proxy needs. Town, Vitals and Now are required.
type Config struct {
	Town     Town
	Vitals   Vitals
	Locator  Locator
	Default  topology.CellID // where attendees go whose place is unknown
	Force    bool            // X-Guichet-Force is obeyed: drills only
	InFlight int             // requests with one cell at once, 1024 if 0
	Patience Patience        // DefaultPatience if zero
	Delay    Delay           // nil adds none
	Region   string          // with Delay: where attendees count as being whose place is unknown; the default cell's if empty
	Metrics  prometheus.Registerer
	Now      func() time.Time
	Identity *mtls.Identity // who this router is; nil speaks plain HTTP with cells
}

// Proxy is the handler.
type Proxy struct {
	cfg       Config
	ways      *mtls.Ways // to each cell as itself
	bulkheads bulkheads
	moved     moved
	metrics   *metrics
	held      atomic.Int64 // bytes of bodies, see bodyBudget
	last      atomic.Value // topology.CellID: the last choice for attendees whose place is unknown
}

// New makes a proxy.
func New(cfg Config) *Proxy {
	if cfg.InFlight <= 0 {
		cfg.InFlight = 1024
	}
	if cfg.Patience == (Patience{}) {
		cfg.Patience = DefaultPatience
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	p := &Proxy{cfg: cfg, ways: mtls.NewWays(cfg.Identity, transport(cfg.InFlight)), bulkheads: bulkheads{limit: int64(cfg.InFlight)}}
	p.metrics = newMetrics(cfg.Metrics, &p.bulkheads)
	return p
}

// transport makes the connections to one cell.
func transport(inFlight int) func() *http.Transport {
	return func() *http.Transport {
		return &http.Transport{
			Proxy:               nil, // cells are reached directly, whatever the environment says
			DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout: handshakeTimeout,
			MaxConnsPerHost:     inFlight,
			MaxIdleConns:        0, // bounded per host
			MaxIdleConnsPerHost: idlePerHost,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true, // bytes pass as they are
			ReadBufferSize:      16 << 10,
			WriteBufferSize:     16 << 10,
		}
	}
}

// Close drops idle connections to cells.
func (p *Proxy) Close() { p.ways.Close() }

// ServeHTTP takes one request to a cell and the answer back.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, id: requestID(r), arrived: p.cfg.Now()}
	w.Header().Set(httpd.HeaderRequestID, x.id)
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		p.refuse(x, httpd.ErrNoMethod.With("%s is not allowed here", r.Method))
		return
	}
	if r.Header.Get(httpd.HeaderHop) != "" {
		// One router has forwarded this already: two routers, or a router and a
		// cell, point at each other. Going on could go on for ever.
		p.refuse(x, ErrLoop.With("the request has been forwarded once already"))
		return
	}
	defer func() { p.held.Add(-int64(len(x.body))) }()
	if err := p.accept(x); err != nil {
		p.refuse(x, err)
		return
	}
	for range triesLimit {
		d := route.Decide(x.want, x.town, p.cfg.Vitals.View().Cells)
		if d.Err != nil {
			p.refuse(x, d.Err)
			return
		}
		if !p.try(x, d) { //nolint:contextcheck // the exchange has the request, which has it
			return
		}
	}
	p.refuse(x, route.ErrNoCell.With("no cell answered").After(time.Second))
}

// Refuse answers for the proxy where a request does not get to it, in its form and
// counted with its own refusals.
func (p *Proxy) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	x := &exchange{w: w, r: r, id: requestID(r)}
	w.Header().Set(httpd.HeaderRequestID, x.id)
	p.refuse(x, err)
}

func (p *Proxy) refuse(x *exchange, err error) {
	code := "internal"
	if e := kind.As(err); e != nil {
		code = e.Code
	}
	p.metrics.refusals.WithLabelValues(code).Inc()
	if x.want.Force != "" {
		x.w.Header().Set(httpd.HeaderRoute, string(route.Forced))
	}
	if page.Wanted(x.r) {
		page.Refuse(x.w, x.r, err)
		return
	}
	httpd.Problem(x.w, x.r, err)
}

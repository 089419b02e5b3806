package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/router/route"
)

// ErrBodyUnreadable is returned for a body that ended before its end.
var ErrBodyUnreadable = kind.Invalid.New("body_unreadable")

// drainLimit is how much of a body that is too large is still read, so that its
// sender gets to see the refusal instead of a broken connection.
const drainLimit = 8 << 20

// exchange is one request on its way.
type exchange struct {
	w       http.ResponseWriter
	r       *http.Request
	id      string
	where   Whereabouts
	body    []byte // whole: a request may have to be sent again
	town    *route.Map
	want    route.Request
	read    bool // changes nothing, by its method
	repeat  bool // may be sent twice without doing a thing twice
	told    bool // a cell has told a newer home in this exchange
	delayed bool
	arrived time.Time
	away    time.Duration // spent waiting for cells, not our latency
}

// accept reads all of the request that routing needs.
func (p *Proxy) accept(x *exchange) error {
	if err := p.readBody(x); err != nil {
		return err
	}
	x.town = p.cfg.Town.Map()
	x.where = p.cfg.Locator.Of(x.r)
	p.metrics.located.WithLabelValues(x.where.By).Inc()
	x.read = x.r.Method == http.MethodGet || x.r.Method == http.MethodHead || x.r.Method == http.MethodOptions
	// A cell answers the same idempotency key with the same answer (P5), and
	// deletes once however often it is told.
	x.repeat = x.read || x.r.Method == http.MethodDelete || x.r.Header.Get(httpd.HeaderIdemKey) != ""

	holdID := ""
	if route.NeedsBody(x.r.Method, x.r.URL.Path) {
		holdID = route.PeekHoldID(x.body)
	}
	target := route.Aim(x.r.Method, x.r.URL.Path, x.r.URL.Query(), holdID)
	if route.IsAccount(x.r.URL.Path) {
		session := ""
		if c, err := x.r.Cookie(route.SessionCookie); err == nil {
			session = c.Value
		}
		target = route.AimAccount(x.r.URL.Path, x.r.URL.Query(), session)
	}
	x.want = route.Request{
		Target: target,
		At:     x.where.At, Located: x.where.Located, Client: x.where.who(),
		Default: p.cfg.Default, Now: x.arrived,
	}
	x.want.Last, _ = p.last.Load().(topology.CellID)
	if x.want.Target.Ref.Kind != "" {
		x.want.Told = p.moved.about(x.want.Target.Ref.Key, x.town)
	}
	if x.want.Target.Want == route.WantRegion && x.want.Target.Ref.Kind == "" {
		// A new organizer has no id yet; its key makes a repetition meet the first.
		if key := x.r.Header.Get(httpd.HeaderIdemKey); key != "" {
			x.want.Client = key
		}
	}
	return p.obeyForce(x)
}

func (p *Proxy) obeyForce(x *exchange) error {
	text := x.r.Header.Get(httpd.HeaderForce)
	if text == "" || !p.cfg.Force {
		return nil
	}
	cell, err := topology.ParseCell(text)
	if err != nil {
		return err
	}
	x.want.Force = cell
	return nil
}

// bodyLimit is how many bytes a request's body may have: a seating plan has a
// limit of its own.
func bodyLimit(r *http.Request) int64 {
	if r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/v1/events/") && strings.HasSuffix(r.URL.Path, "/seating") {
		return httpd.MaxPlanBody
	}
	return httpd.MaxBody
}

// readBody reads at most bodyLimit bytes and takes them from the budget.
func (p *Proxy) readBody(x *exchange) error {
	r := x.r
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	limit := bodyLimit(r)
	if r.ContentLength > limit {
		return tooLarge(r)
	}
	reserve := r.ContentLength
	if reserve < 0 {
		reserve = limit
	}
	if p.held.Add(reserve) > bodyBudget {
		p.held.Add(-reserve)
		return ErrRouterBusy.With("too many large bodies are on their way").After(time.Second)
	}
	body, err := readUpTo(r.Body, r.ContentLength, limit)
	if err != nil {
		p.held.Add(-reserve)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return httpd.ErrSlow.With("the body did not come in time")
		}
		return ErrBodyUnreadable.With("the body ended before its end")
	}
	if int64(len(body)) > limit {
		p.held.Add(-reserve)
		return tooLarge(r)
	}
	p.held.Add(int64(len(body)) - reserve)
	x.body = body
	return nil
}

// readUpTo reads a body of the length said, or of an unsaid length (-1) up to
// one byte more than is allowed.
func readUpTo(body io.Reader, length, limit int64) ([]byte, error) {
	if length < 0 {
		return io.ReadAll(io.LimitReader(body, limit+1))
	}
	b := make([]byte, length)
	_, err := io.ReadFull(body, b)
	return b, err
}

func tooLarge(r *http.Request) error {
	if r.Header.Get("Expect") == "" {
		_, err := io.CopyN(io.Discard, r.Body, drainLimit)
		if err != nil && !errors.Is(err, io.EOF) {
			return ErrBodyUnreadable.With("the body ended before its end")
		}
	}
	return httpd.ErrBodyTooLarge.With("a body has at most %d bytes", bodyLimit(r)).Field("limit", bodyLimit(r))
}

package proxy

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"guichet/internal/httpd"
	"guichet/router/route"
)

var pieces = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// answer passes a cell's answer on as it comes.
func (p *Proxy) answer(x *exchange, d route.Decision, a *answered) {
	if d.Copy && (a.StatusCode == http.StatusNotFound || a.StatusCode == http.StatusMisdirectedRequest) {
		// That a copy does not know the event, or what a code opens, does not mean that
		// there is none; only the home could say so, and it cannot be asked (P9). A 421
		// that leads to another home was followed before.
		p.refuse(x, route.Away(d.Home))
		return
	}
	if d.Why == route.Nearest && !x.want.Located && !d.Copy {
		p.last.Store(d.Cell.ID)
	}
	why := d.Why
	if x.told && why == route.Home {
		why = route.Moved
	}
	h := x.w.Header()
	dropHopByHop(a.Header)
	pass(h, a.Header)
	h.Set(httpd.HeaderRequestID, x.id)
	h.Set(httpd.HeaderRoute, string(why))
	h.Del(httpd.HeaderHop)
	if h.Get(httpd.HeaderCell) == "" {
		h.Set(httpd.HeaderCell, string(d.Cell.ID))
	}
	p.metrics.answered(d.Cell.ID, string(why), a.StatusCode, p.cfg.Now().Sub(x.arrived)-x.away)
	x.w.WriteHeader(a.StatusCode)
	if err := copyBody(x.w, a); err != nil && x.r.Context().Err() == nil {
		// Half an answer must not look whole: break the connection.
		panic(http.ErrAbortHandler)
	}
}

// pass copies a cell's header. What this router says of other origins it says itself, and
// what an answer varies with adds up.
func pass(to, from http.Header) {
	vary := append(from.Values("Vary"), to.Values("Vary")...)
	if to.Get("Access-Control-Allow-Origin") != "" {
		for name := range from {
			if strings.HasPrefix(name, "Access-Control-") {
				from.Del(name)
			}
		}
	}
	maps.Copy(to, from)
	if len(vary) > 0 {
		slices.Sort(vary)
		to["Vary"] = slices.Compact(vary)
	}
}

// copyBody streams: what comes is passed on at once when its length is unknown,
// for then somebody may be waiting for each piece. Neither side may stand still
// for longer than bodyIdle.
func copyBody(w http.ResponseWriter, a *answered) error {
	b := pieces.Get().(*[]byte) //nolint:errcheck // nothing else is put there
	defer pieces.Put(b)
	out := http.NewResponseController(w)
	for first := true; ; first = false {
		n, err := a.Body.Read(*b)
		if n > 0 {
			if !first { // the server's own deadline covers the first piece
				_ = out.SetWriteDeadline(time.Now().Add(bodyIdle)) //nolint:forbidigo // a socket's deadline is wall time
			}
			if _, werr := w.Write((*b)[:n]); werr != nil {
				return werr
			}
			if a.ContentLength < 0 {
				_ = out.Flush() // if it cannot, the end of the answer will
			}
			a.timer.Reset(bodyIdle)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/mtls"
	"guichet/router/route"
)

var (
	errNotSent = errors.New("the request reached no process")
	errLost    = errors.New("the request was sent and not answered")
	errSlow    = kind.Unavailable.New("cell_slow") // the cause of a cancelled try; clients never see it
)

// try takes the request to one cell. It answers the client and returns false, or
// returns true when the next decision should be tried.
func (p *Proxy) try(x *exchange, d route.Decision) (again bool) {
	leave, ok := p.bulkheads.enter(d.Cell.ID, len(x.want.Avoid) > 0 && d.Why == route.Nearest)
	if !ok {
		if d.Elsewhere {
			return p.avoid(x, d)
		}
		p.refuse(x, ErrCellBusy.With("cell %s has as many requests as this router may send it", d.Cell.ID).After(time.Second))
		return false
	}
	defer leave()
	if !p.delay(x, d.Cell) {
		return false
	}
	a, err := p.call(x, d)
	if err != nil {
		return p.failed(x, d, err)
	}
	defer a.close()
	if p.follow(x, d, a) || p.passOver(x, d, a) {
		return true
	}
	p.answer(x, d, a)
	return false
}

// avoid makes the next decision look elsewhere.
func (p *Proxy) avoid(x *exchange, d route.Decision) bool {
	x.want.Avoid = append(x.want.Avoid, d.Cell.ID)
	p.metrics.again.WithLabelValues("cell").Inc()
	return true
}

// failed decides what follows when no process of the cell answered. What was
// not sent, or may be sent twice, can go to another cell if any cell would do;
// for the rest there is only the truth: nothing happened, or we do not know.
func (p *Proxy) failed(x *exchange, d route.Decision, err error) (again bool) {
	if x.r.Context().Err() != nil {
		return false // the client has left; there is nobody to answer
	}
	sent := !errors.Is(err, errNotSent)
	switch {
	case d.Elsewhere && (x.read || !sent):
		return p.avoid(x, d)
	case sent && !x.read:
		p.refuse(x, ErrOutcomeUnknown.With("cell %s took the request and did not answer; send it again with the same Idempotency-Key to learn what became of it", d.Cell.ID).
			Field("home_cell", string(d.Cell.ID)).After(time.Second))
	default:
		p.refuse(x, route.Away(d.Cell.ID))
	}
	return false
}

// call tries the cell's processes in order until one answers.
func (p *Proxy) call(x *exchange, d route.Decision) (*answered, error) {
	sent := false
	for i, base := range p.cfg.Vitals.View().Order(d.Cell, d.Affinity) {
		if i > 0 {
			p.metrics.again.WithLabelValues("process").Inc()
		}
		wait := p.patience(x, d)
		if wait <= 0 {
			break
		}
		a, err := p.send(x, d.Cell.ID, base, wait)
		switch {
		case err == nil:
			return a, nil
		case x.r.Context().Err() != nil:
			return nil, err
		case notConnected(err):
			p.cfg.Vitals.Refused(base)
		case !x.repeat:
			return nil, fmt.Errorf("%w: %w", errLost, err)
		default:
			sent = true
		}
	}
	if sent {
		return nil, errLost
	}
	return nil, errNotSent
}

// patience is how long this try may wait for the first byte.
func (p *Proxy) patience(x *exchange, d route.Decision) time.Duration {
	wait := p.cfg.Patience.Write
	switch {
	case x.read && d.Elsewhere:
		wait = p.cfg.Patience.Read
	case x.read:
		wait = p.cfg.Patience.Home
	}
	return min(wait, p.cfg.Patience.Total-p.cfg.Now().Sub(x.arrived))
}

// notConnected: no connection, or one that ended at somebody else than the cell, so
// nothing was sent.
func notConnected(err error) bool {
	if _, refused := errors.AsType[*mtls.RefusedError](err); refused {
		return true
	}
	if strings.Contains(err.Error(), "TLS handshake timeout") { // net/http has no name for it
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// answered is a cell's answer whose body is still to come.
type answered struct {
	*http.Response
	cancel context.CancelCauseFunc
	timer  *time.Timer // ends the answer when it stands still
}

func (a *answered) close() {
	a.timer.Stop()
	_ = a.Body.Close()
	a.cancel(nil)
}

// send sends the request to one process and waits for its answer's header.
func (p *Proxy) send(x *exchange, cell topology.CellID, base string, wait time.Duration) (*answered, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("address of a process: %w", err)
	}
	u.Path, u.RawPath, u.RawQuery = x.r.URL.Path, x.r.URL.RawPath, x.r.URL.RawQuery
	ctx, cancel := context.WithCancelCause(x.r.Context())
	timer := time.AfterFunc(wait, func() { cancel(errSlow) })
	out := (&http.Request{Method: x.r.Method, URL: u, Host: x.r.Host, Header: x.outgoing(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	if len(x.body) > 0 {
		out.ContentLength = int64(len(x.body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.body)), nil }
		out.Body, _ = out.GetBody()
	}
	start := p.cfg.Now()
	resp, err := p.ways.To(mtls.Peer{Kind: mtls.Cell, Name: string(cell)}).RoundTrip(out) //nolint:bodyclose // answered.close does
	x.away += p.cfg.Now().Sub(start)
	if err != nil {
		timer.Stop()
		cancel(nil)
		return nil, err
	}
	timer.Reset(bodyIdle)
	return &answered{resp, cancel, timer}, nil
}

// follow reads a 421 and, once per request, goes where it points.
func (p *Proxy) follow(x *exchange, d route.Decision, a *answered) bool {
	if a.StatusCode != http.StatusMisdirectedRequest || x.told || x.want.Force != "" {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(a.Body, answerLimit))
	a.Body = readAgain{io.MultiReader(bytes.NewReader(body), a.Body), a.Body}
	if err != nil {
		return false
	}
	ref := x.want.Target.Ref
	_, known := x.town.Home(ref.Key)
	if x.want.Told != nil {
		known = max(known, x.want.Told.Epoch)
	}
	told, ok := toldHome(body, ref, d.Cell.ID, known, x.town)
	if !ok {
		return false
	}
	p.moved.learn(ref.Key, told)
	p.metrics.again.WithLabelValues("moved").Inc()
	x.told, x.want.Told = true, &told
	x.want.Avoid = slices.DeleteFunc(x.want.Avoid, func(c topology.CellID) bool { return c == told.Home })
	return true
}

// readAgain is a body of which a part was read already.
type readAgain struct {
	io.Reader
	io.Closer
}

// passOver lets another cell answer a read that this one cannot answer now, if
// there is one; once, so that an overload does not go around the town.
func (p *Proxy) passOver(x *exchange, d route.Decision, a *answered) bool {
	if !d.Elsewhere || !x.read || len(x.want.Avoid) > 0 || a.StatusCode < http.StatusBadGateway || a.StatusCode > http.StatusGatewayTimeout {
		return false
	}
	next := x.want
	next.Avoid = []topology.CellID{d.Cell.ID}
	if route.Decide(next, x.town, p.cfg.Vitals.View().Cells).Err != nil {
		return false
	}
	return p.avoid(x, d)
}

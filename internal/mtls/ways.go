package mtls

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// errPlain is returned for an address without TLS where there must be TLS.
var errPlain = errors.New("this process has a certificate and speaks with nobody without one")

// maxWays bounds how many peers are kept a transport for; a town has fewer.
const maxWays = 512

// Ways are the connections to other machines, for each of them its own: what is
// meant for one never leaves over a connection to another, whatever addresses they
// give. Without an identity they are plain HTTP, and everybody's the same.
type Ways struct {
	identity *Identity
	form     func() *http.Transport

	mu  sync.Mutex
	to  map[Peer]*way
	any *way // for whoever has no name here, and without TLS
}

// NewWays makes the connections of an identity, which may be nil. The form makes a
// transport with the limits that are wanted; nil is DefaultTransport's with short waits.
func NewWays(identity *Identity, form func() *http.Transport) *Ways {
	if form == nil {
		form = func() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute} }
	}
	w := &Ways{identity: identity, form: form, to: map[Peer]*way{}}
	if identity == nil {
		w.any = &way{transport: form()}
	}
	return w
}

// To leads to exactly this peer.
func (w *Ways) To(p Peer) http.RoundTripper {
	if w.identity == nil {
		return w.any
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if have := w.to[p]; have != nil {
		return have
	}
	if len(w.to) >= maxWays { // more peers than can be: begin again
		for p, old := range w.to {
			old.transport.CloseIdleConnections()
			delete(w.to, p)
		}
	}
	made := w.identity.way(w.form(), Only(p))
	w.to[p] = made
	return made
}

// Close drops idle connections.
func (w *Ways) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.any != nil {
		w.any.transport.CloseIdleConnections()
	}
	for _, t := range w.to {
		t.transport.CloseIdleConnections()
	}
}

// way is a transport that speaks with nobody who was not admitted.
type way struct {
	transport *http.Transport
	identity  *Identity
}

func (i *Identity) way(t *http.Transport, want func(Peer) bool) *way {
	t.TLSClientConfig = i.Client(want)
	return &way{transport: t, identity: i}
}

// RoundTrip implements http.RoundTripper.
func (w *way) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.identity == nil {
		return w.transport.RoundTrip(r)
	}
	if r.URL.Scheme != "https" {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("%w: %s", errPlain, r.URL.Host)
	}
	res, err := w.transport.RoundTrip(r)
	return res, w.identity.Explain(err)
}

// CloseIdleConnections lets http.Client do so.
func (w *way) CloseIdleConnections() { w.transport.CloseIdleConnections() }

// HTTP is a client that speaks with whom want admits; without an identity, plain
// HTTP and TLS as the machine knows it.
func HTTP(i *Identity, want func(Peer) bool) *http.Client {
	t := &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	if i == nil {
		return &http.Client{Transport: t}
	}
	return &http.Client{Transport: i.way(t, want)}
}

// Load opens an identity when files are named, and answers nil when none is. The
// certificate must be one of a program like this.
func Load(f Files, self func(Peer) bool) (*Identity, error) {
	if !f.On() {
		return nil, nil
	}
	i, err := Open(f)
	if err == nil && !self(i.Self()) {
		err = fmt.Errorf("%w: %s is that of %s, and cannot be this program's", ErrFiles, f.Cert, i.Self())
	}
	if err != nil {
		return nil, err
	}
	return i, nil
}

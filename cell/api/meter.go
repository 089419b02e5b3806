package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"guichet/internal/kind"
)

// Limits of calls that cost a mail.
const (
	// MaxSearchesPerAddress is how often one network address may ask for tickets within
	// searchPeriod.
	MaxSearchesPerAddress = 10
	searchPeriod          = time.Minute
	maxAddresses          = 20_000 // that are told apart within a period
)

var errTooManyRequests = kind.Busy.New("too_many_requests")

// meter counts calls by network address in periods. It is bounded: when there
// are more addresses than it can tell apart, new ones wait for the next period.
type meter struct {
	mu     sync.Mutex
	until  time.Time
	counts map[netip.Prefix]int
}

// admit counts a call, or refuses it.
func (m *meter) admit(from netip.Prefix, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil || !now.Before(m.until) {
		m.counts, m.until = map[netip.Prefix]int{}, now.Add(searchPeriod)
	}
	n, known := m.counts[from]
	if n >= MaxSearchesPerAddress || !known && len(m.counts) >= maxAddresses {
		return errTooManyRequests.With("at most %d a minute from one address", MaxSearchesPerAddress).Field("limit", MaxSearchesPerAddress).After(m.until.Sub(now))
	}
	m.counts[from] = n + 1
	return nil
}

// addressOf is where a request comes from: what the router says, else the peer. A
// household is one address: of IPv6 its /64 counts.
func addressOf(r *http.Request) netip.Prefix {
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	addr, err := netip.ParseAddr(strings.TrimSpace(chain[len(chain)-1]))
	if err != nil {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		addr, _ = netip.ParseAddr(host)
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}

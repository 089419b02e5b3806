// Package limit is the router's public door: it refuses who asks too often, by
// address and by class of call, and does not know operators' calls. It counts in
// this process only, against abuse; cells have finer limits of their own. It never
// limits a probe or the payment provider.
package limit

import (
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/client/class"
	"guichet/internal/kind"
	"guichet/internal/limit"
)

// ErrTooMany is the refusal of an address that asks too often.
var ErrTooMany = kind.Busy.New("too_many_requests")

// Named is a limit of one class of calls.
type Named struct {
	Class     class.Class
	PerMinute int // and at once
}

// Defaults are the limits of one address. A carrier's gateway, a university or a
// box office hides thousands of people behind one, so they are wide: they keep a
// single machine from taking a router's part of a cell, and no crowd from buying.
var Defaults = []Named{
	{class.Catalogue, 1200},
	{class.Event, 1200},
	{class.Hold, 600},
	{class.Order, 600},
	{class.Ticket, 600},
	{class.SignIn, 120},
	{class.Mail, 60},
	{class.Organizer, 6000},
	{class.Other, 300},
}

const (
	// Keys is how many addresses each limit remembers: some 5 MB a limit at the most.
	Keys = 32_768
	// SiteFactor is how many times an address's limit all of an IPv6 /48 have together.
	SiteFactor = 16
)

// Limits are the buckets of all classes. nil limits nobody.
type Limits struct {
	of      map[class.Class]*buckets
	refused *prometheus.CounterVec
}

type buckets struct{ network, site *limit.Buckets }

// New makes the limits; a class that is not named is not limited.
func New(named []Named, reg prometheus.Registerer) *Limits {
	l := &Limits{
		of: make(map[class.Class]*buckets, len(named)),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_router_limited_total", Help: "Requests refused because their address asked too often, by class of call. Many: abuse, or a limit too narrow for a crowd behind one address.",
		}, []string{"class"}),
	}
	for _, n := range named {
		rate := limit.Rate{PerMinute: n.PerMinute, Burst: n.PerMinute}
		wide := limit.Rate{PerMinute: SiteFactor * n.PerMinute, Burst: SiteFactor * n.PerMinute}
		l.of[n.Class] = &buckets{network: limit.New(rate, Keys), site: limit.New(wide, Keys)}
		l.refused.WithLabelValues(string(n.Class))
	}
	reg.MustRegister(l.refused, keys{l})
	return l
}

// Take counts a call, or refuses it and says when there is room again.
func (l *Limits) Take(c class.Class, from netip.Addr, now time.Time) error {
	if l == nil || c == class.Health || c == class.Webhook {
		return nil
	}
	b := l.of[c]
	if b == nil {
		return nil
	}
	wait, ok := b.network.Take(limit.Network(from), now)
	if site := limit.Site(from); ok && site != "" {
		wait, ok = b.site.Take(site, now)
	}
	if ok {
		return nil
	}
	l.refused.WithLabelValues(string(c)).Inc()
	return ErrTooMany.With("too many requests of one address").Field("limit_of", "address").Field("class", string(c)).After(max(wait, time.Second))
}

// keys tells how many addresses are remembered when it is scraped.
type keys struct{ l *Limits }

var keysDesc = prometheus.NewDesc("guichet_router_limit_addresses", "Addresses that a limit remembers. At its most for long: many strangers, and the oldest are forgotten.", []string{"class"}, nil)

func (keys) Describe(to chan<- *prometheus.Desc) { to <- keysDesc }

func (k keys) Collect(to chan<- prometheus.Metric) {
	for c, b := range k.l.of {
		to <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, float64(b.network.Len()+b.site.Len()), string(c))
	}
}

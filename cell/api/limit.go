package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/mailaddr"
	"guichet/internal/kind"
	"guichet/internal/limit"
	"guichet/internal/mtls"
)

var errTooMany = kind.Busy.New("too_many_requests")

// MaxSearchesPerAddress is how often in a minute one address may ask for its tickets,
// each time for the price of a mail. It holds whether or not Limits are set.
const MaxSearchesPerAddress = 10

// MaxGatheringsPerPerson is how often in a minute one person may ask for his tickets,
// each time for a call to every cell. It holds whether or not Limits are set.
const MaxGatheringsPerPerson = 30

// limitedKeys is how many addresses, and how many buyers, each limit remembers:
// some 10 MB at the most, all limits together.
const limitedKeys = 20_000

// Limits keep one address or buyer from asking too often. They are counted by each
// process for itself; the zero value does not limit.
type Limits struct {
	Holds  limit.Rate // per address: POST …/holds
	Orders limit.Rate // per address: POST /v1/orders, each of which can lead to an attempt to pay, and POST …/transfer
	Buyer  limit.Rate // per e-mail address: POST /v1/orders, and POST …/transfer to it
	// Wrong promo and access codes, of one address and for one event. Right ones are not counted.
	Codes, EventCodes limit.Rate
	// Trusted are the routers where there is no TLS; with it their certificates say who
	// they are. Theirs and nobody else's X-Forwarded-For is believed.
	Trusted []netip.Prefix
}

// guard says which limit a call has.
type guard int

const (
	unguarded guard = iota
	guardHolds
	guardOrders
	guardSearches
)

// guards are the buckets of the limits.
type guards struct {
	byAddress map[guard]*limit.Buckets
	byBuyer   *limit.Buckets
	codes     guesses
	byPerson  *limit.Buckets
	trusted   []netip.Prefix
}

func newGuards(l Limits) guards {
	return guards{
		byAddress: map[guard]*limit.Buckets{
			guardHolds: limit.New(l.Holds, limitedKeys), guardOrders: limit.New(l.Orders, limitedKeys),
			guardSearches: limit.New(limit.Rate{PerMinute: MaxSearchesPerAddress, Burst: MaxSearchesPerAddress}, limitedKeys),
		},
		byBuyer: limit.New(l.Buyer, limitedKeys), byPerson: limit.New(limit.Rate{PerMinute: MaxGatheringsPerPerson, Burst: MaxGatheringsPerPerson}, limitedKeys), codes: guesses{limit.New(l.Codes, limitedKeys), limit.New(l.EventCodes, limitedKeys)}, trusted: l.Trusted,
	}
}

// admit refuses a call from an address that asks too often, before its body is read.
func (s *Server) admit(c *gin.Context, g guard) error {
	buckets := s.guards.byAddress[g]
	if buckets == nil {
		return nil
	}
	wait, ok := buckets.Take(s.guards.network(c), s.Now())
	return refusal(wait, ok, "address")
}

// admitBuyer refuses a buyer who orders too often, from whatever address.
func (s *Server) admitBuyer(email string) error {
	wait, ok := s.guards.byBuyer.Take(mailaddr.Limit(email), s.Now())
	return refusal(wait, ok, "buyer")
}

func refusal(wait time.Duration, ok bool, what string) error {
	if ok {
		return nil
	}
	return errTooMany.With("too many requests of one %s", what).Field("limit_of", what).After(max(wait, time.Second))
}

// network is who asks, as far as a limit can tell people apart: an IPv4 address, or
// the /64 that a household or a machine has in IPv6.
func (g *guards) network(c *gin.Context) string {
	return limit.Network(g.address(c))
}

// address is the client's: the peer's own, or what a router says of it. A router is
// known by its certificate, and only where there is no TLS by its address. It
// sends one address; of several the last one was written by the nearest.
func (g *guards) address(c *gin.Context) netip.Addr { return g.addressOf(c.Request) }

func (g *guards) addressOf(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if who, known := mtls.PeerOf(r.TLS); known && who.Kind != mtls.Router {
		return addr
	} else if !known && !slices.ContainsFunc(g.trusted, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return addr
	}
	said := r.Header.Values("X-Forwarded-For")
	if len(said) == 0 {
		return addr
	}
	chain := strings.Split(said[len(said)-1], ",")
	client, err := netip.ParseAddr(strings.TrimSpace(chain[len(chain)-1]))
	if err != nil {
		return addr
	}
	return client.Unmap()
}

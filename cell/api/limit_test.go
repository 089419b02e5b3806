package api_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/internal/limit"
)

// limited opens a stage whose clock stands still, so that nothing is given back.
func limited(t *testing.T, l api.Limits) *stage {
	t.Helper()
	return open(t, func(h *house) {
		now := time.Now()
		h.server.Limits, h.server.Now = l, func() time.Time { return now }
	}).stage(t)
}

var router = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func from(address string) with { return header("X-Forwarded-For", address) }

func TestLimits_ofHoldsAreByAddressAndSayWhenToComeBack(t *testing.T) {
	t.Parallel()
	s := limited(t, api.Limits{Holds: limit.Rate{PerMinute: 6, Burst: 3}, Trusted: router})
	hold := func(opts ...with) answer {
		return s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1), opts...)
	}
	for range 3 {
		hold(from("203.0.113.7")).want(t, "201")
	}
	a := hold(from("203.0.113.7")).want(t, "429 too_many_requests")
	if a.header.Get("Retry-After") != "10" || a.member("limit_of") != `"address"` {
		t.Errorf("Retry-After %s: %s", a.header.Get("Retry-After"), a.body)
	}
	hold(from("203.0.113.8")).want(t, "201")
	// What a stranger adds in front is not believed; the router's word is the last.
	hold(from("198.51.100.1, 203.0.113.7")).want(t, "429 too_many_requests")
	// A household has a /64.
	for i := range 3 {
		hold(from("2001:db8:1:2::"+strconv.Itoa(i+1))).want(t, "201")
	}
	hold(from("2001:db8:1:2:ffff::9")).want(t, "429 too_many_requests")
	hold(from("2001:db8:1:3::1")).want(t, "201")
	hold(from("::ffff:203.0.113.7")).want(t, "429 too_many_requests")
	for range 3 { // rubbish, and nothing, is the router itself
		hold(from("<script>")).want(t, "201")
	}
	hold().want(t, "429 too_many_requests")
	if q := s.quota(t, 0); q.Held != 11 {
		t.Errorf("%d held, 11 were granted", q.Held)
	}
	// Nothing else is limited.
	s.ask(t, "GET "+s.path(), nil, from("203.0.113.7")).want(t, "200")
}

func TestLimits_doNotBelieveStrangersAboutTheirAddress(t *testing.T) {
	t.Parallel()
	s := limited(t, api.Limits{Holds: limit.Rate{PerMinute: 1, Burst: 2}, Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for i := range 4 {
		want := "201"
		if i >= 2 {
			want = "429 too_many_requests"
		}
		s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1), from("203.0.113."+strconv.Itoa(i))).want(t, want)
	}
}

func TestLimits_ofOrdersAreByAddressAndByBuyer(t *testing.T) {
	t.Parallel()
	s := limited(t, api.Limits{Orders: limit.Rate{PerMinute: 1, Burst: 4}, Buyer: limit.Rate{PerMinute: 1, Burst: 2}, Trusted: router})
	order := func(email, address string) answer {
		who := body(buyer()).but(object{"email": email})
		return s.ask(t, "POST /v1/orders", object{"hold_id": s.hold(t, s.guest, 1).ID, "buyer": who}, from(address))
	}
	order("ana@example.org", "203.0.113.1").want(t, "201")
	order("ANA@example.org", "203.0.113.2").want(t, "201")
	if a := order("ana@example.org", "203.0.113.3").want(t, "429 too_many_requests"); a.member("limit_of") != `"buyer"` {
		t.Errorf("%s", a.body)
	}
	for i := range 4 {
		order("buyer"+strconv.Itoa(i)+"@example.org", "203.0.113.9").want(t, "201")
	}
	if a := order("another@example.org", "203.0.113.9").want(t, "429 too_many_requests"); a.member("limit_of") != `"address"` {
		t.Errorf("%s", a.body)
	}
	if n := s.count(t, "checkout.orders"); n != 6 {
		t.Errorf("%d orders", n)
	}
	if a := s.ask(t, "GET /livez", nil); a.status != http.StatusOK {
		t.Error(a.is())
	}
}

// A stranger who writes another address into each request asks for no more mails.
func TestLimits_ofSearchesDoNotBelieveStrangersEither(t *testing.T) {
	t.Parallel()
	s := limited(t, api.Limits{})
	for i := range api.MaxSearchesPerAddress + 1 {
		want := "202"
		if i == api.MaxSearchesPerAddress {
			want = "429 too_many_requests"
		}
		s.ask(t, "POST /v1/tickets/find", object{"email": "ana" + strconv.Itoa(i) + "@example.org"}, from("203.0.113."+strconv.Itoa(i))).want(t, want)
	}
}

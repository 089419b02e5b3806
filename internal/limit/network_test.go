package limit_test

import (
	"net/netip"
	"testing"

	"guichet/internal/limit"
)

func TestNetwork_isWhatPeopleAreToldApartBy(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][2]string{
		"203.0.113.7": {"203.0.113.7", ""}, "::ffff:203.0.113.7": {"203.0.113.7", ""},
		"2001:db8:1:2:3::4": {"2001:db8:1:2::/64", "2001:db8:1::/48"}, "fe80::1%eth0": {"fe80::/64", "fe80::/48"},
	} {
		addr := netip.MustParseAddr(address)
		if got := [2]string{limit.Network(addr), limit.Site(addr)}; got != want {
			t.Errorf("%s is %q, want %q", address, got, want)
		}
	}
	if limit.Network(netip.Addr{}) != "unknown" || limit.Site(netip.Addr{}) != "" {
		t.Error("no address has a network")
	}
}

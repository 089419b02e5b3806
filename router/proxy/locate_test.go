package proxy_test

import (
	"net/http/httptest"
	"net/netip"
	"testing"

	"guichet/geo"
	"guichet/geo/mmdb"
	"guichet/router/proxy"
)

// atlas is a GeoIP file of one address.
type atlas struct{}

func (atlas) Lookup(a netip.Addr) (mmdb.Place, error) {
	if a == netip.MustParseAddr("203.0.113.9") {
		return mmdb.Place{Point: geo.Point{Lat: 1, Lon: 2}}, nil
	}
	return mmdb.Place{}, mmdb.ErrUnknown
}

func TestLocator_believesOnlyWhoMaySay(t *testing.T) {
	edge := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tokyo, _ := geo.CountryPoint("JP")
	for _, c := range []struct {
		name    string
		locator proxy.Locator
		peer    string
		headers []string
		by      string
		at      geo.Point
		client  string
	}{
		{"near, trusted", proxy.Locator{TrustNear: true}, "198.51.100.1:1", []string{"X-Guichet-Near", "5,6"}, "near", geo.Point{Lat: 5, Lon: 6}, "198.51.100.1"},
		{"near, not trusted", proxy.Locator{}, "198.51.100.1:1", []string{"X-Guichet-Near", "5,6"}, "default", geo.Point{}, "198.51.100.1"},
		{"near wins over the viewer's place", proxy.Locator{TrustNear: true, Trusted: edge}, "10.0.0.1:1", []string{"X-Guichet-Near", "5,6", "CloudFront-Viewer-Latitude", "7", "CloudFront-Viewer-Longitude", "8"}, "near", geo.Point{Lat: 5, Lon: 6}, "10.0.0.1"},
		{"a near that is no place", proxy.Locator{TrustNear: true, GeoIP: atlas{}}, "203.0.113.9:1", []string{"X-Guichet-Near", "99,999"}, "geoip", geo.Point{Lat: 1, Lon: 2}, "203.0.113.9"},
		{"viewer by a trusted proxy", proxy.Locator{Trusted: edge, GeoIP: atlas{}}, "10.0.0.1:1", []string{"CloudFront-Viewer-Latitude", "7", "CloudFront-Viewer-Longitude", "-8", "X-Forwarded-For", "203.0.113.9"}, "viewer", geo.Point{Lat: 7, Lon: -8}, "203.0.113.9"},
		{"viewer by a stranger", proxy.Locator{Trusted: edge}, "198.51.100.1:1", []string{"CloudFront-Viewer-Latitude", "7", "CloudFront-Viewer-Longitude", "8"}, "default", geo.Point{}, "198.51.100.1"},
		{"viewer's country", proxy.Locator{Trusted: edge}, "10.0.0.1:1", []string{"CloudFront-Viewer-Country", "JP"}, "country", tokyo, "10.0.0.1"},
		{"the peer's address", proxy.Locator{GeoIP: atlas{}}, "203.0.113.9:1", nil, "geoip", geo.Point{Lat: 1, Lon: 2}, "203.0.113.9"},
		{"mapped IPv4", proxy.Locator{GeoIP: atlas{}}, "[::ffff:203.0.113.9]:1", nil, "geoip", geo.Point{Lat: 1, Lon: 2}, "203.0.113.9"},
		{"a stranger's X-Forwarded-For", proxy.Locator{GeoIP: atlas{}, Trusted: edge}, "198.51.100.1:1", []string{"X-Forwarded-For", "203.0.113.9"}, "default", geo.Point{}, "198.51.100.1"},
		{"through two trusted proxies, the first hop invented", proxy.Locator{GeoIP: atlas{}, Trusted: edge}, "10.0.0.1:1", []string{"X-Forwarded-For", "192.0.2.66, 203.0.113.9, 10.9.9.9"}, "geoip", geo.Point{Lat: 1, Lon: 2}, "203.0.113.9"},
		{"rubbish in X-Forwarded-For", proxy.Locator{GeoIP: atlas{}, Trusted: edge}, "10.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9, <x>"}, "default", geo.Point{}, "10.0.0.1"},
		{"nothing known", proxy.Locator{GeoIP: atlas{}}, "[2001:db8::1%eth0]:1", nil, "default", geo.Point{}, "2001:db8::1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Add(c.headers[i], c.headers[i+1])
		}
		got := c.locator.Of(r)
		if got.By != c.by || got.At != c.at || got.Located != (c.by != "default") || got.Client.String() != c.client {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

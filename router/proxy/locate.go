package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"guichet/geo"
	"guichet/geo/mmdb"
	"guichet/internal/httpd"
)

// forwardedLimit bounds how many addresses of X-Forwarded-For are looked at.
const forwardedLimit = 16

// Finder knows where an address is; *mmdb.DB is one.
type Finder interface {
	Lookup(addr netip.Addr) (mmdb.Place, error)
}

// Locator finds out who asks and where they are. It believes a header only from
// somebody who may set it.
type Locator struct {
	TrustNear bool           // X-Guichet-Near is taken from anybody: development and tests
	Trusted   []netip.Prefix // proxies in front of this router, whose headers count
	GeoIP     Finder         // nil without a file
}

// Whereabouts is who asks and where they are.
type Whereabouts struct {
	Client  netip.Addr
	At      geo.Point
	Located bool
	Proxied bool   // a trusted proxy stands between us and the client
	By      string // what it rests on: near, viewer, country, geoip, or default
}

// Of looks at, in this order: X-Guichet-Near, the CloudFront-Viewer headers, the
// GeoIP file. A value that is no place counts as absent: an attendee must not be
// refused for a proxy's odd header.
func (l Locator) Of(r *http.Request) Whereabouts {
	client, viaTrusted := l.client(r)
	found := func(at geo.Point, by string) Whereabouts {
		return Whereabouts{Client: client, At: at, Located: true, Proxied: viaTrusted, By: by}
	}
	if near := r.Header.Get(httpd.HeaderNear); near != "" && l.TrustNear {
		if at, err := geo.ParsePoint(near); err == nil {
			return found(at, "near")
		}
	}
	if viaTrusted {
		lat, lon := r.Header.Get("CloudFront-Viewer-Latitude"), r.Header.Get("CloudFront-Viewer-Longitude")
		if at, err := geo.ParsePoint(lat + "," + lon); err == nil {
			return found(at, "viewer")
		}
		if at, ok := geo.CountryPoint(r.Header.Get("CloudFront-Viewer-Country")); ok {
			return found(at, "country")
		}
	}
	if l.GeoIP != nil {
		if place, err := l.GeoIP.Lookup(client); err == nil {
			return found(place.Point, "geoip")
		}
	}
	return Whereabouts{Client: client, Proxied: viaTrusted, By: "default"}
}

// Client is the address of whoever asks.
func (l Locator) Client(r *http.Request) netip.Addr {
	addr, _ := l.client(r)
	return addr
}

// client is the address of whoever asks: the peer's, or, when the peer is a
// trusted proxy, the last address in X-Forwarded-For that is not one.
func (l Locator) client(r *http.Request) (addr netip.Addr, viaTrusted bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, _ = netip.ParseAddr(host)
	addr = addr.Unmap().WithZone("")
	if !l.trusts(addr) {
		return addr, false
	}
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	slices.Reverse(chain)
	for _, text := range chain[:min(len(chain), forwardedLimit)] {
		hop, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			break
		}
		addr = hop.Unmap().WithZone("")
		if !l.trusts(addr) {
			break
		}
	}
	return addr, true
}

func (l Locator) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(l.Trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// who is the text by which a client is told from others, for weights: its
// address and, where places are told by header, its place, so that one machine
// can play many attendees.
func (w Whereabouts) who() string {
	if w.By != "near" {
		return w.Client.String()
	}
	return w.Client.String() + " " + strconv.FormatFloat(w.At.Lat, 'f', 2, 64) + "," + strconv.FormatFloat(w.At.Lon, 'f', 2, 64)
}

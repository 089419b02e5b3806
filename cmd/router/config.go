package main

import (
	"crypto/ed25519"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/geo"
	"guichet/internal/config"
	"guichet/internal/httpd"
	"guichet/internal/mtls"
	"guichet/router/health"
	"guichet/router/limit"
	"guichet/router/snapshot"
)

// settings is what the environment says.
type settings struct {
	Listen       string              // GUICHET_LISTEN
	Private      string              // GUICHET_PRIVATE_LISTEN: metrics and readiness
	Notice       time.Duration       // GUICHET_DRAIN_NOTICE: how long requests are still taken after readiness is gone
	TLS          mtls.Files          // GUICHET_TLS_CERT, GUICHET_TLS_KEY, GUICHET_TLS_CA: who this router is towards cells and the control plane
	Pinned       []ed25519.PublicKey // GUICHET_CONTROL_KEY: whose maps are believed
	ControlPlane string              // GUICHET_CONTROL_PLANE, asked first for the topology; may be empty
	Bootstrap    []string            // GUICHET_CELLS: where to ask before any snapshot is known
	StateDir     string              // GUICHET_STATE_DIR: keeps the last snapshot; may be empty
	GeoIPFile    string              // GUICHET_GEOIP_FILE; may be empty
	TrustNear    bool                // GUICHET_TRUST_NEAR
	Trusted      []netip.Prefix      // GUICHET_TRUSTED_PROXIES
	Default      topology.CellID     // GUICHET_DEFAULT_CELL; may be empty
	Force        bool                // GUICHET_ALLOW_FORCE
	WAN          bool                // GUICHET_WAN
	WANRegion    string              // GUICHET_WAN, when it names the region of attendees without a place
	InFlight     int                 // GUICHET_MAX_IN_FLIGHT, per cell
	Snapshots    time.Duration       // GUICHET_SNAPSHOT_PERIOD
	Probes       time.Duration       // GUICHET_PROBE_PERIOD
	Operators    string              // GUICHET_OPERATOR_LISTEN: where operators' calls are served, and nothing is limited
	Origins      []string            // GUICHET_CORS_ORIGINS: of other sites' pages that may make attendees' calls
	Limits       []limit.Named       // GUICHET_LIMITS, GUICHET_EDGE_…_PER_MINUTE; nil limits nobody
}

func configure(getenv func(string) string) (settings, error) {
	r := config.New(getenv)
	s := settings{
		Listen:       r.Text("GUICHET_LISTEN", "127.0.0.1:8080"),
		Private:      r.Text("GUICHET_PRIVATE_LISTEN", "127.0.0.1:9080"),
		Notice:       r.Duration("GUICHET_DRAIN_NOTICE", httpd.DefaultNotice),
		TLS:          mtls.Settings(r),
		Pinned:       r.PublicKeys("GUICHET_CONTROL_KEY", seal.MaxPinned),
		Operators:    r.Text("GUICHET_OPERATOR_LISTEN", "127.0.0.1:8081"),
		Limits:       limits(r),
		Origins:      httpd.Origins(r),
		ControlPlane: r.URL("GUICHET_CONTROL_PLANE", ""),
		Bootstrap:    bootstrap(r, r.Text("GUICHET_CELLS", "")),
		StateDir:     r.Text("GUICHET_STATE_DIR", ""),
		GeoIPFile:    r.Text("GUICHET_GEOIP_FILE", ""),
		TrustNear:    r.Bool("GUICHET_TRUST_NEAR", false),
		Trusted:      prefixes(r, r.Text("GUICHET_TRUSTED_PROXIES", "")),
		Force:        r.Bool("GUICHET_ALLOW_FORCE", false),
		InFlight:     r.Int("GUICHET_MAX_IN_FLIGHT", 1024, 1, 100_000),
		Snapshots:    r.Duration("GUICHET_SNAPSHOT_PERIOD", snapshot.Period),
		Probes:       r.Duration("GUICHET_PROBE_PERIOD", health.Period),
	}
	if text := r.Text("GUICHET_DEFAULT_CELL", ""); text != "" {
		cell, err := topology.ParseCell(text)
		if err != nil {
			r.Fault("GUICHET_DEFAULT_CELL", "is not a cell name like euw3")
		}
		s.Default = cell
	}
	if text := r.Text("GUICHET_WAN", ""); text != "" {
		s.WAN = true
		if _, ok := geo.RegionByCode(text); ok {
			s.WANRegion = text
		} else {
			s.WAN = r.Bool("GUICHET_WAN", false)
		}
	}
	if len(s.Pinned) == 0 {
		r.Fault("GUICHET_CONTROL_KEY", "is not set: the control plane's public key, with which it signs the topology")
	}
	if s.ControlPlane == "" && len(s.Bootstrap) == 0 && s.StateDir == "" {
		r.Fault("GUICHET_CONTROL_PLANE", "is not set, nor GUICHET_CELLS nor GUICHET_STATE_DIR: there is nowhere to learn the topology from")
	}
	return s, r.Err()
}

// mostPerMinute is more than one router answers.
const mostPerMinute = 10_000_000

// limits reads what one address may ask in a minute, class by class.
func limits(r *config.Reader) []limit.Named {
	set := slices.Clone(limit.Defaults)
	for i := range set {
		set[i].PerMinute = r.Int("GUICHET_EDGE_"+strings.ToUpper(string(set[i].Class))+"_PER_MINUTE", set[i].PerMinute, 1, mostPerMinute)
	}
	if !r.Bool("GUICHET_LIMITS", true) {
		return nil
	}
	return set
}

// bootstrap reads "euw3=http://a,http://b,use1=http://c". The names are for
// people: which cell an address belongs to is learned from the topology.
func bootstrap(r *config.Reader, text string) []string {
	var urls []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		if name, rest, ok := strings.Cut(item, "="); ok && !strings.Contains(name, "/") {
			if _, err := topology.ParseCell(name); err != nil {
				r.Fault("GUICHET_CELLS", "names %q, which is not a cell like euw3", name)
			}
			item = rest
		}
		if u, err := url.Parse(item); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			r.Fault("GUICHET_CELLS", "has %q, which is not an address like http://127.0.0.1:8101", item)
			continue
		}
		urls = append(urls, item)
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

// prefixes reads "10.0.0.0/8, 192.0.2.1".
func prefixes(r *config.Reader, text string) []netip.Prefix {
	var list []netip.Prefix
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		p, err := netip.ParsePrefix(item)
		if addr, addrErr := netip.ParseAddr(item); addrErr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			r.Fault("GUICHET_TRUSTED_PROXIES", "has %q, which is no network like 10.0.0.0/8", item)
			continue
		}
		list = append(list, p)
	}
	return list
}

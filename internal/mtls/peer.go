// Package mtls lets machines of the town know each other: each has a certificate
// that names it, both sides of a connection show theirs, and TLS 1.3 is the only
// version spoken. Certificates are files that may be replaced while a program
// runs. The package knows who a peer is; what a peer may do is the caller's to say.
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"slices"
	"strings"
)

// Kinds of machines, and operators who use a certificate from their desk.
const (
	Cell         = "cell"
	Router       = "router"
	ControlPlane = "control-plane"
	Hub          = "hub"
	Operator     = "operator"
)

const (
	scheme      = "spiffe"
	trustDomain = "guichet"
	maxName     = 63
)

// Peer is who a certificate names. The control plane and the hub are one of a
// kind and have no name.
type Peer struct {
	Kind string
	Name string
}

// String is the peer as logs name it, "cell/euw3" or "control-plane".
func (p Peer) String() string {
	if p.Name == "" {
		return p.Kind
	}
	return p.Kind + "/" + p.Name
}

// URI is the name in the certificate, "spiffe://guichet/cell/euw3".
func (p Peer) URI() *url.URL {
	return &url.URL{Scheme: scheme, Host: trustDomain, Path: "/" + p.String()}
}

// Valid reports whether a certificate may carry this name.
func (p Peer) Valid() bool {
	switch p.Kind {
	case ControlPlane, Hub:
		return p.Name == ""
	case Cell, Router, Operator:
		return isName(p.Name)
	}
	return false
}

func isName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// PeerOf is who stands at the other end of a connection that this package's
// configurations verified; false without TLS or without a certificate.
func PeerOf(s *tls.ConnectionState) (Peer, bool) {
	if s == nil || len(s.PeerCertificates) == 0 {
		return Peer{}, false
	}
	return named(s.PeerCertificates[0])
}

// named reads the one name of a certificate. One with several names is none's: it
// could speak for each of them.
func named(c *x509.Certificate) (Peer, bool) {
	if len(c.URIs) != 1 {
		return Peer{}, false
	}
	u := c.URIs[0]
	sort, name, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	p := Peer{Kind: sort, Name: name}
	if !p.Valid() || u.String() != p.URI().String() {
		return Peer{}, false
	}
	return p, true
}

// Only admits exactly these peers.
func Only(peers ...Peer) func(Peer) bool {
	return func(p Peer) bool { return slices.Contains(peers, p) }
}

// Kinds admits every peer of these kinds.
func Kinds(kinds ...string) func(Peer) bool {
	return func(p Peer) bool { return slices.Contains(kinds, p.Kind) }
}

// IsHub admits the middle of the bus: it runs inside the control plane, or alone.
func IsHub(p Peer) bool { return p.Kind == Hub || p.Kind == ControlPlane }

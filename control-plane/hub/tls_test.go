package hub_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"guichet/control-plane/hub"
	"guichet/control-plane/topology"
	"guichet/internal/natsd"
)

// authority signs certificates with a name like spiffe://guichet/cell/euw3.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	self := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, key := a.sign(self, nil)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key = key
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(c, by *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := by, a.key
	if by == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

// config is one side's: it shows a certificate of this name and wants the other's.
func (a *authority) config(name string, expires time.Time) *tls.Config {
	a.t.Helper()
	id, err := url.Parse("spiffe://guichet/" + name)
	if err != nil {
		a.t.Fatal(err)
	}
	der, key := a.sign(&x509.Certificate{
		URIs: []*url.URL{id}, DNSNames: []string{"localhost"}, NotAfter: expires,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs: a.pool, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "localhost",
	}
}

func cellOf(s *tls.ConnectionState) (topology.CellID, bool) {
	if len(s.PeerCertificates) == 0 || len(s.PeerCertificates[0].URIs) != 1 {
		return "", false
	}
	cell, ok := strings.CutPrefix(s.PeerCertificates[0].URIs[0].Path, "/cell/")
	return topology.CellID(cell), ok
}

func TestTLS_aLeafShowsTheCertificateOfItsOwnCellOrStaysOut(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	w := openTown(t, func(c *hub.Config) { c.TLS, c.PeerCell = ours.config("hub", time.Time{}), cellOf })
	over := func(cfg *tls.Config) func(*natsd.Hub) { return func(h *natsd.Hub) { h.TLS = cfg } }

	w.leaf("euw3", over(ours.config("cell/use1", time.Time{})))
	w.eventually("another cell's certificate is refused and counted", func() bool {
		return w.count("guichet_hub_leaves_refused_total", "euw3", hub.ErrForeignCert.Code) > 0
	})
	if !strings.Contains(w.log.String(), "its certificate names") {
		t.Errorf("the log does not name it:\n%s", w.log)
	}
	foreign := theirs.config("cell/apn1", time.Time{})
	foreign.RootCAs = ours.pool // it believes the hub; the hub must not believe it
	w.leaf("apn1", over(foreign))
	w.eventually("a foreign authority's certificate is refused", func() bool { return strings.Contains(w.log.String(), "unknown authority") })
	w.leaf("apn1", over(ours.config("cell/apn1", time.Now().Add(-time.Minute))))
	w.eventually("an expired certificate is refused", func() bool { return strings.Contains(w.log.String(), "expired") })
	w.leaf("apn1") // in the clear
	w.eventually("a leaf in the clear is refused", func() bool { return strings.Contains(w.log.String(), "handshake error: EOF") })
	if n := w.hub.Leaves(); n != 0 {
		t.Fatalf("%d leaves are in", n)
	}

	good := w.leaf("use1", over(ours.config("cell/use1", time.Time{})))
	w.eventually("the right one comes in", func() bool { return w.hub.Leaves() == 1 })
	good.tell(t, "glb.catalog.use1."+evt("use1", 1), "Tosca", "use1-1-1")
	w.eventually("and is heard", func() bool { return w.count("guichet_hub_messages_total", "use1") == 1 })
}

func TestTLS_aLeafBelievesNoHubWithAForeignCertificate(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	impostor := theirs.config("hub", time.Time{})
	impostor.ClientCAs = ours.pool
	w := openTown(t, func(c *hub.Config) { c.TLS, c.PeerCell = impostor, cellOf })
	w.leaf("euw3", func(h *natsd.Hub) { h.TLS = ours.config("cell/euw3", time.Time{}) })
	w.eventually("the leaf hangs up", func() bool {
		return strings.Contains(w.log.String(), "bad certificate") || strings.Contains(w.log.String(), "unknown certificate")
	})
	if n := w.hub.Leaves(); n != 0 {
		t.Errorf("%d leaves are in", n)
	}
}

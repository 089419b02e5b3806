package api

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/gin-gonic/gin"

	"guichet/internal/mtls"
)

// Where there is TLS, a router is known by its certificate: another machine of the
// town, even at a router's address, is not believed when it names a client.
func TestAddress_believesARoutersCertificateAndNoAddress(t *testing.T) {
	t.Parallel()
	g := guards{trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	ask := func(remote string, peer *mtls.Peer) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		if peer != nil {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{peer.URI()}}}}
		}
		return g.address(&gin.Context{Request: r}).String()
	}
	for _, c := range []struct {
		name, remote, want string
		peer               *mtls.Peer
	}{
		{"a router from anywhere", "192.0.2.9:1", "203.0.113.7", &mtls.Peer{Kind: mtls.Router, Name: "edge"}},
		{"a cell at a router's address", "127.0.0.1:1", "127.0.0.1", &mtls.Peer{Kind: mtls.Cell, Name: "use1"}},
		{"an operator", "127.0.0.1:1", "127.0.0.1", &mtls.Peer{Kind: mtls.Operator, Name: "ann"}},
		{"without TLS, a trusted address", "127.0.0.1:1", "203.0.113.7", nil},
		{"without TLS, a strange one", "192.0.2.9:1", "192.0.2.9", nil},
	} {
		if got := ask(c.remote, c.peer); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

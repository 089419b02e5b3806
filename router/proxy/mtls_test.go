package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/mtls"
	"guichet/internal/mtls/devca"
	"guichet/router/health"
	"guichet/router/proxy"
	"guichet/router/route"
)

func identity(t *testing.T, a *devca.Authority, p mtls.Peer) *mtls.Identity {
	t.Helper()
	f, err := a.Issue(p, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f.Log = slog.New(slog.DiscardHandler)
	i, err := mtls.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// vault serves with a certificate and counts who got in.
func vault(t *testing.T, i *mtls.Identity, who mtls.Peer) (url string, asked *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	srv := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, ok := mtls.PeerOf(r.TLS); !ok || peer.Kind != mtls.Router {
			t.Errorf("%s was asked by %s", who, peer)
		}
		asked.Add(1)
		_, _ = io.WriteString(w, who.Name)
	})}
	go func() { _ = srv.Serve(tls.NewListener(l, i.Server(mtls.Kinds(mtls.Router)))) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "https://" + l.Addr().String(), asked
}

// The map says where a cell is; its certificate says whether it is there. A cell that
// gives itself out for another, a stranger at its address and an address without TLS
// get no request, not even the first byte.
func TestProxy_sendsNothingToAnybodyButTheCellItMeans(t *testing.T) {
	town, foreign := mustOpen(t), mustOpen(t)
	euw3, use1 := mtls.Peer{Kind: mtls.Cell, Name: "euw3"}, mtls.Peer{Kind: mtls.Cell, Name: "use1"}
	mine := identity(t, town, mtls.Peer{Kind: mtls.Router, Name: "edge"})
	right, rightAsked := vault(t, identity(t, town, euw3), euw3)
	other, otherAsked := vault(t, identity(t, town, use1), use1)
	strange, strangeAsked := vault(t, identity(t, foreign, euw3), euw3)
	for _, c := range []struct {
		name, url, want string
		asked           *atomic.Int64
	}{
		{"the cell itself", right, "200 euw3", rightAsked},
		{"another cell", other, "503", otherAsked},
		{"a stranger", strange, "503", strangeAsked},
		{"no TLS", strings.Replace(right, "https", "http", 1), "503", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &topology.Snapshot{Version: 1, Cells: []topology.Cell{{ID: "euw3", Region: "eu-west-3", URLs: []string{c.url}, Weight: 100, State: topology.CellServing}}}
			w := &town1{m: route.NewMap(s)}
			checker := health.New(health.Config{Cells: func() []topology.Cell { return s.Cells }, Ways: mtls.NewWays(mine, health.Transport)})
			p := proxy.New(proxy.Config{Town: w, Vitals: checker, Default: "euw3", Now: time.Now, Identity: mine})
			t.Cleanup(p.Close)
			rec := httptest.NewRecorder()
			p.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/events/"+evtEUW, nil))
			if got := fmt.Sprintf("%d %s", rec.Code, rec.Body); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if c.asked != nil && (c.asked.Load() == 1) != (c.want != "503") {
				t.Errorf("it was asked %d times", c.asked.Load())
			}
		})
	}
}

type town1 struct{ m *route.Map }

func (w *town1) Map() *route.Map { return w.m }

func mustOpen(t *testing.T) *devca.Authority {
	t.Helper()
	a, err := devca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

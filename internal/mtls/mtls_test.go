package mtls_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/internal/mtls"
	"guichet/internal/mtls/devca"
)

var (
	euw3   = mtls.Peer{Kind: mtls.Cell, Name: "euw3"}
	use1   = mtls.Peer{Kind: mtls.Cell, Name: "use1"}
	edge   = mtls.Peer{Kind: mtls.Router, Name: "edge"}
	anyone = func(mtls.Peer) bool { return true }
)

// journal is a log that tests read while others write.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

type place struct {
	url  string
	own  *mtls.Identity
	log  *journal
	reg  *prometheus.Registry
	seen atomic.Value // the last peer that was let in
}

func authority(t *testing.T) *devca.Authority {
	t.Helper()
	a, err := devca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func open(t *testing.T, f mtls.Files) *mtls.Identity {
	t.Helper()
	i, err := mtls.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func issue(t *testing.T, a *devca.Authority, p mtls.Peer) mtls.Files {
	t.Helper()
	f, err := a.Issue(p, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// serve opens a server that is euw3 and lets in whom allow admits.
func serve(t *testing.T, f mtls.Files, allow func(mtls.Peer) bool) *place {
	t.Helper()
	p := &place{log: &journal{}, reg: prometheus.NewRegistry()}
	f.Log = slog.New(slog.NewTextHandler(p.log, nil))
	p.own = open(t, f)
	p.reg.MustRegister(p.own.Collectors()...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := mtls.PeerOf(r.TLS)
		p.seen.Store(peer)
		fmt.Fprint(w, "hello "+peer.String())
	})}
	go func() { _ = srv.Serve(tls.NewListener(l, p.own.Server(allow))) }()
	t.Cleanup(func() { _ = srv.Close() })
	p.url = "https://" + l.Addr().String()
	return p
}

func ask(t *testing.T, url string, cfg *tls.Config) (string, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: cfg.Clone(), ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestCollectors_tellWhenTheCertificateExpires(t *testing.T) {
	a := authority(t)
	p := serve(t, issue(t, a, euw3), anyone)
	all, err := p.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range all {
		if f.GetName() == "guichet_tls_certificate_expiry_seconds" {
			for _, m := range f.GetMetric() {
				got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	if day := (24 * time.Hour).Seconds(); got["own"] < day-60 || got["own"] > day || got["authority"] < 300*day {
		t.Errorf("it tells %v", got)
	}
}

// refusals are how many peers a place refused for the reason.
func (p *place) refusals(t *testing.T, why mtls.Reason) string {
	t.Helper()
	w := httptest.NewRecorder()
	all, err := p.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == "guichet_tls_refused_total" && m.GetLabel()[0].GetValue() == string(why) {
				fmt.Fprint(w, m.GetCounter().GetValue())
			}
		}
	}
	return w.Body.String()
}

func TestServer_knowsWhoCallsAndClientWhoAnswers(t *testing.T) {
	a := authority(t)
	p := serve(t, issue(t, a, euw3), mtls.Kinds(mtls.Router))
	got, err := ask(t, p.url, open(t, issue(t, a, edge)).Client(mtls.Only(euw3)))
	if err != nil || got != "hello router/edge" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestServer_refusesNamesAndCounts(t *testing.T) {
	a, foreign := authority(t), authority(t)
	day := 24 * time.Hour
	signed := func(t *testing.T, by *devca.Authority, peer mtls.Peer, from, until time.Duration) mtls.Files {
		t.Helper()
		dir := t.TempDir()
		f := mtls.Files{Cert: dir + "/c.pem", Key: dir + "/k.pem", CA: a.Files(peer).CA}
		if err := by.Sign(f, peer, time.Now().Add(from), time.Now().Add(until)); err != nil {
			t.Fatal(err)
		}
		return f
	}
	until := time.Now().Add(-day).UTC().Format("2006-01-02")
	for _, c := range []struct {
		name   string
		reason mtls.Reason
		files  mtls.Files
		change func(*tls.Config)
		logged string
	}{
		{"no certificate", mtls.NoCertificate, signed(t, a, edge, -day, day), func(cfg *tls.Config) { cfg.GetClientCertificate = nil }, "showed no certificate"},
		{"an expired one", mtls.Expired, signed(t, a, edge, -2*day, -day), nil, until},
		{"one of tomorrow", mtls.NotYetValid, signed(t, a, edge, day, 2*day), nil, "not valid before"},
		{"a foreign one", mtls.ForeignAuthority, signed(t, foreign, edge, -day, day), nil, "development authority"},
		{"a foreign one that is expired, too", mtls.ForeignAuthority, signed(t, foreign, edge, -2*day, -day), nil, "not signed by this town's authority"},
		{"another machine's", mtls.WrongIdentity, signed(t, a, use1, -day, day), nil, "cell/use1"},
		{"TLS 1.2", mtls.OldProtocol, signed(t, a, edge, -day, day), func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, "TLS 1.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := serve(t, issue(t, a, euw3), mtls.Only(edge))
			mine := open(t, c.files)
			cfg := mine.Client(mtls.Only(euw3))
			if c.change != nil {
				c.change(cfg)
			}
			got, err := ask(t, p.url, cfg)
			if err == nil || p.seen.Load() != nil {
				t.Fatalf("it was let in: %q", got)
			}
			if n := p.refusals(t, c.reason); n != "1" {
				t.Errorf("counted %q times as %s", n, c.reason)
			}
			if log := p.log.String(); !strings.Contains(log, c.logged) || !strings.Contains(log, "127.0.0.1") {
				t.Errorf("the log says %q, want %q and the address", log, c.logged)
			}
			said := mine.Explain(err).Error()
			if own := c.reason == mtls.Expired || c.reason == mtls.NotYetValid || c.reason == mtls.ForeignAuthority; own != strings.Contains(said, "own certificate cannot be believed: ") {
				t.Errorf("the caller is told %q", said)
			}
		})
	}
}

func TestClient_refusesAnotherCellThanItMeans(t *testing.T) {
	a, foreign := authority(t), authority(t)
	mine := open(t, issue(t, a, edge))
	p := serve(t, issue(t, a, use1), anyone)
	_, err := ask(t, p.url, mine.Client(mtls.Only(euw3)))
	r, ok := errors.AsType[*mtls.RefusedError](err)
	if !ok || r.Reason != mtls.WrongIdentity || !strings.Contains(err.Error(), "cell/use1") || p.seen.Load() != nil {
		t.Errorf("another cell's process gives %v", err)
	}
	p = serve(t, issue(t, foreign, euw3), anyone)
	_, err = ask(t, p.url, mine.Client(mtls.Only(euw3)))
	if r, ok = errors.AsType[*mtls.RefusedError](err); !ok || r.Reason != mtls.ForeignAuthority || p.seen.Load() != nil {
		t.Errorf("a foreign process gives %v", err)
	}
	// A person's certificate cannot stand for a server.
	p = serve(t, issue(t, a, mtls.Peer{Kind: mtls.Operator, Name: "ann"}), anyone)
	_, err = ask(t, p.url, mine.Client(anyone))
	if r, ok = errors.AsType[*mtls.RefusedError](err); !ok || r.Reason != mtls.WrongUse {
		t.Errorf("an operator's certificate that serves gives %v", err)
	}
}

func TestIdentity_isReadAgainUnderTraffic(t *testing.T) {
	a := authority(t)
	var skip atomic.Int64 // moves the clock of the server, so that it looks again
	f := issue(t, a, euw3)
	f.Now = func() time.Time { return time.Now().Add(time.Duration(skip.Load())) }
	p := serve(t, f, anyone)
	mine := open(t, issue(t, a, edge)).Client(mtls.Only(euw3))
	failed := make(chan error, 1)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := ask(t, p.url, mine); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		}
	}()
	expiry := func() time.Time {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), mine)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].NotAfter
	}
	look := func() { skip.Add(int64(2 * time.Second)) }

	old := expiry()
	// Half a change, a key that does not fit, and rubbish keep the old pair.
	before, err := os.ReadFile(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	next := time.Now().Add(48 * time.Hour).Truncate(time.Second).UTC()
	if err := a.Sign(f, euw3, time.Now().Add(-time.Hour), next); err != nil {
		t.Fatal(err)
	}
	fits, err := os.ReadFile(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{before, []byte("rubbish"), nil} {
		if err := os.WriteFile(f.Key, text, 0o600); err != nil {
			t.Fatal(err)
		}
		look()
		if got := expiry(); !got.Equal(old) {
			t.Errorf("half a change was taken: %s", got)
		}
	}
	if !strings.Contains(p.log.String(), "the old ones stay in use") {
		t.Errorf("the log says nothing: %s", p.log)
	}
	if err := os.WriteFile(f.Key, fits, 0o600); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for got := old; !got.Equal(next); got = expiry() { // another connection may be the one that looks
		if time.Now().After(deadline) {
			t.Fatalf("the new certificate until %s is not shown, but one until %s", next, got)
		}
		look()
	}
	close(stop)
	<-done
	select {
	case err := <-failed:
		t.Errorf("a call failed while certificates changed: %v", err)
	default:
	}
}

func TestIdentity_judgesAConnectionThatOutlivesItsCertificate(t *testing.T) {
	a := authority(t)
	var skip atomic.Int64
	f := issue(t, a, euw3)
	f.Now = func() time.Time { return time.Now().Add(time.Duration(skip.Load())) }
	p := serve(t, f, anyone)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), p.own.Client(anyone))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := conn.ConnectionState()
	if err := p.own.Judge(&s); err != nil {
		t.Errorf("a valid one: %v", err)
	}
	skip.Store(int64(devca.LeafLife + time.Hour))
	if r, ok := errors.AsType[*mtls.RefusedError](p.own.Judge(&s)); !ok || r.Reason != mtls.Expired {
		t.Errorf("an expired one: %v", r)
	}
}

func TestOpen_saysWhatIsWrongWithTheFiles(t *testing.T) {
	a := authority(t)
	good, other := issue(t, a, euw3), issue(t, a, use1)
	for _, f := range []mtls.Files{
		{Cert: "/nowhere/cert.pem", Key: good.Key, CA: good.CA},
		{Cert: good.Cert, Key: other.Key, CA: good.CA},
		{Cert: good.Cert, Key: good.Key, CA: good.Key},
		{Cert: good.CA, Key: good.Key, CA: good.CA},
	} {
		if _, err := mtls.Open(f); !errors.Is(err, mtls.ErrFiles) {
			t.Errorf("%+v gives %v", f, err)
		}
	}
}

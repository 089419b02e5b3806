package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/atlas"
	"guichet/cell/bus"
	"guichet/cell/join"
	"guichet/cell/leaf"
	"guichet/control-plane/topology"
	"guichet/internal/mtls"
	"guichet/internal/mtls/devca"
	"guichet/internal/natsd"
	"guichet/internal/operator"
	"guichet/internal/signed"
	"guichet/internal/testdb"
)

const patience = 60 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond) // between two looks, not instead of one
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// seed is that of the control plane's key.
var seed = sha256.Sum256([]byte("control"))

func controlKey() *signed.Key {
	k, err := operator.NewKey(seed[:])
	if err != nil {
		panic(err)
	}
	return k
}

func operatorToken(t *testing.T) string {
	t.Helper()
	text, _, err := operator.Issue(controlKey(), "ann", []string{operator.Operate}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// call asks as an operator, or with other headers, over a client of one's own.
func (p *program) call(client *http.Client, method, path, body string, out any, headers ...string) (int, error) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url()+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+operatorToken(p.t))
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	return res.StatusCode, err
}

// invite is the join token of a cell.
func (p *program) invite(client *http.Client, cell, region string) string {
	p.t.Helper()
	var inv struct {
		Token string `json:"join_token"`
	}
	if code, err := p.call(client, http.MethodPost, "/v1/invitations", `{"cell":"`+cell+`","region":"`+region+`"}`, &inv); code != http.StatusCreated || err != nil {
		p.t.Fatalf("invite: %d %v", code, err)
	}
	return inv.Token
}

func cellKey(t *testing.T, cell string) *signed.Key {
	t.Helper()
	own := sha256.Sum256([]byte(cell))
	k, err := signed.NewKey(cell+"-a1", own[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// program is a control plane as its environment makes it.
type program struct {
	t    *testing.T
	env  map[string]string
	stop context.CancelFunc
	done chan error
}

func newProgram(t *testing.T, dsn string) *program {
	t.Helper()
	p := &program{t: t, env: map[string]string{
		"GUICHET_LISTEN": freePort(t), "GUICHET_PRIVATE_LISTEN": freePort(t), "GUICHET_DATABASE_URL": dsn, "GUICHET_STATE_DIR": t.TempDir(),
		"GUICHET_HUB_LEAF_LISTEN": freePort(t), "GUICHET_CONTROL_SEED": hex.EncodeToString(seed[:]),
	}}
	t.Cleanup(p.end)
	return p
}

func (p *program) start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop, p.done = cancel, make(chan error, 1)
	go func() { p.done <- run(ctx, func(k string) string { return p.env[k] }, io.Discard) }()
}

func (p *program) end() {
	if p.stop == nil {
		return
	}
	p.stop()
	if err := <-p.done; err != nil {
		p.t.Errorf("the control plane ended with %v", err)
	}
	p.stop = nil
}

func (p *program) url() string {
	if p.env["GUICHET_TLS_CERT"] != "" {
		return "https://" + p.env["GUICHET_LISTEN"]
	}
	return "http://" + p.env["GUICHET_LISTEN"]
}

func (p *program) get(path string, v any) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	at := p.url()
	if path == "/metrics" || path == "/readyz" {
		at = "http://" + p.env["GUICHET_PRIVATE_LISTEN"]
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	switch v := v.(type) {
	case nil:
	case *string:
		*v = string(body)
	default:
		if err := json.Unmarshal(body, v); err != nil {
			p.t.Fatalf("%s: %v in %s", path, err, body)
		}
	}
	return res.StatusCode
}

type noParking struct{}

func (noParking) Park(context.Context, bus.Parked) error { return errors.New("nothing is poison here") }

func TestControlPlane_cellsJoinGetTheMapAndKeepItWhenTheControlPlaneIsGone(t *testing.T) {
	t.Parallel()
	p := newProgram(t, testdb.New(t, nil))
	seeds, publics := map[topology.CellID]string{}, map[topology.CellID]string{}
	for _, id := range []topology.CellID{"euw3", "use1"} {
		var err error
		if seeds[id], publics[id], err = natsd.NewNKey(); err != nil {
			t.Fatal(err)
		}
	}
	p.env["GUICHET_CELL_NKEYS"] = "euw3=" + publics["euw3"] + ",use1=" + publics["use1"]
	p.start()
	eventually(t, "it is ready", func() bool { return p.get("/readyz", nil) == http.StatusOK })

	var revoked atomic.Pointer[[]string]
	revoked.Store(&[]string{})
	atlases, leaves := map[topology.CellID]*atlas.Atlas{}, map[topology.CellID]*leaf.Leaf{}
	for i, id := range []topology.CellID{"euw3", "use1"} {
		l, err := leaf.Start(t.Context(), leaf.Config{Cell: id, StoreDir: t.TempDir(), HubURL: "nats-leaf://" + p.env["GUICHET_HUB_LEAF_LISTEN"], Seed: seeds[id], Parking: noParking{}})
		if err != nil {
			t.Fatal(err)
		}
		a, err := atlas.Open(t.TempDir(), []ed25519.PublicKey{controlKey().Public()}, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		atlases[id], leaves[id] = a, l
		ctx, cancel := context.WithCancel(t.Context())
		self := topology.Cell{ID: id, Region: []string{"eu-west-3", "us-east-1"}[i], URLs: []string{fmt.Sprintf("http://127.0.0.1:81%d1", i)}, Keys: []topology.Key{{ID: string(id) + "-a1", X: signed.PublicText(cellKey(t, string(id)).Public()), Use: topology.UseAccess}}}
		member := &join.Member{
			ControlPlane: p.url(), Token: p.invite(http.DefaultClient, string(id), self.Region), Key: cellKey(t, string(id)), Self: self, Client: &http.Client{}, Now: time.Now,
			Revoked: func() []string { return *revoked.Load() },
		}
		done := make(chan struct{}, 2)
		go func() { member.Run(ctx, func(error) {}); done <- struct{}{} }()
		go func() {
			l.WatchTopology(ctx, func(text []byte) { _ = a.Take(text) })
			done <- struct{}{}
		}()
		t.Cleanup(func() {
			cancel()
			for range 2 {
				<-done
			}
			l.Close()
		})
	}
	for id, a := range atlases {
		eventually(t, string(id)+" has the map from its own leaf", func() bool { s := a.Current(); return s != nil && len(s.Cells) == 2 })
	}
	// What a cell revokes is known in every other within 5 s, over the real hub.
	began := time.Now()
	revoked.Store(&[]string{"key:abc"})
	for id, a := range atlases {
		eventually(t, string(id)+" hears of the revocation", func() bool { return a.Current().Revokes("key:abc") })
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a revocation took %s to be everywhere", took)
	} else {
		t.Logf("a revocation took %s to be everywhere", took)
	}
	version := atlases["euw3"].Current().Version

	p.end()
	if text, _, err := leaves["use1"].Topology(t.Context()); err != nil || !strings.Contains(string(text), `"id":"use1"`) {
		t.Errorf("the map without the control plane: %s %v", text, err)
	}

	// It comes back without its database: the hub works and the last map is told.
	dsn := p.env["GUICHET_DATABASE_URL"]
	p.env["GUICHET_DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none"
	p.start()
	var s topology.Snapshot
	eventually(t, "the last map is told", func() bool { return p.get("/v1/topology", &s) == http.StatusOK })
	if len(s.Cells) != 2 || s.Version < version {
		t.Errorf("got %+v", s)
	}
	var reasons string
	if status := p.get("/readyz", &reasons); status != http.StatusServiceUnavailable || !strings.Contains(reasons, "database") || !strings.Contains(reasons, "schema") {
		t.Errorf("%d %s", status, reasons)
	}
	p.end()

	// With its database again everything goes on, numbered above what was told.
	p.env["GUICHET_DATABASE_URL"] = dsn
	p.start()
	eventually(t, "it is ready again", func() bool { return p.get("/readyz", nil) == http.StatusOK })
	if code, err := p.call(http.DefaultClient, http.MethodPut, "/v1/placements/evt_euw3_k3v9x2m4q7rt", `{"operation_id":"op","home_cell":"use1","epoch":1}`, nil); err != nil || code != http.StatusOK {
		t.Fatalf("placement: %d %v", code, err)
	}
	for id, a := range atlases {
		eventually(t, string(id)+" hears of the placement", func() bool {
			s := a.Current()
			return s.Version > version && len(s.Placements) == 1 && s.Placements[0].Home == "use1"
		})
	}
	var metrics string
	if p.get("/metrics", &metrics); !strings.Contains(metrics, "guichet_hub_leaves 2") {
		t.Errorf("metrics without the leaves: %.300s", metrics)
	}
}

func TestConfiguration_allFaultsAreSaidAtOnce(t *testing.T) {
	t.Parallel()
	env := map[string]string{"GUICHET_LISTEN": "nonsense", "GUICHET_CONTROL_SEED": "short", "GUICHET_TLS_CERT": "alone", "GUICHET_CELL_NKEYS": "euw3=SUSEED"}
	err := run(t.Context(), func(k string) string { return env[k] }, io.Discard)
	if err == nil {
		t.Fatal("it started")
	}
	for _, name := range []string{"GUICHET_LISTEN", "GUICHET_CONTROL_SEED", "GUICHET_CELL_NKEYS", "GUICHET_TLS_KEY", "GUICHET_TLS_CA", "GUICHET_DATABASE_URL", "GUICHET_STATE_DIR"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in %q", name, err)
		}
	}
}

// The whole way of a cell into the town over TLS with both certificates, and whom the
// control plane does not let in: a stranger's certificate, one that has expired, no
// certificate, another cell's, a token that was used.
func TestControlPlane_letsACellInByCertificateKeyAndInvitation(t *testing.T) {
	t.Parallel()
	town, err := devca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := devca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	open := func(by *devca.Authority, peer mtls.Peer, until time.Duration) *http.Client {
		t.Helper()
		dir := t.TempDir()
		f := mtls.Files{Cert: dir + "/c.pem", Key: dir + "/k.pem", CA: town.Files(peer).CA}
		if err := by.Sign(f, peer, time.Now().Add(-48*time.Hour), time.Now().Add(until)); err != nil {
			t.Fatal(err)
		}
		i, err := mtls.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		return mtls.HTTP(i, mtls.Only(mtls.Peer{Kind: mtls.ControlPlane}))
	}
	own, err := town.Issue(mtls.Peer{Kind: mtls.ControlPlane}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, testdb.New(t, nil))
	p.env["GUICHET_TLS_CERT"], p.env["GUICHET_TLS_KEY"], p.env["GUICHET_TLS_CA"] = own.Cert, own.Key, own.CA
	p.start()
	eventually(t, "it is ready", func() bool { return p.get("/readyz", nil) == http.StatusOK })
	operators := open(town, mtls.Peer{Kind: mtls.Operator, Name: "ann"}, time.Hour)
	euw3 := mtls.Peer{Kind: mtls.Cell, Name: "euw3"}
	token := p.invite(operators, "euw3", "eu-west-3")

	for name, c := range map[string]*http.Client{
		"a foreign certificate": open(foreign, euw3, time.Hour), "an expired one": open(town, euw3, -time.Hour), "none": {},
	} {
		if code, err := p.call(c, http.MethodGet, "/v1/topology", "", nil); err == nil {
			t.Errorf("%s: it answers %d", name, code)
		}
	}
	var metrics string
	p.get("/metrics", &metrics)
	for _, want := range []string{`guichet_tls_refused_total{reason="foreign_authority"} 1`, `guichet_tls_refused_total{reason="expired"} 1`, `guichet_tls_certificate_expiry_seconds{certificate="own"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}

	self := topology.Cell{ID: "euw3", Region: "eu-west-3", URLs: []string{"https://127.0.0.1:8101"}, Keys: []topology.Key{{ID: "euw3-a1", X: signed.PublicText(cellKey(t, "euw3").Public()), Use: topology.UseAccess}}}
	run := func(m *join.Member) (reports []string) {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		m.Run(ctx, func(err error) {
			reports = append(reports, err.Error())
			stop()
		})
		return reports
	}
	m := &join.Member{ControlPlane: p.url(), Token: token, Key: cellKey(t, "euw3"), Self: self, Client: open(town, euw3, time.Hour), Now: time.Now}
	if reports := run(m); len(reports) != 0 {
		t.Fatalf("the cell is refused: %q", reports)
	}
	m.Token = "" // restarted, without a token
	if reports := run(m); len(reports) != 0 {
		t.Errorf("after a restart: %q", reports)
	}
	thief := &join.Member{ControlPlane: p.url(), Token: token, Key: cellKey(t, "euw3"), Self: self, Client: open(town, mtls.Peer{Kind: mtls.Cell, Name: "use1"}, time.Hour), Now: time.Now}
	if reports := run(thief); len(reports) == 0 || !strings.Contains(reports[0], "certificate_of_another_cell") {
		t.Errorf("with another cell's certificate: %q", reports)
	}
	other := sha256.Sum256([]byte("a thief's"))
	if thief.Key, err = signed.NewKey("euw3-a1", other[:]); err != nil {
		t.Fatal(err)
	}
	thief.Client, thief.Self.Keys = m.Client, []topology.Key{{ID: "euw3-a1", X: signed.PublicText(thief.Key.Public()), Use: topology.UseAccess}}
	if reports := run(thief); len(reports) == 0 || !strings.Contains(reports[0], "token_bad_signature") {
		t.Errorf("with a key of its own: %q", reports)
	}
	if code, err := p.call(operators, http.MethodGet, "/v1/cells", "", nil, "Authorization", "Bearer operator-token"); code != http.StatusUnauthorized || err != nil {
		t.Errorf("the token of old: %d %v", code, err)
	}
	// The next key is vouched for by the one before.
	next := sha256.Sum256([]byte("next"))
	m.Old = m.Key
	if m.Key, err = signed.NewKey("euw3-a2", next[:]); err != nil {
		t.Fatal(err)
	}
	m.Self.Keys = append([]topology.Key{{ID: "euw3-a2", X: signed.PublicText(m.Key.Public()), Use: topology.UseAccess}}, self.Keys...)
	if reports := run(m); len(reports) != 0 {
		t.Errorf("with its next key: %q", reports)
	}
}

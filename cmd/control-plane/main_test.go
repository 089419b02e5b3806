package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"guichet/cell/atlas"
	"guichet/cell/bus"
	"guichet/cell/join"
	"guichet/cell/leaf"
	"guichet/control-plane/topology"
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
		"GUICHET_HUB_LISTEN": "127.0.0.1:0", "GUICHET_HUB_LEAF_LISTEN": freePort(t), "GUICHET_OPERATOR_TOKEN": "operator-token",
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

func (p *program) url() string { return "http://" + p.env["GUICHET_LISTEN"] }

func (p *program) get(path string, v any) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	at := p.url()
	if path == "/metrics" {
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
	p.start()
	eventually(t, "it is ready", func() bool { return p.get("/readyz", nil) == http.StatusOK })

	atlases, leaves := map[topology.CellID]*atlas.Atlas{}, map[topology.CellID]*leaf.Leaf{}
	for i, id := range []topology.CellID{"euw3", "use1"} {
		l, err := leaf.Start(t.Context(), leaf.Config{Cell: id, Listen: "127.0.0.1:0", StoreDir: t.TempDir(), HubURL: "nats-leaf://" + p.env["GUICHET_HUB_LEAF_LISTEN"], Parking: noParking{}})
		if err != nil {
			t.Fatal(err)
		}
		a, err := atlas.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		atlases[id], leaves[id] = a, l
		ctx, cancel := context.WithCancel(t.Context())
		self := topology.Cell{ID: id, Region: []string{"eu-west-3", "us-east-1"}[i], URLs: []string{fmt.Sprintf("http://127.0.0.1:81%d1", i)}, Keys: []topology.Key{{ID: string(id) + "-1", X: "abc"}}}
		member := &join.Member{ControlPlane: p.url(), Token: "operator-token", Self: self, Client: &http.Client{}}
		done := make(chan struct{}, 3)
		go func() { l.Run(ctx); done <- struct{}{} }()
		go func() { member.Run(ctx, func(error) {}); done <- struct{}{} }()
		go func() {
			l.WatchTopology(ctx, func(s *topology.Snapshot) { _ = a.Offer(s) })
			done <- struct{}{}
		}()
		t.Cleanup(func() {
			cancel()
			for range 3 {
				<-done
			}
			l.Close()
		})
	}
	for id, a := range atlases {
		eventually(t, string(id)+" has the map from its own leaf", func() bool { s := a.Current(); return s != nil && len(s.Cells) == 2 })
	}
	version := atlases["euw3"].Current().Version

	p.end()
	if s, _, err := leaves["use1"].Topology(t.Context()); err != nil || len(s.Cells) != 2 {
		t.Errorf("the map without the control plane: %v %v", s, err)
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
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.url()+"/v1/placements/evt_euw3_k3v9x2m4q7rt",
		bytes.NewReader([]byte(`{"operation_id":"op","home_cell":"use1","epoch":1}`)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer operator-token")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("placement: %d", res.StatusCode)
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
	env := map[string]string{"GUICHET_LISTEN": "nonsense", "GUICHET_OPERATOR_TOKEN": "short"}
	err := run(t.Context(), func(k string) string { return env[k] }, io.Discard)
	if err == nil {
		t.Fatal("it started")
	}
	for _, name := range []string{"GUICHET_LISTEN", "GUICHET_OPERATOR_TOKEN", "GUICHET_DATABASE_URL", "GUICHET_STATE_DIR"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in %q", name, err)
		}
	}
}

package snapshot_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/control-plane/topology/seal/sealtest"
	"guichet/internal/signed"
	"guichet/router/snapshot"
)

// source answers /v1/topology with whatever it holds; nothing means 503.
type source struct {
	*httptest.Server
	body  atomic.Pointer[string]
	seal  atomic.Pointer[string] // its signature
	asked atomic.Int64
}

func newSource(t *testing.T) *source {
	t.Helper()
	s := &source{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		body := s.body.Load()
		if body == nil || r.URL.Path != "/v1/topology" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if sig := s.seal.Load(); sig != nil {
			w.Header().Set(seal.Header, *sig)
		}
		_, _ = w.Write([]byte(*body))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *source) holds(_ *testing.T, snap topology.Snapshot) {
	s.tells(sealtest.Sign(&snap))
}

// tells is holds for a map that somebody signed.
func (s *source) tells(m *seal.Map) {
	text, sig := string(m.Text()), m.Signature()
	s.seal.Store(&sig)
	s.body.Store(&text)
}

func (s *source) says(body string) { s.body.Store(&body) }

func version(n int64, urls ...string) topology.Snapshot {
	return topology.Snapshot{Version: n, Cells: []topology.Cell{{ID: "euw3", Region: "eu-west-3", URLs: urls, Weight: 100, State: topology.CellServing}}}
}

func open(t *testing.T, cfg snapshot.Config) *snapshot.Keeper {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Pinned == nil {
		cfg.Pinned = sealtest.Pinned
	}
	k, err := snapshot.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func inForce(k *snapshot.Keeper) int64 {
	if s := k.Map().Snapshot(); s != nil {
		return s.Version
	}
	return -1
}

func TestRefresh_takesNewerSnapshotsOnly(t *testing.T) {
	cp := newSource(t)
	k := open(t, snapshot.Config{ControlPlane: cp.URL})
	if err := k.Refresh(t.Context()); err == nil || inForce(k) != -1 {
		t.Fatalf("with a source that has nothing: %v, version %d", err, inForce(k))
	}
	placed := version(5)
	placed.Placements = []topology.Placement{{EventID: "evt_euw3_k3v9x2m4q7rt", Home: "euw3", Epoch: 4}}
	lowered := version(9)
	lowered.Placements = []topology.Placement{{EventID: "evt_euw3_k3v9x2m4q7rt", Home: "euw3", Epoch: 3}}
	badURL := version(10, "file:///etc/passwd")
	for _, c := range []struct {
		name    string
		offered topology.Snapshot
		want    int64
		refused bool
	}{
		{"the first", version(3), 3, false},
		{"a newer one", placed, 5, false},
		{"the same again", placed, 5, false},
		{"an older one", version(4), 5, true},
		{"an empty one", topology.Snapshot{Version: 8}, 5, true},
		{"one that lowers an epoch", lowered, 5, true},
		{"one whose cell cannot be reached", badURL, 5, true},
		{"one with a cell that is none", topology.Snapshot{Version: 11, Cells: []topology.Cell{{ID: "../x"}}}, 5, true},
		{"the next good one", version(12), 12, false},
	} {
		cp.holds(t, c.offered)
		before := k.Refused()
		err := k.Refresh(t.Context())
		if errors.Is(err, topology.ErrRefused) != c.refused || (err == nil) == c.refused || inForce(k) != c.want || (k.Refused() > before) != c.refused {
			t.Errorf("%s: %v, version %d in force, want %d", c.name, err, inForce(k), c.want)
		}
	}
}

func TestRefresh_asksAnyCellWhileTheControlPlaneIsAway(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	cell, stuck := newSource(t), newSource(t)
	cell.holds(t, version(1, cell.URL))
	for _, controlPlane := range []string{gone.URL, stuck.URL, ""} {
		k := open(t, snapshot.Config{ControlPlane: controlPlane, Bootstrap: []string{cell.URL}})
		if err := k.Refresh(t.Context()); err != nil || inForce(k) != 1 {
			t.Errorf("control plane %q: %v, version %d", controlPlane, err, inForce(k))
		}
	}
}

func TestRefresh_aCellThatTheSnapshotNamesIsASourceToo(t *testing.T) {
	cp, cell := newSource(t), newSource(t)
	cp.holds(t, version(1, cell.URL))
	k := open(t, snapshot.Config{ControlPlane: cp.URL})
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	cp.Close()
	cell.holds(t, version(2, cell.URL))
	if err := k.Refresh(t.Context()); err != nil || inForce(k) != 2 {
		t.Fatalf("%v, version %d", err, inForce(k))
	}
}

func TestRefresh_aControlPlaneThatWasResetDoesNotTurnBackTimeAndCellsAreAsked(t *testing.T) {
	cp, cell := newSource(t), newSource(t)
	cp.holds(t, version(7, cell.URL))
	k := open(t, snapshot.Config{ControlPlane: cp.URL})
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	cp.holds(t, version(1, cell.URL))
	cell.holds(t, version(8, cell.URL))
	if err := k.Refresh(t.Context()); err != nil || inForce(k) != 8 {
		t.Fatalf("%v, version %d", err, inForce(k))
	}
}

func TestRefresh_hostileAnswersChangeNothing(t *testing.T) {
	cp := newSource(t)
	cp.holds(t, version(1))
	k := open(t, snapshot.Config{ControlPlane: cp.URL})
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "null", "[]", "{", `{"version":"9"}`, `{"version":9,"cells":[` + strings.Repeat(" ", 17<<20) + `]}`} {
		cp.says(body)
		if err := k.Refresh(t.Context()); err == nil || inForce(k) != 1 {
			t.Errorf("%.40s: %v, version %d", body, err, inForce(k))
		}
	}
}

func TestOpen_coldStartFromDiskNeedsNobody(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	cp := newSource(t)
	cp.holds(t, version(4))
	if err := open(t, snapshot.Config{Dir: dir, ControlPlane: cp.URL}).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	cp.Close()

	k := open(t, snapshot.Config{Dir: dir, ControlPlane: cp.URL})
	if inForce(k) != 4 {
		t.Fatalf("version %d in force after a cold start, want 4", inForce(k))
	}
	if _, fresh := k.Age(); fresh {
		t.Error("a snapshot from disk counts as confirmed")
	}
	if err := k.Refresh(t.Context()); err == nil || inForce(k) != 4 {
		t.Errorf("without sources: %v, version %d", err, inForce(k))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("the state directory holds %v", left)
	}
}

func TestOpen_damagedFileIsReportedAndReplaced(t *testing.T) {
	for _, content := range []string{"", "{", "null", `{"version":9,"cells":[]}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "topology.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var reported error
		cp := newSource(t)
		cp.holds(t, version(2))
		k := open(t, snapshot.Config{Dir: dir, ControlPlane: cp.URL, Report: func(err error) { reported = err }})
		if reported == nil || inForce(k) != -1 {
			t.Errorf("%q: reported %v, version %d", content, reported, inForce(k))
		}
		if err := k.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if again := open(t, snapshot.Config{Dir: dir}); inForce(again) != 2 {
			t.Errorf("%q was not replaced: version %d", content, inForce(again))
		}
	}
}

func TestRefresh_whatCouldNotBeStoredIsStoredNextTime(t *testing.T) {
	dir := t.TempDir()
	cp := newSource(t)
	cp.holds(t, version(1))
	k := open(t, snapshot.Config{Dir: dir, ControlPlane: cp.URL})
	blocked := filepath.Join(dir, "topology.json")
	if err := os.MkdirAll(filepath.Join(blocked, "in the way"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := k.Refresh(t.Context()); err == nil || inForce(k) != 1 {
		t.Fatalf("a disk that refuses: %v, version %d in force", err, inForce(k))
	}
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := open(t, snapshot.Config{Dir: dir}); inForce(again) != 1 {
		t.Errorf("version %d on disk", inForce(again))
	}
}

func TestRun_refreshesUntilItIsStopped(t *testing.T) {
	cp := newSource(t)
	cp.holds(t, version(1))
	k := open(t, snapshot.Config{ControlPlane: cp.URL, Period: time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	until(t, func() bool { return inForce(k) == 1 })
	cp.holds(t, version(2))
	until(t, func() bool { return inForce(k) == 2 })
	if age, ok := k.Age(); !ok || age < 0 {
		t.Errorf("age %v, %v", age, ok)
	}
	stop()
	<-done
}

// until polls with a deadline; nothing here depends on how long it takes.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 10 s")
		}
		time.Sleep(time.Millisecond)
	}
}

// Whoever serves a map, it is believed by its signature only: not a cell that is
// genuine and claims the highest version, not a file that somebody put there.
func TestRefresh_believesOnlyTheControlPlanesKey(t *testing.T) {
	dir := t.TempDir()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	evil, honest := newSource(t), newSource(t)
	cellKey, err := signed.NewKey("euw3-a1", make([]byte, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	asControl, err := signed.NewKey("control", make([]byte, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	first := version(3, evil.URL)
	honest.holds(t, first)
	var distrusted []string
	k := open(t, snapshot.Config{Dir: dir, ControlPlane: gone.URL, Bootstrap: []string{evil.URL, honest.URL}, Distrust: func(err error) { distrusted = append(distrusted, err.Error()) }})
	for _, key := range []*signed.Key{cellKey, asControl} {
		huge := version(1<<62, evil.URL)
		m, err := seal.Sign(key, &huge)
		if err != nil {
			t.Fatal(err)
		}
		evil.tells(m)
		for range 2 { // each source is the first once
			if err := k.Refresh(t.Context()); err != nil || inForce(k) != 3 {
				t.Fatalf("%v, version %d", err, inForce(k))
			}
		}
		forgedDir := t.TempDir()
		if err := os.WriteFile(filepath.Join(forgedDir, "topology.json"), m.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if cold := open(t, snapshot.Config{Dir: forgedDir}); inForce(cold) != -1 || cold.Refused() != 1 {
			t.Errorf("a forged file: version %d in force, %d refused", inForce(cold), cold.Refused())
		}
	}
	if k.Refused() == 0 || len(distrusted) == 0 || !strings.Contains(distrusted[0], evil.URL) {
		t.Errorf("%d refused, told %q", k.Refused(), distrusted)
	}
}

func TestRefresh_believesTwoKeysWhileTheControlPlaneChangesIts(t *testing.T) {
	cp := newSource(t)
	next := sealtest.Key("next")
	k := open(t, snapshot.Config{ControlPlane: cp.URL, Pinned: []ed25519.PublicKey{sealtest.Pinned[0], next.Public()}})
	cp.holds(t, version(1))
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := version(2)
	m, err := seal.Sign(next, &s)
	if err != nil {
		t.Fatal(err)
	}
	cp.tells(m)
	if err := k.Refresh(t.Context()); err != nil || inForce(k) != 2 {
		t.Errorf("%v, version %d", err, inForce(k))
	}
}

package atlas_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"guichet/cell/atlas"
	"guichet/control-plane/topology"
)

func open(t *testing.T, dir string) *atlas.Atlas {
	t.Helper()
	a, err := atlas.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func town(version int64, placements ...topology.Placement) *topology.Snapshot {
	return &topology.Snapshot{Version: version, IssuedAt: time.Unix(version, 0).UTC(), Cells: []topology.Cell{{ID: "euw3"}}, Placements: placements}
}

func TestOffer_keepsTheNewestAcrossARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := open(t, dir)
	if a.Current() != nil {
		t.Error("a new atlas is empty")
	}
	for _, v := range []int64{3, 5, 4, 5} {
		if err := a.Offer(town(v)); err != nil {
			t.Fatal(err)
		}
	}
	if v := open(t, dir).Current().Version; a.Current().Version != 5 || v != 5 {
		t.Errorf("kept %d, on disk %d", a.Current().Version, v)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("stray files: %v %v", left, err)
	}
}

func TestOffer_theSameVersionWithNewerBeatsIsTaken(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir())
	older, newer := town(5), town(5)
	newer.IssuedAt = newer.IssuedAt.Add(time.Minute)
	for _, s := range []*topology.Snapshot{newer, older} {
		if err := a.Offer(s); err != nil {
			t.Fatal(err)
		}
	}
	if a.Current() != newer {
		t.Error("time was turned back")
	}
}

func TestOffer_refusesAnEmptyTownAndALowerEpoch(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir())
	at := func(e topology.Epoch) topology.Placement {
		return topology.Placement{EventID: "evt_euw3_k3v9x2m4q7rt", Home: "use1", Epoch: e}
	}
	if err := a.Offer(town(5, at(3))); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*topology.Snapshot{"nil": nil, "empty": {Version: 9}, "lower epoch": town(9, at(2))} {
		if err := a.Offer(s); !errors.Is(err, topology.ErrRefused) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if a.Current().Version != 5 {
		t.Error("a refused map was kept")
	}
}

func TestOpen_aDamagedFileIsAsGoodAsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "topology.json"), []byte(`{"version":3,"cel`), 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	if a.Current() != nil {
		t.Error("half a map was read")
	}
	if err := a.Offer(town(1)); err != nil {
		t.Error(err)
	}
}

func TestFollow_asksUntilTheControlPlaneAnswersAndReportsFailures(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir())
	answers := make(chan http.HandlerFunc, 3)
	answers <- func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	answers <- func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("not a map")) }
	answers <- func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(town(7)) }
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (<-answers)(w, r) }))
	t.Cleanup(srv.Close)
	for i := range 3 { // each Follow asks at once when it starts
		reports := make(chan error, 1)
		ctx, cancel := contextUntil(t, func() bool { return len(reports) > 0 || a.Current() != nil })
		a.Follow(ctx, srv.Client(), srv.URL, func(err error) { reports <- err })
		cancel()
		if (len(reports) == 1) != (i < 2) {
			t.Errorf("call %d: %d reports", i, len(reports))
		}
	}
	if a.Current() == nil || a.Current().Version != 7 {
		t.Errorf("got %+v", a.Current())
	}
}

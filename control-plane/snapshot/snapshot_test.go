package snapshot_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"guichet/control-plane/registry"
	"guichet/control-plane/snapshot"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/control-plane/topology/seal/sealtest"
)

var noon = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)

func TestNextVersion_growsEvenAfterALostDatabaseOrASlowClock(t *testing.T) {
	t.Parallel()
	if v := snapshot.NextVersion(0, noon); v != noon.UnixMilli() {
		t.Errorf("a new database starts at %d", v)
	}
	if v := snapshot.NextVersion(noon.UnixMilli()+50, noon); v != noon.UnixMilli()+51 {
		t.Errorf("a clock that is behind: %d", v)
	}
}

func TestBuild_isSortedAndNeverNull(t *testing.T) {
	t.Parallel()
	s := snapshot.Build(snapshot.Facts{Version: 7, Members: []registry.Member{{ID: "use1"}, {ID: "apn1"}}}, noon)
	if s.Version != 7 || s.Cells[0].ID != "apn1" || s.Placements == nil || s.Cells[0].URLs == nil || s.Cells[0].Keys == nil {
		t.Errorf("got %+v", s)
	}
}

// town is the publisher's surroundings in memory.
type town struct {
	mu        sync.Mutex
	facts     snapshot.Facts
	broken    error
	published [][]byte
	gathered  []topology.CellID
	last      *topology.Snapshot
	steps     int
}

func (w *town) Facts(context.Context) (snapshot.Facts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts, w.broken
}

func (w *town) Raise(_ context.Context, version int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts.Version = max(w.facts.Version, version)
	return nil
}

func (w *town) Publish(_ context.Context, text []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, text)
	return nil
}

func (w *town) Latest(context.Context) ([]byte, error) {
	if w.last == nil {
		return nil, nil
	}
	return sealtest.Sign(w.last).Bytes(), nil
}

func (w *town) Gather(_ context.Context, cells []topology.CellID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathered = cells
	return nil
}

func (w *town) step(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
	return nil
}

func (w *town) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *town) told() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.published)
}

func (w *town) publisher() *snapshot.Publisher {
	return &snapshot.Publisher{Archive: w, Hub: w, Step: w.step, Now: time.Now, Log: slog.New(slog.DiscardHandler), Key: sealtest.Key("")}
}

func TestPublisher_tellsChangesAtOnceAndAllOnASlowPeriod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &town{facts: snapshot.Facts{Version: 1}}
		p := w.publisher()
		ctx, cancel := context.WithCancel(t.Context())
		go p.Run(ctx)
		synctest.Wait()
		if w.told() != 0 || p.Current() != nil {
			t.Error("a map without cells was told")
		}
		w.change(func() {
			w.facts = snapshot.Facts{Version: 2, Members: []registry.Member{{ID: "euw3"}, {ID: "use1", Left: true}}}
		})
		p.Changed()
		synctest.Wait()
		w.change(func() {
			if len(w.published) != 1 || p.Current().Snapshot().Version != 2 || len(w.gathered) != 1 || w.gathered[0] != "euw3" {
				t.Errorf("told %d, gathered %v", len(w.published), w.gathered)
			}
		})
		time.Sleep(11 * time.Second) // the bubble's clock
		synctest.Wait()
		w.change(func() {
			if len(w.published) != 2 || w.steps < 8 {
				t.Errorf("told %d times, %d steps", len(w.published), w.steps)
			}
		})
		cancel()
	})
}

func TestPublisher_keepsTheLastMapInAnOutageAndGoesOnAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &town{broken: errors.New("database away"), last: &topology.Snapshot{Version: 50, Cells: []topology.Cell{{ID: "euw3"}}}}
		p := w.publisher()
		if err := p.Recall(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go p.Run(ctx)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if p.Current().Snapshot().Version != 50 || w.told() != 0 {
			t.Error("the recalled map is gone")
		}
		// A database restored from a backup numbers lower than what was told.
		w.change(func() {
			w.broken, w.facts = nil, snapshot.Facts{Version: 40, Members: []registry.Member{{ID: "euw3"}}}
		})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		w.change(func() {
			if v := p.Current().Snapshot().Version; len(w.published) == 0 || v <= 50 || w.facts.Version != v {
				t.Errorf("told %d, version %d, database %d", len(w.published), v, w.facts.Version)
			}
		})
		cancel()
	})
}

func TestPublisher_neverTellsALowerEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		placed := func(e topology.Epoch) []topology.Placement {
			return []topology.Placement{{EventID: "evt_euw3_k3v9x2m4q7rt", Home: "use1", Epoch: e}}
		}
		w := &town{
			last:  &topology.Snapshot{Version: 50, Cells: []topology.Cell{{ID: "euw3"}}, Placements: placed(5)},
			facts: snapshot.Facts{Version: 60, Members: []registry.Member{{ID: "euw3"}}, Placements: placed(4)},
		}
		p := w.publisher()
		if err := p.Recall(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go p.Run(ctx)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if w.told() != 0 || p.Current().Snapshot().Version != 50 {
			t.Errorf("P1: told %d times, version %d", w.told(), p.Current().Snapshot().Version)
		}
		cancel()
	})
}

func TestPublisher_recallsNoMapThatItDidNotSign(t *testing.T) {
	t.Parallel()
	w := &town{last: &topology.Snapshot{Version: 1 << 62, Cells: []topology.Cell{{ID: "euw3"}}}}
	p := w.publisher()
	p.Key = sealtest.Key("another")
	if err := p.Recall(t.Context()); !errors.Is(err, seal.ErrUnsigned) || p.Current() != nil {
		t.Errorf("%v, %+v", err, p.Current())
	}
	p.Pinned = sealtest.Pinned // the key was changed, and the one of before is still believed
	if err := p.Recall(t.Context()); err != nil || p.Current().Snapshot().Version != 1<<62 {
		t.Errorf("%v, %+v", err, p.Current())
	}
}

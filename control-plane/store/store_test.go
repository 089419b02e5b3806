package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"guichet/control-plane/placement"
	"guichet/control-plane/registry"
	"guichet/control-plane/snapshot"
	"guichet/control-plane/store"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

var noon = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "migrate")
	if err != nil {
		return err
	}
	defer db.Close()
	return (&store.Store{DB: db}).Migrate(ctx)
}

func open(t *testing.T) *store.Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrate), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return &store.Store{DB: db}
}

func cell(id topology.CellID, region string) topology.Cell {
	return topology.Cell{ID: id, Region: region, URLs: []string{"http://" + string(id)}, Residency: region, Keys: []topology.Key{{ID: string(id) + "-1", X: "x"}}}
}

// join invites a cell and lets it in.
func join(t *testing.T, r *registry.Service, c topology.Cell) (registry.Member, error) {
	t.Helper()
	_, token, err := r.Invite(t.Context(), c.ID, c.Region, "ann", time.Hour)
	if err != nil {
		return registry.Member{}, err
	}
	return r.Join(t.Context(), c, token, c.Keys[0].ID, r.Now())
}

func register(t *testing.T, s *store.Store, at time.Time) *registry.Service {
	t.Helper()
	r := &registry.Service{Book: s, Now: func() time.Time { return at }}
	for _, c := range []topology.Cell{cell("euw3", "eu-west-3"), cell("use1", "us-east-1"), cell("apn1", "ap-northeast-1")} {
		if _, err := join(t, r, c); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestRegistry_whatWasStoredComesBack(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := register(t, s, noon)
	if _, err := join(t, r, cell("euw3b", "eu-west-3")); err != nil {
		t.Fatal(err)
	}
	want, err := r.SetWeight(t.Context(), "euw3", registry.Order{Percent: 0, Reason: "drill", ExpiresAt: noon.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.Cells(t.Context())
	if err != nil || len(all) != 4 {
		t.Fatalf("%d cells, %v", len(all), err)
	}
	got := all[1] // by name: apn1, euw3, …
	if got.ID != "euw3" || got.Target != 0 || got.Reason != "drill" || !got.ExpiresAt.Equal(want.ExpiresAt) || !got.JoinedAt.Equal(noon) ||
		len(got.Processes) != 1 || got.Processes[0].URL != "http://euw3" || len(got.Keys) != 1 || got.Residency != "eu-west-3" {
		t.Errorf("got %+v", got)
	}
}

func TestRegistry_aRefusedDecisionStoresNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := register(t, s, noon)
	before, err := s.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SetWeight(t.Context(), "euw3", registry.Order{Percent: 0, Reason: "drill", ExpiresAt: noon.Add(time.Hour)}); !errors.Is(err, registry.ErrLastServingCell) {
		t.Fatalf("got %v", err)
	}
	after, err := s.Facts(t.Context())
	if err != nil || after.Version != before.Version || after.Members[1].Target != 100 {
		t.Errorf("got %+v %v", after, err)
	}
}

func TestRegistry_twoDrainsAtOnceLeaveOneServing(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := register(t, s, noon)
	if _, err := join(t, r, cell("euw3b", "eu-west-3")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, c := range []topology.CellID{"euw3", "euw3b"} {
		wg.Go(func() {
			_, errs[i] = r.SetWeight(t.Context(), c, registry.Order{Percent: 0, Reason: "drill", ExpiresAt: noon.Add(time.Hour)})
		})
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("exactly one may drain: %v, %v", errs[0], errs[1])
	}
}

func TestRegistry_aBeatOfAKnownProcessIsNoChangeOfTheMap(t *testing.T) {
	t.Parallel()
	s := open(t)
	register(t, s, noon)
	before, err := s.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changes := 0
	later := &registry.Service{Book: s, Now: func() time.Time { return noon.Add(time.Minute) }, Changed: func() { changes++ }}
	if err := later.Beat(t.Context(), "euw3", []string{"http://euw3"}, nil); err != nil {
		t.Fatal(err)
	}
	after, err := s.Facts(t.Context())
	if err != nil || after.Version != before.Version || changes != 0 {
		t.Errorf("version %d, before %d, changes %d, %v", after.Version, before.Version, changes, err)
	}
	if got := after.Members[1].LastBeat(); !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("last beat %s", got)
	}
	if err := later.Beat(t.Context(), "euw3", []string{"http://euw3", "http://euw3:8111"}, nil); err != nil {
		t.Fatal(err)
	}
	after, err = s.Facts(t.Context())
	if err != nil || after.Version <= before.Version || changes != 1 || len(after.Members[1].Processes) != 2 {
		t.Errorf("a new process is a change: %+v %v", after, err)
	}
	if err := later.Beat(t.Context(), "sae1", []string{"http://sae1"}, nil); !errors.Is(err, registry.ErrUnknownCell) {
		t.Errorf("got %v", err)
	}
}

func TestRegistry_timeMovesWeightsInTheDatabaseToo(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := register(t, s, noon)
	if _, err := r.SetWeight(t.Context(), "use1", registry.Order{Percent: 90, Reason: "drill", ExpiresAt: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{97, 94, 91, 90, 90} {
		later := &registry.Service{Book: s, Now: func() time.Time { return noon.Add(time.Duration(3*(i+1)) * time.Second) }}
		if err := later.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := later.Cells(t.Context())
		if err != nil || all[2].Weight != want {
			t.Errorf("step %d: %d, want %d (%v)", i, all[2].Weight, want, err)
		}
	}
}

func TestPlacement_ofAHundredRacersOneWins(t *testing.T) {
	t.Parallel()
	s := open(t)
	register(t, s, noon)
	d := &placement.Service{Book: s, Known: s.Known, Now: func() time.Time { return noon }}
	const event = "evt_euw3_k3v9x2m4q7rt"
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, lost := 0, 0
	for i := range 100 {
		wg.Go(func() {
			to := topology.CellID("use1")
			if i%2 == 0 {
				to = "apn1"
			}
			// A racer who is told to come back does.
			for {
				_, err := d.Set(t.Context(), placement.Request{OperationID: fmt.Sprint("op", i), EventID: event, To: to, Seen: 1})
				if k := kind.Of(err); err != nil && (k == kind.Busy || k == kind.Unavailable) {
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case errors.Is(err, placement.ErrChanged):
					lost++
				default:
					t.Error(err)
				}
				return
			}
		})
	}
	wg.Wait()
	if won != 1 || lost != 99 {
		t.Errorf("%d won, %d lost", won, lost)
	}
	p, err := d.Get(t.Context(), event)
	if err != nil || p.Epoch != 2 || p.Home == "euw3" {
		t.Errorf("got %+v %v", p, err)
	}
}

func TestPlacement_theSameOperationGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	s := open(t)
	register(t, s, noon)
	changes := 0
	d := &placement.Service{Book: s, Known: s.Known, Now: func() time.Time { return noon }, Changed: func() { changes++ }}
	r := placement.Request{OperationID: "op-1", EventID: "evt_euw3_k3v9x2m4q7rt", To: "use1", Seen: 1}
	first, err := d.Set(t.Context(), r)
	if err != nil || first.Replayed {
		t.Fatal(first, err)
	}
	// Meanwhile it moved on: the old operation still has its old answer.
	if _, err := d.Set(t.Context(), placement.Request{OperationID: "op-2", EventID: r.EventID, To: "euw3", Seen: 2}); err != nil {
		t.Fatal(err)
	}
	again, err := d.Set(t.Context(), r)
	if err != nil || !again.Replayed || again.Placement != first.Placement || changes != 2 {
		t.Errorf("got %+v %v after %+v, %d changes", again, err, first, changes)
	}
	r.To = "apn1"
	if _, err := d.Set(t.Context(), r); !errors.Is(err, placement.ErrReused) {
		t.Errorf("got %v", err)
	}
	p, err := d.Get(t.Context(), r.EventID)
	if err != nil || p.Home != "euw3" || p.Epoch != 3 {
		t.Errorf("got %+v %v", p, err)
	}
}

func TestPlacement_refusesCellsThatTakeNoEvents(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := register(t, s, noon)
	if _, err := join(t, r, cell("euw3b", "eu-west-3")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Leave(t.Context(), "euw3b"); err != nil {
		t.Fatal(err)
	}
	d := &placement.Service{Book: s, Known: s.Known, Now: func() time.Time { return noon }}
	for _, to := range []topology.CellID{"euw3b", "sae1"} {
		if _, err := d.Set(t.Context(), placement.Request{OperationID: "to " + string(to), EventID: "evt_euw3_k3v9x2m4q7rt", To: to, Seen: 1}); !errors.Is(err, placement.ErrNoSuchCell) {
			t.Errorf("%s: got %v", to, err)
		}
	}
	if _, err := d.Get(t.Context(), "evt_sae1_k3v9x2m4q7rt"); !errors.Is(err, placement.ErrUnknownEvent) {
		t.Errorf("got %v", err)
	}
	if p, err := d.Get(t.Context(), "evt_euw3b_k3v9x2m4q7rt"); err != nil || p.Home != "euw3b" {
		t.Errorf("a cell that left still names its events: %+v %v", p, err)
	}
}

func TestFacts_versionsOnlyGrowAndMapsReplaceEachOther(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := register(t, s, noon)
	d := &placement.Service{Book: s, Known: s.Known, Now: func() time.Time { return noon }}
	var last *topology.Snapshot
	for i := range 6 {
		if i%2 == 0 {
			if _, err := d.Set(t.Context(), placement.Request{OperationID: fmt.Sprint(i), EventID: fmt.Sprintf("evt_euw3_k3v9x2m4q7r%d", i), To: "use1", Seen: 1}); err != nil {
				t.Fatal(err)
			}
		} else if _, err := r.Announce(t.Context(), cell("euw3", "eu-west-3"), noon); err != nil {
			t.Fatal(err)
		}
		f, err := s.Facts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		next := snapshot.Build(f, noon)
		if err := last.Replace(next); err != nil {
			t.Fatal(err)
		}
		if last != nil && next.Version <= last.Version || next.Version < noon.UnixMilli() {
			t.Fatalf("version %d after %d", next.Version, last.Version)
		}
		last = next
	}
	if len(last.Placements) != 3 || len(last.Cells) != 3 {
		t.Errorf("got %+v", last)
	}
}

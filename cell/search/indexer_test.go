package search_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/bus"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/cell/search/bleve"
	"guichet/cell/store"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "test")
	if err != nil {
		return err
	}
	defer db.Close()
	return store.New(db, "euw3").Migrate(ctx)
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrate), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return store.New(db, "euw3")
}

func openIndex(t *testing.T, dir string) *bleve.Index {
	t.Helper()
	x, err := bleve.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() }) // some tests close it first
	return x
}

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func event(name string) client.Event {
	return client.Event{
		ID: id.NewEvent("apn1").String(), Version: 1, Name: name, StartsAt: noon.Add(48 * time.Hour), TimeZone: "Asia/Tokyo",
		Home:        client.Home{Cell: "apn1", Region: "ap-northeast-1"},
		Venue:       client.Venue{Name: "Hall", City: "Tokyo", Country: "JP"},
		TicketTypes: []client.TicketType{{Availability: client.Available}},
	}
}

func intake(s *store.Store, wake func()) *search.Intake {
	return &search.Intake{Catalog: s, Hints: s, Now: func() time.Time { return noon }, Wake: wake}
}

func send(t *testing.T, in *search.Intake, e client.Event, published bool) {
	t.Helper()
	payload, err := json.Marshal(search.NewDocument(e, published))
	if err != nil {
		t.Fatal(err)
	}
	message := fmt.Sprintf("apn1-%s-%d", e.ID, e.Version)
	if err := in.HandleCatalog(t.Context(), bus.Catalog("apn1", e.ID), message, payload); err != nil {
		t.Fatal(err)
	}
}

func service(x search.Index, h search.Hints) *search.Service {
	return &search.Service{Index: x, Hints: h, Now: func() time.Time { return noon }}
}

func find(t *testing.T, s *search.Service, text string) client.Listings {
	t.Helper()
	l, err := s.Search(t.Context(), search.Query{Text: text, Sort: search.ByRelevance, Limit: 20})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

// TestIndexer_everyProcessOfACellFollowsTheCatalogue runs two processes' indexes
// on one database, from the bus's message to the answer of a search.
func TestIndexer_everyProcessOfACellFollowsTheCatalogue(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	var indexers []*search.Indexer
	in := intake(s, func() {
		for _, x := range indexers {
			x.Wake()
		}
	})
	before := event("Before the start")
	send(t, in, before, true)
	var services []*search.Service
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	for range 2 {
		index := openIndex(t, t.TempDir())
		x := search.NewIndexer(s, index, func(err error) { t.Error(err) })
		if err := x.Ready(ctx); !errors.Is(err, search.ErrNotCaughtUp) {
			t.Errorf("ready before it began: %v", err)
		}
		indexers = append(indexers, x)
		services = append(services, service(index, s))
	}
	for i, x := range indexers {
		go func() { done <- x.Run(ctx) }()
		<-x.CaughtUp()
		if err := x.Ready(ctx); err != nil {
			t.Error(err)
		}
		if l := find(t, services[i], "before start"); l.Total != 1 {
			t.Errorf("caught up, but %d hits", l.Total)
		}
	}
	carmen := event("Carmen")
	send(t, in, carmen, true)
	for _, sv := range services {
		eventually(t, "the new event is found", func() bool { return find(t, sv, "carmen").Total == 1 })
	}
	carmen.Version = 2
	send(t, in, carmen, false)
	for _, sv := range services {
		eventually(t, "the withdrawn event is gone", func() bool { return find(t, sv, "carmen").Total == 0 })
	}
	carmen.Version = 1 // comes again, late
	carmen.Name = "Carmen again"
	payload, _ := json.Marshal(search.NewDocument(carmen, true))
	if err := in.HandleCatalog(t.Context(), bus.Catalog("apn1", carmen.ID), "apn1-7-99", payload); err != nil {
		t.Fatal(err)
	}
	last := event("Last")
	send(t, in, last, true)
	eventually(t, "what came later is found", func() bool { return find(t, services[0], "last").Total == 1 })
	if find(t, services[0], "carmen").Total != 0 {
		t.Error("an older version brought a withdrawn event back")
	}
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestIndexer_fillsALostIndexAndDropsThatOfAnotherCatalogue(t *testing.T) {
	t.Parallel()
	one, other := openStore(t), openStore(t)
	for i := range 3 * search.MaxBatch / 2 {
		send(t, intake(one, nil), event(fmt.Sprintf("Concert %d", i)), true)
	}
	send(t, intake(other, nil), event("Only here"), true)
	// Both databases are copies of one template and so share its name of the source.
	if _, err := other.DB.Pool.Exec(t.Context(), `UPDATE search.counter SET source = 'other' WHERE one = 1`); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	index := openIndex(t, dir)
	if err := search.NewIndexer(one, index, nil).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := index.Count(); err != nil || n != 3*search.MaxBatch/2 {
		t.Fatalf("%d documents, %v", n, err)
	}
	if err := index.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "v*", "store", "*.zap"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	for _, s := range segments {
		if err := os.WriteFile(s, []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	index = openIndex(t, dir)
	if err := search.NewIndexer(one, index, nil).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := index.Count(); err != nil || n != 3*search.MaxBatch/2 || index.Recovered() == "" {
		t.Fatalf("%d documents after the damage (%q), %v", n, index.Recovered(), err)
	}
	x := search.NewIndexer(other, index, nil)
	if err := x.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := find(t, service(index, other), "only here")
	if n, err := index.Count(); err != nil || n != 1 || l.Total != 1 || x.Stats().Rebuilds != 1 {
		t.Errorf("%d documents of the other catalogue, %d hits, %+v, %v", n, l.Total, x.Stats(), err)
	}
}

// brokenIndex fails to apply until it is built anew, like one on a bad disk.
type brokenIndex struct {
	search.Index
	mended atomic.Bool
}

func (b *brokenIndex) Apply(ctx context.Context, docs []search.Document, mark search.Mark) error {
	if !b.mended.Load() {
		return errors.New("input/output error")
	}
	return b.Index.Apply(ctx, docs, mark)
}

func (b *brokenIndex) Rebuild(ctx context.Context, fill func(func(context.Context, []search.Document, search.Mark) error) error) error {
	b.mended.Store(true)
	return b.Index.Rebuild(ctx, fill)
}

func TestIndexer_buildsAnewWhatKeepsFailing(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	send(t, intake(s, nil), event("Carmen"), true)
	index := &brokenIndex{Index: openIndex(t, t.TempDir())}
	var x *search.Indexer
	x = search.NewIndexer(s, index, func(error) { x.Wake() })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	<-x.CaughtUp()
	if l := find(t, service(index, s), "carmen"); l.Total != 1 || x.Stats().Rebuilds != 1 || x.Stats().Faults < 5 {
		t.Errorf("%d hits, %+v", l.Total, x.Stats())
	}
	cancel()
	<-done
}

func TestService_joinsHintsAndKeepsAnsweringWithoutThem(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	index := openIndex(t, t.TempDir())
	in := intake(s, nil)
	carmen, old := event("Carmen"), event("Carmen of old")
	old.StartsAt = noon.Add(-7 * time.Hour)
	send(t, in, carmen, true)
	send(t, in, old, true)
	if err := search.NewIndexer(s, index, nil).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	sv := service(index, s)
	if l := find(t, sv, "carmen"); l.Total != 1 || l.Items[0].Availability != client.Unknown || l.Items[0].AvailabilityAge != nil {
		t.Errorf("before any beat: %d hits, %+v", l.Total, l.Items)
	}
	beat := fmt.Sprintf(`{"cell":"apn1","as_of":%q,"changed":{%q:"few"},"run":"one","seq":1,"whole":1}`, noon.Add(-2*time.Second).Format(time.RFC3339Nano), carmen.ID)
	if err := in.HandleBeat(t.Context(), "glb.avail.apn1", "apn1-avail-1", []byte(beat)); err != nil {
		t.Fatal(err)
	}
	l := find(t, sv, "carmen")
	if l.Items[0].Availability != client.Few || l.Items[0].AvailabilityAge == nil || *l.Items[0].AvailabilityAge != 2 {
		t.Errorf("after a beat: %s, age %v", l.Items[0].Availability, l.Items[0].AvailabilityAge)
	}
	past, err := sv.Search(t.Context(), search.Query{Text: "carmen", From: noon.Add(-24 * time.Hour), Sort: search.ByDate, Limit: 1})
	if err != nil || past.Total != 2 || past.NextCursor == nil {
		t.Errorf("from yesterday: %d hits, %v", past.Total, err)
	}
	s.DB.Close() // the cell's database is away
	told := 0
	sv.OnHintsError = func(error) { told++ }
	if l := find(t, sv, "carmen"); l.Total != 1 || l.Items[0].Availability != client.Unknown || told != 1 {
		t.Errorf("without the database: %d hits, told %d times", l.Total, told)
	}
}

func TestIntake_refusesForGoodWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	in := &search.Intake{Now: time.Now} // nothing may reach the stores
	e := event("Carmen")
	good, err := json.Marshal(search.NewDocument(e, true))
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]struct{ subject, payload string }{
		"no JSON":          {bus.Catalog("apn1", e.ID), "{"},
		"no event":         {bus.Catalog("apn1", e.ID), "{}"},
		"another event":    {bus.Catalog("apn1", id.NewEvent("apn1").String()), string(good)},
		"another subject":  {"glb.avail.apn1", string(good)},
		"no cell":          {"glb.catalog.Tokyo." + e.ID, string(good)},
		"a large document": {bus.Catalog("apn1", e.ID), `{"event":{"name":"` + strings.Repeat("x", search.MaxDocumentBytes) + `"}}`},
	} {
		if err := in.HandleCatalog(t.Context(), m.subject, "m", []byte(m.payload)); kind.Of(err) != kind.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	asOf := `"as_of":"2030-01-01T00:00:00Z"`
	for name, m := range map[string]struct{ subject, payload string }{
		"no JSON":       {"glb.avail.apn1", "["},
		"no time":       {"glb.avail.apn1", `{"cell":"apn1"}`},
		"another cell":  {"glb.avail.use1", `{"cell":"apn1",` + asOf + `}`},
		"no cell":       {"glb.avail.", `{` + asOf + `}`},
		"unknown class": {"glb.avail.apn1", `{"cell":"apn1",` + asOf + `,"changed":{"` + e.ID + `":"gone"}}`},
		"no event's id": {"glb.avail.apn1", `{"cell":"apn1",` + asOf + `,"changed":{"x":"few"}}`},
	} {
		if err := in.HandleBeat(t.Context(), m.subject, "m", []byte(m.payload)); kind.Of(err) != kind.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseDocument and FuzzParseBeat: what a stranger puts on the bus is either
// valid or an error of kind Invalid, and what is valid can be indexed.
func FuzzParseDocument(f *testing.F) {
	good, _ := json.Marshal(search.NewDocument(event("Carmen"), true))
	f.Add(good)
	f.Add([]byte(`{"event":{"id":"evt_euw3_000000000001","starts_at":"0000-01-01T00:00:00Z"},"version":1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := search.ParseDocument(payload)
		if err != nil {
			if kind.Of(err) != kind.Invalid {
				t.Fatalf("%v is not Invalid", err)
			}
			return
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := search.ParseDocument(again); err != nil && len(again) <= search.MaxDocumentBytes {
			t.Fatalf("%s is valid, but not when written again: %v", payload, err)
		}
		_, _, _ = d.Texts(), d.PriceFrom(time.Now()), d.Availability()
	})
}

func FuzzParseBeat(f *testing.F) {
	f.Add([]byte(`{"cell":"apn1","as_of":"2030-01-01T00:00:00Z","changed":{"evt_euw3_000000000001":"few"},"full":true}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if b, err := search.ParseBeat(payload); err == nil && (b.Cell == "" || b.AsOf.IsZero()) || err != nil && kind.Of(err) != kind.Invalid {
			t.Fatalf("%q: %+v, %v", payload, b, err)
		}
	})
}

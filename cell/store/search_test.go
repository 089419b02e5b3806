package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/cell/store"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

func migrateSearch(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "test")
	if err != nil {
		return err
	}
	defer db.Close()
	s := store.New(db, "euw3")
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	return s.Confine(ctx)
}

func searchStore(t *testing.T) *store.Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrateSearch), "test", sqldb.As(store.AppRole))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return store.New(db, "euw3")
}

func catalogDocument(event id.Event, version int64, name string) search.Document {
	return search.NewDocument(client.Event{
		ID: event.String(), Version: version, Name: name, StartsAt: time.Date(2030, 5, 1, 19, 0, 0, 0, time.UTC),
		Home: client.Home{Cell: string(event.Birth())},
	}, true)
}

func putDocuments(t *testing.T, s *store.Store, message string, docs ...search.Document) {
	t.Helper()
	if err := s.PutDocuments(t.Context(), search.Consumer, message, docs); err != nil {
		t.Fatal(err)
	}
}

func TestPutDocuments_happensOnceAndNeverGoesBack(t *testing.T) {
	t.Parallel()
	s := searchStore(t)
	event := id.NewEvent("apn1")
	putDocuments(t, s, "m1", catalogDocument(event, 5, "five"))
	putDocuments(t, s, "m1", catalogDocument(event, 9, "the same message again"))
	putDocuments(t, s, "m2", catalogDocument(event, 4, "older"))
	putDocuments(t, s, "m3", catalogDocument(event, 5, "as old"))
	d, err := s.Document(t.Context(), event)
	if err != nil || d.Event.Name != "five" || d.Version != 5 {
		t.Fatalf("it is %q at version %d, %v", d.Event.Name, d.Version, err)
	}
	putDocuments(t, s, "m4", catalogDocument(event, 6, "six\x00 \u2028"), catalogDocument(event, 8, "eight"), catalogDocument(event, 7, "seven"))
	if d, err = s.Document(t.Context(), event); err != nil || d.Event.Name != "eight" {
		t.Errorf("of three versions in one message %q stayed, %v", d.Event.Name, err)
	}
	if _, err := s.Document(t.Context(), id.NewEvent("apn1")); !errors.Is(err, store.ErrNoDocument) {
		t.Errorf("an unknown event: %v", err)
	}
	if err := s.PutDocuments(t.Context(), search.Consumer, "m5", []search.Document{{}}); !errors.Is(err, search.ErrDocument) {
		t.Errorf("an empty document: %v", err)
	}
}

// TestDocumentsAfter_aReaderMissesNothingWhileManyWrite reads on from the last
// seq while twelve writers commit: the order of commits is the order of seq.
func TestDocumentsAfter_aReaderMissesNothingWhileManyWrite(t *testing.T) {
	t.Parallel()
	s := searchStore(t)
	const writers, each = 12, 25
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			for i := range each {
				d := catalogDocument(id.NewEvent("use1"), 1, fmt.Sprint(w, i))
				if err := s.PutDocuments(context.WithoutCancel(t.Context()), search.Consumer, d.ID(), []search.Document{d}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { work.Wait(); close(written) }()
	seen := map[string]bool{}
	var seq int64
	for done := false; ; {
		select {
		case <-written:
			done = true
		default:
		}
		docs, last, err := s.DocumentsAfter(t.Context(), seq, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(docs) == 0 && done {
			break
		}
		if len(docs) > 0 && last <= seq {
			t.Fatalf("the seq went from %d to %d", seq, last)
		}
		for i := range docs {
			seen[docs[i].ID()] = true
		}
		seq = last
	}
	if len(seen) != writers*each {
		t.Errorf("the reader saw %d of %d documents", len(seen), writers*each)
	}
	if head, err := s.CatalogHead(t.Context()); err != nil || head.Seq != writers*each || head.Source == "" {
		t.Errorf("head %+v, %v", head, err)
	}
}

func TestPutBeat_keepsTheNewestWordAboutEachEvent(t *testing.T) {
	t.Parallel()
	s := searchStore(t)
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	a, b, c := id.NewEvent("apn1").String(), id.NewEvent("apn1").String(), id.NewEvent("apn1").String()
	type classes = map[string]client.Availability
	beat := func(cell topology.CellID, run string, seq, whole int64, at time.Duration, changed classes) {
		t.Helper()
		if err := s.PutBeat(t.Context(), search.Beat{Cell: cell, Run: run, Seq: seq, Whole: whole, AsOf: now.Add(at), Changed: changed}, now); err != nil {
			t.Fatal(err)
		}
	}
	beat("apn1", "first", 1, 1, -5*time.Second, classes{a: client.Few, b: client.Few})
	beat("apn1", "first", 2, 1, -9*time.Second, classes{b: client.None}) // the next one of this run, whatever its clock says
	beat("apn1", "first", 1, 1, -time.Second, classes{a: client.Available})
	beat("apn1", "before", 7, 7, -10*time.Second, classes{a: client.Available}) // late: of an earlier run
	beat("apn1", "first", 3, 1, -3*time.Second, nil)
	beat("use1", "ahead", 1, 1, time.Hour, classes{c: client.Few}) // its clock is ahead
	beat("sae1", "", 0, 0, -time.Second, nil)                      // does not number its beats, so one may be missing
	hints, asOf, err := s.AvailabilityOf(t.Context(), []string{a, b, c})
	if err != nil {
		t.Fatal(err)
	}
	if len(hints) != 3 || hints[a] != (search.Hint{Cell: "apn1", Class: client.Few}) || hints[b].Class != client.None {
		t.Errorf("hints %v", hints)
	}
	if !asOf["apn1"].Equal(now.Add(-3*time.Second)) || !asOf["use1"].Equal(now) || len(asOf) != 2 {
		t.Errorf("freshness %v", asOf)
	}
	beat("use1", "ahead", 3, 1, 2*time.Hour, nil) // the second one is missing
	if _, asOf, err = s.AvailabilityOf(t.Context(), nil); err != nil || len(asOf) != 1 {
		t.Errorf("after a gap: freshness %v, %v", asOf, err)
	}
	beat("use1", "ahead", 4, 4, 2*time.Hour, nil)
	if _, asOf, err = s.AvailabilityOf(t.Context(), nil); err != nil || len(asOf) != 2 {
		t.Errorf("after all was told again: freshness %v, %v", asOf, err)
	}
	beat("use1", "ahead", 5, 4, 3*time.Hour, classes{a: client.None}) // it is at home there now
	if hints, _, err = s.AvailabilityOf(t.Context(), []string{a}); err != nil || hints[a] != (search.Hint{Cell: "use1", Class: client.None}) {
		t.Errorf("of another cell: %v, %v", hints, err)
	}
}

func TestPutBeat_takesTheLargestOne(t *testing.T) {
	t.Parallel()
	s := searchStore(t)
	beat := search.Beat{Cell: "apn1", AsOf: time.Now(), Changed: map[string]client.Availability{}}
	var some []string
	for i := range 2500 {
		event := id.NewEvent("apn1").String()
		beat.Changed[event] = client.Few
		if i%100 == 0 {
			some = append(some, event)
		}
	}
	if err := s.PutBeat(t.Context(), beat, time.Now()); err != nil {
		t.Fatal(err)
	}
	if hints, _, err := s.AvailabilityOf(t.Context(), some); err != nil || len(hints) != len(some) {
		t.Errorf("%d of %d hints, %v", len(hints), len(some), err)
	}
}

func TestSearchSchema_refusesWhatTheDomainNeverSays(t *testing.T) {
	t.Parallel()
	s := searchStore(t)
	err := s.PutBeat(t.Context(), search.Beat{Cell: "apn1", AsOf: time.Now(), Changed: map[string]client.Availability{"evt": "gone"}}, time.Now())
	if err == nil || strings.Contains(err.Error(), "syntax") {
		t.Errorf("an unknown class: %v", err)
	}
}

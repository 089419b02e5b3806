package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/txn"
)

var seriesTests = map[string]func(t *testing.T, s *store.Store){
	"Series_of5000DatesListsCompletelyInPages":      seriesLists,
	"Series_interruptedGoesOnWithTheSameKey":        seriesResumes,
	"Series_madeByTwoProcessesAtOnceIsMadeOnce":     seriesTwice,
	"Series_isPublishedInBatchesByWhoeverGoesOn":    seriesPublished,
	"Series_publishesWhatBecameDueAgainAndNoOther":  seriesPublishedAgain,
	"Series_keyStandsForOneRequestOfOneOrganizer":   seriesKeys,
	"Series_occurrencesHaveStockAndLedgersOfTheirs": seriesStock,
}

// tour is a series of n days at noon, with some other time slots.
func tour(n int, slots ...booking.Slot) booking.DraftSeries {
	d := booking.DraftSeries{Name: "Tour", Template: draft(30, 10), Slots: slots}
	d.Template.Source, d.Template.EndsAt = nil, nil
	first := birthday.AddDate(0, 1, 0)
	for i := range n {
		d.Dates = append(d.Dates, first.AddDate(0, 0, n-i)) // the organizer's order is not the list's
	}
	return d
}

func seriesKey(key, asked string) booking.Key {
	return booking.Key{Scope: "POST series", Key: key, Fingerprint: asked}
}

func mustCreate(t *testing.T, box *booking.Service, org id.Organizer, d booking.DraftSeries, key string) booking.Series {
	t.Helper()
	s, _, err := box.CreateSeries(t.Context(), org, d, seriesKey(key, "print"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

const seriesPage = 100

// occurrences reads a series page by page.
func occurrences(t *testing.T, s *store.Store, series id.Series) (all []booking.Event) {
	t.Helper()
	for after := (booking.Place{At: time.Unix(0, 0)}); ; {
		page, err := s.Occurrences(t.Context(), series, after, never, true, seriesPage)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		last := page[len(page)-1]
		after = booking.Place{At: last.StartsAt, Event: last.ID.String()}
	}
}

// wantSeries: each planned occurrence exists exactly once, in order.
func wantSeries(t *testing.T, all []booking.Event, series booking.Series, d booking.DraftSeries) {
	t.Helper()
	plan, err := d.Plan(birthday)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(plan) || series.Total != int64(len(plan)) || series.Made != series.Total {
		t.Fatalf("%d occurrences are there, %d of %d are said to be made, %d were planned", len(all), series.Made, series.Total, len(plan))
	}
	seen := map[id.Event]bool{}
	for i, e := range all {
		if seen[e.ID] || !e.StartsAt.Equal(plan[i].StartsAt) || e.Series != series.ID || e.Organizer != series.Organizer || len(e.Quotas) != 2 || len(e.Types) != 2 {
			t.Fatalf("occurrence %d: %+v, planned for %s", i, e, plan[i].StartsAt)
		}
		seen[e.ID] = true
	}
}

// Regression 13: a series of 5,000 dates. That each page is read through the
// index, however far behind the first, TestOccurrences_readThroughTheIndex shows.
func seriesLists(t *testing.T, s *store.Store) {
	n := booking.MaxOccurrences
	if isCockroach(t, s) {
		n = 300
	}
	box, org := service(s), id.NewOrganizer(s.Cell)
	d := tour(n/2, booking.Slot{Name: "early", At: "10:00"}, booking.Slot{Name: "late", At: "18:00"})
	d.Rule, d.Dates = "FREQ=DAILY;COUNT=2500", nil
	d.Template.StartsAt = birthday
	if n != booking.MaxOccurrences {
		d.Rule = "FREQ=DAILY;COUNT=150"
	}
	series := mustCreate(t, box, org, d, "k")
	if series.State != booking.SeriesDraft {
		t.Fatalf("%+v", series)
	}
	all := occurrences(t, s, series.ID)
	wantSeries(t, all, series, d)
	// A page from the middle on is the middle of the list.
	middle := all[n/2]
	page, err := s.Occurrences(t.Context(), series.ID, booking.Place{At: middle.StartsAt}, all[n/2+10].StartsAt, true, 100)
	if err != nil || len(page) != 10 || page[0].ID != middle.ID {
		t.Errorf("%d from the middle, %v", len(page), err)
	}
	if shown, err := s.Occurrences(t.Context(), series.ID, booking.Place{At: time.Unix(0, 0)}, never, false, 100); err != nil || len(shown) != 0 {
		t.Errorf("the public sees %d drafts, %v", len(shown), err)
	}
}

// seriesResumes: the first request dies in the middle of its second batch; what it
// made stays, the batch does not, and the same key makes the rest.
func seriesResumes(t *testing.T, s *store.Store) {
	box, org := service(s), id.NewOrganizer(s.Cell)
	d := tour(250)
	series, plan, err := d.Series(s.Cell, org, birthday)
	if err != nil {
		t.Fatal(err)
	}
	if series, _, err = s.OpenSeries(t.Context(), series, seriesKey("k", "print")); err != nil {
		t.Fatal(err)
	}
	died := errors.New("kill -9")
	batch := func(now *booking.Series) (events []booking.Event, err error) {
		for _, o := range plan[now.Made:min(int64(len(plan)), now.Made+int64(now.BatchSize()))] {
			e, err := now.Occurrence(s.Cell, o, birthday)
			if err != nil {
				return nil, err
			}
			events = append(events, e)
		}
		return events, nil
	}
	if series, err = s.MakeOccurrences(t.Context(), series.ID, batch); err != nil || series.Made == 0 || series.Made == series.Total {
		t.Fatalf("%+v, %v", series, err)
	}
	if _, err := s.MakeOccurrences(t.Context(), series.ID, func(*booking.Series) ([]booking.Event, error) { return nil, died }); !errors.Is(err, died) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if gone, _, err := box.CreateSeries(ctx, org, d, seriesKey("k", "print")); err == nil {
		t.Errorf("a caller who is gone gets %+v", gone)
	}
	unfinished, err := s.UnfinishedSeries(t.Context(), 10)
	if err != nil || len(unfinished) != 1 || unfinished[0] != series.ID {
		t.Errorf("unfinished: %v, %v", unfinished, err)
	}
	done := mustCreate(t, box, org, d, "k")
	if done.ID != series.ID || done.State != booking.SeriesDraft {
		t.Errorf("%+v", done)
	}
	wantSeries(t, occurrences(t, s, series.ID), done, d)
	again, replayed, err := box.CreateSeries(t.Context(), org, d, seriesKey("k", "print"))
	if err != nil || !replayed || again.ID != series.ID {
		t.Errorf("once more: %+v, replayed %t, %v", again, replayed, err)
	}
	if unfinished, err := s.UnfinishedSeries(t.Context(), 10); err != nil || len(unfinished) != 0 {
		t.Errorf("unfinished: %v, %v", unfinished, err)
	}
}

func seriesTwice(t *testing.T, s *store.Store) {
	boxes := []*booking.Service{service(s), service(twin(t, s))}
	org, d := id.NewOrganizer(s.Cell), tour(400)
	var all sync.WaitGroup
	ids := make([]id.Series, 6)
	for i := range ids {
		all.Go(func() {
			err := retried(t, func(int) error {
				series, _, err := boxes[i%2].CreateSeries(t.Context(), org, d, seriesKey("k", "print"))
				ids[i] = series.ID
				return err
			})
			if err == nil && i == 0 {
				_, err = boxes[1].ContinueSeries(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	series, err := s.Series(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range ids {
		if other != series.ID {
			t.Errorf("%s and %s", other, series.ID)
		}
	}
	wantSeries(t, occurrences(t, s, series.ID), series, d)
}

// announced counts the messages about published events.
func announced(t *testing.T, s *store.Store) int64 {
	t.Helper()
	var n int64
	if err := s.DB.Pool.QueryRow(t.Context(), `SELECT count(*) FROM bus.outbox WHERE subject LIKE 'glb.catalog.%'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func byName(e booking.Event) ([]byte, error) { return []byte(e.ID.String()), nil }

func seriesPublished(t *testing.T, s *store.Store) {
	s.Announce = byName
	box, org, d := service(s), id.NewOrganizer(s.Cell), tour(230)
	series := mustCreate(t, box, org, d, "k")
	if n := announced(t, s); n != 0 {
		t.Fatalf("%d drafts are announced", n)
	}
	_, err := box.PublishSeries(t.Context(), id.NewOrganizer(s.Cell), series.ID)
	wantErr(t, err, booking.ErrSeriesNotFound)
	// One process begins and dies after a batch, another one goes on.
	if series, err = s.StartPublishing(t.Context(), series.ID, func(*booking.Series) error { return nil }); err != nil || series.State != booking.SeriesPublishing {
		t.Fatalf("%+v, %v", series, err)
	}
	shop{store: s}.exec(t, `UPDATE booking.quota SET stock_changed_at = stock_changed_at - interval '1 hour'`)
	_, began, err := s.StockChanges(t.Context(), never, 1)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(e *booking.Event, _ time.Time) { e.State, e.Version = booking.Published, e.Version+1 }
	if series, err = s.PublishOccurrences(t.Context(), series.ID, publish); err != nil || series.State != booking.SeriesPublishing {
		t.Fatalf("%+v, %v", series, err)
	}
	some := announced(t, s)
	if some == 0 || some >= 230 {
		t.Fatalf("a batch announced %d", some)
	}
	if told, _, err := s.StockChanges(t.Context(), began, 300); err != nil || int64(len(told)) != some {
		t.Errorf("%d events' stock is told of, %v; %d were published", len(told), err, some)
	}
	// These occurrences lie before the database's today: only a publisher that does
	// not mind publishes them.
	for series.State == booking.SeriesPublishing {
		if series, err = s.PublishOccurrences(t.Context(), series.ID, publish); err != nil {
			t.Fatal(err)
		}
	}
	if n := announced(t, s); n != 230 || series.State != booking.SeriesPublished {
		t.Errorf("announced %d of 230, the series is %s", n, series.State)
	}
	// A maker who comes late changes nothing.
	late, err := s.MakeOccurrences(t.Context(), series.ID, func(*booking.Series) ([]booking.Event, error) { return nil, nil })
	if err != nil || late.State != booking.SeriesPublished {
		t.Errorf("after a late maker the series is %s, %v", late.State, err)
	}
	for _, e := range occurrences(t, s, series.ID) {
		if e.State != booking.Published || e.Version != 2 {
			t.Fatalf("%s is %s at version %d", e.ID, e.State, e.Version)
		}
	}
}

func seriesPublishedAgain(t *testing.T, s *store.Store) {
	s.Announce = byName
	box, org, d := service(s), id.NewOrganizer(s.Cell), tour(4)
	box.Now = time.Now                                              //nolint:forbidigo // what is over and what is not
	soon := time.Now().AddDate(0, 1, 0).UTC().Truncate(time.Second) //nolint:forbidigo // by the database's clock
	d.Dates = []time.Time{soon.AddDate(0, -2, 0), soon, soon.AddDate(0, 0, 1), soon.AddDate(0, 0, 2)}
	series := mustCreate(t, box, org, d, "k")
	all := occurrences(t, s, series.ID)
	if _, err := box.Change(t.Context(), txn.None, all[1].ID, org, 0, func(e *booking.Event, now time.Time) error { return e.Publish(now) }); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		done, err := box.PublishSeries(t.Context(), org, series.ID)
		if err != nil || done.State != booking.SeriesPublished {
			t.Fatalf("%+v, %v", done, err)
		}
		for i, e := range occurrences(t, s, series.ID) {
			want, version := booking.Published, int64(2)
			if i == 0 { // it is over
				want, version = booking.Drafted, 1
			}
			if e.State != want || e.Version != version {
				t.Errorf("round %d: occurrence %d is %s at version %d, want %s at %d", round, i, e.State, e.Version, want, version)
			}
		}
		if n := announced(t, s); n != 3 {
			t.Errorf("round %d: announced %d, want 3", round, n)
		}
	}
	shown, err := s.Occurrences(t.Context(), series.ID, booking.Place{At: time.Unix(0, 0)}, never, false, 100)
	if err != nil || len(shown) != 3 {
		t.Errorf("the public sees %d, %v", len(shown), err)
	}
	d.Publish = true
	if at := mustCreate(t, box, org, d, "published at once"); at.State != booking.SeriesPublished || announced(t, s) != 6 {
		t.Errorf("published at once: %s, %d announced", at.State, announced(t, s))
	}
}

func seriesKeys(t *testing.T, s *store.Store) {
	box, org := service(s), id.NewOrganizer(s.Cell)
	first := mustCreate(t, box, org, tour(2), "k")
	_, _, err := box.CreateSeries(t.Context(), org, tour(3), seriesKey("k", "another body"))
	wantErr(t, err, store.ErrKeyReused)
	if other := mustCreate(t, box, id.NewOrganizer(s.Cell), tour(2), "k"); other.ID == first.ID {
		t.Error("two organizers share a key")
	}
	if other := mustCreate(t, box, org, tour(2), "l"); other.ID == first.ID {
		t.Error("two keys make one series")
	}
	_, err = s.Series(t.Context(), id.NewSeries(s.Cell))
	wantErr(t, err, booking.ErrSeriesNotFound)
}

func seriesStock(t *testing.T, s *store.Store) {
	box, org := service(s), id.NewOrganizer(s.Cell)
	d := tour(1, booking.Slot{Name: "early", At: "10:00", Sizes: []booking.DraftQuota{{Name: "gallery", Size: 1}}}, booking.Slot{Name: "late", At: "18:00"})
	d.Dates[0] = birthday.AddDate(9, 0, 0)
	end := birthday.AddDate(200, 0, 0)
	d.Template.StartsAt, d.Template.EndsAt = birthday, &end
	d.Publish = true
	series := mustCreate(t, box, org, d, "k")
	all := occurrences(t, s, series.ID)
	if len(all) != 2 || all[0].Slot != "early" || all[1].Slot != "late" || all[0].Quotas[1].Size != 1 || all[1].Quotas[1].Size != 10 {
		t.Fatalf("%+v", all)
	}
	early := shop{box, s, all[0], all[0].Types[0].ID, all[0].Types[1].ID, all[0].Quotas[0].ID, all[0].Quotas[1].ID}
	late := shop{box, s, all[1], all[1].Types[0].ID, all[1].Types[1].ID, all[1].Quotas[0].ID, all[1].Quotas[1].ID}
	early.mustHold(t, early.gallery, 1)
	_, err := early.ask(t.Context(), early.gallery, 1)
	wantErr(t, err, booking.ErrSoldOut)
	early.wantCounters(t, [4]int64{1, 0, 1, 0}) // with its ledger
	late.wantCounters(t, [4]int64{0, 0, 0, 0})
}

package storetest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/cell/store"
	"guichet/internal/txn"
)

var publicTests = map[string]func(t *testing.T, s *store.Store){
	"Public_classesOfManyEventsAreReadAtOnce": publicClasses,
	"Public_changesOfStockAreListedInOrder":   publicChanges,
	"Public_changesOfEventsAreListedToo":      publicChangesOfEvents,
	"Public_firstQuotaCarriesTheStand":        publicStand,
	"Public_liveEventsAreListedPageByPage":    publicLive,
}

// publicClasses: available, few, sold out by what staff set aside, canceled, over by
// the database's clock, and one that is not there.
func publicClasses(t *testing.T, s *store.Store) {
	some, few, gone, off, over := openShop(t, s, 10, 4), openShop(t, s, 10, 10), openShop(t, s, 10, 4), openShop(t, s, 10, 4), openShop(t, s, 10, 4)
	over.exec(t, `UPDATE booking.event SET starts_at = clock_timestamp() - interval '2 hours', ends_at = clock_timestamp() WHERE event_id = $1`, over.event.ID.String())
	few.mustHold(t, few.floor, 9)
	gone.allocate(t, gone.hall, 10)
	if _, err := off.Change(t.Context(), txn.None, off.event.ID, off.event.Organizer, 0, func(e *booking.Event, _ time.Time) error { return e.Cancel() }); err != nil {
		t.Fatal(err)
	}
	missing := id.NewEvent(s.Cell)
	got, err := s.Classes(t.Context(), []string{some.event.ID.String(), missing.String(), few.event.ID.String(), gone.event.ID.String(), off.event.ID.String(), over.event.ID.String()})
	want := map[string]client.Availability{
		some.event.ID.String(): client.Available, few.event.ID.String(): client.Few, gone.event.ID.String(): client.None, off.event.ID.String(): client.None, over.event.ID.String(): client.None,
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func publicChanges(t *testing.T, s *store.Store) {
	first, second := openShop(t, s, 10, 4), openShop(t, s, 10, 4)
	if _, err := first.DraftEvent(t.Context(), txn.None, id.NewOrganizer(s.Cell), draft(1, 1), false); err != nil { // nobody's business
		t.Fatal(err)
	}
	all, now, err := s.StockChanges(t.Context(), time.Time{}, 10)
	if err != nil || len(all) != 2 || all[0].Event != first.event.ID.String() || all[1].At.After(now) {
		t.Fatalf("%+v at %s, %v", all, now, err)
	}
	for _, b := range []shop{first, second} {
		b.exec(t, ageStand, b.event.ID.String())
	}
	first.mustHold(t, first.floor, 1)
	news, now, err := s.StockChanges(t.Context(), all[1].At.Add(time.Microsecond), 10)
	if err != nil || len(news) != 1 || news[0].Event != first.event.ID.String() || news[0].Version <= all[0].Version {
		t.Fatalf("%+v, %v; second is %s", news, err, second.event.ID)
	}
	first.mustHold(t, first.floor, 1)
	again, _, err := s.StockChanges(t.Context(), now.Add(-search.StampGrain), 10)
	if err != nil || len(again) != 1 || again[0].Version <= news[0].Version {
		t.Errorf("%+v after %+v, %v: every change has a version of its own", again, news, err)
	}
	if again[0].At.After(news[0].At) && again[0].At.Before(news[0].At.Add(search.StampGrain)) {
		t.Errorf("the time went from %s to %s: a row of a hot event must not change its indexes each time", news[0].At, again[0].At)
	}
	if quiet, _, err := s.StockChanges(t.Context(), again[0].At.Add(time.Microsecond), 10); err != nil || len(quiet) != 0 {
		t.Errorf("a quiet cell reads %+v, %v", quiet, err)
	}
}

// ageStand lets an event's stock not have changed for an hour.
const ageStand = `UPDATE booking.quota SET stock_changed_at = stock_changed_at - interval '1 hour' WHERE event_id = $1`

// publicChangesOfEvents: what is told of an event's stock may be another when the event is.
func publicChangesOfEvents(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	before, _, err := s.StockChanges(t.Context(), time.Time{}, 10)
	if err != nil || len(before) != 1 {
		t.Fatalf("%+v, %v", before, err)
	}
	b.exec(t, ageStand, b.event.ID.String())
	if _, err := b.Change(t.Context(), txn.None, b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error { return e.Cancel() }); err != nil {
		t.Fatal(err)
	}
	after, _, err := s.StockChanges(t.Context(), before[0].At.Add(time.Microsecond), 10)
	if err != nil || len(after) != 1 || after[0].Version <= before[0].Version {
		t.Errorf("%+v after %+v, %v: the event was canceled", after, before, err)
	}
}

// publicStand: whatever changes, the first quota says where the stock stands, and no other.
func publicStand(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	stand := func() (next int64) {
		others := b.number(t, `SELECT count(*) FROM booking.quota WHERE event_id = $1 AND position > 0
			AND ledger_next IS NULL AND ledger_hash IS NULL AND stock_version IS NULL AND stock_changed_at IS NULL`, b.event.ID.String())
		if others != 1 {
			t.Errorf("%d quotas besides the first carry nothing, want 1", others)
		}
		return b.number(t, `SELECT q.ledger_next FROM booking.quota AS q JOIN booking.ledger AS l ON l.event_id = q.event_id AND l.hash = q.ledger_hash
			WHERE q.event_id = $1 AND q.position = 0 ORDER BY l.first_entry DESC LIMIT 1`, b.event.ID.String())
	}
	opened := stand()
	b.allocate(t, b.upper, 1) // of the second quota only
	b.mustHold(t, b.gallery, 1)
	if now := stand(); now != opened+2 {
		t.Errorf("the ledger ends before %d, then before %d, want two entries more", opened, now)
	}
	if _, err := b.Change(t.Context(), txn.None, b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error { return e.Cancel() }); err != nil {
		t.Fatal(err)
	}
	if now := stand(); now != opened+2 {
		t.Errorf("a change of the event moved the ledger's end from %d to %d", opened+2, now)
	}
}

// publicLive walks over drafts, canceled events and events that are over without a page
// that reads more than it may.
func publicLive(t *testing.T, s *store.Store) {
	live, off, over := openShop(t, s, 10, 4), openShop(t, s, 10, 4), openShop(t, s, 10, 4)
	over.exec(t, `UPDATE booking.event SET starts_at = clock_timestamp() - interval '2 hours', ends_at = clock_timestamp() WHERE event_id = $1`, over.event.ID.String())
	if _, err := off.Change(t.Context(), txn.None, off.event.ID, off.event.Organizer, 0, func(e *booking.Event, _ time.Time) error { return e.Cancel() }); err != nil {
		t.Fatal(err)
	}
	if _, err := live.DraftEvent(t.Context(), txn.None, id.NewOrganizer(s.Cell), draft(1, 1), false); err != nil {
		t.Fatal(err)
	}
	changes, _, err := s.StockChanges(t.Context(), time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []search.StockChange
	pages := 0
	for next := ""; pages == 0 || next != ""; pages++ {
		var page []search.StockChange
		if page, next, err = s.Live(t.Context(), next, 1); err != nil || len(page) > 1 {
			t.Fatalf("%+v, %v", page, err)
		}
		got = append(got, page...)
	}
	same := func(c search.StockChange) bool { return c.Event == got[0].Event && c.Version == got[0].Version }
	if pages != 5 || len(got) != 1 || !slices.ContainsFunc(changes, same) || got[0].Event != live.event.ID.String() {
		t.Errorf("%d pages: %+v; changes %+v", pages, got, changes)
	}
}

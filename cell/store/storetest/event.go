package storetest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

var eventTests = map[string]func(t *testing.T, s *store.Store){
	"Event_readsBackAsItWasStored":            eventReadsBack,
	"Event_changesOneAfterTheOther":           eventChanges,
	"Event_isToldToTheWorldOnceItIsPublished": eventTold,
	"Event_behindTheFenceIsNotChanged":        eventFenced,
	"Event_ofACatalogueExistsOnce":            eventOfSource,
	"Organizer_readsBackAndIsKeptOnce":        organizerKept,
}

func eventReadsBack(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	e, err := abroad(t, s, "Pacific/Kiritimati").Event(t.Context(), txn.None, b.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !e.StartsAt.Equal(b.event.StartsAt) || !e.EndsAt.Equal(*b.event.EndsAt) {
		t.Errorf("times %s, %s", e.StartsAt, e.EndsAt)
	}
	e.StartsAt, e.EndsAt, e.SeenAt = b.event.StartsAt, b.event.EndsAt, b.event.SeenAt
	if !reflect.DeepEqual(e, b.event) {
		t.Errorf("got  %+v\nwant %+v", e, b.event)
	}
	_, err = s.Event(t.Context(), txn.None, id.NewEvent(s.Cell))
	wantErr(t, err, booking.ErrEventNotFound)
	_, err = s.Hold(t.Context(), id.NewHold(b.event.ID))
	wantErr(t, err, booking.ErrHoldNotFound)
	wantErr(t, s.WithStock(t.Context(), txn.None, id.NewEvent(s.Cell), ttl, nil, func(*booking.Stock) error { return nil }), booking.ErrEventNotFound)
}

func eventChanges(t *testing.T, s *store.Store) {
	b, other := openShop(t, s, 10, 4), twin(t, s)
	const changes = 20
	var all sync.WaitGroup
	stale := make(chan error, changes)
	for i := range changes {
		box := b.at([]*store.Store{s, other}[i%2])
		all.Go(func() {
			if _, err := box.Change(t.Context(), txn.None, b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error {
				return e.Resize(b.hall, "hall", e.Quotas[0].Size+1)
			}); err != nil {
				t.Error(err)
			}
			if _, err := box.Change(t.Context(), txn.None, b.event.ID, b.event.Organizer, 1, func(*booking.Event, time.Time) error { return nil }); err == nil {
				t.Error("a change of a version that is gone was taken")
			} else {
				stale <- err
			}
		})
	}
	all.Wait()
	close(stale)
	for err := range stale {
		wantErr(t, err, booking.ErrStale)
	}
	e, err := s.Event(t.Context(), txn.None, b.event.ID)
	if err != nil || e.Version != 1+changes || e.Quotas[0].Size != 10+changes {
		t.Errorf("%v: version %d, size %d", err, e.Version, e.Quotas[0].Size)
	}
	nop := func(*booking.Event, time.Time) error { return nil }
	_, err = b.Change(t.Context(), txn.None, b.event.ID, id.NewOrganizer(s.Cell), 0, nop)
	wantErr(t, err, booking.ErrEventNotFound) // another's event is nobody's business
	_, err = b.Change(t.Context(), txn.None, b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error { return e.Resize(b.hall, "gallery", 30) })
	wantErr(t, err, booking.ErrInvalidEvent)
}

// An import that runs twice at once makes each event of its catalogue once.
func eventOfSource(t *testing.T, s *store.Store) {
	boxes, org := []*booking.Service{service(s), service(twin(t, s))}, id.NewOrganizer(s.Cell)
	var all sync.WaitGroup
	made := make(chan id.Event, 20)
	for i := range 20 {
		all.Go(func() {
			e, err := boxes[i%2].DraftEvent(t.Context(), txn.None, org, draft(1, 1), true)
			if err == nil {
				made <- e.ID
			} else if !errors.Is(err, booking.ErrEventExists) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(made) != 1 {
		t.Fatalf("%d events", len(made))
	}
	_, err := boxes[0].DraftEvent(t.Context(), txn.None, org, draft(1, 1), true)
	if e := kind.As(err); e == nil || e.Fields["event_id"] != (<-made).String() {
		t.Errorf("the event that is there is not named: %v", err)
	}
	for range 2 { // what comes from no catalogue is never the same
		own := draft(1, 1)
		own.Source = nil
		if _, err := boxes[0].DraftEvent(t.Context(), txn.None, org, own, true); err != nil {
			t.Error(err)
		}
	}
}

const countOutbox = `SELECT count(*) FROM bus.outbox WHERE event_key = $1`

func eventTold(t *testing.T, s *store.Store) {
	s.Announce = func(e booking.Event) ([]byte, error) { return []byte(e.Name), nil }
	box := service(s)
	e, err := box.DraftEvent(t.Context(), txn.None, id.NewOrganizer(s.Cell), draft(1, 1), false)
	if err != nil {
		t.Fatal(err)
	}
	b := shop{Service: box, store: s, event: e}
	told := func(want int64) {
		t.Helper()
		if n := b.number(t, countOutbox, e.ID.String()); n != want {
			t.Errorf("told %d times, want %d", n, want)
		}
	}
	change := func(with func(e *booking.Event, now time.Time) error) error {
		_, err := box.Change(t.Context(), txn.None, e.ID, e.Organizer, 0, with)
		return err
	}
	told(0)
	if err := change(func(e *booking.Event, now time.Time) error { return e.Publish(now) }); err != nil {
		t.Fatal(err)
	}
	told(1)
	if err := change(func(e *booking.Event, _ time.Time) error { e.Name = ""; return nil }); !errors.Is(err, booking.ErrInvalidEvent) {
		t.Error(err)
	}
	told(1)
	s.Announce = func(booking.Event) ([]byte, error) { return nil, errors.New("no words") }
	if err := change(func(e *booking.Event, _ time.Time) error { return e.Cancel() }); err == nil {
		t.Error("a change that could not be told was kept")
	}
	told(1)
	if now, err := s.Event(t.Context(), txn.None, e.ID); err != nil || now.State != booking.Published {
		t.Errorf("%v: the event is %s", err, now.State)
	}
}

const seal = `UPDATE booking.event SET placement = 'sealed' WHERE event_id = $1`

// P1: behind the fence nothing of the event changes here.
func eventFenced(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	due := b.mustHold(t, b.floor, 2)
	b.expire(t, due.ID, 0)
	if events, err := s.EventsWithDueHolds(t.Context(), 10); err != nil || len(events) != 1 {
		t.Errorf("%v: %d events with due holds", err, len(events))
	}
	b.exec(t, seal, b.event.ID.String())
	_, err := b.ask(t.Context(), b.floor, 1)
	wantErr(t, err, booking.ErrMoved)
	_, err = b.Release(t.Context(), due.ID)
	wantErr(t, err, booking.ErrMoved)
	_, err = b.Extend(t.Context(), due.ID)
	wantErr(t, err, booking.ErrMoved)
	_, err = b.Change(t.Context(), txn.None, b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error { return e.Cancel() })
	wantErr(t, err, booking.ErrMoved)
	if n, err := b.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("the sweeper visited %d sealed events (%v)", n, err)
	}
	b.wantCounters(t, [4]int64{2, 0, 0, 0})
}

func organizerKept(t *testing.T, s *store.Store) {
	ctx := t.Context()
	org := id.NewOrganizer(s.Cell)
	if _, err := service(s).OpenAccount(ctx, txn.None, org, "Théâtre"); err != nil {
		t.Fatal(err)
	}
	o, err := s.Organizer(ctx, org)
	if err != nil || o != (booking.Organizer{ID: org, Name: "Théâtre", HomeRegion: "eu-west-3"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if err := s.InsertOrganizer(ctx, txn.None, o); !sqldb.Violates(err, "organizer_pkey") {
		t.Errorf("a second account with the id: %v", err)
	}
	_, err = s.Organizer(ctx, id.NewOrganizer(s.Cell))
	wantErr(t, err, booking.ErrOrganizerNotFound)
	wantErr(t, s.InTx(ctx, func(context.Context, txn.Tx) error { return booking.ErrState }), booking.ErrState)
}

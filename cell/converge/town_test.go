package converge_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/cell/booking"
	"guichet/cell/converge"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/cell/store"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

func migrate(ctx context.Context, dsn string) error {
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

// openCell is a cell's database that tells of its events as a cell does.
func openCell(t testing.TB, cell topology.CellID) *store.Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrate), "test", sqldb.As(store.AppRole))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := store.New(db, cell)
	s.Announce = func(e booking.Event) ([]byte, error) {
		return json.Marshal(search.NewDocument(api.EventView(e, cell, "eu-west-3", false), e.State == booking.Published))
	}
	return s
}

const (
	// makeEvents numbers events from $2 to $3 below a prefix: their ids are those digits
	// backwards, so that they are spread over the buckets as random ones are.
	makeEvents = `INSERT INTO booking.event (event_id, organizer_id, name, summary, category, venue, starts_at, time_zone, currency, state, version, epoch, placement)
		SELECT 'evt_' || $1::text || '_' || reverse(lpad(n::text, 12, '0')), 'org_euw3_000000000001', 'Concert ' || n::text, 'An evening with music', 'music',
			'{"name":"Hall","city":"Paris","country":"FR"}'::jsonb, now() + INTERVAL '30 days', 'Europe/Paris', 'EUR', 'published', 3, 1, 'serving'
		FROM generate_series($2::bigint, $3::bigint) AS n`

	makeQuotas = `INSERT INTO booking.quota (quota_id, event_id, position, name, size, stock_version, stock_changed_at)
		SELECT 'quo_' || substr(event_id, 5) || '_0000000000000001', event_id, 0, 'Hall', 100, 1, now() FROM booking.event`

	makeTypes = `INSERT INTO booking.ticket_type (ticket_type_id, event_id, position, name, price, fees, min_per_order, max_per_order, quotas)
		SELECT 'typ_' || substr(event_id, 5) || '_0000000000000002', event_id, 0, 'Floor', 2000, 100, 1, 10,
			ARRAY['quo_' || substr(event_id, 5) || '_0000000000000001'] FROM booking.event`
)

func exec(t testing.TB, s *store.Store, sql string, args ...any) {
	t.Helper()
	if _, err := s.DB.Pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// fill publishes n events at the cell, beside the bus.
func fill(t testing.TB, s *store.Store, n int) {
	t.Helper()
	exec(t, s, makeEvents, s.Cell.String(), 1, n)
	exec(t, s, makeQuotas)
	exec(t, s, makeTypes)
}

// town is a home that is asked over HTTP, and a reader.
type town struct {
	home, here *store.Store
	told       *converge.Home
	mender     *converge.Mender
	now        time.Time
	refused    []string
	asked      int // calls
}

func openTown(t testing.TB) *town {
	t.Helper()
	w := &town{home: openCell(t, "use1"), here: openCell(t, "euw3"), now: time.Now()}
	w.told = &converge.Home{Cell: "use1", Own: w.home, Now: func() time.Time { return w.now }}
	handler := w.told.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked++
		handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.mender = &converge.Mender{
		Copy: w.here,
		Peer: func(topology.CellID) converge.Peer {
			return converge.Remote{URLs: []string{server.URL}, HTTP: server.Client()}
		},
		HomeOf: homeOf, Pause: func(context.Context, time.Duration) {},
		Report: func(_ topology.CellID, event string, _ error) { w.refused = append(w.refused, event) },
	}
	return w
}

func homeOf(event string) topology.CellID {
	ref, _ := topology.ParseRef(event)
	return ref.Key.Birth
}

// pass compares once, with what the home says now.
func (w *town) pass(t testing.TB) converge.Outcome {
	t.Helper()
	w.now = w.now.Add(time.Minute)
	o, err := w.mender.Pass(t.Context(), "use1")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// named is the copy's name of an event, and whether it is published there.
func (w *town) named(t testing.TB, event string) (string, bool) {
	t.Helper()
	eid, err := id.ParseEvent(event)
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.here.Document(t.Context(), eid)
	if err != nil {
		return "", false
	}
	return d.Event.Name, d.Published
}

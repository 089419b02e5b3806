// Package storetest is what every database under cell/store must do, as tests
// that any dialect runs: store.Store on PostgreSQL and on CockroachDB. It speaks
// through the store's own methods, and with raw SQL only where it asks whether
// the database itself refuses what the code above never would do.
package storetest

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const (
	ttl = 10 * time.Minute
	// patience bounds every wait of these tests.
	patience = 60 * time.Second
	// buyers at the last ticket; a CockroachDB on a small machine takes longer for each.
	buyers, fewBuyers = 500, 100
)

// Run holds the stores that open makes to the contract. open gives a store on a
// migrated database of its own; these tests connect a second pool to the same
// database to be the cell's second process.
func Run(t *testing.T, open func(t *testing.T) *store.Store) {
	t.Helper()
	for _, group := range []map[string]func(t *testing.T, s *store.Store){
		eventTests, stockTests, holdTests, keyedTests, answerTests, groupTests, describedTests, turnTests, constraintTests, orderTests, mailTests, paperTests, transferTests, allocationTests, termsTests, seatTests, publicTests, seriesTests, accountTests, auditTests, identityTests,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, open(t))
			})
		}
	}
}

// twin is the same cell's second process: a pool of its own on the same database.
func twin(t *testing.T, s *store.Store) *store.Store {
	t.Helper()
	return connect(t, s, s.DB.Pool.Config().ConnString())
}

// abroad is a process whose session lives in another time zone.
func abroad(t *testing.T, s *store.Store, zone string) *store.Store {
	t.Helper()
	u, err := url.Parse(s.DB.Pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("timezone", zone)
	u.RawQuery = q.Encode()
	return connect(t, s, u.String())
}

func connect(t *testing.T, s *store.Store, dsn string) *store.Store {
	t.Helper()
	return connectAs(t, s, dsn, s.DB.Confined())
}

// connectAs works as a role; "" is the owner of the tables.
func connectAs(t *testing.T, s *store.Store, dsn, role string) *store.Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn, "storetest", sqldb.As(role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return store.New(db, s.Cell)
}

func isCockroach(t *testing.T, s *store.Store) bool {
	t.Helper()
	var version string
	if err := s.DB.Pool.QueryRow(t.Context(), `SELECT version()`).Scan(&version); err != nil {
		t.Fatal(err)
	}
	return strings.Contains(version, "CockroachDB")
}

func eur(cents int64) money.Money { return money.Money{Amount: cents, Currency: "EUR"} }

// shop is an event on sale: "floor" draws on the hall, "gallery" on the hall and
// the gallery.
type shop struct {
	*booking.Service
	store          *store.Store
	event          booking.Event
	floor, gallery id.TicketType
	hall, upper    id.Quota
}

// open puts an event on sale with so many places in the hall and in its gallery.
func openShop(t *testing.T, s *store.Store, hall, gallery int64) shop {
	t.Helper()
	box := service(s)
	e, err := box.DraftEvent(t.Context(), txn.None, id.NewOrganizer(s.Cell), draft(hall, gallery), true)
	if err != nil {
		t.Fatal(err)
	}
	return shop{box, s, e, e.Types[0].ID, e.Types[1].ID, e.Quotas[0].ID, e.Quotas[1].ID}
}

// at is the same shop seen by another process.
func (b shop) at(s *store.Store) shop {
	b.Service, b.store = service(s), s
	return b
}

// birthday is what the processes' clocks say. It is wrong by decades: what is due
// is the database's to say.
var birthday = time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)

func service(s *store.Store) *booking.Service {
	desks := &booking.Desks{Store: s, HoldTTL: ttl, Patience: time.Minute, Now: time.Now} //nolint:forbidigo // it measures its pace; nothing is decided by it
	return &booking.Service{Store: s, Cell: s.Cell, Region: "eu-west-3", Desks: desks, Now: func() time.Time { return birthday }}
}

func draft(hall, gallery int64) booking.Draft {
	return booking.Draft{
		Name: "Fête «ÿ»", Summary: "Deux\nlignes", Category: "music", TimeZone: "Europe/Paris", Currency: "EUR",
		Venue:    booking.Venue{Name: "Salle", Address: "1, rue", City: "Paris", Country: "FR", Lat: 48.85, Lon: 2.35, Located: true, Capacity: 900},
		StartsAt: birthday.AddDate(9, 0, 0),
		EndsAt:   new(birthday.AddDate(200, 0, 0)), // so that it is on sale by any clock
		Quotas:   []booking.DraftQuota{{Name: "hall", Size: hall}, {Name: "gallery", Size: gallery}},
		Types: []booking.DraftType{
			{Name: "Floor", Price: eur(4000), Fees: new(eur(250)), Quotas: []string{"hall"}, Max: 50},
			{Name: "Gallery", Price: eur(2500), Quotas: []string{"hall", "gallery"}, Max: 50},
		},
		Source: &booking.Source{Name: "us", ID: "1", Licence: "CC0-1.0", Credit: "us", URL: "https://example.org", Shifted: true},
	}
}

func (b shop) ask(ctx context.Context, of id.TicketType, n int64) (booking.Hold, error) {
	return b.Hold(ctx, b.want(of, n))
}

func (b shop) want(of id.TicketType, n int64) booking.Request {
	return booking.Request{Hold: id.NewHold(b.event.ID), Lines: []booking.Line{{Type: of, Quantity: n}}}
}

// within is ask in the transaction tx, past the desk.
func (b shop) within(ctx context.Context, tx txn.Tx, of id.TicketType, n int64) (h booking.Hold, err error) {
	err = b.store.WithStock(ctx, tx, b.event.ID, ttl, nil, func(stock *booking.Stock) error {
		granted, err := stock.Grant(b.want(of, n))
		if err == nil {
			h = *granted
		}
		return err
	})
	return h, err
}

func (b shop) mustHold(t *testing.T, of id.TicketType, n int64) booking.Hold {
	t.Helper()
	h, err := b.ask(t.Context(), of, n)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// counters are held and sold of the hall and of the gallery.
func (b shop) wantCounters(t *testing.T, want [4]int64) {
	t.Helper()
	e, err := b.store.Event(t.Context(), txn.None, b.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := [4]int64{e.Quotas[0].Held, e.Quotas[0].Sold, e.Quotas[1].Held, e.Quotas[1].Sold}; got != want {
		t.Errorf("held and sold of hall and gallery: %v, want %v", got, want)
	}
	b.wantHoldsToAddUp(t, e)
	b.wantLedgerToAddUp(t, e)
}

// wantLedgerToAddUp: what the ledger tells, row by row, is what the counters say.
func (b shop) wantLedgerToAddUp(t *testing.T, e booking.Event) {
	t.Helper()
	var tally booking.Tally
	for after := int64(0); ; {
		rows, err := b.store.Ledger(t.Context(), e.ID, after, 50)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := tally.Add(r); err != nil {
				t.Fatal(err)
			}
			after = r.First
		}
		if len(rows) == 0 {
			break
		}
	}
	for _, q := range e.Quotas {
		got := tally.Quotas[q.ID]
		if got == nil || got.Size != q.Size || got.Held != q.Held || got.Sold != q.Sold || got.Allocated != q.Allocated {
			t.Errorf("the ledger says %+v of quota %s, the counters say %+v", got, q.Name, q)
		}
	}
}

const sumActive = `SELECT coalesce(sum((i.item->>'quantity')::bigint), 0)::bigint FROM booking.hold AS h CROSS JOIN LATERAL jsonb_array_elements(h.items) AS i (item)
	WHERE h.event_id = $1 AND h.state = 'active'`

// wantHoldsToAddUp: everything draws on the hall, so its counter is the sum of the active holds.
func (b shop) wantHoldsToAddUp(t *testing.T, e booking.Event) {
	t.Helper()
	if n := b.number(t, sumActive, b.event.ID.String()); n != e.Quotas[0].Held {
		t.Errorf("the hall's counter says %d held, the holds say %d", e.Quotas[0].Held, n)
	}
	for _, q := range e.Quotas {
		if q.Held < 0 || q.Sold < 0 || q.Held+q.Sold+q.Allocated > q.Size {
			t.Errorf("P2 is broken: %+v", q)
		}
	}
}

func (b shop) wantState(t *testing.T, hold id.Hold, want booking.HoldState) {
	t.Helper()
	h, err := b.Look(t.Context(), hold)
	if err != nil || h.State != want {
		t.Errorf("hold is %s (%v), want %s", h.State, err, want)
	}
}

// number is one number that the database says.
func (b shop) number(t *testing.T, sql string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := b.store.DB.Pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (b shop) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	tag, err := b.store.DB.Pool.Exec(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	if tag.RowsAffected() == 0 {
		t.Fatalf("%s changed nothing", sql)
	}
}

const expireIn = `UPDATE booking.hold SET expires_at = clock_timestamp() + $2::float8 * INTERVAL '1 second' WHERE hold_id = $1`

// expire makes a hold due in a while by the database's clock; zero is now.
func (b shop) expire(t *testing.T, hold id.Hold, in time.Duration) {
	t.Helper()
	b.exec(t, expireIn, hold.String(), in.Seconds())
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// wait waits for a signal of another goroutine.
func wait(t *testing.T, signal <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(patience):
		t.Fatalf("waited %s for %s", patience, what)
	}
}

// sqlOf is where a statement of a test goes that works in tx.
func sqlOf(s *store.Store, tx txn.Tx) sqldb.Querier {
	if own, ok := tx.(*sqldb.Tx); ok {
		return own
	}
	return s.DB.Pool
}

// sharing says that tx is a part of a shared transaction.
func sharing(tx txn.Tx) bool {
	own, ok := tx.(*sqldb.Tx)
	return ok && own.Shared()
}

package storetest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/txn"
)

var describedTests = map[string]func(t *testing.T, s *store.Store){
	"a batch sells what another process has described anew": describedAnew,
	"what is kept of an event is used by edition":           describedByEdition,
	"prices that only rise rise for all processes":          describedRising,
	"what is left is told by the stock's clock":             describedSeen,
	"a large description is read each time":                 describedAtLength,
}

// sold is what a batch charged for a ticket of each event, 0 where it refused or left it out.
func sold(t *testing.T, shops ...shop) (totals []int64, errs []error) {
	t.Helper()
	var groups []*booking.Group
	var holds []*booking.Hold
	for _, b := range shops {
		op, hold := b.anew(id.NewHold(b.event.ID), b.floor, 1)
		groups, holds = append(groups, &booking.Group{Event: b.event.ID, Ops: []*booking.Op{op}}), append(holds, hold)
	}
	if err := shops[0].store.Batch(t.Context(), ttl, groups); err != nil {
		t.Error(err)
	}
	for i, g := range groups {
		totals, errs = append(totals, holds[i].Total.Amount), append(errs, g.Ops[0].Err)
	}
	return totals, errs
}

// wantSold wants these totals of the next batch.
func wantSold(t *testing.T, shops []shop, want ...int64) {
	t.Helper()
	totals, errs := sold(t, shops...)
	for i := range want {
		if totals[i] != want[i] {
			t.Errorf("event %d: sold for %d, want %d (%v)", i, totals[i], want[i], errs[i])
		}
	}
}

func describedAnew(t *testing.T, s *store.Store) {
	shops := []shop{openShop(t, s, 20, 4), openShop(t, s, 20, 4)}
	elsewhere := shops[0].at(twin(t, s))
	change := func(with func(e *booking.Event, floor *booking.TicketType) error) {
		t.Helper()
		if _, err := elsewhere.Change(t.Context(), txn.None, elsewhere.event.ID, elsewhere.event.Organizer, 0, func(e *booking.Event, _ time.Time) error {
			return with(e, e.Type(elsewhere.floor))
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		wantSold(t, shops, 4250, 4250)
	}
	change(func(_ *booking.Event, floor *booking.TicketType) error {
		floor.Price = eur(5000)
		return nil
	})
	for range 2 {
		wantSold(t, shops, 5250, 4250)
	}
	tiers := []booking.DraftTier{{Name: "First", Price: eur(900), Quantity: 1}, {Name: "Then", Price: eur(1900), Quantity: 1}}
	change(func(e *booking.Event, floor *booking.TicketType) error {
		return floor.Revise(e, booking.DraftType{Name: floor.Name, Price: floor.Price, Max: 50, Terms: booking.DraftTerms{Tiers: &tiers}})
	})
	wantSold(t, shops, 900, 4250)
	wantSold(t, []shop{elsewhere}, 1900)
	wantSold(t, shops, 0, 4250) // the counters of tiers are read each time
	shops[1].exec(t, seal, shops[1].event.ID.String())
	_, errs := sold(t, shops...)
	wantErr(t, errs[0], booking.ErrSoldOut)
	wantErr(t, errs[1], booking.ErrMoved) // P1: where an event lives is no part of its description
	change(func(e *booking.Event, _ *booking.TicketType) error { return e.Cancel() })
	_, errs = sold(t, shops[0])
	wantErr(t, errs[0], booking.ErrNotOnSale)
}

// A database that was set back gives a version twice, so the version alone does not say
// that a description is the one that was kept.
func describedByEdition(t *testing.T, s *store.Store) {
	shops := []shop{openShop(t, s, 20, 4), openShop(t, s, 20, 4)}
	wantSold(t, shops, 4250, 4250)
	shops[0].exec(t, `UPDATE booking.ticket_type SET price = 7000 WHERE ticket_type_id = $1`, shops[0].floor.String())
	wantSold(t, shops, 4250, 4250) // nobody said that it was described anew
	wantSold(t, shops[:1], 4250)
	shops[0].exec(t, `UPDATE booking.event SET described_at = described_at + INTERVAL '1 microsecond' WHERE event_id = $1`, shops[0].event.ID.String())
	for range 2 {
		wantSold(t, shops, 7250, 4250)
	}
	shops[0].exec(t, `UPDATE booking.ticket_type SET price = 8000 WHERE ticket_type_id = $1`, shops[0].floor.String())
	shops[0].exec(t, `UPDATE booking.event SET version = version + 1 WHERE event_id = $1`, shops[0].event.ID.String())
	wantSold(t, shops, 8250, 4250)
	if _, err := shops[0].Change(t.Context(), txn.None, shops[0].event.ID, shops[0].event.Organizer, 0, func(e *booking.Event, _ time.Time) error {
		e.Type(shops[0].floor).Price = eur(9000)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	shops[0].exec(t, `UPDATE booking.event SET version = version - 1 WHERE event_id = $1`, shops[0].event.ID.String())
	wantSold(t, shops, 9250, 4250)
}

// describedRising lets two processes sell while a third raises the prices: in the order
// of the events' locks no ticket may cost less than the one before.
func describedRising(t *testing.T, s *store.Store) {
	const raises = 60
	shops := []shop{openShop(t, s, 1_000_000, 4), openShop(t, s, 1_000_000, 4), openShop(t, s, 1_000_000, 4)}
	raised := make(chan struct{})
	var all sync.WaitGroup
	for _, process := range []*store.Store{s, twin(t, s)} {
		mine := make([]shop, len(shops))
		for i, b := range shops {
			mine[i] = b.at(process)
		}
		all.Go(func() {
			for last := false; !last; { // once more after the last raise
				select {
				case <-raised:
					last = true
				default:
				}
				for _, b := range mine { // of several events, those that the other has are left out
					sold(t, b)
				}
				sold(t, mine...)
			}
		})
	}
	office := twin(t, s)
	for range raises {
		for _, b := range shops {
			if _, err := b.at(office).Change(t.Context(), txn.None, b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error {
				e.Type(b.floor).Price.Amount++
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
	}
	close(raised)
	all.Wait()
	for _, b := range shops {
		if n := b.number(t, `SELECT count(*) FROM (SELECT total - lag(total) OVER (ORDER BY created_at) AS more FROM booking.hold WHERE event_id = $1) AS h WHERE h.more < 0`, b.event.ID.String()); n != 0 {
			t.Errorf("%d tickets cost less than the ones before", n)
		}
		if n := b.number(t, `SELECT max(total) FROM booking.hold WHERE event_id = $1`, b.event.ID.String()); n != 4250+raises {
			t.Errorf("the last ticket cost %d, want %d", n, 4250+raises)
		}
	}
}

// describedSeen: what is left of tiers is told of the moment, also where nobody asks for a
// new hold (a late sale, staff), whether the description was known, read or read anew.
func describedSeen(t *testing.T, s *store.Store) {
	b := openShop(t, s, 20, 4)
	seen := func(how string) func(stock *booking.Stock) error {
		return func(stock *booking.Stock) error {
			if stock.SeenAt.IsZero() || !stock.SeenAt.Equal(stock.Now) {
				t.Errorf("%s: seen at %s, and it is %s", how, stock.SeenAt, stock.Now)
			}
			return nil
		}
	}
	b.mustBatch(t, &booking.Op{Decide: seen("read")})
	b.mustBatch(t, &booking.Op{Decide: seen("known")})
	b.exec(t, `UPDATE booking.event SET version = version + 1 WHERE event_id = $1`, b.event.ID.String())
	b.mustBatch(t, &booking.Op{Decide: seen("read anew")})
	if err := s.WithStock(t.Context(), txn.None, b.event.ID, ttl, nil, seen("alone")); err != nil {
		t.Error(err)
	}
}

func describedAtLength(t *testing.T, s *store.Store) {
	b := openShop(t, s, 20, 4)
	if _, err := b.Change(t.Context(), txn.None, b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error {
		e.Summary = strings.Repeat("🎭", booking.MaxSummary) // four bytes each: with all else more than is kept
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	shops := []shop{b, openShop(t, s, 20, 4)}
	wantSold(t, shops, 4250, 4250)
	for _, b := range shops {
		b.exec(t, `UPDATE booking.ticket_type SET price = 7000 WHERE ticket_type_id = $1`, b.floor.String())
	}
	wantSold(t, shops, 7250, 4250)
}

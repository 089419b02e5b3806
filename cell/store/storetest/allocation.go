package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

var allocationTests = map[string]func(t *testing.T, s *store.Store){
	"Allocation_isStoredListedAndClosed":               allocationStored,
	"Allocation_staffAndPublicRaceForTheSameStock":     allocationRace,
	"Allocation_comesBackWhenItsHoldEndsUnsold":        allocationComesBack,
	"Allocation_waitsForHoldsThatAreDue":               allocationSweeps,
	"Allocation_ofAnotherOrganizerOrEventIsNotThere":   allocationForeign,
	"Allocation_hasALimitPerEvent":                     allocationLimit,
	"Allocation_ofTheDatabaseNeverGoesBelowZero":       allocationConstraint,
	"Allocation_lastPlaceGoesToStaffOrToTheirOwnBuyer": allocationLastPlace,
}

func (b shop) allocate(t *testing.T, quota id.Quota, n int64) booking.Allocation {
	t.Helper()
	a, err := b.Allocate(t.Context(), txn.None, b.event.Organizer, b.event.ID, quota, "press", n)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (b shop) holdAside(t *testing.T, from id.Allocation, of id.TicketType, n int64) (booking.Hold, error) {
	t.Helper()
	want := booking.NamedRequest{From: from, Hold: id.NewHold(b.event.ID), Type: of, Quantity: n}
	return b.HoldAside(t.Context(), txn.None, b.event.Organizer, want, booking.NamedBuyer{Name: "Ana", Email: "ana@example.org"})
}

const sumAllocated = `SELECT coalesce(sum(quantity), 0)::bigint FROM booking.allocation WHERE event_id = $1 AND quota_id = $2`

// wantAside: a quota's counter is the sum of its allocations.
func (b shop) wantAside(t *testing.T, hall, gallery int64) {
	t.Helper()
	e, err := b.store.Event(t.Context(), txn.None, b.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{hall, gallery} {
		q := e.Quotas[i]
		sum := b.number(t, sumAllocated, e.ID.String(), q.ID.String())
		if q.Allocated != sum || want >= 0 && sum != want {
			t.Errorf("%s: the counter says %d are set aside, the allocations %d, want %d", q.Name, q.Allocated, sum, want)
		}
	}
	b.wantHoldsToAddUp(t, e)
	b.wantLedgerToAddUp(t, e)
}

func allocationStored(t *testing.T, s *store.Store) {
	b := openShop(t, s, 20, 10)
	first, second := b.allocate(t, b.hall, 5), b.allocate(t, b.upper, 3)
	b.wantAside(t, 5, 3)
	after, err := b.Deallocate(t.Context(), txn.None, b.event.Organizer, first.ID, 2)
	if err != nil || after.Quantity != 3 || after.Asked != 5 {
		t.Errorf("%+v, %v", after, err)
	}
	h, err := b.holdAside(t, second.ID, b.gallery, 2)
	if err != nil {
		t.Fatal(err)
	}
	b.wantAside(t, 3, 1)
	for range 2 {
		if _, err := b.CloseAllocation(t.Context(), txn.None, b.event.Organizer, first.ID); err != nil {
			t.Fatal(err)
		}
	}
	b.wantAside(t, 0, 1)
	var seen []booking.Allocation
	for after := ""; ; {
		page, err := s.Allocations(t.Context(), b.event.ID, after, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		seen, after = append(seen, page...), page[0].ID.String()
	}
	if len(seen) != 2 {
		t.Errorf("listed %+v", seen)
	}
	for _, a := range seen {
		if one, err := s.Allocation(t.Context(), txn.None, b.event.ID, a.ID); err != nil || one != a || a.Closed != (a.ID == first.ID) {
			t.Errorf("%+v is listed as %+v: %v", one, a, err)
		}
	}
	named, err := s.NamedHolds(t.Context(), second.ID, 10)
	if err != nil || len(named) != 1 || named[0].Hold.ID != h.ID || named[0].Buyer.Name != "Ana" || named[0].Hold.Items[0].Allocation != second.ID {
		t.Errorf("holds of the allocation: %+v, %v", named, err)
	}
}

// P2: the public at two processes, staff setting aside, giving back and holding
// for named buyers, all at once.
func allocationRace(t *testing.T, s *store.Store) {
	b := openShop(t, s, 60, 30)
	boxes := []shop{b, b.at(twin(t, s))}
	house := b.allocate(t, b.upper, 10)
	may := []error{
		booking.ErrSoldOut, booking.ErrNotEnough, booking.ErrAllocTooSmall, sqldb.ErrBusy, booking.ErrHoldExpired,
	}
	var did [5]atomic.Int64
	fine := func(what int, err error) bool {
		for _, m := range may {
			if errors.Is(err, m) {
				return false
			}
		}
		if err != nil {
			t.Error(err)
		}
		did[what].Add(1)
		return err == nil
	}
	var all sync.WaitGroup
	for i := range 40 {
		box, other := boxes[i%2], boxes[(i+1)%2]
		all.Go(func() {
			ctx, org := t.Context(), b.event.Organizer
			for round := range 4 {
				switch (i/2 + round) % 4 {
				case 0:
					h, err := box.ask(ctx, b.gallery, int64(1+round))
					if fine(0, err) && round%2 == 0 {
						_, err = other.Release(ctx, h.ID)
						fine(0, err)
					}
				case 1:
					a, err := box.Allocate(ctx, txn.None, org, b.event.ID, []id.Quota{b.hall, b.upper}[round%2], "crew", int64(1+i%4))
					if fine(1, err) && i%3 > 0 {
						_, err = other.CloseAllocation(ctx, txn.None, org, a.ID)
						fine(2, err)
					}
				case 2:
					_, err := box.Deallocate(ctx, txn.None, org, house.ID, 1)
					fine(3, err)
				case 3:
					h, err := box.holdAside(t, house.ID, b.gallery, 1)
					if fine(4, err) {
						b.expire(t, h.ID, 0)
						_, err = other.Sweep(ctx)
						fine(4, err)
					}
				}
			}
		})
	}
	all.Wait()
	for what := range did {
		if did[what].Load() == 0 {
			t.Errorf("nobody did %d: the race is none", what)
		}
	}
	b.wantAside(t, -1, -1)
}

func allocationComesBack(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	a := b.allocate(t, b.upper, 3)
	var holds []booking.Hold
	for range 3 {
		h, err := b.holdAside(t, a.ID, b.gallery, 1)
		if err != nil {
			t.Fatal(err)
		}
		holds = append(holds, h)
	}
	b.wantAside(t, 0, 0)
	if _, err := b.Release(t.Context(), holds[0].ID); err != nil {
		t.Fatal(err)
	}
	b.wantAside(t, 0, 1)
	b.expire(t, holds[1].ID, 0)
	if _, err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantAside(t, 0, 2)
	if _, err := b.CloseAllocation(t.Context(), txn.None, b.event.Organizer, a.ID); err != nil {
		t.Fatal(err)
	}
	b.expire(t, holds[2].ID, 0)
	if _, err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantAside(t, 0, 0) // closed: nothing comes back
	b.wantCounters(t, [4]int64{0, 0, 0, 0})
}

// P9: "not enough" is not said while holds that are due could give some, more of
// them than one transaction sweeps.
func allocationSweeps(t *testing.T, s *store.Store) {
	b := openShop(t, s, 300, 1)
	var all sync.WaitGroup
	for range 300 {
		all.Go(func() {
			if _, err := b.ask(t.Context(), b.floor, 1); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	b.exec(t, `UPDATE booking.hold SET expires_at = clock_timestamp() - INTERVAL '1 second' WHERE event_id = $1`, b.event.ID.String())
	b.allocate(t, b.hall, 300)
	b.wantAside(t, 300, 0)
}

func allocationForeign(t *testing.T, s *store.Store) {
	b, other := openShop(t, s, 10, 4), openShop(t, s, 10, 4)
	a := b.allocate(t, b.hall, 3)
	_, err := b.Allocate(t.Context(), txn.None, other.event.Organizer, b.event.ID, b.hall, "x", 1)
	wantErr(t, err, booking.ErrEventNotFound)
	_, err = b.CloseAllocation(t.Context(), txn.None, other.event.Organizer, a.ID)
	wantErr(t, err, booking.ErrEventNotFound)
	_, err = b.Deallocate(t.Context(), txn.None, b.event.Organizer, id.NewAllocation(b.event.ID), 1)
	wantErr(t, err, booking.ErrAllocNotFound)
	_, err = s.Allocation(t.Context(), txn.None, other.event.ID, a.ID)
	wantErr(t, err, booking.ErrAllocNotFound)
	_, err = b.Allocate(t.Context(), txn.None, b.event.Organizer, b.event.ID, other.hall, "x", 1)
	wantErr(t, err, booking.ErrQuotaNotFound)
	b.wantAside(t, 3, 0)
}

func allocationLimit(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	b.exec(t, `INSERT INTO booking.allocation (allocation_id, event_id, quota_id, name, asked, quantity, closed, created_at)
		SELECT $1::text || n::text, $1, $2, 'old', 1, 0, true, now() FROM generate_series(1, $3::bigint) AS n`,
		b.event.ID.String(), b.hall.String(), booking.MaxAllocations)
	_, err := b.Allocate(t.Context(), txn.None, b.event.Organizer, b.event.ID, b.hall, "one more", 1)
	wantErr(t, err, booking.ErrAllocLimit)
	b.exec(t, `DELETE FROM booking.allocation WHERE event_id = $1`, b.event.ID.String())
	b.exec(t, `INSERT INTO booking.allocation (allocation_id, event_id, quota_id, name, asked, quantity, closed, created_at)
		SELECT 'alc' || substr($1, 4) || '_' || to_char(n, 'FM0000000000000000'), $1, $2, 'empty', 1, 0, false, now() FROM generate_series(1, $3::bigint) AS n`,
		b.event.ID.String(), b.hall.String(), booking.MaxOpenAllocations)
	_, err = b.Allocate(t.Context(), txn.None, b.event.Organizer, b.event.ID, b.hall, "one more", 1)
	wantErr(t, err, booking.ErrAllocLimit)
	b.wantCounters(t, [4]int64{0, 0, 0, 0})
}

// The database's own word, for when the code above were wrong.
func allocationConstraint(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	a := b.allocate(t, b.hall, 3)
	if _, err := s.DB.Pool.Exec(t.Context(), `UPDATE booking.allocation SET quantity = -1 WHERE allocation_id = $1`, a.ID.String()); sqldb.SQLState(err) != "23514" {
		t.Errorf("an allocation of less than nothing: %v", err)
	}
	if _, err := s.DB.Pool.Exec(t.Context(), `UPDATE booking.quota SET allocated = 11 WHERE quota_id = $1`, b.hall.String()); sqldb.SQLState(err) != "23514" {
		t.Errorf("more set aside than there is: %v", err)
	}
}

// One place is set aside. Staff give it back, hold it for a buyer, and the public
// asks for it, all at the same instant and at two processes: it goes once.
func allocationLastPlace(t *testing.T, s *store.Store) {
	for range 5 {
		b := openShop(t, s, 1, 1)
		boxes := []shop{b, b.at(twin(t, s))}
		a := b.allocate(t, b.hall, 1)
		var won atomic.Int64
		var all sync.WaitGroup
		start := make(chan struct{})
		race := func(do func(box shop) error) {
			for i := range 8 {
				all.Go(func() {
					<-start
					err := retried(t, func(try int) error { return do(boxes[(i+try)%2]) })
					switch {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, booking.ErrSoldOut) && !errors.Is(err, booking.ErrAllocTooSmall):
						t.Error(err)
					}
				})
			}
		}
		race(func(box shop) error { _, err := box.ask(t.Context(), b.floor, 1); return err })
		race(func(box shop) error { _, err := box.holdAside(t, a.ID, b.floor, 1); return err })
		all.Go(func() {
			<-start
			if _, err := boxes[1].CloseAllocation(t.Context(), txn.None, b.event.Organizer, a.ID); err != nil {
				t.Error(err)
			}
		})
		close(start)
		all.Wait()
		if n := won.Load(); n > 1 {
			t.Errorf("one place was given %d times", n)
		}
		b.wantAside(t, 0, 0)
	}
}

package booking_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
)

func (s shop) mustAllocate(t *testing.T, quota id.Quota, n int64) *booking.Allocation {
	t.Helper()
	a, err := s.Allocate(id.NewAllocation(s.ID), quota, "press", n)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s shop) named(from *booking.Allocation, of id.TicketType, n int64) booking.NamedRequest {
	return booking.NamedRequest{From: from.ID, Hold: id.NewHold(s.ID), Type: of, Quantity: n}
}

func (s shop) mustHoldAside(t *testing.T, from *booking.Allocation, of id.TicketType, n int64) *booking.Hold {
	t.Helper()
	h, err := s.GrantAside(s.named(from, of, n))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// allocated are what is set aside of the hall and of the gallery.
func (s shop) wantAllocated(t *testing.T, hall, gallery int64) {
	t.Helper()
	if h, g := s.Quota(s.hall).Allocated, s.Quota(s.upper).Allocated; h != hall || g != gallery {
		t.Errorf("%d of the hall and %d of the gallery are set aside, want %d and %d", h, g, hall, gallery)
	}
}

func TestAllocation_keepsStockFromThePublicUntilItIsGivenBack(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	a := s.mustAllocate(t, s.hall, 8)
	_, err := s.ask(booking.Line{Type: s.floor, Quantity: 3})
	wantErr(t, err, booking.ErrSoldOut)
	_, err = s.Allocate(id.NewAllocation(s.ID), s.hall, "sponsor", 3)
	wantErr(t, err, booking.ErrNotEnough)
	if field(t, err, "left") != int64(2) {
		t.Errorf("left: %v", field(t, err, "left"))
	}
	_, err = s.Deallocate(a.ID, 9)
	wantErr(t, err, booking.ErrAllocTooSmall)
	if _, err = s.Deallocate(a.ID, 5); err != nil || a.Quantity != 3 {
		t.Fatalf("%d left after giving 5 of 8 back: %v", a.Quantity, err)
	}
	s.mustHold(t, s.floor, 7)
	s.wantAllocated(t, 3, 0)
	for range 2 {
		if _, err := s.Close(a.ID); err != nil {
			t.Fatal(err)
		}
	}
	s.wantAllocated(t, 0, 0)
	s.wantCounters(t, [6]int64{7, 0, 3, 0, 0, 10})
	kinds := map[booking.EntryKind]int{}
	for _, e := range s.Log {
		kinds[e.Kind]++
	}
	if kinds[booking.EntryAllocate] != 1 || kinds[booking.EntryDeallocate] != 2 {
		t.Errorf("the ledger tells %v", kinds)
	}
}

func TestAllocation_refusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	a := s.mustAllocate(t, s.upper, 4)
	other := newShop(1, 1)
	past, far := noon.Add(-time.Second), noon.AddDate(0, 0, 15)
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"no name":            {func() error { _, err := s.Allocate(id.NewAllocation(s.ID), s.hall, " ", 1); return err }, booking.ErrAllocInvalid},
		"nothing":            {func() error { _, err := s.Allocate(id.NewAllocation(s.ID), s.hall, "x", 0); return err }, booking.ErrQuantity},
		"less":               {func() error { _, err := s.Allocate(id.NewAllocation(s.ID), s.hall, "x", -1); return err }, booking.ErrQuantity},
		"foreign quota":      {func() error { _, err := s.Allocate(id.NewAllocation(s.ID), other.hall, "x", 1); return err }, booking.ErrQuotaNotFound},
		"give nothing":       {func() error { _, err := s.Deallocate(a.ID, 0); return err }, booking.ErrQuantity},
		"give less":          {func() error { _, err := s.Deallocate(a.ID, -1); return err }, booking.ErrQuantity},
		"unknown":            {func() error { _, err := s.Close(id.NewAllocation(s.ID)); return err }, booking.ErrAllocNotFound},
		"other quota's type": {func() error { _, err := s.GrantAside(s.named(a, s.floor, 1)); return err }, booking.ErrAllocMismatch},
		"more than there is": {func() error { _, err := s.GrantAside(s.named(a, s.gallery, 5)); return err }, booking.ErrAllocTooSmall},
		"nobody's ticket":    {func() error { _, err := s.GrantAside(s.named(a, other.floor, 1)); return err }, booking.ErrTicketType},
		"no tickets":         {func() error { _, err := s.GrantAside(s.named(a, s.gallery, 0)); return err }, booking.ErrQuantity},
		"an army":            {func() error { _, err := s.GrantAside(s.named(a, s.gallery, 51)); return err }, booking.ErrTooMany},
		"until yesterday": {func() error {
			want := s.named(a, s.gallery, 1)
			want.Until = &past
			_, err := s.GrantAside(want)
			return err
		}, booking.ErrAllocInvalid},
		"for ever": {func() error {
			want := s.named(a, s.gallery, 1)
			want.Until = &far
			_, err := s.GrantAside(want)
			return err
		}, booking.ErrAllocInvalid},
		"a buyer without a name": {func() error { return booking.NamedBuyer{Email: "a@example.org"}.Check() }, booking.ErrAllocInvalid},
		"no e-mail address":      {func() error { return booking.NamedBuyer{Name: "Ana", Email: "ana"}.Check() }, booking.ErrAllocInvalid},
	} {
		before := s.counters()
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if s.counters() != before {
			t.Errorf("%s changed the stock", name)
		}
	}
	s.Placement = "sealed"
	_, err := s.Allocate(id.NewAllocation(s.ID), s.hall, "x", 1)
	wantErr(t, err, booking.ErrMoved)
	_, err = s.Close(a.ID)
	wantErr(t, err, booking.ErrMoved)
	_, err = s.GrantAside(s.named(a, s.gallery, 1))
	wantErr(t, err, booking.ErrMoved)
}

func TestAllocation_becomesAHoldForANamedBuyerAndComesBackUnsold(t *testing.T) {
	t.Parallel()
	s := newShop(10, 4)
	a := s.mustAllocate(t, s.upper, 4)
	s.mustHold(t, s.floor, 7)                        // the public leaves 3 of the hall
	_, err := s.GrantAside(s.named(a, s.gallery, 4)) // the gallery's places need the hall's too
	wantErr(t, err, booking.ErrNotEnough)
	sold, lapsed, kept := s.mustHoldAside(t, a, s.gallery, 1), s.mustHoldAside(t, a, s.gallery, 1), s.mustHoldAside(t, a, s.gallery, 1)
	s.wantCounters(t, [6]int64{10, 0, 0, 3, 0, 0})
	s.wantAllocated(t, 0, 1)
	if err := s.Convert(sold); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(lapsed); err != nil {
		t.Fatal(err)
	}
	s.wantAllocated(t, 0, 2)
	s.wantCounters(t, [6]int64{8, 1, 1, 1, 1, 0})
	if _, err := s.Close(a.ID); err != nil {
		t.Fatal(err)
	}
	s.later(ttl)
	s.Sweep() // staff gave the allocation up meanwhile: the place is the public's
	if kept.State != booking.HoldExpired || a.Quantity != 0 {
		t.Errorf("the hold is %s, %d are set aside", kept.State, a.Quantity)
	}
	s.wantAllocated(t, 0, 0)
	s.wantCounters(t, [6]int64{0, 1, 9, 0, 1, 3})
}

// "Paid but expired", rule 3, with house stock: what had gone back to the
// allocation is there for the late payment, before the public is asked.
func TestAllocation_givesAgainToALatePayment(t *testing.T) {
	t.Parallel()
	s := newShop(4, 4)
	a := s.mustAllocate(t, s.upper, 2)
	h := s.mustHoldAside(t, a, s.gallery, 2)
	s.later(ttl)
	s.Sweep()
	s.wantAllocated(t, 0, 2)
	s.mustHold(t, s.gallery, 2) // the public takes the rest
	if err := s.Convert(h); err != nil {
		t.Fatal(err)
	}
	s.wantAllocated(t, 0, 0)
	s.wantCounters(t, [6]int64{2, 2, 0, 2, 2, 0})
	if a.Quantity != 0 {
		t.Errorf("%d are set aside still", a.Quantity)
	}
	s.Unsell(h) // its money could not be taken after all
	s.Unsell(h) // once
	s.wantAllocated(t, 0, 2)
	s.wantCounters(t, [6]int64{2, 0, 2, 2, 0, 0})
	if a.Quantity != 2 || h.State != booking.HoldReleased {
		t.Errorf("%d are set aside, the hold is %s", a.Quantity, h.State)
	}
}

// P2 and the sum of allocations under random orders of what staff and the public do.
func TestAllocation_addsUpInEveryOrderOfEvents(t *testing.T) {
	t.Parallel()
	const games, moves = 300, 120
	did := map[string]int{}
	for seed := range uint64(games) {
		r := rand.New(rand.NewPCG(seed, 2))
		s := newShop(5+r.Int64N(30), 2+r.Int64N(12))
		var tally booking.Tally
		head := booking.LedgerHead{}
		tell := func(entries []booking.Entry) {
			row, err := head.Row(s.ID, s.Now, entries)
			if err == nil {
				err = tally.Add(row)
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		tell([]booking.Entry{s.Opening()})
		for range moves {
			did[staffMove(r, s)]++
			if len(s.Log) > 0 {
				tell(s.Log)
				s.Log = nil
			}
			aside := map[id.Quota]int64{}
			for _, a := range s.Aside {
				if aside[a.Quota] += a.Quantity; a.Quantity < 0 {
					t.Fatalf("seed %d: %d are set aside", seed, a.Quantity)
				}
			}
			for _, q := range s.Quotas {
				if q.Allocated != aside[q.ID] || *tally.Quotas[q.ID] != (booking.Quota{ID: q.ID, Size: q.Size, Held: q.Held, Sold: q.Sold, Allocated: q.Allocated}) || q.Free() < 0 {
					t.Fatalf("seed %d: %+v; the allocations say %d, the ledger %+v", seed, q, aside[q.ID], tally.Quotas[q.ID])
				}
			}
		}
	}
	for _, what := range []string{"allocate", "deallocate", "close", "named hold", "public hold", "sell", "late sale", "unsell", "release", "lapse", "refused"} {
		if did[what] < games/4 {
			t.Errorf("%q happened %d times in %d games", what, did[what], games)
		}
	}
}

func staffMove(r *rand.Rand, s shop) string {
	var as []*booking.Allocation
	for _, a := range s.Aside {
		as = append(as, a)
	}
	var hs []*booking.Hold
	for _, h := range s.Holds {
		hs = append(hs, h)
	}
	tell := func(what string, err error) string {
		if err != nil {
			return "refused"
		}
		return what
	}
	switch n := r.IntN(17); {
	case n < 2 || len(as) == 0:
		_, err := s.Allocate(id.NewAllocation(s.ID), []id.Quota{s.hall, s.upper}[r.IntN(2)], "x", 1+r.Int64N(5))
		return tell("allocate", err)
	case n < 3:
		_, err := s.Deallocate(as[r.IntN(len(as))].ID, 1+r.Int64N(3))
		return tell("deallocate", err)
	case n < 4:
		_, err := s.Close(as[r.IntN(len(as))].ID)
		return tell("close", err)
	case n < 9:
		_, err := s.GrantAside(s.named(as[r.IntN(len(as))], []id.TicketType{s.floor, s.gallery}[r.IntN(2)], 1+r.Int64N(3)))
		return tell("named hold", err)
	case n < 10 || len(hs) == 0:
		_, err := s.ask(booking.Line{Type: s.gallery, Quantity: 2 + r.Int64N(2)})
		return tell("public hold", err)
	case n < 12:
		h := hs[r.IntN(len(hs))]
		late := h.State != booking.HoldActive && h.State != booking.HoldConverted
		if err := s.Convert(h); late {
			return tell("late sale", err)
		}
		return "sell"
	case n < 14:
		return tell("release", s.Release(hs[r.IntN(len(hs))]))
	case n < 15:
		h := hs[r.IntN(len(hs))]
		if h.State != booking.HoldConverted {
			return "nothing"
		}
		s.Unsell(h)
		return "unsell"
	default:
		s.later(time.Duration(r.Int64N(int64(8 * time.Minute))))
		s.Sweep()
		return "lapse"
	}
}

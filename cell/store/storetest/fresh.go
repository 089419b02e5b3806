package storetest

import (
	"slices"
	"testing"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/txn"
)

// anew is an op that makes the hold, as one with a key does, and where it leaves what it
// was told.
func (b shop) anew(hold id.Hold, of id.TicketType, n int64) (*booking.Op, *booking.Hold) {
	want := booking.Request{Hold: hold, Asked: booking.Mark{1}, Lines: []booking.Line{{Type: of, Quantity: n}}}
	op, got := &booking.Op{Holds: []id.Hold{hold}, New: true}, &booking.Hold{}
	op.Decide = func(s *booking.Stock) (err error) {
		*got, op.Replayed, err = s.GrantOnce(want)
		return err
	}
	return op, got
}

// groupLooksLate: a hold that is made again is found, whether its row stands in the way or
// its request would be refused; the others of the batch get theirs.
func groupLooksLate(t *testing.T, s *store.Store) {
	b, other := openShop(t, s, 4, 4), openShop(t, s, 4, 4)
	mine := id.NewHold(b.event.ID)
	first, granted := b.anew(mine, b.floor, 2)
	b.mustBatch(t, first)
	if first.Replayed || granted.State != booking.HoldActive {
		t.Fatalf("%+v", granted)
	}

	again, same := b.anew(mine, b.floor, 2)
	beside, _ := b.anew(id.NewHold(b.event.ID), b.floor, 2)
	elsewhere, _ := other.anew(id.NewHold(other.event.ID), other.floor, 1)
	groups := []*booking.Group{{Event: b.event.ID, Ops: []*booking.Op{beside, again}}, {Event: other.event.ID, Ops: []*booking.Op{elsewhere}}}
	if err := s.Batch(t.Context(), ttl, groups); err != nil {
		t.Fatal(err)
	}
	if beside.Err != nil || elsewhere.Err != nil || again.Err != nil || !again.Replayed || same.ID != mine || same.Total != granted.Total {
		t.Errorf("beside %v, elsewhere %v, again %v %v", beside.Err, elsewhere.Err, again.Err, again.Replayed)
	}

	// Nothing is left now, so the same request would be refused before its row is in the way.
	again, _ = b.anew(mine, b.floor, 2)
	late, _ := b.anew(id.NewHold(b.event.ID), b.floor, 1)
	b.mustBatch(t, late, again)
	wantErr(t, late.Err, booking.ErrSoldOut)
	if again.Err != nil || !again.Replayed {
		t.Errorf("who has the last tickets was told %v", again.Err)
	}

	reused, _ := b.anew(mine, b.floor, 2)
	decide := reused.Decide
	reused.Decide = func(stock *booking.Stock) error {
		if h := stock.Holds[mine]; h != nil {
			h.Asked = booking.Mark{2}
		}
		return decide(stock)
	}
	b.mustBatch(t, reused)
	wantErr(t, reused.Err, booking.ErrKeyReused)
	b.wantCounters(t, [4]int64{4, 0, 0, 0})
	other.wantCounters(t, [4]int64{1, 0, 0, 0})
}

// mustBatch decides ops of the shop's event in one transaction.
func (b shop) mustBatch(t *testing.T, ops ...*booking.Op) {
	t.Helper()
	if err := b.store.Batch(t.Context(), ttl, []*booking.Group{{Event: b.event.ID, Ops: ops}}); err != nil {
		t.Fatal(err)
	}
}

// groupKinds: what holds of a batch have in common is written once, and each is read as
// it was granted.
func groupKinds(t *testing.T, s *store.Store) {
	shops := []shop{openShop(t, s, 400, 400), openShop(t, s, 400, 400)}
	groups := make([]*booking.Group, len(shops))
	var all []*booking.Hold
	for i, b := range shops {
		groups[i] = &booking.Group{Event: b.event.ID}
		for n := range int64(24) {
			of := []id.TicketType{b.floor, b.gallery}[n%2]
			want := booking.Request{Hold: id.NewHold(b.event.ID), Lines: []booking.Line{{Type: of, Quantity: 1 + n%7}}}
			if n%5 == 0 {
				want.Lines = append(want.Lines, booking.Line{Type: b.gallery, Quantity: 2})
			}
			if n%3 == 0 {
				want.Asked = booking.Mark{byte(n), 1}
			}
			at := &booking.Hold{}
			all = append(all, at)
			groups[i].Ops = append(groups[i].Ops, &booking.Op{Decide: func(stock *booking.Stock) error {
				h, err := stock.Grant(want)
				if err == nil {
					if n == 8 {
						h.ExpiresAt = h.ExpiresAt.Add(1000)
					}
					*at = *h
				}
				return err
			}})
		}
	}
	if err := s.Batch(t.Context(), ttl, groups); err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		for _, op := range g.Ops {
			wantErr(t, op.Err, nil)
		}
	}
	for _, h := range all {
		got, err := s.Hold(t.Context(), h.ID)
		if err != nil || got.Total != h.Total || got.Asked != h.Asked || !got.ExpiresAt.Equal(h.ExpiresAt) || !got.GrantedUntil.Equal(h.GrantedUntil) ||
			!slices.EqualFunc(got.Items, h.Items, func(a, b booking.HoldItem) bool { return a.Same(&b) }) {
			t.Errorf("%v: stored\n%+v, granted\n%+v", err, got, *h)
		}
	}
	for _, b := range shops {
		e, err := s.Event(t.Context(), txn.None, b.event.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.wantHoldsToAddUp(t, e)
	}
}

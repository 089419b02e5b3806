package booking_test

import (
	"strings"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
)

func TestBuyerLimit_holdsAcrossHoldsAndOrders(t *testing.T) {
	t.Parallel()
	s := newShop(100, 10)
	s.with(s.floor, booking.Terms{MaxPerBuyer: 4})
	_, err := s.Grant(s.request(s.floor, 1))
	wantErr(t, err, booking.ErrBuyerRequired)
	zoe, ada := s.buyer(t, "Zoe+tickets@Example.org"), s.buyer(t, "ada@example.org")
	if zoe != s.buyer(t, " zoe@example.ORG ") || zoe == ada {
		t.Errorf("%s, %s", zoe, ada)
	}
	ask := func(who booking.Buyer, n int64) (*booking.Hold, error) {
		want := s.request(s.floor, n)
		want.Buyer = who
		return s.Grant(want)
	}
	first, err := ask(zoe, 3)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ask(zoe, 2)
	wantErr(t, err, booking.ErrBuyerLimit)
	if own, ok := field(t, err, "own_holds").([]booking.OwnHold); !ok || len(own) != 1 || own[0].ID != first.ID.String() || field(t, err, "limit") != int64(4) {
		t.Errorf("own holds %v", field(t, err, "own_holds"))
	}
	order := id.NewOrder(s.ID)
	if err := s.Enter(first, order, s.Now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.Convert(first); err != nil {
		t.Fatal(err)
	}
	_, err = ask(zoe, 2) // what is sold counts on
	wantErr(t, err, booking.ErrBuyerLimit)
	if field(t, err, "own_holds") != nil {
		t.Error("a sold hold is no hold any more")
	}
	if _, err := ask(ada, 4); err != nil {
		t.Error(err)
	}
	for range 2 { // canceled, and told twice
		s.Return(order, map[id.TicketType]int64{s.floor: 3})
	}
	if _, err := ask(zoe, 4); err != nil {
		t.Error(err)
	}
	if has := s.Counters.Bought[booking.Bought{Buyer: zoe, Type: s.floor}]; has != 4 {
		t.Errorf("the buyer has %d", has)
	}
}

// Regression 3.
func TestSoldOut_namesTheBuyersOwnHolds(t *testing.T) {
	t.Parallel()
	s := newShop(4, 2)
	zoe := s.buyer(t, "some-opaque-key")
	want := s.request(s.floor, 3)
	want.Buyer = zoe
	mine := s.must(t, want)
	other := s.must(t, s.request(s.floor, 1))
	again := s.request(s.gallery, 2) // another type of the same hall
	_, err := s.Grant(again)
	wantErr(t, err, booking.ErrSoldOut)
	if field(t, err, "own_holds") != nil {
		t.Error("somebody is told of another's holds")
	}
	again.Buyer = zoe
	_, err = s.Grant(again)
	wantErr(t, err, booking.ErrSoldOut)
	own, _ := field(t, err, "own_holds").([]booking.OwnHold)
	if len(own) != 1 || own[0].ID != mine.ID.String() || !own[0].ExpiresAt.Equal(mine.ExpiresAt) || !strings.Contains(err.Error(), "already") {
		t.Errorf("%v: %v", err, own)
	}
	if err := s.Release(mine); err != nil {
		t.Fatal(err)
	}
	s.must(t, s.request(s.free, 3))
	_, err = s.Grant(again)
	wantErr(t, err, booking.ErrSoldOut)
	if field(t, err, "own_holds") != nil {
		t.Error("what was given back is named as his")
	}
	_ = other
}

func TestBuyerOf_refusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	event := id.NewEvent("euw3")
	for _, key := range []string{"", "  ", "a b", "a@b@c", "@", "Zoë", "Ana <ana@example.org>", "x\x00", strings.Repeat("k", 255)} {
		_, err := booking.BuyerOf(event, key)
		wantErr(t, err, booking.ErrBuyerKey)
	}
	a, _ := booking.BuyerOf(event, "key")
	b, _ := booking.BuyerOf(id.NewEvent("euw3"), "key")
	if a == b || strings.Contains(string(a), "key") {
		t.Error("a buyer can be followed from event to event")
	}
	h := booking.Hold{Items: []booking.HoldItem{{Buyer: a}}}
	if err := h.MayOrder(event, "whoever@example.org"); err != nil {
		t.Error(err) // an opaque key says nothing of an address
	}
	mail, _ := booking.BuyerOf(event, "ana@example.org")
	h.Items[0].Buyer = mail
	if err := h.MayOrder(event, "Ana+x@example.org"); err != nil {
		t.Error(err)
	}
	wantErr(t, h.MayOrder(event, "bob@example.org"), booking.ErrBuyerMismatch)
}

func FuzzBuyerOf(f *testing.F) {
	for _, s := range []string{"", "ana@example.org", "Ana+x@Example.org", "k3y", "+@x", "a@[1.2.3.4]", "\"a b\"@x.org"} {
		f.Add(s)
	}
	event := id.NewEvent("euw3")
	f.Fuzz(func(t *testing.T, key string) {
		b, err := booking.BuyerOf(event, key)
		if (b == "") != (err != nil) || b != "" && len(b) != 33 {
			t.Errorf("%q is %q, %v", key, b, err)
		}
	})
}

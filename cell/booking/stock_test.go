package booking_test

import (
	"math"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/control-plane/topology"
)

func TestGrant_drawsOnEveryQuotaOfTheType(t *testing.T) {
	t.Parallel()
	s := newShop(10, 4)
	h, err := s.ask(booking.Line{Type: s.floor, Quantity: 2}, booking.Line{Type: s.gallery, Quantity: 3})
	if err != nil {
		t.Fatal(err)
	}
	s.wantCounters(t, [6]int64{5, 0, 5, 3, 0, 1})
	if h.State != booking.HoldActive || !h.ExpiresAt.Equal(noon.Add(ttl)) || !h.CreatedAt.Equal(noon) || h.Total != eur(2*4250+3*2500) {
		t.Errorf("%+v", h)
	}
	if len(h.Items) != 2 || h.Items[0].AllIn != eur(4250) || h.Items[1].Name != "Gallery" || h.Items[1].Quantity != 3 {
		t.Errorf("items %+v", h.Items)
	}
	if s.Holds[h.ID] != h {
		t.Error("the store would not see the hold")
	}
}

// Regression 16: two ticket types share a quota; neither alone would notice.
func TestGrant_refusesWhenTheSharedQuotaIsEmpty(t *testing.T) {
	t.Parallel()
	s := newShop(5, 4)
	s.mustHold(t, s.floor, 4)
	_, err := s.ask(booking.Line{Type: s.gallery, Quantity: 2})
	wantErr(t, err, booking.ErrSoldOut)
	left, _ := field(t, err, "left").([]booking.Left)
	if len(left) != 1 || left[0] != (booking.Left{TicketType: s.gallery.String(), Left: 1}) {
		t.Errorf("left %+v", left)
	}
	s.wantCounters(t, [6]int64{4, 0, 1, 0, 0, 4})
	// Lines that would fit one by one do not fit together.
	s = newShop(5, 4)
	_, err = s.ask(booking.Line{Type: s.floor, Quantity: 3}, booking.Line{Type: s.gallery, Quantity: 3})
	wantErr(t, err, booking.ErrSoldOut)
	s.wantCounters(t, [6]int64{0, 0, 5, 0, 0, 4})
}

func TestGrant_countsAllocatedAsGone(t *testing.T) {
	t.Parallel()
	s := newShop(5, 5)
	s.Quota(s.hall).Allocated = 4
	_, err := s.ask(booking.Line{Type: s.floor, Quantity: 2})
	wantErr(t, err, booking.ErrSoldOut)
	s.mustHold(t, s.floor, 1)
}

func TestGrant_holdsLinesToTheRules(t *testing.T) {
	t.Parallel()
	starts, ended := noon.Add(time.Hour), noon.Add(-time.Hour)
	for name, c := range map[string]struct {
		change func(s shop)
		lines  func(s shop) []booking.Line
		want   error
		limit  any
	}{
		"no such type": {lines: func(s shop) []booking.Line { return []booking.Line{{Type: id.NewTicketType(s.ID), Quantity: 1}} }, want: booking.ErrTicketType},
		"nothing":      {lines: func(s shop) []booking.Line { return []booking.Line{{Type: s.floor}} }, want: booking.ErrQuantity},
		"negative":     {lines: func(s shop) []booking.Line { return []booking.Line{{Type: s.floor, Quantity: -1}} }, want: booking.ErrQuantity},
		"too few":      {lines: func(s shop) []booking.Line { return []booking.Line{{Type: s.gallery, Quantity: 1}} }, want: booking.ErrTooFew, limit: int64(2)},
		"too many":     {lines: func(s shop) []booking.Line { return []booking.Line{{Type: s.floor, Quantity: 11}} }, want: booking.ErrTooMany, limit: int64(10)},
		"too many in two lines": {lines: func(s shop) []booking.Line {
			return []booking.Line{{Type: s.floor, Quantity: 6}, {Type: s.floor, Quantity: 5}}
		}, want: booking.ErrTooMany, limit: int64(10)},
		// Regression 12; the limit named is the one that helps: the type's own.
		"a thousand of ten": {lines: func(s shop) []booking.Line { return []booking.Line{{Type: s.floor, Quantity: 1000}} }, want: booking.ErrTooMany, limit: int64(10)},
		"a thousand":        {lines: func(s shop) []booking.Line { return []booking.Line{{Type: s.free, Quantity: 1000}} }, want: booking.ErrTooMany, limit: int64(50)},
		"too many of all": {lines: func(s shop) []booking.Line {
			return []booking.Line{{Type: s.free, Quantity: 45}, {Type: s.gallery, Quantity: 6}}
		}, want: booking.ErrTooMany, limit: int64(50)},
		"so many that sums overflow": {lines: func(s shop) []booking.Line {
			return []booking.Line{{Type: s.free, Quantity: 1}, {Type: s.free, Quantity: math.MaxInt64}}
		}, want: booking.ErrTooMany, limit: int64(50)},
		"draft":       {change: func(s shop) { s.State = booking.Drafted }, want: booking.ErrNotOnSale},
		"canceled":    {change: func(s shop) { s.State = booking.Canceled }, want: booking.ErrNotOnSale},
		"over":        {change: func(s shop) { s.StartsAt = noon.Add(-24 * time.Hour) }, want: booking.ErrNotOnSale},
		"not yet":     {change: func(s shop) { s.Types[0].SalesStart = &starts }, want: booking.ErrNotOnSale},
		"not anymore": {change: func(s shop) { s.Types[0].SalesEnd = &ended }, want: booking.ErrNotOnSale},
		"sealed":      {change: func(s shop) { s.Placement = topology.Sealed }, want: booking.ErrMoved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(2000, 1000)
			if c.change != nil {
				c.change(s)
			}
			lines := []booking.Line{{Type: s.floor, Quantity: 1}}
			if c.lines != nil {
				lines = c.lines(s)
			}
			h, err := s.ask(lines...)
			if h != nil {
				t.Errorf("got %+v", h)
			}
			wantErr(t, err, c.want)
			if c.limit != nil && field(t, err, "limit") != c.limit {
				t.Errorf("limit %v, want %v", field(t, err, "limit"), c.limit)
			}
			s.wantCounters(t, [6]int64{0, 0, 2000, 0, 0, 1000})
		})
	}
}

func TestGrant_sweepsBeforeItSaysSoldOut(t *testing.T) {
	t.Parallel()
	s := newShop(2, 2)
	first := s.mustHold(t, s.floor, 2)
	s.later(ttl - time.Nanosecond)
	_, err := s.ask(booking.Line{Type: s.floor, Quantity: 1})
	wantErr(t, err, booking.ErrSoldOut)
	s.later(time.Nanosecond)
	s.mustHold(t, s.floor, 2)
	if first.State != booking.HoldExpired {
		t.Errorf("the first hold is %s", first.State)
	}
	s.wantCounters(t, [6]int64{2, 0, 0, 0, 0, 2})
}

func TestSweep_leavesWhatIsBeingPaidAndWhatIsSealed(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	paying, due := s.mustHold(t, s.floor, 1), s.mustHold(t, s.gallery, 2)
	if err := s.Enter(paying, id.NewOrder(s.ID), noon.Add(15*time.Minute)); err != nil {
		t.Fatal(err)
	}
	s.later(time.Hour)
	s.Placement = topology.Sealed
	if n := s.Sweep(); n != 0 {
		t.Errorf("swept %d holds behind the fence", n)
	}
	s.Placement = topology.Serving
	if n := s.Sweep(); n != 1 || due.State != booking.HoldExpired || paying.State != booking.HoldActive {
		t.Errorf("swept %d: %s, %s", n, due.State, paying.State)
	}
	if n := s.Sweep(); n != 0 {
		t.Errorf("swept %d again", n)
	}
	s.wantCounters(t, [6]int64{1, 0, 9, 0, 0, 10})
}

func TestRelease_givesBackOnce(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	h := s.mustHold(t, s.gallery, 2)
	for range 3 {
		if err := s.Release(h); err != nil {
			t.Fatal(err)
		}
	}
	if h.State != booking.HoldReleased {
		t.Error(h.State)
	}
	s.wantCounters(t, [6]int64{0, 0, 10, 0, 0, 10})

	paying := s.mustHold(t, s.floor, 1)
	order := id.NewOrder(s.ID)
	if err := s.Enter(paying, order, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	err := s.Release(paying)
	wantErr(t, err, booking.ErrHoldInCheckout)
	if field(t, err, "order_id") != order.String() {
		t.Error("the order is not named")
	}
	if err := s.Convert(paying); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.Release(paying), booking.ErrState)
	s.wantCounters(t, [6]int64{0, 1, 9, 0, 0, 10})

	s.Placement = topology.Sealed
	wantErr(t, s.Release(h), booking.ErrMoved)
}

func TestExtend_isCapped(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	h := s.mustHold(t, s.floor, 1)
	end := h.ExpiresAt
	if err := s.Extend(h); err != nil || !h.ExpiresAt.Equal(end) { // nothing gained yet, and nothing wrong
		t.Errorf("%v, it expires at %s, was %s", err, h.ExpiresAt, end)
	}
	for s.Now.Before(noon.Add(booking.MaxHoldLife - ttl)) {
		s.later(5 * time.Minute)
		if err := s.Extend(h); err != nil {
			t.Fatalf("at %s: %v", s.Now, err)
		}
		if !h.ExpiresAt.Equal(s.Now.Add(ttl)) {
			t.Fatalf("at %s it expires at %s", s.Now, h.ExpiresAt)
		}
	}
	s.later(time.Minute)
	err := s.Extend(h)
	wantErr(t, err, booking.ErrExtendLimit)
	if last := noon.Add(booking.MaxHoldLife); !h.ExpiresAt.Equal(last) || field(t, err, "limit") != int64(2700) {
		t.Errorf("it expires at %s, the last is %s, limit %v", h.ExpiresAt, last, field(t, err, "limit"))
	}
	s.later(ttl)
	wantErr(t, s.Extend(h), booking.ErrHoldExpired)

	paying := s.mustHold(t, s.floor, 1)
	if err := s.Enter(paying, id.NewOrder(s.ID), s.Now); err != nil {
		t.Fatal(err)
	}
	s.later(time.Minute)
	wantErr(t, s.Extend(paying), booking.ErrHoldInCheckout)
	s.Placement = topology.Moving
	wantErr(t, s.Extend(h), booking.ErrMoved)
}

func TestEnter_bindsOneOrderAndExtendsOnce(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	h := s.mustHold(t, s.floor, 1)
	until := noon.Add(20 * time.Minute)
	if err := s.Enter(h, id.NewOrder(s.ID), until); err != nil || !h.ExpiresAt.Equal(until) {
		t.Fatalf("%v, expires at %s", err, h.ExpiresAt)
	}
	wantErr(t, s.Enter(h, id.NewOrder(s.ID), until), booking.ErrHoldInCheckout)

	early := s.mustHold(t, s.floor, 1)
	if err := s.Enter(early, id.NewOrder(s.ID), noon); err != nil || !early.ExpiresAt.Equal(noon.Add(ttl)) {
		t.Errorf("%v, entering made it shorter: %s", err, early.ExpiresAt)
	}
	due := s.mustHold(t, s.floor, 1)
	gone := s.mustHold(t, s.floor, 1)
	if err := s.Release(gone); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.Enter(gone, id.NewOrder(s.ID), until), booking.ErrHoldExpired)
	s.later(ttl)
	wantErr(t, s.Enter(due, id.NewOrder(s.ID), until), booking.ErrHoldExpired)

	kept := s.mustHold(t, s.floor, 1)
	s.State = booking.Canceled
	wantErr(t, s.Enter(kept, id.NewOrder(s.ID), until), booking.ErrNotOnSale)
}

func TestConvert_sellsOnce(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	h := s.mustHold(t, s.gallery, 3)
	for range 3 {
		if err := s.Convert(h); err != nil {
			t.Fatal(err)
		}
	}
	if h.State != booking.HoldConverted {
		t.Error(h.State)
	}
	s.wantCounters(t, [6]int64{0, 3, 7, 0, 3, 7})
	s.End(h, booking.HoldExpired)
	s.wantCounters(t, [6]int64{0, 3, 7, 0, 3, 7})
}

// "Paid but expired", rule 3: late money takes the stock again, if it is there.
func TestConvert_takesTheStockOfAnEndedHoldAgain(t *testing.T) {
	t.Parallel()
	for _, ended := range []booking.HoldState{booking.HoldExpired, booking.HoldReleased} {
		s := newShop(4, 4)
		h := s.mustHold(t, s.gallery, 3)
		s.End(h, ended)
		s.End(h, ended) // gives back once
		s.wantCounters(t, [6]int64{0, 0, 4, 0, 0, 4})
		rival := s.mustHold(t, s.floor, 2)
		wantErr(t, s.Convert(h), booking.ErrSoldOut)
		if h.State != ended {
			t.Errorf("the refused hold is %s", h.State)
		}
		s.wantCounters(t, [6]int64{2, 0, 2, 0, 0, 4})
		s.later(ttl) // the rival's hold is due: it goes before anybody is told "sold out"
		if err := s.Convert(h); err != nil {
			t.Fatal(err)
		}
		if rival.State != booking.HoldExpired || h.State != booking.HoldConverted {
			t.Errorf("rival %s, hold %s", rival.State, h.State)
		}
		s.wantCounters(t, [6]int64{0, 3, 1, 0, 3, 1})
	}
}

func TestConvert_refusesWhatNobodyCouldUse(t *testing.T) {
	t.Parallel()
	s := newShop(4, 4)
	active, ended := s.mustHold(t, s.floor, 1), s.mustHold(t, s.floor, 1)
	s.End(ended, booking.HoldExpired)
	before := s.counters()
	s.State = booking.Canceled
	wantErr(t, s.Convert(active), booking.ErrNotOnSale)
	wantErr(t, s.Convert(ended), booking.ErrNotOnSale)
	s.State = booking.Published
	s.Now = s.StartsAt.AddDate(0, 0, 1)
	wantErr(t, s.Convert(ended), booking.ErrNotOnSale) // three days late, and the event is over
	s.Placement = topology.Sealed
	wantErr(t, s.Convert(active), booking.ErrMoved)
	s.wantCounters(t, before)
}

func TestReturn_givesSoldTicketsBackToTheirQuotas(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	h := s.mustHold(t, s.gallery, 4)
	if err := s.Convert(h); err != nil {
		t.Fatal(err)
	}
	s.Return(id.NewOrder(s.ID), map[id.TicketType]int64{s.gallery: 3, id.NewTicketType(s.ID): 7})
	s.wantCounters(t, [6]int64{0, 1, 9, 0, 1, 9})
}

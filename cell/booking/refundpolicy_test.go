package booking_test

import (
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
)

func TestRefundRight_isByPolicyUntilTheStartAndWholeWhenTheEventWasMoved(t *testing.T) {
	t.Parallel()
	start := time.Date(2027, 6, 1, 20, 0, 0, 0, time.UTC)
	until := booking.RefundPolicy{Kind: booking.RefundUntil, UntilHours: 48}
	none, always, ask := booking.RefundPolicy{Kind: booking.RefundNone}, booking.RefundPolicy{Kind: booking.RefundAlways}, booking.RefundPolicy{Kind: booking.RefundOrganizer}
	bought := start.AddDate(0, -2, 0)
	moved := &booking.Reschedule{Number: 1, At: start.AddDate(0, -1, 0)}
	late := &booking.Reschedule{Number: 2, At: start.AddDate(0, 0, -3)}
	for name, c := range map[string]struct {
		policy booking.RefundPolicy
		moved  *booking.Reschedule
		state  booking.State
		free   bool
		made   time.Time // of the order; bought when zero
		now    time.Time
		want   booking.RefundRight
	}{
		"unsaid":                        {want: booking.RefundRight{Until: start.Add(-24 * time.Hour)}},
		"until":                         {policy: until, want: booking.RefundRight{Until: start.Add(-48 * time.Hour)}},
		"none":                          {policy: none},
		"organizer":                     {policy: ask},
		"always":                        {policy: always, want: booking.RefundRight{Until: start}},
		"free":                          {policy: none, free: true, want: booking.RefundRight{Until: start}},
		"moved, within the window":      {policy: none, moved: moved, now: moved.At.Add(time.Hour), want: booking.RefundRight{Until: moved.At.Add(booking.RefundWindow), Whole: true}},
		"moved, after the window":       {policy: none, moved: moved, now: moved.At.Add(booking.RefundWindow)},
		"moved, the policy lasts on":    {policy: until, moved: moved, now: moved.At.Add(booking.RefundWindow), want: booking.RefundRight{Until: start.Add(-48 * time.Hour)}},
		"moved, the policy is longer":   {policy: until, moved: moved, now: moved.At, want: booking.RefundRight{Until: start.Add(-48 * time.Hour), Whole: true}},
		"moved shortly before it":       {policy: none, moved: late, now: late.At, want: booking.RefundRight{Until: start, Whole: true}},
		"bought after it was moved":     {policy: none, moved: moved, made: moved.At, now: moved.At.Add(time.Hour)},
		"it does not take place at all": {policy: none, state: booking.Canceled, want: booking.RefundRight{Until: start, Whole: true}},
	} {
		e := booking.Event{StartsAt: start, Rescheduled: c.moved, State: c.state}
		if c.made.IsZero() {
			c.made = bought
		}
		if c.now.IsZero() {
			c.now = bought
		}
		if got := e.RefundRight(c.policy, c.made, c.free, c.now); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestRefundPolicy_keepsNeverMoreThanThePriceAndNoFractionOfWhatCardsKnow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy   booking.RefundPolicy
		price    int64
		currency string
		want     int64
	}{
		{booking.RefundPolicy{}, 5000, "EUR", 0},
		{booking.RefundPolicy{FeeAmount: 250}, 5000, "EUR", 250},
		{booking.RefundPolicy{FeeAmount: 250}, 100, "EUR", 100},
		{booking.RefundPolicy{FeeAmount: 250}, 0, "EUR", 0},
		{booking.RefundPolicy{FeeBasisPoints: 1000}, 3333, "EUR", 333},
		{booking.RefundPolicy{FeeAmount: 100, FeeBasisPoints: 1000}, 3333, "EUR", 433},
		{booking.RefundPolicy{FeeBasisPoints: 10_000}, money.Max, "JPY", money.Max},
		{booking.RefundPolicy{FeeBasisPoints: 1000}, 3330, "KWD", 330},
	} {
		if got := c.policy.Kept(c.price, c.currency); got != c.want {
			t.Errorf("%+v keeps %d of %d %s, want %d", c.policy, got, c.price, c.currency, c.want)
		}
	}
}

func types(n int) (ids []id.TicketType) {
	event := id.NewEvent("euw3")
	for range n {
		ids = append(ids, id.NewTicketType(event))
	}
	return ids
}

func TestAfterSale_anAddOnGoesWithTheTicketThatItRequires(t *testing.T) {
	t.Parallel()
	k := types(3)
	seat, parking, tour := k[0], k[1], k[2]
	e := booking.Event{Types: []booking.TicketType{
		{ID: seat, MinPerOrder: 1}, {ID: parking, MinPerOrder: 1, Terms: &booking.Terms{Requires: seat}}, {ID: tour, MinPerOrder: 1, Terms: &booking.Terms{Requires: seat}},
	}}
	type n = map[id.TicketType]int64
	for name, c := range map[string]struct{ before, left, want n }{
		"nothing goes":            {n{seat: 2, parking: 2}, n{seat: 2, parking: 2}, n{}},
		"one of each":             {n{seat: 2, parking: 2}, n{seat: 1, parking: 2}, n{parking: 1}},
		"there are enough":        {n{seat: 3, parking: 1}, n{seat: 1, parking: 1}, n{}},
		"all of them":             {n{seat: 2, parking: 1, tour: 2}, n{parking: 1, tour: 2}, n{parking: 1, tour: 2}},
		"named with it":           {n{seat: 2, parking: 2}, n{seat: 1, parking: 1}, n{}},
		"it was alone before":     {n{seat: 1, parking: 2}, n{seat: 1, parking: 2}, n{}},
		"more were there already": {n{seat: 1, parking: 3}, n{parking: 3}, n{parking: 1}},
		"the add-on alone goes":   {n{seat: 2, parking: 2}, n{seat: 2}, n{}},
	} {
		got := e.GoAlong(c.before, c.left)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		for typ, want := range c.want {
			if got[typ] != want {
				t.Errorf("%s: %d, want %d", name, got[typ], want)
			}
		}
	}
}

func TestAfterSale_fewerThanCanBeBoughtAreNotKept(t *testing.T) {
	t.Parallel()
	k := types(1)
	e := booking.Event{Types: []booking.TicketType{{ID: k[0], Name: "Family", MinPerOrder: 3}}}
	for _, c := range []struct {
		before, left int64
		refused      bool
	}{{4, 3, false}, {4, 2, true}, {3, 1, true}, {3, 0, false}, {2, 1, false}, {3, 3, false}} {
		err := e.MayKeep(map[id.TicketType]int64{k[0]: c.before}, map[id.TicketType]int64{k[0]: c.left})
		if c.refused {
			wantErr(t, err, booking.ErrTooFew)
		} else if err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

package booking_test

import (
	"fmt"
	"slices"
	"testing"

	"guichet/cell/booking"
	"guichet/cell/id"
)

// rowOf is a plan's row of so many seats in category, named like "A-1".
func rowOf(name string, at booking.Point, n int, category string) booking.PlanRow {
	r := booking.PlanRow{Name: name, At: at}
	for i := range n {
		r.Seats = append(r.Seats, booking.PlanSeat{
			ID: booking.SeatID(fmt.Sprintf("%s-%d", name, i+1)), Number: fmt.Sprint(i + 1), At: booking.Point{X: float64(25 * i)}, Category: category,
		})
	}
	return r
}

// house is a small plan: rows A and B of eight stalls, C of six in the circle.
func housePlan() booking.DraftSeating {
	return booking.DraftSeating{
		Plan: booking.DraftPlan{
			Name: "House", Categories: []booking.PlanCategory{{Name: "Stalls"}, {Name: "Circle", Color: "#F44336"}},
			Zones: []booking.PlanZone{
				{Name: "Ground", Rows: []booking.PlanRow{rowOf("A", booking.Point{}, 8, "Stalls"), rowOf("B", booking.Point{Y: 25}, 8, "Stalls")}},
				{Name: "Upstairs", At: booking.Point{Y: 200}, Rows: []booking.PlanRow{rowOf("C", booking.Point{X: 25}, 6, "Circle")}},
			},
		},
		Categories: []booking.DraftSeatCategory{{Category: "Stalls", Types: []string{"Floor", "Child"}}, {Category: "Circle", Types: []string{"Gallery"}}},
	}
}

// seatedShop is a shop with that plan: Floor and Child sell the stalls and draw on
// the hall, Gallery sells the circle and draws on the gallery.
func seatedShop(t *testing.T, change ...func(d *booking.DraftSeating)) shop {
	t.Helper()
	s := newShop(1, 1)
	s.State = booking.Drafted
	s.Type(s.gallery).Quotas = []id.Quota{s.upper}
	s.Type(s.gallery).MinPerOrder = 1
	d := housePlan()
	for _, c := range change {
		c(&d)
	}
	if err := s.LaySeats("", d); err != nil {
		t.Fatal(err)
	}
	s.State = booking.Published
	s.Seats = &booking.Seats{}
	for _, seat := range s.Seating.Seats {
		s.Seats.Load(seat)
	}
	return s
}

func seats(of id.TicketType, names ...booking.SeatID) booking.Line {
	return booking.Line{Type: of, Quantity: int64(len(names)), Seats: names}
}

func best(of id.TicketType, n int64) booking.Line { return booking.Line{Type: of, Quantity: n} }

func (s shop) mustSeat(t *testing.T, lines ...booking.Line) *booking.Hold {
	t.Helper()
	h, err := s.ask(lines...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func wantSeats(t *testing.T, h *booking.Hold, want ...booking.SeatID) {
	t.Helper()
	if got := h.SeatIDs(); !slices.Equal(got, want) {
		t.Errorf("seats %v, want %v", got, want)
	}
}

// state is where a seat stands by what would be written.
func (s shop) seatState(sid booking.SeatID) booking.SeatState {
	for _, c := range s.Seats.Changed() {
		if c.ID == sid {
			return c.State
		}
	}
	return booking.SeatFree
}

func TestSeats_aQuotaHasAsManyAsThereAreSeats(t *testing.T) {
	s := seatedShop(t, func(d *booking.DraftSeating) { d.House = []booking.SeatID{"A-1", "C-6"} })
	if h, g := s.Quota(s.hall), s.Quota(s.upper); h.Size != 16 || h.Allocated != 1 || g.Size != 6 || g.Allocated != 1 {
		t.Errorf("hall %+v, gallery %+v", h, g)
	}
	wantErr(t, s.Resize(s.hall, "hall", 15), booking.ErrState)
	if err := s.Resize(s.hall, "stalls", 16); err != nil {
		t.Error(err)
	}
}

func TestSeats_namedOnesAreHeldSoldAndGivenBackOnce(t *testing.T) {
	s := seatedShop(t)
	h := s.mustSeat(t, seats(s.floor, "A-1", "A-2"), seats(s.gallery, "C-1", "C-2"))
	if want := (booking.HeldSeat{ID: "C-1", Section: "Upstairs", Row: "C", Number: "1"}); h.Items[1].Seats[0] != want || h.Items[1].SeatAt(0) != want || h.Items[1].SeatAt(2) != (booking.HeldSeat{}) {
		t.Errorf("%+v", h.Items)
	}
	_, err := s.ask(seats(s.floor, "A-2", "A-3", "A-1"))
	wantErr(t, err, booking.ErrSeatTaken)
	if got := field(t, err, "seats"); !slices.Equal(got.([]booking.SeatID), []booking.SeatID{"A-2", "A-1"}) {
		t.Errorf("taken: %v", got)
	}
	s.wantCounters(t, [6]int64{2, 0, 14, 2, 0, 4})
	if err := s.Convert(h); err != nil {
		t.Fatal(err)
	}
	if s.seatState("A-1") != booking.SeatSold {
		t.Errorf("A-1 is %s", s.seatState("A-1"))
	}
	for range 2 {
		s.Return(id.NewOrder(s.ID), nil, "A-1")
	}
	if s.seatState("A-1") != booking.SeatFree || s.seatState("A-2") != booking.SeatSold {
		t.Errorf("A-1 is %s, A-2 %s", s.seatState("A-1"), s.seatState("A-2"))
	}
}

func TestSeats_aSecondReturnDoesNotTakeTheNextBuyersSeat(t *testing.T) {
	s := seatedShop(t)
	h := s.mustSeat(t, seats(s.floor, "A-1", "A-2"))
	if err := s.Convert(h); err != nil {
		t.Fatal(err)
	}
	order := id.NewOrder(s.ID)
	s.Return(order, map[id.TicketType]int64{s.floor: 2}, "A-1", "A-2")
	s.mustSeat(t, seats(s.floor, "A-1", "A-2"))
	s.Return(order, nil, "A-1", "A-2")
	if s.seatState("A-1") != booking.SeatHeld {
		t.Errorf("A-1 is %s", s.seatState("A-1"))
	}
}

func TestSeats_endWithTheirHold(t *testing.T) {
	s := seatedShop(t)
	released, due := s.mustSeat(t, seats(s.floor, "A-1", "A-2")), s.mustSeat(t, seats(s.floor, "B-1", "B-2"))
	if err := s.Release(released); err != nil {
		t.Fatal(err)
	}
	s.later(ttl)
	h := s.mustSeat(t, seats(s.floor, "A-1", "A-2", "B-1", "B-2"))
	if due.State != booking.HoldExpired || h.State != booking.HoldActive {
		t.Errorf("the due hold is %s", due.State)
	}
	wantErr(t, s.Convert(due), booking.ErrSoldOut) // late, and its seats are somebody's
	s.later(ttl)
	s.Sweep()
	if err := s.Convert(due); err != nil {
		t.Errorf("late, and its seats are free: %v", err)
	}
	if s.seatState("B-1") != booking.SeatSold || s.seatState("A-1") != booking.SeatFree {
		t.Errorf("B-1 is %s, A-1 %s", s.seatState("B-1"), s.seatState("A-1"))
	}
}

func TestSeats_refuseWhatCannotBeSold(t *testing.T) {
	s := seatedShop(t, func(d *booking.DraftSeating) {
		d.Accessible, d.Companions = []booking.SeatID{"B-8"}, []booking.DraftCompanion{{Seat: "B-7", With: "B-8"}}
		d.House = []booking.SeatID{"A-8"}
	})
	for _, c := range []struct {
		want error
		ask  []booking.Line
	}{
		{booking.ErrSeatUnknown, []booking.Line{seats(s.floor, "Z-1")}},
		{booking.ErrSeatCategory, []booking.Line{seats(s.floor, "C-1")}},
		{booking.ErrInvalidSeat, []booking.Line{seats(s.floor, "A-1", "A-1")}},
		{booking.ErrInvalidSeat, []booking.Line{seats(s.floor, "A-1", "A-2"), seats(s.free, "A-2", "A-3")}},
		{booking.ErrInvalidSeat, []booking.Line{{Type: s.floor, Quantity: 1, Seats: []booking.SeatID{"A-1"}, Accessible: true}}},
		{booking.ErrSeatTaken, []booking.Line{seats(s.floor, "A-8")}},
		{booking.ErrCompanionAlone, []booking.Line{seats(s.floor, "B-7")}},
		{booking.ErrTooMany, []booking.Line{best(s.floor, 11)}},
		{nil, []booking.Line{best(s.gallery, 6), best(s.gallery, 1)}}, // of seven, whoever says it
	} {
		before := s.counters()
		if _, err := s.ask(c.ask...); err == nil || len(s.Seats.Changed()) > 0 || s.counters() != before {
			t.Errorf("%v: %v", c.ask, err)
		} else if c.want != nil {
			wantErr(t, err, c.want)
		}
	}
	s.mustSeat(t, seats(s.floor, "B-8"))
	s.mustSeat(t, seats(s.floor, "B-7")) // after its accessible seat
	plain := newShop(5, 5)
	_, err := plain.ask(seats(plain.floor, "A-1"))
	wantErr(t, err, booking.ErrNoSeating)
}

func TestSeats_noSingleSeatIsLeftThatNeedNotBe(t *testing.T) {
	for _, c := range []struct {
		taken, ask []booking.SeatID
		left       []booking.SeatID // nil: granted
	}{
		{nil, []booking.SeatID{"A-1"}, nil},
		{nil, []booking.SeatID{"A-2"}, []booking.SeatID{"A-1"}},
		{nil, []booking.SeatID{"A-2", "A-3"}, []booking.SeatID{"A-1"}},
		{nil, []booking.SeatID{"A-3", "A-4"}, nil},
		{nil, []booking.SeatID{"A-1", "A-3"}, []booking.SeatID{"A-2"}},
		{[]booking.SeatID{"A-4", "A-5", "A-6", "A-7", "A-8"}, []booking.SeatID{"A-1", "A-2"}, nil}, // one of three stays whatever they take
		{[]booking.SeatID{"A-4", "A-5", "A-6", "A-7", "A-8"}, []booking.SeatID{"A-2"}, []booking.SeatID{"A-1", "A-3"}},
		{[]booking.SeatID{"A-4", "A-5", "A-6", "A-7", "A-8"}, []booking.SeatID{"A-1", "A-2", "A-3"}, nil},
		{nil, []booking.SeatID{"A-2", "A-3", "B-2", "B-3"}, []booking.SeatID{"A-1", "B-1"}},
	} {
		s := seatedShop(t)
		if c.taken != nil {
			s.mustSeat(t, seats(s.floor, c.taken...))
		}
		_, err := s.ask(seats(s.floor, c.ask...))
		if c.left == nil {
			if err != nil {
				t.Errorf("%v beside %v: %v", c.ask, c.taken, err)
			}
			continue
		}
		wantErr(t, err, booking.ErrSeatGap)
		if got := field(t, err, "seats").([]booking.SeatID); !slices.Equal(got, c.left) {
			t.Errorf("%v beside %v leaves %v, want %v", c.ask, c.taken, got, c.left)
		}
	}
	s := seatedShop(t, func(d *booking.DraftSeating) { d.AllowGaps = true })
	s.mustSeat(t, seats(s.floor, "A-2"))
}

func TestBest_isTogetherInTheMiddleOfTheBestRow(t *testing.T) {
	s := seatedShop(t)
	wantSeats(t, s.mustSeat(t, best(s.floor, 2)), "A-4", "A-5")
	wantSeats(t, s.mustSeat(t, best(s.floor, 3)), "B-3", "B-4", "B-5") // of A only its ends are left
	wantSeats(t, s.mustSeat(t, best(s.gallery, 6)), "C-1", "C-2", "C-3", "C-4", "C-5", "C-6")
	_, err := s.ask(best(s.gallery, 1))
	wantErr(t, err, booking.ErrSoldOut)
}

func TestBest_splitsOverRowsWhenItMust(t *testing.T) {
	s := seatedShop(t)
	h := s.mustSeat(t, best(s.floor, 10))
	if got := h.SeatIDs(); len(got) != 10 {
		t.Fatalf("%v", got)
	}
	rows := map[byte]int{}
	for _, sid := range h.SeatIDs() {
		rows[sid[0]]++
	}
	if rows['A'] < 2 || rows['B'] < 2 {
		t.Errorf("ten of two rows of eight sit as %v: somebody alone", rows)
	}
}

// A section that there is not was told to be sold out, and the buyer believed it.
func TestBest_ofASectionThatIsNotThereIsNotSoldOut(t *testing.T) {
	s := seatedShop(t)
	section := s.Seating.Seats[0].Section
	_, err := s.ask(booking.Line{Type: s.floor, Quantity: 2, Section: "Upstairs"})
	wantErr(t, err, booking.ErrSeatSection)
	s.mustSeat(t, booking.Line{Type: s.floor, Quantity: 8, Section: section})
	s.mustSeat(t, booking.Line{Type: s.floor, Quantity: 8, Section: section})
	_, err = s.ask(booking.Line{Type: s.floor, Quantity: 1, Section: section})
	wantErr(t, err, booking.ErrSoldOut) // it is there, and there is none left
}

func TestBest_givesAccessibleSeatsOnlyWhenAsked(t *testing.T) {
	s := seatedShop(t, func(d *booking.DraftSeating) {
		d.Accessible, d.Companions = []booking.SeatID{"A-4"}, []booking.DraftCompanion{{Seat: "A-5", With: "A-4"}}
	})
	for _, sid := range s.mustSeat(t, best(s.floor, 10)).SeatIDs() {
		if sid == "A-4" || sid == "A-5" {
			t.Errorf("%s went to somebody who had not asked for it", sid)
		}
	}
	line := best(s.floor, 2)
	line.Accessible = true
	wantSeats(t, s.mustSeat(t, line), "A-4", "A-5")
	_, err := s.ask(line)
	wantErr(t, err, booking.ErrSoldOut)
}

func TestBest_refusalCountsTheSeatsThatWereAskedFor(t *testing.T) {
	s := seatedShop(t, func(d *booking.DraftSeating) {
		d.Accessible, d.Companions = []booking.SeatID{"A-4", "B-4"}, []booking.DraftCompanion{{Seat: "A-5", With: "A-4"}}
	})
	refused := func(left, n int64, accessible bool) {
		t.Helper()
		line := best(s.free, n)
		line.Accessible = accessible
		_, err := s.ask(line)
		wantErr(t, err, booking.ErrSoldOut)
		if got, ok := field(t, err, "left").([]booking.Left); !ok || len(got) != 1 || got[0].Left != left {
			t.Errorf("%d, accessible %t: left %v, want %d", n, accessible, field(t, err, "left"), left)
		}
	}
	refused(2, 16, true) // the hall has 16 places, and no party gets both accessible seats
	refused(13, 14, false)
	for range 2 {
		line := best(s.free, 1)
		line.Accessible = true
		s.mustSeat(t, line)
	}
	refused(0, 1, true) // there are ordinary seats, and a companion's
	refused(0, 15, true)
	refused(13, 14, false)
}

func TestStaff_killSeatsAndKeepThem(t *testing.T) {
	s := seatedShop(t)
	s.mustSeat(t, seats(s.floor, "A-1", "A-2"))
	do := func(o booking.SeatOrder, want int64) {
		t.Helper()
		if n, err := s.Staff(s.Organizer, o); err != nil || n != want {
			t.Errorf("%+v: %d, %v, want %d", o, n, err, want)
		}
	}
	do(booking.Kill([]booking.SeatID{"B-1", "B-2"}, true), 2)
	do(booking.Kill([]booking.SeatID{"B-1", "B-2"}, true), 0)
	do(booking.KeepForHouse([]booking.SeatID{"B-3", "B-4"}, true), 2)
	if h := s.Quota(s.hall); h.Size != 14 || h.Allocated != 2 || h.Held != 2 {
		t.Errorf("%+v", h)
	}
	for _, o := range []booking.SeatOrder{booking.Kill([]booking.SeatID{"B-5", "A-1"}, true), booking.KeepForHouse([]booking.SeatID{"B-1"}, true)} {
		_, err := s.Staff(s.Organizer, o)
		wantErr(t, err, booking.ErrSeatTaken)
	}
	do(booking.Kill([]booking.SeatID{"B-1", "A-1", "B-3"}, false), 1) // only what was killed
	do(booking.KeepForHouse([]booking.SeatID{"B-3", "B-4"}, false), 2)
	if h := s.Quota(s.hall); h.Size != 15 || h.Allocated != 0 {
		t.Errorf("%+v", h)
	}
	for o, want := range map[*booking.SeatOrder]error{
		{From: booking.SeatFree, To: booking.SeatKilled, Seats: []booking.SeatID{"Z-9"}}:        booking.ErrSeatUnknown,
		{From: booking.SeatFree, To: booking.SeatKilled, Seats: []booking.SeatID{"B-7", "B-7"}}: booking.ErrInvalidSeat,
		{From: booking.SeatFree, To: booking.SeatKilled}:                                        booking.ErrInvalidSeat,
		{From: booking.SeatFree, To: booking.SeatKilled, Seats: make([]booking.SeatID, 1001)}:   booking.ErrInvalidSeat,
	} {
		_, err := s.Staff(s.Organizer, *o)
		wantErr(t, err, want)
	}
	_, err := s.Staff(id.NewOrganizer("euw3"), booking.Kill([]booking.SeatID{"B-7"}, true))
	wantErr(t, err, booking.ErrEventNotFound)
}

func TestBest_offersWhatWasGivenBackInTheSameTransaction(t *testing.T) {
	s := seatedShop(t)
	h := s.mustSeat(t, best(s.gallery, 6))
	if err := s.Release(h); err != nil {
		t.Fatal(err)
	}
	wantSeats(t, s.mustSeat(t, best(s.gallery, 6)), h.SeatIDs()...)
	if _, err := s.Staff(s.Organizer, booking.Kill([]booking.SeatID{"A-4", "A-5"}, true)); err != nil {
		t.Fatal(err)
	}
	s.mustSeat(t, best(s.floor, 2))
	if _, err := s.Staff(s.Organizer, booking.Kill([]booking.SeatID{"A-4", "A-5"}, false)); err != nil {
		t.Fatal(err)
	}
	wantSeats(t, s.mustSeat(t, best(s.floor, 2)), "A-4", "A-5")
}

// Every ticket has its own seat where a line reaches into several price tiers.
func TestSeats_areDealtOverThePriceTiersOfALine(t *testing.T) {
	s := seatedShop(t)
	s.with(s.floor, booking.Terms{Tiers: []booking.Tier{{Name: "Early", Price: 1000, Quantity: 3}, {Name: "Then", Price: 2000}}})
	h := s.mustSeat(t, seats(s.gallery, "C-1", "C-2"), best(s.floor, 4), seats(s.free, "B-7", "B-8"))
	got := map[booking.SeatID]int{}
	for _, item := range h.Items {
		if int64(len(item.Seats)) != item.Quantity {
			t.Errorf("%d seats for %d of %s %s", len(item.Seats), item.Quantity, item.Name, item.TierName)
		}
		for _, seat := range item.Seats {
			got[seat.ID]++
		}
	}
	if len(h.Items) != 4 || len(got) != 8 || h.Items[0].Seats[0].ID != "C-1" || h.Items[3].Seats[1].ID != "B-8" {
		t.Errorf("%+v", h.Items)
	}
}

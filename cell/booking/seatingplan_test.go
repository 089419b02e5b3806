package booking_test

import (
	"math"
	"strings"
	"testing"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/kind"
)

func TestSeatingPlan_isReadStrictlyAndSaysWhere(t *testing.T) {
	for pointer, spoil := range map[string]func(d *booking.DraftSeating){
		"/plan/zones":                              func(d *booking.DraftSeating) { d.Plan.Zones = nil },
		"/plan/name":                               func(d *booking.DraftSeating) { d.Plan.Name = "a\x00" },
		"/plan/size":                               func(d *booking.DraftSeating) { d.Plan.Size.X = math.NaN() },
		"/focus":                                   func(d *booking.DraftSeating) { d.Focus = &booking.Point{X: 1e9} },
		"/plan/categories":                         func(d *booking.DraftSeating) { d.Plan.Categories = nil },
		"/plan/categories/1/name":                  func(d *booking.DraftSeating) { d.Plan.Categories[1].Name = "Stalls" },
		"/plan/categories/1/color":                 func(d *booking.DraftSeating) { d.Plan.Categories[1].Color = "red;}" },
		"/plan/zones/0/name":                       func(d *booking.DraftSeating) { d.Plan.Zones[0].Name = strings.Repeat("x", 65) },
		"/plan/zones/1/position":                   func(d *booking.DraftSeating) { d.Plan.Zones[1].At.Y = math.Inf(1) },
		"/plan/zones/0/rows/1/row_number":          func(d *booking.DraftSeating) { d.Plan.Zones[0].Rows[1].Name = "A" },
		"/plan/zones/0/rows/0/position":            func(d *booking.DraftSeating) { d.Plan.Zones[0].Rows[0].At.X = -2e6 },
		"/plan/zones/0/rows/0/seats":               func(d *booking.DraftSeating) { d.Plan.Zones[0].Rows[0].Seats = make([]booking.PlanSeat, 501) },
		"/plan/zones/0/rows/0/seats/1/seat_guid":   func(d *booking.DraftSeating) { d.Plan.Zones[0].Rows[0].Seats[1].ID = "A-1" },
		"/plan/zones/0/rows/0/seats/2/seat_number": func(d *booking.DraftSeating) { d.Plan.Zones[0].Rows[0].Seats[2].Number = "1" },
		"/plan/zones/0/rows/0/seats/3/category":    func(d *booking.DraftSeating) { d.Plan.Zones[0].Rows[0].Seats[3].Category = "Pit" },
		"/plan/zones/0/rows/0/seats/4/position":    func(d *booking.DraftSeating) { d.Plan.Zones[0].Rows[0].Seats[4].At.X = 1e7 },
		"/accessible/0":                            func(d *booking.DraftSeating) { d.Accessible = []booking.SeatID{"Z"} },
		"/companions/0/with":                       func(d *booking.DraftSeating) { d.Companions = []booking.DraftCompanion{{Seat: "A-1", With: "A-2"}} },
		"/house/1":                                 func(d *booking.DraftSeating) { d.House = []booking.SeatID{"A-1", "Z"} },
		"/categories/0/category":                   func(d *booking.DraftSeating) { d.Categories[0].Category = "Pit" },
		"/categories/1/category":                   func(d *booking.DraftSeating) { d.Categories[1].Category = "Stalls" },
		"/categories/1/ticket_types":               func(d *booking.DraftSeating) { d.Categories[1].Types = nil },
		"/categories/1/ticket_types/0":             func(d *booking.DraftSeating) { d.Categories[1].Types = []string{"Box"} },
		"/categories":                              func(d *booking.DraftSeating) { d.Categories[1].Types = []string{"Gallery", "Floor"} }, // some of the same, not all
		"/companions/0/seat_id":                    companions("A-3", "B-1"),
	} {
		s := newShop(1, 1)
		s.State, s.Type(s.gallery).Quotas = booking.Drafted, []id.Quota{s.upper}
		d := housePlan()
		spoil(&d)
		err := s.LaySeats("", d)
		if e := kind.As(err); e == nil || len(faults(e)) != 1 || faults(e)[0].Pointer != pointer {
			t.Errorf("%s: %v", pointer, err)
		}
		if s.Seated {
			t.Errorf("%s: laid out all the same", pointer)
		}
	}
}

func companions(seat, with booking.SeatID) func(d *booking.DraftSeating) {
	return func(d *booking.DraftSeating) {
		d.Accessible, d.Companions = []booking.SeatID{"B-1"}, []booking.DraftCompanion{{Seat: seat, With: with}}
	}
}

func faults(e *kind.Error) []kind.Fault {
	f, _ := e.Fields["errors"].([]kind.Fault)
	return f
}

// A quota that general admission draws on as well cannot count the seats alone.
func TestSeatingPlan_wantsAQuotaOfItsOwnForEachSetOfSeats(t *testing.T) {
	s := newShop(1, 1)
	s.State = booking.Drafted
	d := housePlan()
	d.Categories = d.Categories[:1] // the gallery draws on the hall too, and sells no seats
	wantErr(t, s.LaySeats("", d), booking.ErrInvalidEvent)
}

func TestSeatingPlan_tellsNamesakesApartOnlyWhenAsked(t *testing.T) {
	s := newShop(1, 1)
	s.State, s.Type(s.gallery).Quotas = booking.Drafted, []id.Quota{s.upper}
	d := housePlan()
	d.Plan.Zones[0].Rows[1] = rowOf("A", booking.Point{Y: 25}, 8, "Stalls")
	d.Plan.Zones[0].Rows[1].Seats[0].ID = "A-2~2" // what the second A-2 would be called
	d.TellApart = true
	if err := s.LaySeats("", d); err != nil {
		t.Fatal(err)
	}
	names, ids := map[booking.HeldSeat]bool{}, map[booking.SeatID]bool{}
	for i := range s.Seating.Seats {
		seat := s.Seating.Seats[i].Held()
		ids[seat.ID] = true
		seat.ID = ""
		names[seat] = true
	}
	if len(names) != 22 || len(ids) != 22 {
		t.Errorf("%d names and %d ids of 22 seats", len(names), len(ids))
	}
}

func TestSeatingPlan_anAisleParts(t *testing.T) {
	d := housePlan()
	for i := range d.Plan.Zones[0].Rows[0].Seats[4:] {
		d.Plan.Zones[0].Rows[0].Seats[4+i].At.X += 50
	}
	plan, err := d.Seating("")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := plan.Seats[3].Place, plan.Seats[4].Place; a != 4 || b != 6 || plan.Seats[7].Place != 9 {
		t.Errorf("places %d and %d beside the aisle", a, b)
	}
}

// FuzzSeating lays out plans made of strangers' bytes: refused, or consistent.
func FuzzSeating(f *testing.F) {
	f.Add("A", "A", "A-1", "1", 0.0, 25.0, uint8(3), true)
	f.Add("", "(2)", "x~2", "1", math.MaxFloat64, math.NaN(), uint8(9), false)
	f.Fuzz(func(t *testing.T, zone, row, seat, number string, x, y float64, n uint8, apart bool) {
		d := booking.DraftSeating{TellApart: apart, Plan: booking.DraftPlan{Categories: []booking.PlanCategory{{Name: "One"}}}}
		for z := range int(n%3) + 1 {
			zn := booking.PlanZone{Name: zone, At: booking.Point{X: x * float64(z), Y: y}}
			for r := range int(n%5) + 1 {
				rw := booking.PlanRow{Name: row, At: booking.Point{Y: float64(r) * y}}
				for k := range int(n % 7) {
					rw.Seats = append(rw.Seats, booking.PlanSeat{ID: booking.SeatID(seat[:min(len(seat), k+1)]), Number: number[:min(len(number), k+1)], At: booking.Point{X: x * float64(k)}, Category: "One"})
				}
				zn.Rows = append(zn.Rows, rw)
			}
			d.Plan.Zones = append(d.Plan.Zones, zn)
		}
		plan, err := d.Seating("")
		if err != nil {
			if k := kind.Of(err); k != kind.Invalid {
				t.Fatalf("%v", err)
			}
			return
		}
		ids, ranks := map[booking.SeatID]bool{}, map[int64]int64{}
		for i := range plan.Seats {
			s := &plan.Seats[i]
			if ids[s.ID] || s.Cost < s.Floor || s.Floor < 0 || s.Rank < 1 || ranks[s.Rank] != 0 && ranks[s.Rank] != s.RowNo {
				t.Fatalf("%+v", s)
			}
			ids[s.ID], ranks[s.Rank] = true, s.RowNo
		}
		free := freeOf(plan, func() bool { return false })
		if got := booking.BestSeats(free, min(len(free), 6)); len(got) != min(len(free), 6) {
			t.Fatalf("%d best of %d", len(got), len(free))
		}
	})
}

// seatLedger is a ledger in which a seat goes its ways, entry by entry.
func TestLedger_provesThatASeatHasOneLiveClaim(t *testing.T) {
	event := id.NewEvent("euw3")
	quota := id.NewQuota(event)
	h := []booking.SeatID{"A-1"}
	open := booking.Entry{Kind: booking.EntryOpen, Changes: []booking.Change{{Quota: quota, Size: 9}}}
	take := booking.Entry{Kind: booking.EntryHold, Ref: "a", Seats: h}
	for name, c := range map[string]struct {
		good    bool
		entries []booking.Entry
	}{
		"a whole life":          {true, []booking.Entry{take, {Kind: booking.EntrySale, Ref: "a", Seats: h}, {Kind: booking.EntryReturn, Ref: "o", Seats: h}, {Kind: booking.EntryKill, Seats: h}, {Kind: booking.EntryUnkill, Seats: h}, {Kind: booking.EntryHouse, Seats: h}, {Kind: booking.EntryHouseRelease, Seats: h}, {Kind: booking.EntryLateSale, Ref: "a", Seats: h}}},
		"laid out anew":         {true, []booking.Entry{{Kind: booking.EntrySeating, Seats: h}, {Kind: booking.EntrySeating}, take}},
		"held twice":            {false, []booking.Entry{take, {Kind: booking.EntryHold, Ref: "b", Seats: h}}},
		"held twice in one":     {false, []booking.Entry{{Kind: booking.EntryHold, Ref: "a", Seats: []booking.SeatID{"A-1", "A-1"}}}},
		"released by another":   {false, []booking.Entry{take, {Kind: booking.EntryRelease, Ref: "b", Seats: h}}},
		"sold to another":       {false, []booking.Entry{take, {Kind: booking.EntrySale, Ref: "b", Seats: h}}},
		"sold late over a hold": {false, []booking.Entry{take, {Kind: booking.EntryLateSale, Ref: "b", Seats: h}}},
		"returned twice":        {false, []booking.Entry{take, {Kind: booking.EntrySale, Ref: "a", Seats: h}, {Kind: booking.EntryReturn, Seats: h}, {Kind: booking.EntryReturn, Seats: h}}},
		"killed under a buyer":  {false, []booking.Entry{take, {Kind: booking.EntryKill, Seats: h}}},
		"laid out under one":    {false, []booking.Entry{take, {Kind: booking.EntrySeating}}},
		"of another kind":       {false, []booking.Entry{{Kind: booking.EntrySize, Seats: h}}},
		"sold from the house":   {false, []booking.Entry{{Kind: booking.EntrySeating, Seats: h}, take}},
	} {
		var head booking.LedgerHead
		tally := &booking.Tally{}
		row, err := head.Row(event, noon, append([]booking.Entry{open}, c.entries...))
		if err != nil {
			t.Fatal(err)
		}
		err = tally.Add(row)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

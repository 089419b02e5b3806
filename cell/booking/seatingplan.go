package booking

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Limits of a seating plan.
const (
	MaxSeats          = 20_000 // of an event
	MaxZones          = 500
	MaxRows           = 5000 // of all zones
	MaxRowSeats       = 500
	MaxSeatCategories = 50
	MaxSeatText       = 64        // characters of an id, or of a section's, row's, seat's or category's name
	MaxDrawing        = 256 << 10 // bytes of what is drawn beside the seats
	maxPlanCoordinate = 1_000_000 // of the plan's unit, either way
	aisle             = 1.6       // a step along a row that is so many times the usual one is an aisle
	costUnit          = 16        // parts of the plan's unit that costs count
)

// DraftSeating is a seating plan as an organizer brings it, in the layout of
// pretix's seating plans, with what that layout leaves out.
type DraftSeating struct {
	Plan       DraftPlan
	Categories []DraftSeatCategory
	Accessible []SeatID
	Companions []DraftCompanion
	House      []SeatID // set aside from the start
	AllowGaps  bool
	// TellApart gives rows of one zone that bear the same name, and seats that bear
	// the same id, a number each. Without it they are refused.
	TellApart bool
	Focus     *Point // what people look at; without it, the middle before each zone's first row
}

// DraftSeatCategory says which ticket types sell the seats of a category.
type DraftSeatCategory struct {
	Category string
	Types    []string // names or ids
}

// DraftCompanion is a companion's seat and the accessible seat it belongs to.
type DraftCompanion struct{ Seat, With SeatID }

// Point is a place on a plan.
type Point struct{ X, Y float64 }

// DraftPlan is the plan itself.
type DraftPlan struct {
	Name       string
	Size       Point // width and height; zero when unsaid
	Categories []PlanCategory
	Zones      []PlanZone
	Drawing    json.RawMessage // what is drawn beside the seats; only for eyes
}

// PlanCategory is a sort of seats with the colour it is drawn in.
type PlanCategory struct {
	Name  string `json:"name"`
	Color string `json:"color,omitempty"`
}

// PlanZone is a section with its rows, each at a place of its own.
type PlanZone struct {
	Name string
	At   Point
	Rows []PlanRow
}

// PlanRow is a row; its seats stand in their order, relative to it.
type PlanRow struct {
	Name  string
	At    Point
	Seats []PlanSeat
}

// PlanSeat is a seat of the plan.
type PlanSeat struct {
	ID       SeatID
	Number   string
	At       Point
	Category string
}

// Seating is a plan that was checked and is ready to be laid out.
type Seating struct {
	Name       string
	Size       Point
	Categories []PlanCategory
	Drawing    json.RawMessage
	Seats      []Seat // in the plan's order
}

// Seating checks the plan and numbers its seats: rows from best to worst, seats
// along their row. at is where it stands in the body.
func (d *DraftSeating) Seating(at string) (*Seating, error) {
	p := &planner{draft: d, at: at, ids: names{}, rows: names{}}
	if err := p.checkPlan(); err != nil {
		return nil, err
	}
	for i := range d.Plan.Zones {
		if err := p.zone(i); err != nil {
			return nil, err
		}
	}
	if len(p.seats) == 0 {
		return nil, ErrInvalidEvent.At(at+"/plan/zones", "there is no seat in it")
	}
	if err := p.mark(); err != nil {
		return nil, err
	}
	p.rank()
	return &Seating{Name: d.Plan.Name, Size: d.Plan.Size, Categories: d.Plan.Categories, Drawing: d.Plan.Drawing, Seats: p.seats}, nil
}

type planner struct {
	draft *DraftSeating
	at    string
	seats []Seat
	ids   names // of seats
	rows  names // of rows, with their section's
	rowNo int64
}

// names counts how often each was given.
type names map[string]int

// tellApart takes a name, or where it is taken and may be changed, the name with
// the next free number.
func (n names) tellApart(name, format string, may bool) (string, bool) {
	given := name
	for n[given] > 0 {
		if !may {
			return "", false
		}
		n[name]++ // never goes back, so many of one name cost no more than few
		given = name + fmt.Sprintf(format, n[name])
	}
	n[given] = 1
	return given, true
}

func (p *planner) checkPlan() error {
	plan, at := &p.draft.Plan, p.at+"/plan"
	if err := text(at+"/name", plan.Name, 0, MaxName, false); err != nil {
		return err
	}
	if err := point(at+"/size", plan.Size); err != nil {
		return err
	}
	if f := p.draft.Focus; f != nil {
		if err := point(p.at+"/focus", *f); err != nil {
			return err
		}
	}
	if len(plan.Drawing) > MaxDrawing {
		return ErrInvalidEvent.At(at+"/zones", "their areas take more than %d bytes", MaxDrawing)
	}
	if n := len(plan.Categories); n < 1 || n > MaxSeatCategories {
		return ErrInvalidEvent.At(at+"/categories", "must be 1 to %d", MaxSeatCategories)
	}
	for i, c := range plan.Categories {
		where := at + "/categories/" + itoa(i)
		if err := text(where+"/name", c.Name, 1, MaxSeatText, false); err != nil {
			return err
		}
		if slices.ContainsFunc(plan.Categories[:i], func(o PlanCategory) bool { return o.Name == c.Name }) {
			return ErrInvalidEvent.At(where+"/name", "another category has this name")
		}
		if !Colour(c.Color) {
			return ErrInvalidEvent.At(where+"/color", "must be like #F44336")
		}
	}
	if n := len(plan.Zones); n < 1 || n > MaxZones {
		return ErrInvalidEvent.At(at+"/zones", "must be 1 to %d", MaxZones)
	}
	return nil
}

// Colour says whether a page may write the text into its style unread: "" or a
// number like #F44336.
func Colour(s string) bool {
	if s == "" {
		return true
	}
	return (len(s) == 7 || len(s) == 4) && s[0] == '#' && strings.Trim(s[1:], "0123456789abcdefABCDEF") == ""
}

func point(at string, p Point) error {
	if !(math.Abs(p.X) <= maxPlanCoordinate && math.Abs(p.Y) <= maxPlanCoordinate) { // NaN is not either
		return ErrInvalidEvent.At(at, "must lie within %d of the origin", maxPlanCoordinate)
	}
	return nil
}

func (p *planner) zone(i int) error {
	z, at := &p.draft.Plan.Zones[i], p.at+"/plan/zones/"+itoa(i)
	if err := text(at+"/name", z.Name, 0, MaxSeatText, false); err != nil {
		return err
	}
	if err := point(at+"/position", z.At); err != nil {
		return err
	}
	first := len(p.seats)
	for j := range z.Rows {
		if p.rowNo++; p.rowNo > MaxRows {
			return ErrInvalidEvent.At(at+"/rows", "a plan has at most %d rows", MaxRows)
		}
		if err := p.row(at+"/rows/"+itoa(j), z, &z.Rows[j]); err != nil {
			return err
		}
	}
	p.judge(i, p.seats[first:])
	return nil
}

func (p *planner) row(at string, z *PlanZone, r *PlanRow) error {
	if err := text(at+"/row_number", r.Name, 0, MaxSeatText, false); err != nil {
		return err
	}
	if err := point(at+"/position", r.At); err != nil {
		return err
	}
	if len(r.Seats) > MaxRowSeats {
		return ErrInvalidEvent.At(at+"/seats", "a row has at most %d seats", MaxRowSeats)
	}
	if len(p.seats)+len(r.Seats) > MaxSeats {
		return ErrInvalidEvent.At(at+"/seats", "a plan has at most %d seats", MaxSeats)
	}
	key, ok := p.rows.tellApart(z.Name+"\n"+r.Name, " (%d)", p.draft.TellApart)
	if !ok {
		return ErrInvalidEvent.At(at+"/row_number", "another row of the zone has this name; with tell_apart they are numbered")
	}
	_, name, _ := strings.Cut(key, "\n")
	first := len(p.seats)
	numbers := map[string]bool{}
	for k := range r.Seats {
		where := at + "/seats/" + itoa(k)
		seat, err := p.seat(where, r.Seats[k])
		if err != nil {
			return err
		}
		if numbers[seat.Number] {
			return ErrInvalidEvent.At(where+"/seat_number", "another seat of the row has this number")
		}
		numbers[seat.Number] = true
		seat.Section, seat.Row, seat.RowNo = z.Name, name, p.rowNo
		seat.X, seat.Y = z.At.X+r.At.X+seat.X, z.At.Y+r.At.Y+seat.Y
		p.seats = append(p.seats, seat)
	}
	places(p.seats[first:])
	return nil
}

func (p *planner) seat(at string, s PlanSeat) (Seat, error) {
	if err := text(at+"/seat_guid", string(s.ID), 1, MaxSeatText, false); err != nil {
		return Seat{}, err
	}
	if err := text(at+"/seat_number", s.Number, 1, MaxSeatText, false); err != nil {
		return Seat{}, err
	}
	if err := point(at+"/position", s.At); err != nil {
		return Seat{}, err
	}
	if !slices.ContainsFunc(p.draft.Plan.Categories, func(c PlanCategory) bool { return c.Name == s.Category }) {
		return Seat{}, ErrInvalidEvent.At(at+"/category", "the plan has no category of this name")
	}
	sid, ok := p.ids.tellApart(string(s.ID), "~%d", p.draft.TellApart)
	if !ok {
		return Seat{}, ErrInvalidEvent.At(at+"/seat_guid", "another seat has this id; with tell_apart they are numbered")
	}
	return Seat{ID: SeatID(sid), Number: s.Number, Category: s.Category, Kind: SeatStandard, State: SeatFree, X: s.At.X, Y: s.At.Y}, nil
}

// places numbers the seats of a row so that neighbours differ by 1: the row's
// order, with a number left out where there is an aisle.
func places(row []Seat) {
	var steps []float64
	step := func(k int) float64 { return math.Hypot(row[k].X-row[k-1].X, row[k].Y-row[k-1].Y) }
	for k := 1; k < len(row); k++ {
		steps = append(steps, step(k))
	}
	slices.Sort(steps)
	place := int64(1)
	for k := range row {
		if k > 0 {
			place++
			if usual := steps[(len(steps)-1)/2]; step(k) > aisle*usual && usual > 0 {
				place++
			}
		}
		row[k].Place = place
	}
}

// judge says how far each seat of a zone is from the best point: the focus or,
// without one, the middle before the zone's first row; then an earlier zone is
// better than a later one, whatever their places on the plan.
func (p *planner) judge(zone int, seats []Seat) {
	if len(seats) == 0 {
		return
	}
	var far float64
	best := Point{Y: seats[0].Y}
	left, right := math.Inf(1), math.Inf(-1)
	for i := range seats {
		left, right = min(left, seats[i].X), max(right, seats[i].X)
	}
	best.X = (left + right) / 2
	if f := p.draft.Focus; f != nil {
		best = *f
	} else {
		far = float64(zone) * 4 * maxPlanCoordinate
	}
	for i := range seats {
		seats[i].Cost = int64(costUnit * (far + math.Hypot(seats[i].X-best.X, seats[i].Y-best.Y)))
	}
}

// mark sets apart the accessible, the companions' and the house's seats.
func (p *planner) mark() error {
	where := make(map[SeatID]*Seat, len(p.seats))
	for i := range p.seats {
		where[p.seats[i].ID] = &p.seats[i]
	}
	find := func(at string, sid SeatID) (*Seat, error) {
		if seat := where[sid]; seat != nil {
			return seat, nil
		}
		return nil, ErrInvalidEvent.At(at, "the plan has no such seat")
	}
	for i, sid := range p.draft.Accessible {
		seat, err := find(p.at+"/accessible/"+itoa(i), sid)
		if err != nil {
			return err
		}
		seat.Kind = SeatAccessible
	}
	for i, c := range p.draft.Companions {
		at := p.at + "/companions/" + itoa(i)
		seat, err := find(at+"/seat_id", c.Seat)
		if err != nil {
			return err
		}
		with, err := find(at+"/with", c.With)
		if err != nil {
			return err
		}
		switch {
		case with.Kind != SeatAccessible:
			return ErrInvalidEvent.At(at+"/with", "is not among the accessible seats")
		case seat.Kind != SeatStandard:
			return ErrInvalidEvent.At(at+"/seat_id", "is accessible itself, or given twice")
		case seat.RowNo != with.RowNo:
			return ErrInvalidEvent.At(at+"/seat_id", "must be of the same row as the accessible seat")
		}
		seat.Kind, seat.With = SeatCompanion, c.With
	}
	for i, sid := range p.draft.House {
		seat, err := find(p.at+"/house/"+itoa(i), sid)
		if err != nil {
			return err
		}
		seat.State = SeatHouse
	}
	return nil
}

// rank orders the rows by their best seat.
func (p *planner) rank() {
	type ranked struct{ row, cost int64 }
	var rows []ranked
	for i := range p.seats {
		s := &p.seats[i]
		if n := len(rows); n == 0 || rows[n-1].row != s.RowNo {
			rows = append(rows, ranked{s.RowNo, s.Cost})
		} else {
			rows[n-1].cost = min(rows[n-1].cost, s.Cost)
		}
	}
	slices.SortStableFunc(rows, func(a, b ranked) int { return cmp.Compare(a.cost, b.cost) })
	rank := make(map[int64]int64, len(rows))
	for i, r := range rows {
		rank[r.row] = int64(i + 1)
	}
	for i := range p.seats {
		r := rank[p.seats[i].RowNo]
		p.seats[i].Rank, p.seats[i].Floor = r, rows[r-1].cost
	}
}

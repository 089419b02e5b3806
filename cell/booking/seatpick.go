package booking

import (
	"cmp"
	"slices"
	"strconv"
)

// chosen are the seats of a request, by its lines; nil for an event without seats.
type chosen struct {
	lines [][]*Seat
	taken map[SeatID]bool
}

// deal gives the chosen seats to a hold's items, which come in the order of the
// lines: one of each, or several where a line reaches into several price tiers.
func (c *chosen) deal(items []HoldItem, lines []Line) {
	if c == nil {
		return
	}
	line, used := 0, int64(0)
	for i := range items {
		item := &items[i]
		if seats := c.lines[line]; len(seats) > 0 {
			for _, seat := range seats[used : used+item.Quantity] {
				item.Seats = append(item.Seats, seat.Held())
			}
		}
		if used += item.Quantity; used == lines[line].Quantity {
			line, used = line+1, 0
		}
	}
}

func (c *chosen) all() []*Seat {
	if c == nil {
		return nil
	}
	return slices.Concat(c.lines...)
}

func (c *chosen) take(line int, seats []*Seat) {
	c.lines[line] = seats
	for _, seat := range seats {
		c.taken[seat.ID] = true
	}
}

// pickNamed finds the seats that the lines name and holds them to the rules. It
// changes nothing.
func (s *Stock) pickNamed(lines []Line) (*chosen, error) {
	if s.Seats == nil {
		for i, line := range lines {
			if line.wantsSeats() {
				return nil, ErrNoSeating.At(seatPointer(i, line), "the event has no seating plan")
			}
		}
		return nil, nil //nolint:nilnil // no seats is no error
	}
	c := &chosen{lines: make([][]*Seat, len(lines)), taken: map[SeatID]bool{}}
	var gone []SeatID
	for i, line := range lines {
		seats, taken, err := s.named(c, i, line)
		if err != nil {
			return nil, err
		}
		gone = append(gone, taken...)
		c.take(i, seats)
	}
	if len(gone) > 0 {
		return nil, ErrSeatTaken.With("%d of the seats asked for are taken", len(gone)).Field("seats", gone)
	}
	for i, line := range lines {
		if j := slices.IndexFunc(c.lines[i], func(seat *Seat) bool { return !s.accompanied(c, seat) }); j >= 0 {
			return nil, ErrCompanionAlone.At(at(i, "seat_ids/"+strconv.Itoa(j)), "the seat is for the companion of %q, which is not taken", s.Seats.byID[line.Seats[j]].With)
		}
	}
	if !s.AllowGaps {
		if left := s.gaps(c); len(left) > 0 {
			return nil, ErrSeatGap.With("a single seat would be left that nobody buys; choose seats beside it, or take it too").Field("seats", left)
		}
	}
	return c, nil
}

func seatPointer(i int, line Line) string {
	switch {
	case len(line.Seats) > 0:
		return at(i, "seat_ids")
	case line.Accessible:
		return at(i, "accessible")
	default:
		return at(i, "section")
	}
}

// at is the pointer to a field of a request's line.
func at(line int, field string) string { return "/items/" + strconv.Itoa(line) + "/" + field }

// named finds one line's seats; taken are those that somebody else has.
func (s *Stock) named(c *chosen, i int, line Line) (seats []*Seat, taken []SeatID, err error) {
	t := s.Type(line.Type)
	switch {
	case len(t.Categories) == 0 && line.wantsSeats():
		return nil, nil, ErrNoSeating.At(seatPointer(i, line), "%q is general admission", t.Name)
	case len(line.Seats) == 0:
		return nil, nil, nil
	case line.Accessible || line.Section != "":
		return nil, nil, ErrInvalidSeat.At(at(i, "seat_ids"), "give seats, or what to look for, not both")
	}
	own := map[SeatID]bool{}
	for j, sid := range line.Seats {
		pointer := at(i, "seat_ids/"+strconv.Itoa(j))
		seat := s.Seats.byID[sid]
		switch {
		case own[sid] || c.taken[sid]:
			return nil, nil, ErrInvalidSeat.At(pointer, "the seat is named twice")
		case seat == nil:
			return nil, nil, ErrSeatUnknown.At(pointer, "the event has no such seat")
		case !slices.Contains(t.Categories, seat.Category):
			return nil, nil, ErrSeatCategory.At(pointer, "%q does not sell the seats of %q", t.Name, seat.Category)
		case seat.State != SeatFree:
			taken = append(taken, sid)
		}
		own[sid] = true
		seats = append(seats, seat)
	}
	return seats, taken, nil
}

// accompanied: a companion's seat goes with its accessible seat, or after it.
func (s *Stock) accompanied(c *chosen, seat *Seat) bool {
	if seat.Kind != SeatCompanion || c.taken[seat.With] {
		return true
	}
	with := s.Seats.byID[seat.With]
	return with != nil && (with.State == SeatHeld || with.State == SeatSold)
}

// gaps are the single seats that the choice would leave where it need not. In a
// run of free seats of which all but one are taken, one is left whatever is
// chosen; anywhere else the party could sit so that none is.
func (s *Stock) gaps(c *chosen) []SeatID {
	var left []SeatID
	seen := map[int64]bool{}
	for _, seat := range c.all() {
		if seen[seat.RowNo] {
			continue
		}
		seen[seat.RowNo] = true
		for _, run := range runs(s.Seats.row(seat), func(s *Seat) bool { return s.State == SeatFree && s.Kind == SeatStandard }) {
			rest := runs(run, func(s *Seat) bool { return !c.taken[s.ID] })
			n := 0
			for _, r := range rest {
				n += len(r)
			}
			if n == len(run) || n == 1 {
				continue
			}
			for _, r := range rest {
				if len(r) == 1 {
					left = append(left, r[0].ID)
				}
			}
		}
	}
	return left
}

// runs cuts a row into runs of neighbours that all fit.
func runs(row []*Seat, fits func(*Seat) bool) (out [][]*Seat) {
	from := -1
	for i, seat := range row {
		switch {
		case !fits(seat):
			from = -1
			continue
		case from >= 0 && neighbours(row[i-1], seat):
			out[len(out)-1] = row[from : i+1]
		default:
			from = i
			out = append(out, row[i:i+1])
		}
	}
	return out
}

func neighbours(a, b *Seat) bool { return a.Rank == b.Rank && b.Place == a.Place+1 }

// pickBest finds seats for the lines that name none. It changes nothing but c.
func (s *Stock) pickBest(c *chosen, lines []Line) error {
	if c == nil {
		return nil
	}
	for i, line := range lines {
		t := s.Type(line.Type)
		if len(t.Categories) == 0 || len(line.Seats) > 0 {
			continue
		}
		if line.Section != "" && !s.Seats.sells(t, line.Section) {
			return ErrSeatSection.At(at(i, "section"), "%q sells no seats in a section of this name", t.Name)
		}
		free := s.Seats.pool(t, &lines[i])
		if len(c.taken) > 0 {
			free = slices.DeleteFunc(slices.Clone(free), func(seat *Seat) bool { return c.taken[seat.ID] })
		}
		find := BestSeats
		if line.Accessible {
			find = BestAccessible
		}
		best := find(free, int(line.Quantity))
		if best == nil {
			return ErrSoldOut.With("there are not that many seats left").Field("left", []Left{{t.ID.String(), s.leftAmong(free, &lines[i])}})
		}
		slices.SortFunc(best, inPlan)
		c.take(i, best)
	}
	return nil
}

// leftAmong is how many there still are of what a line asks for, among free seats.
func (s *Stock) leftAmong(free []*Seat, line *Line) int64 {
	if line.Accessible { // the others are for those who come along
		free = accessible(free)
	}
	return min(s.Free(s.Type(line.Type)), int64(len(free)))
}

// inPlan orders seats as the plan does.
func inPlan(a, b *Seat) int {
	return cmp.Or(cmp.Compare(a.RowNo, b.RowNo), cmp.Compare(a.Place, b.Place))
}

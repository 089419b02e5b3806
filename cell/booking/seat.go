package booking

import (
	"cmp"
	"maps"
	"slices"

	"guichet/cell/id"
	"guichet/internal/kind"
)

// What can be said about seats. The codes are part of the API.
var (
	ErrSeatTaken      = kind.Conflict.New("seat_taken")
	ErrSeatUnknown    = kind.Unprocessable.New("unknown_seat")
	ErrSeatCategory   = kind.Unprocessable.New("wrong_category")
	ErrSeatSection    = kind.Unprocessable.New("unknown_section")
	ErrSeatGap        = kind.Conflict.New("single_seat_gap")
	ErrCompanionAlone = kind.Unprocessable.New("companion_alone")
	ErrInvalidSeat    = kind.Invalid.New("invalid_seat")
)

// SeatID names a seat within its event: 1 to 64 characters of the organizer's plan.
type SeatID string

// SeatState is where a seat stands; held and sold name the hold it is with.
type SeatState string

// The states of a seat. Everything but free is a claim, and a seat has one claim
// at most: the database holds them in a table of their own (P2).
const (
	SeatFree   SeatState = "free"
	SeatHeld   SeatState = "held"
	SeatSold   SeatState = "sold"
	SeatKilled SeatState = "killed" // taken out by staff: a camera stands there
	SeatHouse  SeatState = "house"  // set aside by staff for somebody
)

// SeatKind says whom a seat is for.
type SeatKind string

// The kinds of seat. A companion's seat is sold with, or after, the accessible
// seat it belongs to; "best available" gives both only when asked for.
const (
	SeatStandard   SeatKind = "standard"
	SeatAccessible SeatKind = "accessible"
	SeatCompanion  SeatKind = "companion"
)

// Seat is one seat of an event's plan and where it stands.
type Seat struct {
	ID                   SeatID
	Section, Row, Number string // as the ticket says them
	Category             string
	Kind                 SeatKind
	With                 SeatID  // a companion's accessible seat, of the same row
	X, Y                 float64 // on the plan
	RowNo                int64   // the row in the plan's order; no two rows share it
	Place                int64   // along the row; neighbours differ by 1, an aisle by more
	Rank                 int64   // the row from best to worst; no two rows share it
	Cost                 int64   // how far from the best point, in 1/16 of the plan's unit
	Floor                int64   // the least cost in its row
	State                SeatState
	Hold                 id.Hold // while held or sold

	was     SeatState // as it was loaded
	wasHold id.Hold
}

// HeldSeat is a seat as holds, orders and tickets name it.
type HeldSeat struct {
	ID      SeatID `json:"id"`
	Section string `json:"section,omitempty"`
	Row     string `json:"row,omitempty"`
	Number  string `json:"number,omitempty"`
}

// Held is how a hold names the seat.
func (s *Seat) Held() HeldSeat {
	return HeldSeat{ID: s.ID, Section: s.Section, Row: s.Row, Number: s.Number}
}

// SeatAt is the seat of the item's nth ticket; the zero seat for general admission.
func (i *HoldItem) SeatAt(n int64) HeldSeat {
	if n < int64(len(i.Seats)) {
		return i.Seats[n]
	}
	return HeldSeat{}
}

// SeatIDs are the seats of the hold.
func (h *Hold) SeatIDs() []SeatID {
	var ids []SeatID
	for _, item := range h.Items {
		for _, seat := range item.Seats {
			ids = append(ids, seat.ID)
		}
	}
	return ids
}

// Seats are the seats that one transaction has loaded of an event: rows that
// are whole, as far as anybody may be refused for what stands beside him.
type Seats struct {
	byID   map[SeatID]*Seat
	order  []*Seat // by rank and place
	sorted bool
	pools  map[poolKey][]*Seat
	places map[place]bool // sections that are known to have seats of a category
}

// place is a section of the house as far as it has a category.
type place struct{ section, category string }

// Know notes that a section has seats of a category, whatever their state.
func (s *Seats) Know(section, category string) {
	if s.places == nil {
		s.places = map[place]bool{}
	}
	s.places[place{section, category}] = true
}

// sells says whether a section has any seats, free or not, that the type sells.
func (s *Seats) sells(t *TicketType, section string) bool {
	return slices.ContainsFunc(t.Categories, func(category string) bool { return s.places[place{section, category}] }) ||
		slices.ContainsFunc(s.order, func(seat *Seat) bool { return seat.Section == section && slices.Contains(t.Categories, seat.Category) })
}

// poolKey is what "best available" is looked for among.
type poolKey struct {
	of         id.TicketType
	section    string
	accessible bool
}

// pool are the free seats that a line may get, by rank and place. It is made once
// and kept: what is claimed leaves it, what is given back makes it anew.
func (s *Seats) pool(t *TicketType, line *Line) []*Seat {
	key := poolKey{t.ID, line.Section, line.Accessible}
	free, made := s.pools[key]
	if made {
		return free
	}
	for _, seat := range s.inOrder() {
		if seat.State == SeatFree && (line.Accessible || seat.Kind == SeatStandard) &&
			(line.Section == "" || seat.Section == line.Section) && slices.Contains(t.Categories, seat.Category) {
			free = append(free, seat)
		}
	}
	if s.pools == nil {
		s.pools = map[poolKey][]*Seat{}
	}
	s.pools[key] = free
	return free
}

// leave takes a seat that is not free any more out of the pools.
func (s *Seats) leave(seat *Seat) {
	for key, free := range s.pools {
		if i, there := slices.BinarySearchFunc(free, seat, byRank); there {
			s.pools[key] = slices.Delete(free, i, i+1)
		}
	}
}

// byRank orders seats by rank and place.
func byRank(a, b *Seat) int {
	return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Place, b.Place), cmp.Compare(a.ID, b.ID))
}

// Load adds a seat as it was read; reading it again changes nothing.
func (s *Seats) Load(seat Seat) {
	if s.byID == nil {
		s.byID = map[SeatID]*Seat{}
	}
	if s.byID[seat.ID] != nil {
		return
	}
	seat.was, seat.wasHold = seat.State, seat.Hold
	s.byID[seat.ID] = &seat
	s.order, s.sorted, s.pools = append(s.order, &seat), false, nil
}

// inOrder are all loaded seats, the best row first.
func (s *Seats) inOrder() []*Seat {
	if !s.sorted {
		slices.SortFunc(s.order, byRank)
		s.sorted = true
	}
	return s.order
}

// row are the loaded seats of a row in their order.
func (s *Seats) row(of *Seat) []*Seat {
	all := s.inOrder()
	from, _ := slices.BinarySearchFunc(all, of.Rank, func(s *Seat, rank int64) int { return cmp.Compare(s.Rank, rank) })
	to := from
	for to < len(all) && all[to].Rank == of.Rank {
		to++
	}
	return all[from:to]
}

// SeatChange is a seat that is not what it was when it was loaded.
type SeatChange struct {
	*Seat
	Was     SeatState
	WasHold id.Hold
}

// Changed lists what is to be written, by the seats' ids.
func (s *Seats) Changed() []SeatChange {
	var out []SeatChange
	for _, sid := range slices.Sorted(maps.Keys(s.byID)) {
		if seat := s.byID[sid]; seat.State != seat.was || seat.Hold != seat.wasHold {
			out = append(out, SeatChange{seat, seat.was, seat.wasHold})
		}
	}
	return out
}

// claim gives the seats to a hold and names them in the ledger's last entry.
func (s *Stock) claim(hold id.Hold, seats []*Seat, as SeatState) {
	for _, seat := range seats {
		seat.State, seat.Hold = as, hold
		s.Seats.leave(seat)
		s.name(seat.ID)
	}
}

// name adds a seat to the ledger's last entry.
func (s *Stock) name(seat SeatID) {
	last := &s.Log[len(s.Log)-1]
	last.Seats = append(last.Seats, seat)
}

// ofHold are the seats of a hold. One that was not loaded is known by its hold
// alone: it can be given back and sold, but nobody is offered it.
func (s *Stock) ofHold(h *Hold) []*Seat {
	var seats []*Seat
	for _, sid := range h.SeatIDs() {
		if s.Seats == nil {
			s.Seats = &Seats{}
		}
		seat := s.Seats.byID[sid]
		if seat == nil {
			s.Seats.Load(Seat{ID: sid, State: stateUnder(h.State), Hold: h.ID})
			seat = s.Seats.byID[sid]
		}
		seats = append(seats, seat)
	}
	return seats
}

func stateUnder(h HoldState) SeatState {
	if h == HoldConverted {
		return SeatSold
	}
	return SeatHeld
}

// freeSeats gives back what the hold has, for the entry that was just booked.
func (s *Stock) freeSeats(h *Hold) {
	for _, seat := range s.ofHold(h) {
		s.freeSeat(seat, h.ID)
	}
}

// freeSeat frees a seat if it is still the hold's: a second time changes nothing.
func (s *Stock) freeSeat(seat *Seat, hold id.Hold) {
	if seat.Hold == hold && (seat.State == SeatHeld || seat.State == SeatSold) {
		seat.State, seat.Hold = SeatFree, id.Hold{}
		s.Seats.pools = nil
		s.name(seat.ID)
	}
}

// seatsFree says whether all seats of an ended hold could be its again.
func (s *Stock) seatsFree(h *Hold) bool {
	for _, sid := range h.SeatIDs() {
		if s.Seats == nil {
			return false
		}
		if seat := s.Seats.byID[sid]; seat == nil || seat.State != SeatFree {
			return false
		}
	}
	return true
}

// returnSeats frees sold seats, for the entry that was just booked. A seat that
// was given back before, and may be somebody else's by now, stays as it is.
func (s *Stock) returnSeats(seats []SeatID) {
	for _, sid := range seats {
		seat := s.Seats.byID[sid]
		if seat == nil {
			panic("booking: a seat is returned whose order's hold was not named")
		}
		if h := s.Holds[seat.Hold]; h != nil && h.State == HoldConverted && seat.State == SeatSold {
			s.freeSeat(seat, h.ID)
		}
	}
}

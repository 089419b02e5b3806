package booking

import (
	"slices"

	"guichet/cell/id"
)

// MaxSeatsPerCall is how many seats staff may change at a time.
const MaxSeatsPerCall = 1000

// SeatOrder is what staff want with seats: from free To killed or house, or back
// to free From one of these.
type SeatOrder struct {
	From, To SeatState
	Seats    []SeatID
}

// Kill takes seats out of the sale, or brings them back.
func Kill(seats []SeatID, killed bool) SeatOrder { return staff(SeatKilled, seats, killed) }

// KeepForHouse sets seats aside for the house, or releases them.
func KeepForHouse(seats []SeatID, held bool) SeatOrder { return staff(SeatHouse, seats, held) }

func staff(state SeatState, seats []SeatID, on bool) SeatOrder {
	if on {
		return SeatOrder{From: SeatFree, To: state, Seats: seats}
	}
	return SeatOrder{From: state, To: SeatFree, Seats: seats}
}

// Check holds the order to its form.
func (o SeatOrder) Check() error {
	if len(o.Seats) < 1 || len(o.Seats) > MaxSeatsPerCall {
		return ErrInvalidSeat.At("/seat_ids", "must be 1 to %d seats", MaxSeatsPerCall).Field("limit", MaxSeatsPerCall)
	}
	return nil
}

// Staff does what staff want with seats and says how many it changed. A seat that
// is there already is left; one that a buyer has, or that is out of the sale for
// another reason, refuses the whole. Killing makes the quotas of the seats'
// category smaller, the house's seats count as allocated in them.
func (s *Stock) Staff(org id.Organizer, order SeatOrder) (changed int64, err error) {
	if err := order.Check(); err != nil {
		return 0, err
	}
	if s.Organizer != org {
		return 0, ErrEventNotFound
	}
	if err := s.Fence(); err != nil {
		return 0, err
	}
	if s.Seats == nil {
		return 0, ErrNoSeating.At("/seat_ids", "the event has no seating plan")
	}
	s.Sweep()
	seats, need, err := s.staffed(order)
	if err != nil || len(seats) == 0 {
		return 0, err
	}
	kind := EntryKill
	change := func(q *Quota, n int64) { q.Size -= n }
	switch {
	case order.To == SeatHouse:
		kind, change = EntryHouse, func(q *Quota, n int64) { q.Allocated += n }
	case order.From == SeatHouse:
		kind, change = EntryHouseRelease, func(q *Quota, n int64) { q.Allocated -= n }
	case order.From == SeatKilled:
		kind, change = EntryUnkill, func(q *Quota, n int64) { q.Size += n }
	}
	s.book(kind, "", need, change)
	for _, seat := range seats {
		seat.State = order.To
		s.Seats.pools = nil
		s.name(seat.ID)
	}
	return int64(len(seats)), nil
}

// staffed finds the seats that change and what they mean for the quotas.
func (s *Stock) staffed(order SeatOrder) (seats []*Seat, need draws, err error) {
	var gone []SeatID
	for i, sid := range order.Seats {
		seat := s.Seats.byID[sid]
		switch {
		case seat == nil:
			return nil, nil, ErrSeatUnknown.At("/seat_ids/"+itoa(i), "the event has no such seat")
		case slices.Contains(order.Seats[:i], sid):
			return nil, nil, ErrInvalidSeat.At("/seat_ids/"+itoa(i), "the seat is named twice")
		case seat.State == order.To:
			continue
		case seat.State != order.From && order.To == SeatFree:
			continue // it is not ours to free: nothing to bring back
		case seat.State != order.From:
			gone = append(gone, sid)
			continue
		}
		seats = append(seats, seat)
		for _, q := range s.seatQuotas(seat.Category) {
			need = need.add(q, 1)
		}
	}
	if len(gone) > 0 {
		return nil, nil, ErrSeatTaken.With("%d of the seats are not free", len(gone)).Field("seats", gone)
	}
	for _, d := range need {
		if order.From == SeatFree && d.quota.Free() < d.n {
			return nil, nil, ErrQuotaTooSmall.With("only %d of %q are free", d.quota.Free(), d.quota.Name).Field("limit", d.quota.Free())
		}
	}
	return seats, need, nil
}

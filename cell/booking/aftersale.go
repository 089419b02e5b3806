package booking

import "guichet/cell/id"

// GoAlong says how many tickets of each add-on go along when an order that had before
// tickets of each type keeps only left of them: afterwards it has no more of an add-on
// than of the type that this requires, as when it was held. What was so already, because
// the terms were changed since, stays.
func (e *Event) GoAlong(before, left map[id.TicketType]int64) map[id.TicketType]int64 {
	var along map[id.TicketType]int64
	for i := range e.Types {
		t := &e.Types[i]
		if t.Terms == nil || t.Terms.Requires.IsZero() {
			continue
		}
		need := t.Terms.Requires
		allowed := left[need] + max(before[t.ID]-before[need], 0)
		if n := left[t.ID] - allowed; n > 0 {
			if along == nil {
				along = map[id.TicketType]int64{}
			}
			along[t.ID] = n
		}
	}
	return along
}

// MayKeep refuses that an order keeps fewer tickets of a type than can be bought, unless
// it had as few before. What is given back whole is not kept.
func (e *Event) MayKeep(before, left map[id.TicketType]int64) error {
	for i := range e.Types {
		t := &e.Types[i]
		if n := left[t.ID]; n > 0 && n < before[t.ID] && n < t.MinPerOrder && before[t.ID] >= t.MinPerOrder {
			return ErrTooFew.With("an order has at least %d tickets of %q, or none", t.MinPerOrder, t.Name).
				Field("limit", t.MinPerOrder).Field("ticket_type_id", t.ID.String())
		}
	}
	return nil
}

// Accompanies says that a seat is for the companion of another one of the same hold: it
// is not kept without that.
func (s *Stock) Accompanies(seat, other SeatID) bool {
	if s.Seats == nil || seat == "" || other == "" {
		return false
	}
	of := s.Seats.byID[seat]
	return of != nil && of.Kind == SeatCompanion && of.With == other
}

package booking

// SeatClaim is who has a seat: a hold while held, or by which entry it went.
type SeatClaim struct {
	State SeatState
	Ref   string // the hold's id while held
}

// step is what an entry does to its seats: each must stand at from.
type step struct{ from, to SeatState }

// steps are the ways of a seat, by the ledger's words.
var steps = map[EntryKind]step{
	EntryHold: {SeatFree, SeatHeld},

	EntryAllocationHold: {SeatFree, SeatHeld},
	EntryRelease:        {SeatHeld, SeatFree},
	EntryExpiry:         {SeatHeld, SeatFree},
	EntrySale:           {SeatHeld, SeatSold},
	EntryLateSale:       {SeatFree, SeatSold},
	EntryReturn:         {SeatSold, SeatFree},
	EntryKill:           {SeatFree, SeatKilled},
	EntryUnkill:         {SeatKilled, SeatFree},
	EntryHouse:          {SeatFree, SeatHouse},
	EntryHouseRelease:   {SeatHouse, SeatFree},
	EntrySeating:        {SeatFree, SeatHouse},
}

// seats follows an entry's seats and holds them to P2: a seat has at most one
// live hold or ticket, and only who holds it gives it back or buys it.
func (t *Tally) seats(number int64, e Entry) error {
	if e.Kind == EntrySeating { // laid out anew: nobody can have had any
		for sid, c := range t.Seats {
			if c.State == SeatHeld || c.State == SeatSold {
				return ErrLedger.With("entry %d lays the seats out while seat %q is %s", number, sid, c.State)
			}
		}
		clear(t.Seats)
	}
	if len(e.Seats) == 0 {
		return nil
	}
	way, known := steps[e.Kind]
	if !known {
		return ErrLedger.With("entry %d (%s) cannot be about seats", number, e.Kind)
	}
	for _, sid := range e.Seats {
		c, claimed := t.Seats[sid]
		if !claimed {
			c.State = SeatFree
		}
		if c.State != way.from {
			return ErrLedger.With("entry %d (%s) is about seat %q, which is %s", number, e.Kind, sid, c.State)
		}
		if c.State == SeatHeld && c.Ref != e.Ref {
			return ErrLedger.With("entry %d (%s) of %s is about seat %q, which %s holds", number, e.Kind, e.Ref, sid, c.Ref)
		}
		if way.to == SeatFree {
			delete(t.Seats, sid)
			continue
		}
		t.Seats[sid] = SeatClaim{State: way.to, Ref: e.Ref}
	}
	return nil
}

// entry tells that the plan is laid out, and which seats are the
// house's from the start.
func (p *Seating) entry() Entry {
	e := Entry{Kind: EntrySeating, Changes: []Change{}}
	for i := range p.Seats {
		if p.Seats[i].State == SeatHouse {
			e.Seats = append(e.Seats, p.Seats[i].ID)
		}
	}
	return e
}

// Openings are the first entries of an event's ledger.
func (e *Event) Openings() []Entry {
	entries := []Entry{e.Opening()}
	if e.Seating != nil {
		entries = append(entries, e.Seating.entry())
	}
	return entries
}

// Revisions are the entries about a changed event: its quotas, and the plan that
// was laid out for it.
func (e *Event) Revisions(before []Quota) []Entry {
	var entries []Entry
	if entry, resized := e.Resizing(before); resized {
		entries = append(entries, entry)
	}
	if e.Seating != nil {
		entries = append(entries, e.Seating.entry())
	}
	return entries
}

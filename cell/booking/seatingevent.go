package booking

import (
	"slices"
	"strconv"

	"guichet/cell/id"
)

// ErrSeatedQuota refuses a size for a quota whose size is its seats.
var ErrSeatedQuota = ErrState.With("the quota's size is its seats: take seats out instead")

func itoa(i int) string { return strconv.Itoa(i) }

// seatedQuota says whether only types that sell seats draw on the quota: then its
// size is the number of these seats.
func (e *Event) seatedQuota(qid id.Quota) bool {
	drawn := false
	for i := range e.Types {
		if t := &e.Types[i]; slices.Contains(t.Quotas, qid) {
			if len(t.Categories) == 0 {
				return false
			}
			drawn = true
		}
	}
	return drawn
}

// seatQuotas are the quotas that count the seats of a category.
func (e *Event) seatQuotas(category string) (out []*Quota) {
	for i := range e.Quotas {
		q := &e.Quotas[i]
		if e.seatedQuota(q.ID) && slices.ContainsFunc(e.Types, func(t TicketType) bool {
			return slices.Contains(t.Quotas, q.ID) && slices.Contains(t.Categories, category)
		}) {
			out = append(out, q)
		}
	}
	return out
}

// LaySeats lays a seating plan out for a draft: its ticket types sell the seats,
// and a quota on which only such types draw has as many as there are seats. It
// may be done again as long as the event is a draft and nothing is set aside.
// at is where the plan stands in the body.
func (e *Event) LaySeats(at string, d DraftSeating) error {
	if e.State != Drafted {
		return ErrState.With("the event is %s; a plan is laid out while it is a draft", e.State).Field("state", string(e.State))
	}
	if e.Seated && slices.ContainsFunc(e.Quotas, func(q Quota) bool { return e.seatedQuota(q.ID) && q.Allocated > 0 }) {
		return ErrState.With("seats are set aside; release them before the plan is replaced")
	}
	plan, err := d.Seating(at)
	if err != nil {
		return err
	}
	if err := e.mapCategories(at, d, plan); err != nil {
		return err
	}
	seats, kept := map[*Quota]int64{}, map[*Quota]int64{}
	for _, c := range plan.Categories {
		n, house := plan.count(c.Name)
		for _, q := range e.seatQuotas(c.Name) {
			seats[q] += n
			kept[q] += house
		}
	}
	for i := range e.Quotas {
		q := &e.Quotas[i]
		if !e.seatedQuota(q.ID) {
			continue
		}
		size, house := seats[q], kept[q]
		if used := q.Held + q.Sold + q.Allocated + house; size < used {
			return ErrQuotaTooSmall.With("%q has %d seats, and %d are set aside", q.Name, size, used).Field("limit", used)
		}
		q.Size, q.Allocated = size, q.Allocated+house
	}
	e.Seated, e.AllowGaps, e.Seating = true, d.AllowGaps, plan
	return nil
}

// count is how many seats of a category there are, and how many are the house's.
func (p *Seating) count(category string) (all, house int64) {
	for i := range p.Seats {
		if p.Seats[i].Category == category {
			all++
			if p.Seats[i].State == SeatHouse {
				house++
			}
		}
	}
	return all, house
}

// mapCategories tells the ticket types which seats they sell. Types that sell the
// same seats must sell all of the same, and share a quota that nobody else draws
// on: so its counters are these seats, and "none" is never said of free ones (P9).
func (e *Event) mapCategories(at string, d DraftSeating, plan *Seating) error {
	for i := range e.Types {
		e.Types[i].Categories = nil
	}
	for i, m := range d.Categories {
		where := at + "/categories/" + itoa(i)
		if !slices.ContainsFunc(plan.Categories, func(c PlanCategory) bool { return c.Name == m.Category }) {
			return ErrInvalidEvent.At(where+"/category", "the plan has no category of this name")
		}
		if slices.ContainsFunc(d.Categories[:i], func(o DraftSeatCategory) bool { return o.Category == m.Category }) {
			return ErrInvalidEvent.At(where+"/category", "the category is given twice")
		}
		if len(m.Types) == 0 {
			return ErrInvalidEvent.At(where+"/ticket_types", "must name the ticket types that sell these seats")
		}
		for j, name := range m.Types {
			t, err := e.typeNamed(where+"/ticket_types/"+itoa(j), name)
			if err != nil {
				return err
			}
			if !slices.Contains(t.Categories, m.Category) {
				t.Categories = append(t.Categories, m.Category)
			}
		}
	}
	for i := range e.Types {
		if err := e.checkSeated(at+"/categories", &e.Types[i]); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(e.Types, func(t TicketType) bool { return len(t.Categories) > 0 }) {
		return ErrInvalidEvent.At(at+"/categories", "must say which ticket types sell which seats")
	}
	return nil
}

// typeNamed finds a ticket type by its id or by a name that no other one has.
func (e *Event) typeNamed(at, name string) (found *TicketType, err error) {
	for i := range e.Types {
		t := &e.Types[i]
		if t.ID.String() == name {
			return t, nil
		}
		if t.Name == name {
			if found != nil {
				return nil, ErrInvalidEvent.At(at, "two ticket types have this name")
			}
			found = t
		}
	}
	if found == nil {
		return nil, ErrInvalidEvent.At(at, "the event has no ticket type of this name")
	}
	return found, nil
}

func (e *Event) checkSeated(at string, t *TicketType) error {
	if len(t.Categories) == 0 {
		return nil
	}
	same := func(o *TicketType) bool { return slices.Equal(o.Categories, t.Categories) }
	for i := range e.Types {
		o := &e.Types[i]
		if !same(o) && slices.ContainsFunc(o.Categories, func(c string) bool { return slices.Contains(t.Categories, c) }) {
			return ErrInvalidEvent.At(at, "%q and %q sell some of the same seats: they must sell all of the same, or none", t.Name, o.Name)
		}
	}
	own := slices.ContainsFunc(t.Quotas, func(q id.Quota) bool {
		return !slices.ContainsFunc(e.Types, func(o TicketType) bool { return slices.Contains(o.Quotas, q) && !same(&o) })
	})
	if !own {
		return ErrInvalidEvent.At(at, "%q must draw on a quota that only ticket types for the same seats draw on", t.Name)
	}
	return nil
}

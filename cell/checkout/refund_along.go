package checkout

import (
	"slices"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/payment"
)

// together are the tickets that are given back when these are named: an add-on goes with
// the ticket that it requires, a companion's seat with the seat that it is for. The rest
// is as it could be bought, but for an organizer who wants fewer of a type. A buyer names
// a ticket that he gave on by the id under which he had it.
func (o *Order) together(stock *booking.Stock, named []id.Ticket, by payment.Source) ([]id.Ticket, error) {
	going := make([]id.Ticket, 0, len(named))
	for _, want := range named {
		at := slices.IndexFunc(o.Tickets, func(t Ticket) bool {
			return t.ID == want && by != payment.ByBuyer || t.known() == want && by == payment.ByBuyer
		})
		if at < 0 {
			return nil, ErrTicketNotFound.With("the tickets must be of this order")
		}
		going = append(going, o.Tickets[at].ID)
	}
	before, left := o.byType(nil), o.byType(going)
	for typ, n := range stock.GoAlong(before, left) {
		going = append(going, o.last(typ, n, going)...)
	}
	for _, i := range o.live() {
		t := &o.Tickets[i]
		with := func(other id.Ticket) bool {
			at := slices.IndexFunc(o.Tickets, func(t Ticket) bool { return t.ID == other })
			return stock.Accompanies(t.Seat.ID, o.Tickets[at].Seat.ID)
		}
		if !slices.Contains(going, t.ID) && slices.ContainsFunc(going, with) {
			going = append(going, t.ID)
		}
	}
	if by == payment.ByBuyer {
		if err := stock.MayKeep(before, o.byType(going)); err != nil {
			return nil, err
		}
	}
	return going, nil
}

// byType counts the tickets that are not given back, but for some of them.
func (o *Order) byType(without []id.Ticket) map[id.TicketType]int64 {
	n := map[id.TicketType]int64{}
	for _, i := range o.live() {
		if t := &o.Tickets[i]; !slices.Contains(without, t.ID) {
			n[t.Type]++
		}
	}
	return n
}

// last are up to n tickets of a type that stay so far: those that are still the buyer's
// before those that somebody else has, the last one first.
func (o *Order) last(typ id.TicketType, n int64, without []id.Ticket) (chosen []id.Ticket) {
	for _, owned := range []bool{true, false} {
		for _, i := range slices.Backward(o.live()) {
			t := &o.Tickets[i]
			if int64(len(chosen)) < n && t.Type == typ && t.Owned() == owned && !slices.Contains(without, t.ID) {
				chosen = append(chosen, t.ID)
			}
		}
	}
	return chosen
}

// placesOf are where tickets stand in the order.
func (o *Order) placesOf(tickets []id.Ticket) (at []int) {
	for i := range o.Tickets {
		if slices.Contains(tickets, o.Tickets[i].ID) {
			at = append(at, i)
		}
	}
	return at
}

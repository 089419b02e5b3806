package api

import (
	"slices"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/control-plane/topology"
)

// EventView is an event in the contract's form, with its counters for the
// organizer. Hidden ticket types are there for him and for who opened them.
func EventView(e booking.Event, cell topology.CellID, region string, whole bool, opened ...id.TicketType) client.Event {
	v := client.Event{
		ID: e.ID.String(), OrganizerID: e.Organizer.String(), Name: e.Name, Summary: e.Summary, Category: e.Category,
		Venue: venueView(e.Venue), StartsAt: inZone(e.StartsAt, e.TimeZone), TimeZone: e.TimeZone, Currency: e.Currency,
		State: e.ShownState(), TicketTypes: make([]client.TicketType, 0, len(e.Types)),
		Home: client.Home{Cell: cell.String(), Region: region, Epoch: int64(e.Epoch)}, Version: e.Version,
		Seated: e.Seated, SeriesID: e.Series.String(), Slot: e.Slot,
		RefundPolicy: refundsView(e.Refunds, e.Currency), Rescheduled: rescheduledView(&e),
	}
	if e.EndsAt != nil {
		end := inZone(*e.EndsAt, e.TimeZone)
		v.EndsAt = &end
	}
	if e.Source != nil {
		v.Source = &client.Source{Name: e.Source.Name, ID: e.Source.ID, Licence: e.Source.Licence, Credit: e.Source.Credit, URL: e.Source.URL, Shifted: e.Source.Shifted}
	}
	for i := range e.Types {
		t := &e.Types[i]
		if !shown(t, whole, opened) {
			continue
		}
		p := e.Shown(t)
		of := func(minor int64) money.Money { return money.Money{Amount: minor, Currency: e.Currency} }
		view := client.TicketType{
			ID: t.ID.String(), Name: t.Name, Price: of(p.Face), Fees: of(p.Fees), PriceAllIn: of(p.AllIn), Terms: termsView(&e, t, p, whole, opened),
			Availability: client.Availability(e.Availability(t)), MinPerOrder: t.MinPerOrder, MaxPerOrder: min(t.MaxPerOrder, booking.MaxTicketsPerOrder),
			SalesStart: t.SalesStart, SalesEnd: t.SalesEnd, Categories: t.Categories,
		}
		if whole {
			view.MaxPerOrder = t.MaxPerOrder // as he set it, whatever one order can have
			for _, q := range t.Quotas {
				view.Quotas = append(view.Quotas, q.String())
			}
		}
		v.TicketTypes = append(v.TicketTypes, view)
	}
	if whole {
		v.Quotas = quotaViews(e.Quotas)
	}
	return v
}

// shown says whether somebody may know of a ticket type.
func shown(t *booking.TicketType, whole bool, opened []id.TicketType) bool {
	return whole || !t.Hidden() || slices.Contains(opened, t.ID)
}

func quotaViews(quotas []booking.Quota) []client.Quota {
	out := make([]client.Quota, 0, len(quotas))
	for i := range quotas {
		q := &quotas[i]
		out = append(out, client.Quota{ID: q.ID.String(), Name: q.Name, Size: q.Size, Held: q.Held, Sold: q.Sold, Allocated: q.Allocated, Free: q.Free()})
	}
	return out
}

func venueView(v booking.Venue) client.Venue {
	out := client.Venue{Name: v.Name, Address: v.Address, City: v.City, Country: v.Country, Capacity: v.Capacity}
	if v.Located {
		out.Location = &client.Location{Lat: v.Lat, Lon: v.Lon}
	}
	return out
}

func venueOf(v client.Venue) booking.Venue {
	out := booking.Venue{Name: v.Name, Address: v.Address, City: v.City, Country: v.Country, Capacity: v.Capacity}
	if v.Location != nil {
		out.Lat, out.Lon, out.Located = v.Location.Lat, v.Location.Lon, true
	}
	return out
}

// inZone shows a time as the clock on the venue's wall does.
func inZone(t time.Time, zone string) time.Time {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return t.UTC()
	}
	return t.In(loc)
}

func holdView(h booking.Hold) client.Hold {
	v := client.Hold{ID: h.ID.String(), EventID: h.ID.Event().String(), State: string(h.State), ExpiresAt: h.ExpiresAt.UTC(), Total: h.Total, PromoCode: promoOf(h.Items), Items: []client.HoldItem{}}
	for _, item := range h.Items {
		view := itemView(item)
		view.SeatIDs, view.Seats = seatTexts(item.Seats)
		v.Items = append(v.Items, view)
	}
	return v
}

func (s *Server) orderView(o checkout.Order) client.Order {
	v := client.Order{
		ID: o.ID.String(), Code: o.Code, EventID: o.ID.Event().String(), HoldID: o.Hold.String(), State: string(o.State),
		PaymentState: "none", RefundStatus: string(o.Refund), Total: o.Total, CreatedAt: o.CreatedAt.UTC(),
		Buyer: &client.Buyer{Email: o.Buyer.Email, Name: o.Buyer.Name, Locale: o.Buyer.Locale},
		Items: []client.OrderItem{}, Tickets: []client.Ticket{}, Timeline: timelineView(o), RefundPolicy: refundsView(o.Policy, o.Total.Currency),
	}
	if o.Kept > 0 {
		v.Kept = &money.Money{Amount: o.Kept, Currency: o.Total.Currency}
	}
	if o.State == checkout.Pending {
		end := o.ExpiresAt.UTC()
		v.ExpiresAt = &end
	}
	if o.Payment != nil {
		v.PaymentState = string(o.Payment.State)
		v.Payment = s.paymentView(o)
	}
	for _, item := range o.Items {
		_, seats := seatTexts(item.Seats)
		v.Items = append(v.Items, client.OrderItem{TicketTypeID: item.Type.String(), Name: item.Name, Quantity: item.Quantity, PriceAllIn: item.AllIn, ItemPrice: itemPrice(item), Seats: seats})
	}
	for _, t := range o.Tickets {
		v.Tickets = append(v.Tickets, buyersTicket(t))
	}
	return v
}

// paymentView is what a buyer's browser needs, as long as there is something to pay.
func (s *Server) paymentView(o checkout.Order) *client.PaymentHandle {
	if o.Payment == nil || o.Payment.IntentID == "" || o.State != checkout.Pending || o.Payment.State == payment.Captured {
		return nil
	}
	return &client.PaymentHandle{Provider: o.Payment.Provider, ClientSecret: o.Payment.ClientSecret, PublishableKey: s.Checkout.Processor.PublishableKey()}
}

func ticketView(t checkout.Ticket) client.Ticket {
	v := client.Ticket{
		ID: t.ID.String(), OrderID: t.Order.String(), EventID: t.ID.Event().String(), TicketTypeID: t.Type.String(), Name: t.Name,
		Attendee: t.Attendee, State: string(t.State), Barcode: t.Barcode,
	}
	if t.Seat.ID != "" {
		v.Seat = new(seatView(t.Seat))
	}
	return v
}

package letter

import (
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/ticket"
	"guichet/cell/ticket/wallet"
)

// Pass is a ticket as a wallet shows it.
func Pass(t checkout.Ticket, o checkout.Order, e booking.Event) wallet.Pass {
	return wallet.Pass{
		Barcode: t.Barcode, Serial: ticket.Mark(t.Barcode), EventID: e.ID.String(), Event: e.Name, Venue: place(e.Venue), Address: address(e.Venue),
		StartsAt: e.StartsAt, EndsAt: e.EndsAt, TimeZone: e.TimeZone, Type: t.Name, Attendee: t.Attendee, OrderCode: o.Code,
		Lat: e.Venue.Lat, Lon: e.Venue.Lon, Located: e.Venue.Located,
	}
}

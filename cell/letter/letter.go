// Package letter gathers what a mail tells, from the rooms it tells about: the
// order from checkout, the event from booking, the tickets on paper. It decides
// whether there is still something to tell, and nothing else.
package letter

import (
	"context"
	"fmt"
	"time"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/ticket/ical"
	"guichet/cell/ticket/render"
	"guichet/internal/txn"
)

// LinkLife is how long a link to found tickets works.
const LinkLife = 24 * time.Hour

// Records are what a letter is read from.
type Records interface {
	Order(ctx context.Context, tx txn.Tx, order id.Order) (checkout.Order, error)
	Ticket(ctx context.Context, tx txn.Tx, ticket id.Ticket) (checkout.Ticket, error)
	Refunds(ctx context.Context, tx txn.Tx, order id.Order) ([]payment.Back, error)
	Event(ctx context.Context, tx txn.Tx, event id.Event) (booking.Event, error)
	OrdersReached(ctx context.Context, addressHash string, limit int) ([]id.Order, error)
	TicketsReached(ctx context.Context, addressHash string, limit int) ([]id.Ticket, error)
	Clock(ctx context.Context, tx txn.Tx) (time.Time, error)
	Invitation(ctx context.Context, of id.Invitation) (account.Invitation, error)
	Organizer(ctx context.Context, org id.Organizer) (booking.Organizer, error)
}

// Composer is the notify.Composer of a cell.
type Composer struct {
	Records Records
	Access  *access.Signer
	Site    string // absolute URL of the town as buyers reach it, without a slash at the end
}

// Compose gathers a message's facts and files.
func (c *Composer) Compose(ctx context.Context, m notify.Message) (notify.Facts, []notify.Attachment, error) {
	if m.Kind == notify.FindMyTickets {
		f, err := c.search(ctx, m)
		return f, nil, err
	}
	if m.Kind == notify.Invitation {
		f, err := c.invite(ctx, m)
		return f, nil, err
	}
	if m.Kind == notify.SignIn {
		f, err := c.signIn(ctx, m)
		return f, nil, err
	}
	o, err := c.Records.Order(ctx, txn.None, m.Order)
	if err != nil {
		return notify.Facts{}, nil, fmt.Errorf("read order: %w", err)
	}
	e, err := c.Records.Event(ctx, txn.None, m.Order.Event())
	if err != nil {
		return notify.Facts{}, nil, fmt.Errorf("read event: %w", err)
	}
	if m.Kind == notify.TicketReceived || m.Kind == notify.TicketGiven || m.Kind == notify.TicketVoid || m.Kind == notify.TicketRescheduled {
		return c.transferred(ctx, m, o, e)
	}
	f := notify.Facts{
		Name: m.Name, Event: e.Name, Venue: place(e.Venue), StartsAt: e.StartsAt, TimeZone: e.TimeZone, Code: o.Code,
		Total: &o.Total, Link: c.open(c.Access.OrderToken(o.ID, o.Access, o.CreatedAt)),
	}
	for _, i := range o.Items {
		f.Items = append(f.Items, notify.Item{Quantity: i.Quantity, Name: i.Name})
	}
	if m.Kind == notify.EventRescheduled {
		if o.State != checkout.Paid {
			return f, nil, notify.ErrObsolete.With("the order is %s", o.State)
		}
		if end := e.WindowEnd(); e.SeenAt.Before(end) {
			f.RefundUntil = end
		}
		err := rescheduled(&f, m.Part, &e)
		return f, []notify.Attachment{dateFile(o, OrderEntry(o, e))}, err
	}
	if m.Kind == notify.OrderPaid {
		tellRefunds(&f, &o, &e)
		files, err := c.tickets(o, e)
		return f, files, err
	}
	backs, err := c.Records.Refunds(ctx, txn.None, o.ID)
	if err != nil {
		return notify.Facts{}, nil, fmt.Errorf("read refunds: %w", err)
	}
	for i := range backs { // oldest first: without a part the mail is about the last one
		if m.Part == "" || m.Part == backs[i].ID.String() {
			f.Amount = &backs[i].Amount
		}
	}
	return f, nil, nil
}

// tickets are the buyer's own tickets of an order on paper and its date for the
// calendar. An order that was canceled since has a mail of its own, and who was given
// a ticket has his.
func (c *Composer) tickets(o checkout.Order, e booking.Event) ([]notify.Attachment, error) {
	var pages []render.Page
	for _, t := range o.Tickets {
		if t.State != checkout.TicketCanceled && t.Owned() && len(pages) < render.MaxPages {
			pages = append(pages, Page(t, o, e))
		}
	}
	if len(pages) == 0 {
		return nil, notify.ErrObsolete.With("no ticket of the order is its buyer's any more; it is %s", o.State)
	}
	paper, err := render.PDF(pages)
	if err != nil {
		return nil, fmt.Errorf("print tickets: %w", err)
	}
	return []notify.Attachment{
		{Name: "tickets-" + o.Code + ".pdf", Media: "application/pdf", Content: paper},
		dateFile(o, OrderEntry(o, e)),
	}, nil
}

// search tells an address where its tickets are; one that has none gets no mail.
func (c *Composer) search(ctx context.Context, m notify.Message) (notify.Facts, error) {
	hash := notify.AddressHash(m.To)
	orders, err := c.Records.OrdersReached(ctx, hash, notify.MaxFound)
	if err != nil {
		return notify.Facts{}, fmt.Errorf("look for orders: %w", err)
	}
	tickets, err := c.Records.TicketsReached(ctx, hash, notify.MaxFound)
	if err != nil {
		return notify.Facts{}, fmt.Errorf("look for tickets: %w", err)
	}
	if len(orders)+len(tickets) == 0 {
		return notify.Facts{}, notify.ErrObsolete.With("this cell has no tickets for the address")
	}
	now, err := c.Records.Clock(ctx, txn.None)
	if err != nil {
		return notify.Facts{}, err
	}
	until := now.Add(LinkLife)
	return notify.Facts{Count: len(orders) + len(tickets), Link: c.open(c.Access.FindToken(hash, until)), Until: until, TimeZone: "UTC"}, nil
}

// open is the link that opens what a token admits to. The token stands behind the #,
// which browsers send to nobody: no log and no referrer ever holds it.
func (c *Composer) open(token string) string { return c.Site + "/v1/open#" + token }

// place is a venue in one line.
func place(v booking.Venue) string {
	if v.City == "" || v.City == v.Name {
		return v.Name
	}
	return v.Name + ", " + v.City
}

// Page is a ticket as it is to be printed.
func Page(t checkout.Ticket, o checkout.Order, e booking.Event) render.Page {
	return render.Page{
		Barcode: t.Barcode, Event: e.Name, Venue: place(e.Venue), Country: e.Venue.Country, StartsAt: e.StartsAt,
		TimeZone: e.TimeZone, Type: t.Name, Attendee: t.Attendee, OrderCode: o.Code,
		Section: t.Seat.Section, Row: t.Seat.Row, Seat: t.Seat.Number,
	}
}

// OrderEntry is an order's date for a calendar.
func OrderEntry(o checkout.Order, e booking.Event) ical.Entry {
	entry := entryOf(e, o)
	entry.Canceled = entry.Canceled || o.State != checkout.Paid
	return entry
}

// TicketEntry is a ticket's date for a calendar. It has the order's UID: several
// tickets of one order are one evening, not several.
func TicketEntry(t checkout.Ticket, o checkout.Order, e booking.Event) ical.Entry {
	entry := entryOf(e, o)
	entry.Description += "\n" + t.Name
	entry.Canceled = entry.Canceled || t.State == checkout.TicketCanceled
	return entry
}

func entryOf(e booking.Event, o checkout.Order) ical.Entry {
	changed := o.CreatedAt
	if e.Rescheduled != nil && e.Rescheduled.At.After(changed) {
		changed = e.Rescheduled.At
	}
	return ical.Entry{
		UID:     o.Code + "." + e.ID.String() + "@guichet", // not the order's id: calendars are shared
		Version: e.Version, Stamp: changed, StartsAt: e.StartsAt, EndsAt: e.EndsAt, Summary: e.Name, Location: address(e.Venue),
		Description: o.Code, Lat: e.Venue.Lat, Lon: e.Venue.Lon, Located: e.Venue.Located, Canceled: e.State == booking.Canceled,
	}
}

// address is a venue with its street, for a map.
func address(v booking.Venue) string {
	if v.Address == "" {
		return place(v)
	}
	return v.Name + ", " + v.Address + ", " + v.City
}

package letter

import (
	"context"
	"fmt"
	"slices"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/notify"
	"guichet/cell/ticket/render"
	"guichet/internal/txn"
)

// transferred is what mails about a single ticket say that was given on. They tell
// nothing of the order it came from: neither its id nor what was paid for it.
func (c *Composer) transferred(ctx context.Context, m notify.Message, o checkout.Order, e booking.Event) (notify.Facts, []notify.Attachment, error) {
	f := notify.Facts{Name: m.Name, Event: e.Name, Venue: place(e.Venue), StartsAt: e.StartsAt, TimeZone: e.TimeZone, Code: o.Code}
	about, err := m.Ticket()
	if err != nil {
		return f, nil, notify.ErrRefused.With("the mail names no ticket")
	}
	at := slices.IndexFunc(o.Tickets, func(t checkout.Ticket) bool { return t.ID == about })
	if m.Kind == notify.TicketVoid {
		var generation int64 // of an id that was given on since: the first
		if at >= 0 {
			generation = o.Tickets[at].Access
		}
		f.Link = c.open(c.Access.TicketToken(about, generation, o.CreatedAt))
		return f, nil, nil
	}
	if m.Kind == notify.TicketGiven {
		t, err := c.Records.Ticket(ctx, txn.None, about)
		f.Other, f.Link = t.Gone.To, c.open(c.Access.TicketToken(about, 0, o.CreatedAt))
		return f, nil, err
	}
	if at < 0 || o.Tickets[at].State == checkout.TicketCanceled {
		return f, nil, notify.ErrObsolete.With("the ticket was canceled, or given on")
	}
	t := o.Tickets[at]
	f.Link = c.open(c.Access.TicketToken(t.ID, t.Access, o.CreatedAt))
	f.Other, f.Items = t.Holder.By, []notify.Item{{Quantity: 1, Name: t.Name}}
	if m.Kind == notify.TicketRescheduled {
		err := rescheduled(&f, m.Part, &e)
		return f, []notify.Attachment{dateFile(o, TicketEntry(t, o, e))}, err
	}
	paper, err := render.PDF([]render.Page{Page(t, o, e)})
	if err != nil {
		return f, nil, fmt.Errorf("print ticket: %w", err)
	}
	return f, []notify.Attachment{
		{Name: "ticket-" + o.Code + ".pdf", Media: "application/pdf", Content: paper},
		dateFile(o, TicketEntry(t, o, e)),
	}, nil
}

package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/internal/httpd"
	"guichet/internal/txn"
)

// resendOrder mails an order's tickets again, to the buyer's address only.
func (s *Server) resendOrder(c *gin.Context) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	o, err := s.Checkout.Look(c.Request.Context(), order)
	if err != nil {
		return err
	}
	if o.State != checkout.Paid {
		return checkout.ErrState.With("the order is %s; there are no tickets to mail", o.State).Field("state", string(o.State))
	}
	if !slices.ContainsFunc(o.Tickets, func(t checkout.Ticket) bool { return t.Owned() }) {
		return checkout.ErrState.With("all tickets of the order were given away; who has them was mailed").Field("state", string(o.State))
	}
	err = s.recorded(c.Request.Context(), txn.None, func(ctx context.Context, tx txn.Tx) error {
		return s.Mails.Resend(ctx, tx, checkout.Letter(&o, notify.OrderPaid, ""))
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusAccepted, client.Accepted{Accepted: true})
	return nil
}

// findTickets answers the same for every address, known or not.
func (s *Server) findTickets(c *gin.Context) error {
	var in client.FindTickets
	if _, err := httpd.DecodeJSON(c, &in); err != nil {
		return err
	}
	if err := checkout.CheckSearch(in.Email, in.Locale); err != nil {
		return err
	}
	if err := s.admit(c, guardSearches); err != nil {
		return err
	}
	if err := s.Mails.Search(c.Request.Context(), in.Email, in.Locale); err != nil {
		return err
	}
	c.JSON(http.StatusAccepted, client.Accepted{Accepted: true})
	return nil
}

// foundTickets shows the orders of the address to which the link was mailed: as a
// page to a browser, else as JSON.
func (s *Server) foundTickets(c *gin.Context) error {
	token, ok := foundToken(c)
	if !ok {
		return errUnauthorized.With("open the link in the mail, or send its token as Authorization: Bearer …")
	}
	hash, until, err := access.VerifyFind(token, s.Access.Keys(nil), s.Now()) // our own keys: another cell's link opens nothing here
	if err != nil {
		return err
	}
	if err := noBody(c, &route{}); err != nil {
		return err
	}
	orders, tickets, err := s.reached(c, hash)
	if err != nil {
		return err
	}
	if asPage(c) {
		return s.foundPage(c, orders, tickets, until)
	}
	out := client.Found{Cell: s.Cell.String(), ExpiresAt: until}
	if out.Items, out.Tickets, err = s.openViews(c, orders, tickets); err != nil {
		return err
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// reached are the orders that an address was told of, and the tickets of others' orders
// that it was given, as far as they are at home here.
func (s *Server) reached(c *gin.Context, addressHash string) (orders []checkout.Order, tickets []checkout.Ticket, err error) {
	ids, err := s.Mails.Queue.OrdersReached(c.Request.Context(), addressHash, notify.MaxFound)
	if err != nil {
		return nil, nil, err
	}
	for _, oid := range ids {
		o, err := s.Checkout.Look(c.Request.Context(), oid)
		if errors.Is(err, checkout.ErrOrderNotFound) { // its event has moved to another home
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		orders = append(orders, o)
	}
	tickets, err = s.heldTickets(c, addressHash)
	return orders, tickets, err
}

// openViews shows orders and tickets with the tokens that admit to them.
func (s *Server) openViews(c *gin.Context, orders []checkout.Order, tickets []checkout.Ticket) (items []client.Order, held []client.Ticket, err error) {
	items, held = make([]client.Order, 0, len(orders)), make([]client.Ticket, 0, len(tickets))
	for _, o := range orders {
		v := s.orderView(o)
		v.Payment, v.AccessToken = nil, s.Access.OrderToken(o.ID, o.Access, o.CreatedAt)
		s.withTokens(v.Tickets, o)
		items = append(items, v)
	}
	for _, t := range tickets {
		v := holdersTicket(t)
		if v.AccessToken, err = s.holdersToken(c, t); err != nil {
			return nil, nil, err
		}
		held = append(held, v)
	}
	return items, held, nil
}

// holdersToken admits to a ticket of somebody else's order.
func (s *Server) holdersToken(c *gin.Context, t checkout.Ticket) (string, error) {
	o, err := s.Checkout.Store.Brief(c.Request.Context(), txn.None, t.Order)
	if err != nil {
		return "", err
	}
	return s.Access.TicketToken(t.ID, t.Access, o.CreatedAt), nil
}

// heldTickets are the single tickets that an address was given and has still.
func (s *Server) heldTickets(c *gin.Context, addressHash string) ([]checkout.Ticket, error) {
	ids, err := s.Mails.Queue.TicketsReached(c.Request.Context(), addressHash, notify.MaxFound)
	if err != nil {
		return nil, err
	}
	var tickets []checkout.Ticket
	for _, tid := range ids {
		t, err := s.Checkout.Store.Ticket(c.Request.Context(), txn.None, tid)
		if errors.Is(err, checkout.ErrTicketNotFound) { // its event has moved to another home
			continue
		}
		if err != nil {
			return nil, err
		}
		if !t.Dead() {
			tickets = append(tickets, t)
		}
	}
	return tickets, nil
}

// foundPage is what a browser shows of found orders and tickets.
func (s *Server) foundPage(c *gin.Context, orders []checkout.Order, tickets []checkout.Ticket, until time.Time) error {
	events := map[id.Event]booking.Event{}
	p := foundView{Until: until.Format("2 January 2006, 15:04 MST"), Cell: s.Cell.String()}
	about := func(event id.Event) (foundOrder, error) {
		e, ok := events[event]
		if !ok {
			var err error
			if e, err = s.Booking.Store.Event(c.Request.Context(), txn.None, event); err != nil {
				return foundOrder{}, err
			}
			events[event] = e
		}
		return foundOrder{Event: e.Name, When: inZone(e.StartsAt, e.TimeZone).Format("Monday 2 January 2006, 15:04")}, nil
	}
	for _, o := range orders {
		v, err := about(o.ID.Event())
		if err != nil {
			return err
		}
		v.Code, v.State = o.Code, string(o.State)
		for _, t := range o.Tickets {
			switch {
			case !t.Owned():
				v.Given = append(v.Given, foundTicket{Name: t.Name, Attendee: t.Gone.To})
			case t.State != checkout.TicketCanceled:
				v.Tickets = append(v.Tickets, foundTicket{Name: t.Name, Attendee: t.Attendee, ID: t.ID.String()})
			}
		}
		p.Orders = append(p.Orders, v)
	}
	for _, t := range tickets {
		v, err := about(t.ID.Event())
		if err != nil {
			return err
		}
		if v.State = string(t.State); t.State != checkout.TicketCanceled {
			v.Tickets = []foundTicket{{Name: t.Name, Attendee: t.Attendee, ID: t.ID.String()}}
		}
		p.Orders = append(p.Orders, v)
	}
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Status(http.StatusOK)
	return foundTemplate.Execute(c.Writer, p)
}

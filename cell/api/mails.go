package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/ticket"
	"guichet/internal/httpd"
)

// resendOrder mails an order's tickets again, to the buyer's address only.
func (s *Server) resendOrder(c *gin.Context) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	o, err := s.Checkout.Look(c, order)
	if err != nil {
		return err
	}
	if o.State != checkout.Paid {
		return checkout.ErrState.With("the order is %s; there are no tickets to mail", o.State).Field("state", string(o.State))
	}
	if err := s.Mails.Resend(c, checkout.Letter(&o, notify.OrderPaid, "")); err != nil {
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
	if err := s.Mails.Search(c, in.Email, in.Locale); err != nil {
		return err
	}
	c.JSON(http.StatusAccepted, client.Accepted{Accepted: true})
	return nil
}

// foundTickets shows the orders of the address to which the link was mailed: as a
// page to a browser, else as JSON.
func (s *Server) foundTickets(c *gin.Context) error {
	token := c.Query("token")
	hash, until, err := ticket.VerifyLink(token, s.Signer.Keys(), s.Now())
	if err != nil {
		return err
	}
	ids, err := s.Mails.Queue.OrdersReached(c, hash, notify.MaxFound)
	if err != nil {
		return err
	}
	var orders []checkout.Order
	for _, oid := range ids {
		o, err := s.Checkout.Look(c, oid)
		if errors.Is(err, checkout.ErrOrderNotFound) { // its event has moved to another home
			continue
		}
		if err != nil {
			return err
		}
		orders = append(orders, o)
	}
	c.Header("Referrer-Policy", "no-referrer") // the address of this page is the right to it
	if c.NegotiateFormat(gin.MIMEJSON, gin.MIMEHTML) == gin.MIMEHTML {
		return s.foundPage(c, orders, until)
	}
	out := client.Found{Cell: s.Cell.String(), ExpiresAt: until, Items: make([]client.Order, 0, len(orders))}
	for _, o := range orders {
		v := s.orderView(o)
		v.Payment = nil
		out.Items = append(out.Items, v)
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// foundPage is what a browser shows of found orders.
func (s *Server) foundPage(c *gin.Context, orders []checkout.Order, until time.Time) error {
	events := map[id.Event]booking.Event{}
	p := foundView{Until: until.Format("2 January 2006, 15:04 MST"), Cell: s.Cell.String()}
	for _, o := range orders {
		e, ok := events[o.ID.Event()]
		if !ok {
			var err error
			if e, err = s.Booking.Store.Event(c, o.ID.Event()); err != nil {
				return err
			}
			events[o.ID.Event()] = e
		}
		v := foundOrder{Event: e.Name, When: inZone(e.StartsAt, e.TimeZone).Format("Monday 2 January 2006, 15:04"), Code: o.Code, State: string(o.State)}
		for _, t := range o.Tickets {
			if t.State != checkout.TicketCanceled {
				v.Tickets = append(v.Tickets, foundTicket{Name: t.Name, Attendee: t.Attendee, ID: t.ID.String()})
			}
		}
		p.Orders = append(p.Orders, v)
	}
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Status(http.StatusOK)
	return foundTemplate.Execute(c.Writer, p)
}

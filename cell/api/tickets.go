package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/ticket"
	"guichet/cell/ticket/render"
	"guichet/control-plane/topology"
)

func (s *Server) getTickets(c *gin.Context) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	o, err := s.Checkout.Look(c, order)
	if err != nil {
		return err
	}
	page := Page[client.Ticket]{Items: []client.Ticket{}}
	for _, t := range o.Tickets {
		page.Items = append(page.Items, ticketView(t))
	}
	c.JSON(200, page)
	return nil
}

// getTicket serves a ticket as JSON, or by the ending of its path as PDF or PNG.
func (s *Server) getTicket(c *gin.Context) error {
	text, ending, _ := strings.Cut(c.Param("ticket_id"), ".")
	tid, err := id.ParseTicket(text)
	if err != nil {
		return err
	}
	t, o, err := s.Checkout.Ticket(c, tid)
	if err != nil {
		return err
	}
	if ending == "" {
		c.JSON(200, ticketView(t))
		return nil
	}
	if t.State == checkout.TicketCanceled && (ending == "png" || ending == "pdf") {
		return checkout.ErrState.With("the ticket is canceled; nobody should carry it to the door").Field("state", string(t.State))
	}
	switch ending {
	case "png":
		image, err := render.PNG(t.Barcode)
		if err != nil {
			return fmt.Errorf("draw barcode: %w", err)
		}
		return file(c, "image/png", image)
	case "pdf":
		return s.ticketPDF(c, t, o)
	}
	return checkout.ErrTicketNotFound.With("a ticket can be had as .pdf and .png")
}

func (s *Server) ticketPDF(c *gin.Context, t checkout.Ticket, o checkout.Order) error {
	e, err := s.Booking.Store.Event(c, t.ID.Event())
	if err != nil {
		return err
	}
	out, err := render.PDF([]render.Page{{
		Barcode: t.Barcode, Event: e.Name, Venue: e.Venue.Name + ", " + e.Venue.City, Country: e.Venue.Country, StartsAt: e.StartsAt,
		TimeZone: e.TimeZone, Type: t.Name, Attendee: t.Attendee, OrderCode: o.Code,
	}})
	if err != nil {
		return fmt.Errorf("print ticket: %w", err)
	}
	return file(c, "application/pdf", out)
}

func file(c *gin.Context, media string, content []byte) error {
	c.Header("Cache-Control", "private, no-store")
	c.Data(http.StatusOK, media, content)
	return nil
}

// ticketKeys are all cells' public keys, ours always among them.
func (s *Server) ticketKeys(c *gin.Context) error {
	keys := []topology.Key{s.Signer.Public()}
	if snap := s.Topology(); snap != nil {
		for _, cell := range snap.Cells {
			for _, k := range cell.Keys {
				if k.ID != s.Signer.KeyID() {
					keys = append(keys, k)
				}
			}
		}
	}
	c.Header("Cache-Control", "public, max-age=60")
	c.JSON(200, ticket.JWKSet(keys))
	return nil
}

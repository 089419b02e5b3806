package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/letter"
	"guichet/cell/ticket"
	"guichet/cell/ticket/ical"
	"guichet/cell/ticket/render"
	"guichet/internal/txn"
)

func (s *Server) getTickets(c *gin.Context) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	o, err := s.Checkout.Look(c.Request.Context(), order)
	if err != nil {
		return err
	}
	page := Page[client.Ticket]{Items: []client.Ticket{}}
	for _, t := range o.Tickets {
		page.Items = append(page.Items, buyersTicket(t))
	}
	if callerOf(c).staff() {
		page.Items = presentTickets(o)
	} else {
		s.withTokens(page.Items, o)
	}
	c.JSON(200, page)
	return nil
}

// getTicket serves a ticket as JSON, or by the ending of its path as PDF, PNG or calendar file.
func (s *Server) getTicket(c *gin.Context) error {
	text, ending, _ := strings.Cut(c.Param("ticket_id"), ".")
	tid, err := id.ParseTicket(text)
	if err != nil {
		return err
	}
	t, o, err := s.Checkout.Ticket(c.Request.Context(), tid)
	if err != nil {
		return err
	}
	if ending == "" && asPage(c) && !t.Dead() {
		return s.foundPage(c, nil, []checkout.Ticket{t}, s.Now().Add(linkCookieLife))
	}
	if ending == "" {
		c.JSON(200, holdersTicket(t))
		return nil
	}
	if err := usable(t); err != nil && (t.Dead() || ending == "png" || ending == "pdf" || ending == "pkpass") {
		return err
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
	case "ics":
		return s.ticketDate(c, t, o)
	case "pkpass":
		return s.applePass(c, t, o)
	}
	return checkout.ErrTicketNotFound.With("a ticket can be had as .pdf, .png, .ics and .pkpass")
}

func (s *Server) ticketPDF(c *gin.Context, t checkout.Ticket, o checkout.Order) error {
	e, err := s.Booking.Store.Event(c.Request.Context(), txn.None, t.ID.Event())
	if err != nil {
		return err
	}
	out, err := render.PDF([]render.Page{letter.Page(t, o, e)})
	if err != nil {
		return fmt.Errorf("print ticket: %w", err)
	}
	return file(c, "application/pdf", out)
}

func (s *Server) ticketDate(c *gin.Context, t checkout.Ticket, o checkout.Order) error {
	e, err := s.Booking.Store.Event(c.Request.Context(), txn.None, t.ID.Event())
	if err != nil {
		return err
	}
	return file(c, ical.Media, ical.File(letter.TicketEntry(t, o, e)))
}

func file(c *gin.Context, media string, content []byte) error {
	c.Header("Cache-Control", "private, no-store")
	c.Data(http.StatusOK, media, content)
	return nil
}

// ticketKeys are all cells' public keys, ours always among them.
func (s *Server) ticketKeys(c *gin.Context) error {
	keys := s.Signer.Published()
	own := s.Signer.Keys()
	if snap := s.Topology(); snap != nil {
		for _, cell := range snap.Cells {
			for _, k := range cell.Keys {
				if _, ours := own(k.ID); !ours && k.Use == "" { // access keys verify no barcode
					keys = append(keys, k)
				}
			}
		}
	}
	c.Header("Cache-Control", "public, max-age=60")
	return show(c, ticket.JWKSet(keys))
}

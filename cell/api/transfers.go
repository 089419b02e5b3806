package api

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/txn"
)

// transferTicket gives a ticket to another person, at the wish of whoever holds its token.
func (s *Server) transferTicket(c *gin.Context) error {
	tid, err := id.ParseTicket(c.Param("ticket_id"))
	if err != nil {
		return err
	}
	var in client.NewTransfer
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	if err := s.admitBuyer(in.To.Email); err != nil { // who has many tickets must not flood another's mailbox
		return err
	}
	to := checkout.Recipient{Name: in.To.Name, Email: in.To.Email, Locale: in.To.Locale}
	answer, err := s.once(c, tid.Event(), true, "", body, 201, func(ctx context.Context, tx txn.Tx) (any, error) {
		given, err := s.Checkout.Transfer(ctx, tx, tid, to)
		if err != nil {
			return nil, err
		}
		return client.Transfer{
			TicketID: tid.String(), EventID: tid.Event().String(), State: "transferred",
			To: client.Given{Name: given.To, Email: masked(to.Email)}, At: given.At.UTC(),
		}, nil
	})
	if err != nil {
		return err
	}
	send(c, 201, answer)
	return nil
}

// masked leaves of an address what its owner knows it by: z…@example.org.
func masked(email string) string {
	at := strings.LastIndexByte(email, '@')
	_, n := utf8.DecodeRuneInString(email)
	if at <= n {
		return "…" + email[max(at, 0):]
	}
	return email[:n] + "…" + email[at:]
}

func (s *Server) getTransferPolicy(c *gin.Context) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	if err := s.known(c, event); err != nil {
		return err
	}
	policy, err := s.Checkout.Store.TransferPolicy(c.Request.Context(), txn.None, event)
	if err != nil {
		return err
	}
	return show(c, client.TransferPolicy{Transfers: string(policy)})
}

// putTransferPolicy says whether tickets of the event may be given on.
func (s *Server) putTransferPolicy(c *gin.Context) error {
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	var in client.TransferPolicy
	if _, err := httpd.DecodeJSON(c, &in); err != nil {
		return err
	}
	policy, err := checkout.ParseTransferPolicy(in.Transfers)
	if err != nil {
		return err
	}
	err = s.onEvent(c, e.ID, func(ctx context.Context, tx txn.Tx) error {
		was, err := s.Checkout.Store.TransferPolicy(ctx, tx, e.ID)
		if err != nil {
			return err
		}
		audit.Of(ctx).Changed(object{"transfers": was}, object{"transfers": policy})
		return s.Checkout.Store.SetTransferPolicy(ctx, tx, e.ID, policy)
	})
	if err != nil {
		return err
	}
	c.JSON(200, in)
	return nil
}

// buyersTicket is a ticket as its order shows it. One that was given away is told of
// by the id that its buyer knows and the name he said, and by nothing of its holder's.
func buyersTicket(t checkout.Ticket) client.Ticket {
	if t.Owned() {
		return ticketView(t)
	}
	gone := checkout.Ticket{ID: t.Gone.ID, Order: t.Order, Type: t.Type, Name: t.Name, State: checkout.TicketCanceled, Seat: t.Seat, Gone: t.Gone}
	v := deadTicket(gone)
	v.Transferred.RefundConsent = !t.Consented.IsZero()
	return v
}

// holdersTicket is a ticket as its token shows it: without the order that it is of.
func holdersTicket(t checkout.Ticket) client.Ticket {
	v := ticketView(t)
	if t.Dead() {
		v = deadTicket(t)
	}
	v.OrderID = ""
	return v
}

func deadTicket(t checkout.Ticket) client.Ticket {
	v := ticketView(t)
	v.Attendee, v.Barcode = t.Gone.To, ""
	v.Transferred = &client.Transferred{To: t.Gone.To, At: t.Gone.At.UTC()}
	return v
}

// presentTickets are an order's tickets as its organizer sees them: whoever has them.
func presentTickets(o checkout.Order) []client.Ticket {
	out := make([]client.Ticket, 0, len(o.Tickets))
	for _, t := range o.Tickets {
		v := ticketView(t)
		if !t.Owned() {
			v.Transferred = &client.Transferred{To: t.Attendee, At: t.Gone.At.UTC(), RefundConsent: !t.Consented.IsZero()}
		}
		out = append(out, v)
	}
	return out
}

// usable refuses what is of no use at the door any more.
func usable(t checkout.Ticket) error {
	switch {
	case t.Dead():
		return checkout.ErrTransferred.With("the ticket was given to somebody else, who has another code")
	case t.State == checkout.TicketCanceled:
		return checkout.ErrState.With("the ticket is canceled; nobody should carry it to the door").Field("state", string(t.State))
	}
	return nil
}

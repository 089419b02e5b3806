package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// createOrder stores the order with the key's answer in one transaction, then
// asks the provider outside of it. A request that died in between is repeated
// with its key: the order is the same, and so is the intent.
func (s *Server) createOrder(c *gin.Context) error {
	var in client.NewOrder
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	hold, err := id.ParseHold(in.HoldID)
	if err != nil {
		return id.ErrMalformed.At("/hold_id", "is not the id of a hold")
	}
	c.Set(holdParam, hold.String())
	if err := s.admitHold(c, hold); err != nil {
		return err
	}
	if err := s.admitBuyer(in.Buyer.Email); err != nil {
		return err
	}
	req := checkout.Request{Hold: hold, Buyer: checkout.Buyer{Email: in.Buyer.Email, Name: in.Buyer.Name, Locale: in.Buyer.Locale}, Shown: in.ShownTotal}
	for _, a := range in.Attendees {
		req.Attendees = append(req.Attendees, checkout.Attendee{Name: a.Name, Email: a.Email})
	}
	replyTo(&req, in)
	place := func(turn func(ctx context.Context, tx txn.Tx) error) error {
		return s.Booking.Desks.Share(c.Request.Context(), hold.Event(), hold.String(), []id.Hold{hold}, turn)
	}
	prepare := s.Checkout.Prepare
	answer, err := s.onceAt(c, place, true, "", body, 201, func(ctx context.Context, tx txn.Tx) (any, error) {
		o, err := s.Checkout.Create(ctx, tx, req)
		if err != nil {
			return nil, err
		}
		prepare = s.Checkout.PrepareNew
		return s.orderView(o), nil
	})
	if err != nil {
		return err
	}
	var view client.Order
	if err := json.Unmarshal(answer, &view); err != nil {
		return fmt.Errorf("read first answer: %w", err)
	}
	order, err := id.ParseOrder(view.ID)
	if err != nil {
		return fmt.Errorf("read first answer: %s", err.Error()) // our own row, not the caller's fault
	}
	// The first generation, whatever was withdrawn since: a replay answers the same token.
	view.AccessToken = s.Access.OrderToken(order, 0, view.CreatedAt)
	for i := range view.Tickets { // of a free order
		if t, err := id.ParseTicket(view.Tickets[i].ID); err == nil {
			view.Tickets[i].AccessToken = s.Access.TicketToken(t, 0, view.CreatedAt)
		}
	}
	if view.State == string(checkout.Pending) {
		o, err := prepare(c.Request.Context(), order)
		if e := kind.As(err); e != nil && errors.Is(err, booking.ErrHoldExpired) {
			return e.Field("access_token", view.AccessToken) // the order is there, and is its buyer's to see
		}
		if err != nil {
			return err
		}
		if o.Payment != nil && o.Payment.IntentID != "" {
			view.PaymentState = string(payment.Pending)
			view.Payment = &client.PaymentHandle{Provider: o.Payment.Provider, ClientSecret: o.Payment.ClientSecret, PublishableKey: s.Checkout.Processor.PublishableKey()}
		}
	}
	c.JSON(201, view)
	return nil
}

func orderID(c *gin.Context) (id.Order, error) { return id.ParseOrder(c.Param("order_id")) }

func (s *Server) getOrder(c *gin.Context) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	o, err := s.Checkout.Look(c.Request.Context(), order)
	if err != nil {
		return err
	}
	replies, err := s.Checkout.Store.Replies(c.Request.Context(), order)
	if err != nil {
		return err
	}
	if !callerOf(c).staff() && asPage(c) { // whoever opened a mailed link
		return s.foundPage(c, []checkout.Order{o}, nil, s.Now().Add(linkCookieLife))
	}
	view := s.orderView(o)
	withReplies(&view, replies)
	if err := s.withRefunds(c.Request.Context(), &view, &o); err != nil {
		return err
	}
	if callerOf(c).staff() {
		view.Payment, view.Tickets = nil, presentTickets(o)
	} else {
		s.withTokens(view.Tickets, o)
	}
	c.JSON(200, view)
	return nil
}

// withTokens adds to an order's tickets what admits to each of those that its buyer has.
// Answers that are kept under an idempotency key have none: no table holds a token.
func (s *Server) withTokens(views []client.Ticket, o checkout.Order) {
	for i := range views {
		for _, t := range o.Tickets {
			if t.Owned() && views[i].ID == t.ID.String() {
				views[i].AccessToken = s.Access.TicketToken(t.ID, t.Access, o.CreatedAt)
			}
		}
	}
}

// renewAccess withdraws every link to an order and to its buyer's tickets, and answers
// the order's new token. Who was mailed a link asks for a new mail.
func (s *Server) renewAccess(c *gin.Context) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	o, err := s.Checkout.Look(c.Request.Context(), order)
	if err != nil {
		return err
	}
	var generation int64
	if err := s.onEvent(c, order.Event(), func(ctx context.Context, tx txn.Tx) (err error) {
		generation, err = s.Checkout.Store.RenewAccess(ctx, tx, order)
		return err
	}); err != nil {
		return err
	}
	c.JSON(200, client.Access{AccessToken: s.Access.OrderToken(order, generation, o.CreatedAt)})
	return nil
}

func (s *Server) cancelOrder(c *gin.Context) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	by := payment.ByBuyer
	if callerOf(c).staff() {
		by = payment.ByOrganizer
	}
	answer, err := s.once(c, order.Event(), false, whose(c), nil, 200, func(ctx context.Context, tx txn.Tx) (any, error) {
		o, err := s.Checkout.Cancel(ctx, tx, order, by)
		if err != nil {
			return nil, err
		}
		v, err := s.refundedView(ctx, tx, o, by == payment.ByOrganizer)
		if err != nil {
			return nil, err
		}
		if by == payment.ByOrganizer {
			v.Tickets = presentTickets(o)
		}
		return v, nil
	})
	if err != nil {
		return err
	}
	send(c, 200, answer)
	return nil
}

func (s *Server) refundOrder(c *gin.Context) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	by := payment.ByBuyer
	if callerOf(c).staff() {
		by = payment.ByOrganizer
	}
	var in client.NewRefund
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	amount, err := s.refundAmount(c, order, in)
	if err != nil {
		return err
	}
	tickets, err := refundTickets(in)
	if err != nil {
		return err
	}
	answer, err := s.once(c, order.Event(), true, whose(c), body, 201, func(ctx context.Context, tx txn.Tx) (any, error) {
		var o checkout.Order
		var err error
		if len(tickets) > 0 {
			o, err = s.Checkout.RefundTickets(ctx, tx, order, tickets, by, in.Reason)
		} else {
			o, err = s.Checkout.Refund(ctx, tx, order, amount, by, in.Reason)
		}
		if err != nil {
			return nil, err
		}
		audit.Of(ctx).Changed(nil, object{"amount": in.Amount, "items": in.Items})
		v, err := s.refundedView(ctx, tx, o, by == payment.ByOrganizer)
		if err != nil {
			return nil, err
		}
		if by == payment.ByOrganizer {
			v.Tickets = presentTickets(o)
		}
		return v, nil
	})
	if err != nil {
		return err
	}
	send(c, 201, answer)
	return nil
}

// refundAmount is minor units, 0 for the whole.
func (s *Server) refundAmount(c *gin.Context, order id.Order, in client.NewRefund) (int64, error) {
	if in.Amount == nil {
		return 0, nil
	}
	o, err := s.Checkout.Look(c.Request.Context(), order)
	if err != nil {
		return 0, err
	}
	if in.Amount.Currency != o.Total.Currency || in.Amount.Amount < 1 {
		return 0, checkout.ErrInvalidOrder.At("/amount", "must be at least 1 minor unit of %s", o.Total.Currency)
	}
	return in.Amount.Amount, nil
}

// refundTickets are the single tickets to be given back, nil when none are named.
func refundTickets(in client.NewRefund) ([]id.Ticket, error) {
	if in.Items == nil {
		return nil, nil
	}
	if n := len(in.Items); n < 1 || n > booking.MaxTicketsPerOrder || in.Amount != nil {
		return nil, checkout.ErrInvalidOrder.At("/items", "must be 1 to %d tickets, without an amount", booking.MaxTicketsPerOrder)
	}
	tickets := make([]id.Ticket, len(in.Items))
	for i, item := range in.Items {
		var err error
		if tickets[i], err = id.ParseTicket(item.TicketID); err != nil {
			return nil, id.ErrMalformed.At("/items/"+strconv.Itoa(i)+"/ticket_id", "is not the id of a ticket")
		}
	}
	return tickets, nil
}

func (s *Server) webhook(c *gin.Context) error {
	body, err := httpd.ReadBody(c.Writer, c.Request)
	if err != nil {
		return err
	}
	if err := s.Checkout.Hear(c.Request.Context(), body, c.GetHeader("Stripe-Signature"), s.Now()); err != nil {
		return err
	}
	c.JSON(200, received{Received: true})
	return nil
}

// received is what a provider is told once its notice is stored.
type received struct {
	Received bool `json:"received"`
}

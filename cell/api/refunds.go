package api

import (
	"context"
	"slices"

	"github.com/gin-gonic/gin"

	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// refundView is a refund in the contract's form. Staff see a ticket that was given away by
// the id that it has now, its buyer by the id that he knows: the other is its holder's.
func refundView(b *payment.Back, o *checkout.Order, staff bool) client.Refund {
	v := client.Refund{
		ID: b.ID.String(), Amount: b.Amount, State: string(b.State), Source: string(b.Source), Reason: b.Reason, Items: []client.RefundItem{},
		CreatedAt: b.CreatedAt.UTC(),
	}
	for _, ticket := range b.Tickets {
		at := slices.IndexFunc(o.Tickets, func(t checkout.Ticket) bool { return t.ID == ticket })
		if at >= 0 && !staff && !o.Tickets[at].Owned() {
			ticket = o.Tickets[at].Gone.ID
		}
		v.Items = append(v.Items, client.RefundItem{TicketID: ticket.String()})
	}
	return v
}

// getRefunds lists the refunds of an order, oldest first: there are few, see
// checkout.MaxRefunds.
func (s *Server) getRefunds(c *gin.Context) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	backs, err := s.Checkout.RefundsOf(c.Request.Context(), order)
	if err != nil {
		return err
	}
	o, err := s.Checkout.Look(c.Request.Context(), order)
	if err != nil {
		return err
	}
	page := Page[client.Refund]{Items: []client.Refund{}}
	for i := range backs {
		page.Items = append(page.Items, refundView(&backs[i], &o, callerOf(c).staff()))
	}
	c.JSON(200, page)
	return nil
}

// refundedView is an order with the refund that was made a moment ago, if one was: what
// the order knows of its refunds then is only that one.
func (s *Server) refundedView(ctx context.Context, tx txn.Tx, o checkout.Order, staff bool) (client.Order, error) {
	var made *client.Refund
	if n := len(o.Refunds); n > 0 {
		made = new(refundView(&o.Refunds[n-1], &o, staff))
	}
	if o.Refund != checkout.NoRefund {
		var err error
		if o.Refunds, err = s.Checkout.Store.Refunds(ctx, tx, o.ID); err != nil {
			return client.Order{}, err
		}
	}
	v := s.orderView(o)
	v.Refund = made
	return v, nil
}

// timelineView is an order's timeline with a moment for each of its refunds.
func timelineView(o checkout.Order) []client.Moment {
	out := make([]client.Moment, 0, len(o.Timeline)+len(o.Refunds))
	for _, m := range o.Timeline {
		out = append(out, client.Moment{At: m.At.UTC(), What: m.What})
	}
	for i := range o.Refunds {
		b := &o.Refunds[i]
		out = append(out, client.Moment{At: b.CreatedAt.UTC(), What: "refund", RefundID: b.ID.String(), Amount: &b.Amount})
	}
	slices.SortStableFunc(out, func(a, b client.Moment) int { return a.At.Compare(b.At) })
	return out
}

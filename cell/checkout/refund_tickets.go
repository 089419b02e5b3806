package checkout

import (
	"context"
	"fmt"
	"strconv"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// RefundTickets takes single tickets of a paid order back: their prices are given
// back as far as the order has not been refunded already, they are void, and their
// stock returns, exactly once. With its last ticket the order is canceled and all
// that is left goes back. What cannot be without them goes along.
func (s *Service) RefundTickets(ctx context.Context, tx txn.Tx, order id.Order, tickets []id.Ticket, by payment.Source, reason string) (Order, error) {
	if err := plain("/reason", reason, 0); err != nil {
		return Order{}, err
	}
	for n, want := range tickets {
		if firstOf(tickets, want) != n {
			return Order{}, ErrInvalidOrder.At("/items/"+strconv.Itoa(n)+"/ticket_id", "is named twice")
		}
	}
	var o Order
	err := txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) error {
		var back id.Refund
		err := s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, _ *booking.Hold, found *Order) (err error) {
			defer func() { o = *found }()
			back, err = s.refundTickets(ctx, tx, stock, found, tickets, by, reason)
			return err
		})
		if err != nil {
			return err
		}
		return s.followRefund(ctx, tx, back, &o)
	})
	if err != nil {
		return Order{}, fmt.Errorf("refund tickets of %s: %w", order, err)
	}
	return o, nil
}

func (s *Service) refundTickets(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, tickets []id.Ticket, by payment.Source, reason string) (sent id.Refund, err error) {
	if o.State != Paid {
		return sent, ErrState.With("the order is %s, not paid", o.State).Field("state", string(o.State))
	}
	if tickets, err = o.together(stock, tickets, by); err != nil {
		return sent, err
	}
	back := map[id.TicketType]int64{}
	var seats []booking.SeatID
	left := 0 // tickets that stay
	for _, t := range o.Tickets {
		if t.State != TicketCanceled {
			left++
		}
		for n, want := range tickets {
			if want != t.ID {
				continue
			}
			if t.State == TicketCanceled {
				return sent, ErrState.At("/items/"+strconv.Itoa(n)+"/ticket_id", "has been given back already")
			}
			back[t.Type]++
			if t.Seat.ID != "" {
				seats = append(seats, t.Seat.ID)
			}
			left--
		}
	}
	if len(tickets) == 0 || count(back) != int64(len(tickets)) {
		return sent, ErrTicketNotFound.With("the tickets must be of this order")
	}
	if left == 0 {
		return s.refund(ctx, tx, stock, o, 0, by, reason)
	}
	if err := s.undisputed(ctx, tx, o); err != nil {
		return sent, err
	}
	if sent, err = s.promiseTickets(ctx, tx, stock, o, tickets, by, reason); err != nil {
		return sent, err
	}
	stock.Return(o.ID, back, seats...)
	if err := s.Store.CancelSome(ctx, tx, o.ID, tickets); err != nil {
		return sent, err
	}
	o.cancel(tickets)
	if err := s.tellHolders(ctx, tx, o, tickets); err != nil {
		return sent, err
	}
	return sent, s.set(ctx, tx, o, stock.Now, "tickets_refunded")
}

func (o *Order) cancel(tickets []id.Ticket) {
	for i := range o.Tickets {
		if firstOf(tickets, o.Tickets[i].ID) >= 0 {
			o.Tickets[i].State = TicketCanceled
		}
	}
}

func firstOf(tickets []id.Ticket, want id.Ticket) int {
	for i, t := range tickets {
		if t == want {
			return i
		}
	}
	return -1
}

func count(sold map[id.TicketType]int64) (n int64) {
	for _, k := range sold {
		n += k
	}
	return n
}

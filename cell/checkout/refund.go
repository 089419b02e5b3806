package checkout

import (
	"context"
	"fmt"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// Refund gives money of a paid order back: amount minor units, 0 for all that is
// left. When all is given back the order is canceled, its tickets are void and
// its stock returns, exactly once. The provider is asked by
// the refund's saga.
func (s *Service) Refund(ctx context.Context, tx txn.Tx, order id.Order, amount int64, by payment.Source, reason string) (Order, error) {
	if err := plain("/reason", reason, 0); err != nil {
		return Order{}, err
	}
	var o Order
	err := txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) error {
		var back id.Refund
		err := s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, _ *booking.Hold, found *Order) (err error) {
			defer func() { o = *found }()
			back, err = s.refund(ctx, tx, stock, found, amount, by, reason)
			return err
		})
		if err != nil {
			return err
		}
		return s.followRefund(ctx, tx, back, &o)
	})
	if err != nil {
		return Order{}, fmt.Errorf("refund %s: %w", order, err)
	}
	return o, nil
}

// followRefund has a decided refund sent and the buyer told, in the transaction at
// hand; an order may end without any money to give back.
func (s *Service) followRefund(ctx context.Context, tx txn.Tx, back id.Refund, o *Order) error {
	switch {
	case back.IsZero() && o.State == Canceled:
		return s.tell(ctx, tx, o, notify.OrderCanceled, "")
	case back.IsZero():
		return nil
	case o.State == Canceled:
		return s.sendLater(ctx, tx, back, o.ID, tellCanceled)
	}
	return s.sendLater(ctx, tx, back, o.ID, tellRefund)
}

// refund decides on a refund and books it as owed; the id is zero when there is
// nothing to be sent.
func (s *Service) refund(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, amount int64, by payment.Source, reason string) (sent id.Refund, err error) {
	if o.State == Canceled && o.Kept > 0 && by == payment.ByOrganizer {
		return s.refundKept(ctx, tx, stock, o, amount, reason)
	}
	if o.State != Paid {
		return sent, ErrState.With("the order is %s, not paid", o.State).Field("state", string(o.State))
	}
	if err := s.undisputed(ctx, tx, o); err != nil {
		return sent, err
	}
	given, err := s.given(ctx, tx, o.ID)
	if err != nil {
		return sent, err
	}
	left := o.Total.Amount - given
	if amount < 0 {
		return sent, ErrInvalidOrder.At("/amount", "must not be negative")
	}
	whole := left
	if by == payment.ByBuyer {
		kept, err := o.keptOf(&stock.Event, o.live(), stock.Now)
		if err != nil {
			return sent, err
		}
		whole = o.keep(left, left, kept)
	}
	if amount == 0 {
		amount = whole
	}
	if amount > left {
		return sent, ErrRefundTooLarge.With("%d minor units can still be refunded", left).Field("limit", left)
	}
	if by == payment.ByBuyer && amount != whole {
		return sent, ErrNotAllowed.With("only the organizer may refund a part; without an amount the order is canceled and %d minor units are given back", whole).Field("limit", whole)
	}
	if err := refundable(amount, o); err != nil {
		return sent, err
	}
	if amount > 0 {
		if sent, err = s.promise(ctx, tx, stock, o, given, amount, by, reason); err != nil {
			return sent, err
		}
	}
	if amount < whole {
		return sent, s.set(ctx, tx, o, stock.Now, "refunded_in_part")
	}
	if o.Total.Amount > 0 && given+amount == o.Total.Amount {
		o.Refund = FullRefund
	}
	return sent, s.void(ctx, tx, stock, o)
}

// void cancels a paid order: tickets void, stock back, their holders told.
func (s *Service) void(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order) error {
	sold := map[id.TicketType]int64{}
	var seats []booking.SeatID
	var ended []id.Ticket
	for i, t := range o.Tickets {
		if t.State != TicketCanceled {
			sold[t.Type]++
			ended = append(ended, t.ID)
			if t.Seat.ID != "" {
				seats = append(seats, t.Seat.ID)
			}
			o.Tickets[i].State = TicketCanceled
		}
	}
	stock.Return(o.ID, sold, seats...)
	if err := s.Store.CancelTickets(ctx, tx, o.ID); err != nil {
		return err
	}
	if err := s.tellHolders(ctx, tx, o, ended); err != nil {
		return err
	}
	o.State = Canceled
	return s.set(ctx, tx, o, stock.Now, "canceled")
}

// given is what was decided to go back. A refund that the provider refused counts:
// the ledger owes it to the buyer, it must not be taken from the organizer twice.
func (s *Service) given(ctx context.Context, tx txn.Tx, order id.Order) (int64, error) {
	backs, err := s.Store.Refunds(ctx, tx, order)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, b := range backs {
		sum += b.Amount.Amount
	}
	return sum, nil
}

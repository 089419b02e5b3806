package checkout

import (
	"context"
	"errors"
	"fmt"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/saga"
	"guichet/internal/txn"
)

// pageOfOrders bounds how many orders one transaction of an event's cancellation ends.
const pageOfOrders = 10

func refundRun(back id.Refund) string { return RefundFlow + ":" + back.String() }

// What a refund tells its buyer, where the flow that decided on it does not.
const (
	tellNothing  = ""
	tellRefund   = "refund"
	tellCanceled = "canceled"
)

// sendLater starts the saga that pays a decided refund back, in the transaction at hand.
func (s *Service) sendLater(ctx context.Context, tx txn.Tx, back id.Refund, order id.Order, tell string) error {
	what := map[string]any{"refund": back.String(), "order": order.String(), "tell": tell}
	_, err := s.Runs.Start(ctx, tx, saga.New{ID: refundRun(back), Name: RefundFlow, Event: order.Event().String(), Input: what, Result: what})
	return err
}

// startRefund is the task: the refund was decided by the step before.
func (s *Service) startRefund(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	var in struct {
		Order   string  `json:"order"`
		Refund  string  `json:"refund"`
		Settled settled `json:"settled"`
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	if in.Refund == "" {
		in.Refund = in.Settled.Refund
	}
	back, err := id.ParseRefund(in.Refund)
	if err != nil {
		return nil, err
	}
	order, err := id.ParseOrder(in.Order)
	if err != nil {
		return nil, err
	}
	return nil, s.sendLater(ctx, tx, back, order, tellNothing)
}

// refundAt finds the refund that a run is about.
func (s *Service) refundAt(ctx context.Context, tx txn.Tx, c saga.Call) (back payment.Back, sent sentRefund, err error) {
	var in struct {
		Order  string     `json:"order"`
		Refund string     `json:"refund"`
		Sent   sentRefund `json:"sent"`
	}
	if err := c.Read(&in); err != nil {
		return back, sent, err
	}
	order, err := id.ParseOrder(in.Order)
	if err != nil {
		return back, sent, err
	}
	all, err := s.Store.Refunds(ctx, tx, order)
	for _, b := range all {
		if b.ID.String() == in.Refund {
			return b, in.Sent, nil
		}
	}
	return back, sent, errors.Join(err, errRefundGone)
}

var errRefundGone = errors.New("the refund is not there")

// sentRefund is what the provider says of a refund.
type sentRefund struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

func (s *Service) sendRefund(ctx context.Context, c saga.Call) (any, error) {
	back, _, err := s.refundAt(ctx, txn.None, c)
	if err != nil {
		return nil, err
	}
	o, err := s.Store.Brief(ctx, txn.None, back.Order)
	if err != nil {
		return nil, err
	}
	sent, err := s.Processor.Refund(ctx, o.Payment.IntentID, back.Amount.Amount, back.ID.String())
	if errors.Is(err, payment.ErrRefusedByProvider) || errors.Is(err, payment.ErrUnknownIntent) {
		return sentRefund{sent.ID, string(payment.RefundFailed)}, nil
	}
	return sentRefund{sent.ID, sent.State}, err
}

func (s *Service) bookRefund(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	back, sent, err := s.refundAt(ctx, tx, c)
	if err != nil || back.State != payment.RefundCreated {
		return nil, err
	}
	back.ProviderID, back.State = sent.ID, payment.RefundState(sent.State)
	return nil, s.OnEvent(ctx, tx, back.Order.Event(), func(ctx context.Context, tx txn.Tx) error {
		if err := s.Store.SetRefund(ctx, tx, back); err != nil {
			return err
		}
		if err := s.postWithOnward(ctx, tx, payment.Payback(back.ID, back.Order, back.Amount), back.Organizer, -back.Reverse); err != nil {
			return err
		}
		return s.Store.Note(ctx, tx, back.Order, c.Now, "refund_sent")
	})
}

func (s *Service) refundRefused(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	back, sent, err := s.refundAt(ctx, tx, c)
	if err != nil {
		return nil, err
	}
	back.ProviderID, back.State = sent.ID, payment.RefundFailed
	return nil, s.OnEvent(ctx, tx, back.Order.Event(), func(ctx context.Context, tx txn.Tx) error {
		if err := s.Store.SetRefund(ctx, tx, back); err != nil {
			return err
		}
		return s.Store.Note(ctx, tx, back.Order, c.Now, "refund_refused_by_provider")
	})
}

// CancelEvent starts what follows when an event is canceled, in the transaction
// that cancels it. Holds that no order was made of end with it.
func (s *Service) CancelEvent(ctx context.Context, tx txn.Tx, event id.Event) error {
	if err := s.Store.EndHolds(ctx, tx, event); err != nil {
		return fmt.Errorf("end the holds of %s: %w", event, err)
	}
	what := map[string]any{"event": event.String()}
	_, err := s.Runs.Start(ctx, tx, saga.New{ID: CancellationFlow + ":" + event.String(), Name: CancellationFlow, Event: event.String(), Input: what, Result: what})
	return err
}

// canceledEvent is why an event's cancellation gives money back.
const canceledEvent = "the event was canceled"

// endOrders ends a page of a canceled event's orders. One whose money is being
// captured ends itself: it finds the event canceled. One whose money a bank has in
// question ends when the bank has decided (endDisputed).
func (s *Service) endOrders(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	var in struct {
		Event string `json:"event"`
		Page  struct {
			After string `json:"after"`
			Ended int    `json:"ended"`
		} `json:"page"`
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	event, err := id.ParseEvent(in.Event)
	if err != nil {
		return nil, err
	}
	orders, err := s.Store.OrdersOf(ctx, tx, event, in.Page.After, pageOfOrders)
	if err != nil {
		return nil, err
	}
	after := ""
	for i := range orders {
		o := &orders[i]
		if len(orders) == pageOfOrders {
			after = o.ID.String()
		}
		ended, err := s.endForCancellation(ctx, tx, o.ID)
		if err != nil {
			return nil, err
		}
		if ended {
			in.Page.Ended++
		}
	}
	return map[string]any{"after": after, "ended": in.Page.Ended}, nil
}

func (s *Service) endForCancellation(ctx context.Context, tx txn.Tx, order id.Order) (ended bool, err error) {
	var unpaid bool
	var back id.Refund
	err = s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) (err error) {
		unpaid, ended, back = false, false, id.Refund{}
		switch {
		case o.State == Pending && h.State != booking.HoldConverted:
			unpaid, ended = true, true
			return s.release(ctx, tx, stock, h, o, "canceled")
		case o.State == Paid:
			back, err = s.refund(ctx, tx, stock, o, 0, payment.ByEventCancellation, canceledEvent)
			if errors.Is(err, payment.ErrDisputed) { // the bank decides first; then the order ends
				return nil
			}
			ended = err == nil
		}
		return err
	})
	if err != nil || !ended {
		return ended, err
	}
	if !back.IsZero() {
		err = s.sendLater(ctx, tx, back, order, tellNothing)
	}
	if err == nil && unpaid {
		err = s.stop(ctx, tx, order)
	}
	if err == nil {
		err = s.letter(ctx, tx, order, notify.EventCanceled, "")
	}
	return ended, err
}

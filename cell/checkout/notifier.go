package checkout

import (
	"context"

	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/saga"
	"guichet/internal/txn"
)

// notices are the tasks by which the flows tell buyers what happens to their orders.
var notices = map[string]notify.Kind{
	"notify-paid": notify.OrderPaid, "notify-expired": notify.OrderExpired, "notify-canceled": notify.OrderCanceled,
	"notify-refund": notify.Refund, "notify-late": notify.LatePaymentRefund, "notify-event-canceled": notify.EventCanceled,
}

// notify queues a mail in the transaction of the step: it is sent if and only if
// that is committed. A refund's mail is told apart from another one's by its id.
func (s *Service) notify(ctx context.Context, tx txn.Tx, c saga.Call, what notify.Kind) (any, error) {
	var in struct {
		Order  string `json:"order"`
		Refund string `json:"refund"`
		Quiet  bool   `json:"quiet"` // whoever did it knows, and nobody else is concerned
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	if in.Quiet && what == notify.OrderCanceled {
		return nil, nil //nolint:nilnil // nothing to say is a result
	}
	order, err := id.ParseOrder(in.Order)
	if err != nil {
		return nil, err
	}
	if what != notify.Refund {
		in.Refund = ""
	}
	return nil, s.letter(ctx, tx, order, what, in.Refund)
}

func (s *Service) letter(ctx context.Context, tx txn.Tx, order id.Order, what notify.Kind, part string) error {
	if s.Notifier == nil {
		return nil
	}
	o, err := s.Store.Brief(ctx, tx, order)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, &o, what, part)
}

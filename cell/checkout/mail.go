package checkout

import (
	"context"

	"guichet/cell/notify"
)

// Notifier takes in what a buyer is to be told. The mail is queued in the
// transaction at hand and exists once for its order, kind and part (P5).
type Notifier interface {
	Enqueue(ctx context.Context, m notify.Message) error
}

// tell queues a mail to an order's buyer.
func (s *Service) tell(ctx context.Context, o *Order, k notify.Kind, part string) error {
	if s.Notifier == nil {
		return nil
	}
	return s.Notifier.Enqueue(ctx, Letter(o, k, part))
}

// Letter is the message of a kind to an order's buyer.
func Letter(o *Order, k notify.Kind, part string) notify.Message {
	return notify.Message{Kind: k, Order: o.ID, Part: part, To: o.Buyer.Email, Name: o.Buyer.Name, Locale: o.Buyer.Locale}
}

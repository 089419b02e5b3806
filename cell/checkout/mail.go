package checkout

import (
	"context"

	"guichet/cell/notify"
	"guichet/internal/txn"
)

// Notifier takes in what a buyer is to be told. The mail is queued in the
// transaction at hand and exists once for its order, kind and part (P5).
type Notifier interface {
	Enqueue(ctx context.Context, tx txn.Tx, m notify.Message) error
	// Allow refuses to let a stranger cause one more mail to an address than its caps say.
	Allow(ctx context.Context, tx txn.Tx, address string) error
}

// allow asks before a mail is caused that nobody paid for.
func (s *Service) allow(ctx context.Context, tx txn.Tx, address string) error {
	if s.Notifier == nil {
		return nil
	}
	return s.Notifier.Allow(ctx, tx, address)
}

// tell queues a mail to an order's buyer.
func (s *Service) tell(ctx context.Context, tx txn.Tx, o *Order, k notify.Kind, part string) error {
	if s.Notifier == nil {
		return nil
	}
	m := Letter(o, k, part)
	m.Caused = o.caused(k)
	return s.Notifier.Enqueue(ctx, tx, m)
}

// caused says of a mail to an order's buyer that whoever ordered caused it and no money
// was paid: it may be to anybody.
func (o *Order) caused(k notify.Kind) bool {
	switch k {
	case notify.OrderExpired:
		return true
	case notify.OrderPaid:
		return o.Total.Amount == 0
	case notify.OrderCanceled:
		return o.Payment == nil || o.Payment.Received == 0
	default:
		return false
	}
}

// Letter is the message of a kind to an order's buyer.
func Letter(o *Order, k notify.Kind, part string) notify.Message {
	return notify.Message{Kind: k, Order: o.ID, Part: part, To: o.Buyer.Email, Name: o.Buyer.Name, Locale: o.Buyer.Locale}
}

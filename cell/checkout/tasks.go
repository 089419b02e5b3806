package checkout

import (
	"context"
	"errors"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/mailaddr"
	"guichet/cell/payment"
	"guichet/cell/saga"
	"guichet/internal/txn"
)

// Outcomes of settling, by which the purchase goes on.
const (
	outcomeSold        = "sold"         // there are tickets
	outcomeReserved    = "reserved"     // the stock is confirmed, the money is to be captured
	outcomeRefuse      = "refuse"       // authorized for what is gone: let it go
	outcomeNotCaptured = "not_captured" // the money could not be taken after all
	outcomeLate        = "late"         // captured for what is gone: it goes back
	outcomeExpired     = "expired"      // no payment can come any more
	outcomeOver        = "over"         // nothing is left to be done
	outcomeWaiting     = "waiting"
)

// settled is what settling answers.
type settled struct {
	Outcome string `json:"outcome"`
	Refund  string `json:"refund,omitempty"` // of late money
}

// input is what the tasks of the purchase read.
type input struct {
	Order string `json:"order"`
	Said  said   `json:"said"`
	Look  struct {
		Tries int `json:"tries"`
	} `json:"look"`
}

func orderOf(c saga.Call) (id.Order, error) {
	_, order, err := read(c)
	return order, err
}

func read(c saga.Call) (in input, order id.Order, err error) {
	if err := c.Read(&in); err != nil {
		return in, order, err
	}
	order, err = id.ParseOrder(in.Order)
	return in, order, err
}

func (s *Service) orderAt(ctx context.Context, c saga.Call) (Order, error) {
	order, err := orderOf(c)
	if err != nil {
		return Order{}, err
	}
	return s.Store.Brief(ctx, txn.None, order)
}

// made is an intent with its secret, which stays out of the log of steps.
type made struct {
	ID     string `json:"id"`
	secret string
}

func (s *Service) createIntent(ctx context.Context, c saga.Call) (any, error) {
	o, err := s.orderAt(ctx, c)
	if err != nil {
		return nil, err
	}
	return s.intentOf(ctx, o, c.Key)
}

// intentOf asks for an order's payment, unless it is known.
func (s *Service) intentOf(ctx context.Context, o Order, key string) (any, error) {
	if o.Payment == nil || o.Payment.IntentID != "" {
		return made{}, nil
	}
	i, err := s.Processor.CreateIntent(ctx, payment.NewIntent{
		Amount: o.Total, OrderID: o.ID.String(), EventID: o.ID.Event().String(), Email: mailaddr.Deliverable(o.Buyer.Email),
		Description: "Order " + o.Code, Key: key, Manual: s.Manual,
		Destination: o.Payment.Destination, Fee: o.Payment.Fee,
	})
	return made{i.ID, i.ClientSecret}, err
}

func (s *Service) noteIntent(ctx context.Context, tx txn.Tx, c saga.Call, result any) error {
	i, ok := result.(made)
	if !ok || i.ID == "" {
		return nil
	}
	order, err := orderOf(c)
	if err != nil {
		return err
	}
	return s.OnEvent(ctx, tx, order.Event(), func(ctx context.Context, tx txn.Tx) error {
		return s.Store.SetIntent(ctx, tx, payment.Payment{Order: order, IntentID: i.ID, ClientSecret: i.secret})
	})
}

func (s *Service) readIntent(ctx context.Context, c saga.Call) (any, error) {
	o, err := s.orderAt(ctx, c)
	if err != nil {
		return nil, err
	}
	i, err := s.Processor.GetIntent(ctx, o.Payment.IntentID)
	return saidOf(i), err
}

// cancelIntent cancels or reads back ("Paid but expired", rule 2).
func (s *Service) cancelIntent(ctx context.Context, c saga.Call) (any, error) {
	o, err := s.orderAt(ctx, c)
	if err != nil {
		return nil, err
	}
	i, err := s.Processor.CancelIntent(ctx, o.Payment.IntentID, c.Key)
	if errors.Is(err, payment.ErrUnknownIntent) { // what is not there cannot be paid
		return said{State: payment.Canceled}, nil
	}
	return saidOf(i), err
}

// capture takes the money that was authorized. When that is refused for good the
// payment's own state says what there is.
func (s *Service) capture(ctx context.Context, c saga.Call) (any, error) {
	o, err := s.orderAt(ctx, c)
	if err != nil {
		return nil, err
	}
	i, err := s.Processor.CaptureIntent(ctx, o.Payment.IntentID, c.Key)
	if errors.Is(err, payment.ErrRefusedByProvider) {
		i, err = s.Processor.GetIntent(ctx, o.Payment.IntentID)
	}
	if errors.Is(err, payment.ErrUnknownIntent) {
		return said{State: payment.Canceled}, nil
	}
	return saidOf(i), err
}

// settle brings an order in line with what the provider says of its payment. The
// rules are those of "Paid but expired" (domain.md): a late success takes the
// stock again in this very transaction, and when that fails is given back.
func (s *Service) settle(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	in, order, err := read(c)
	if err != nil {
		return nil, err
	}
	var out settled
	err = s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) (err error) {
		out, err = s.settled(ctx, tx, stock, h, o, in.Said.intent())
		return err
	})
	return out, err
}

func (s *Service) settled(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order, i payment.Intent) (settled, error) {
	if o.Payment == nil {
		return settled{Outcome: outcomeOver}, nil
	}
	was := o.Payment.State
	o.Payment.See(i)
	if o.Payment.State != was {
		if err := s.Store.SetPayment(ctx, tx, *o.Payment); err != nil {
			return settled{}, err
		}
	}
	switch o.Payment.State {
	case payment.Captured:
		if was == payment.Captured {
			return settled{Outcome: outcomeOver}, nil
		}
		return s.captured(ctx, tx, stock, h, o)
	case payment.Authorized:
		return s.reserve(ctx, tx, stock, h, o)
	case payment.Canceled:
		outcome, err := s.unpaid(ctx, tx, stock, h, o)
		return settled{Outcome: outcome}, err
	case payment.Disputed:
		return settled{Outcome: outcomeOver}, nil
	case payment.Failed:
		if was != payment.Failed {
			return settled{Outcome: outcomeWaiting}, s.Store.Note(ctx, tx, o.ID, stock.Now, "payment_failed")
		}
	default:
	}
	return settled{Outcome: outcomeWaiting}, nil // on its way
}

// reserve confirms the stock of an order whose money is authorized, so that it is
// only taken for what is there. What cannot be sold is not charged at all.
func (s *Service) reserve(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) (settled, error) {
	if o.State == Paid {
		return settled{Outcome: outcomeOver}, nil
	}
	if o.State == Pending || o.State == Expired {
		err := stock.Convert(h)
		if err == nil {
			return settled{Outcome: outcomeReserved}, s.Store.Note(ctx, tx, o.ID, stock.Now, "payment_authorized")
		}
		if !gone(err) {
			return settled{}, err
		}
	}
	return settled{Outcome: outcomeRefuse}, nil // the order ends when the payment is canceled
}

// gone says that what was ordered cannot be sold any more.
func gone(err error) bool {
	return errors.Is(err, booking.ErrSoldOut) || errors.Is(err, booking.ErrNotOnSale)
}

// issueTickets ends an order whose stock is confirmed: with its money, or free.
func (s *Service) issueTickets(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	in, order, err := read(c)
	if err != nil {
		return nil, err
	}
	var out settled
	err = s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) (err error) {
		out, err = s.issued(ctx, tx, stock, h, o, in.Said.intent())
		return err
	})
	return out, err
}

func (s *Service) issued(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order, i payment.Intent) (settled, error) {
	if o.State == Paid {
		return settled{Outcome: outcomeOver}, nil
	}
	if o.Payment == nil {
		return settled{Outcome: outcomeSold}, s.complete(ctx, tx, stock, h, o)
	}
	o.Payment.See(i)
	if err := s.Store.SetPayment(ctx, tx, *o.Payment); err != nil {
		return settled{}, err
	}
	switch {
	case o.Payment.State == payment.Disputed: // it was captured before, and is settled
		return settled{Outcome: outcomeOver}, nil
	case o.Payment.State == payment.Pending: // the bank has not answered yet: what is confirmed stays so until it has
		return settled{Outcome: outcomeWaiting}, nil
	case o.Payment.State != payment.Captured:
		return settled{Outcome: outcomeNotCaptured}, nil
	}
	return s.captured(ctx, tx, stock, h, o)
}

func (s *Service) giveStockBack(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	order, err := orderOf(c)
	if err != nil {
		return nil, err
	}
	return nil, s.onOrder(ctx, tx, order, func(ctx context.Context, _ txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) error {
		if o.State != Paid {
			stock.Unsell(h) // the order ends when the payment is canceled
		}
		return nil
	})
}

// stopPurchase lets a purchase know that its order was canceled.
func (s *Service) stopPurchase(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	order, err := orderOf(c)
	if err != nil {
		return nil, err
	}
	return nil, s.stop(ctx, tx, order)
}

func (s *Service) stop(ctx context.Context, tx txn.Tx, order id.Order) error {
	err := s.Runs.Signal(ctx, tx, saga.Signal{Run: purchaseOf(order), Handler: waitPayment, ID: stop, Payload: said{State: stop}})
	switch {
	case errors.Is(err, saga.ErrOver):
		return nil
	case errors.Is(err, saga.ErrRunNotFound): // an order from before there were sagas
		return s.begin(ctx, tx, purchaseOf(order), order, map[string]any{"free": false}, false)
	}
	return err
}

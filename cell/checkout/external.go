package checkout

import (
	"context"
	"slices"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// madeThere is the reason of a refund that somebody made at the provider.
const madeThere = "refunded at the payment provider"

// refundNotice takes in what the provider says of a refund: of one of ours, how it goes
// on; of another, that somebody made it there.
func (s *Service) refundNotice(ctx context.Context, tx txn.Tx, said payment.Refund) (text string, became payment.Outcome, err error) {
	order, ok, err := s.Store.OrderOfIntent(ctx, tx, said.IntentID)
	if err != nil || !ok { // perhaps another system's, perhaps we are not told of the payment yet
		return "", payment.Waiting, err
	}
	err = s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, _ *booking.Hold, o *Order) (err error) {
		became, err = s.refundSaid(ctx, tx, stock, o, said)
		return err
	})
	return order.String(), became, err
}

func (s *Service) refundSaid(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, said payment.Refund) (payment.Outcome, error) {
	backs, err := s.Store.Refunds(ctx, tx, o.ID)
	if err != nil {
		return "", err
	}
	if at := slices.IndexFunc(backs, func(b payment.Back) bool { return b.ProviderID == said.ID }); at >= 0 {
		return payment.Done, s.refundMoved(ctx, tx, stock, backs[at], payment.RefundState(said.State))
	}
	switch {
	case o.Payment == nil || o.Payment.State != payment.Captured && o.Payment.State != payment.Disputed:
		return payment.Waiting, nil // the payment itself comes first
	case slices.ContainsFunc(backs, func(b payment.Back) bool { return b.State == payment.RefundCreated }):
		return payment.Waiting, nil // it may be ours: what the provider calls that one is not known yet
	case payment.RefundState(said.State) == payment.RefundFailed:
		return payment.Waiting, nil // that it was made may be told later
	case said.Amount.Currency != o.Total.Currency || said.Amount.Amount <= 0:
		return payment.Ignored, nil
	}
	return payment.Done, s.external(ctx, tx, stock, o, backs, said)
}

// refundMoved stores how a refund went on. One that failed in the end is owed again.
func (s *Service) refundMoved(ctx context.Context, tx txn.Tx, stock *booking.Stock, b payment.Back, to payment.RefundState) error {
	if b.State == to || b.State == payment.RefundFailed || b.State == payment.RefundDone && to == payment.RefundInTransit {
		return nil
	}
	b.State = to
	if err := s.Store.SetRefund(ctx, tx, b); err != nil || to != payment.RefundFailed {
		return err
	}
	if err := s.Store.Post(ctx, tx, payment.CameBack(b.ID, b.Order, b.Amount)); err != nil {
		return err
	}
	return s.Store.Note(ctx, tx, b.Order, stock.Now, "refund_failed")
}

// external books a refund that somebody made at the provider. It is given back of the
// order as far as there is anything left of it; the rest pays what was owed already, as
// a refund that the provider refused because this one came first. The whole voids the
// tickets; a part leaves them.
func (s *Service) external(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, backs []payment.Back, said payment.Refund) error {
	var given int64
	for _, b := range backs {
		given += b.Amount.Amount
	}
	own := min(said.Amount.Amount, max(o.Payment.Received-given, 0))
	if rest := said.Amount.Amount - own; rest > 0 {
		if err := s.arrived(ctx, tx, o, backs, said, rest); err != nil {
			return err
		}
	}
	if own == 0 {
		return s.Store.Note(ctx, tx, o.ID, stock.Now, "refunded_at_provider")
	}
	back, err := s.externalBack(ctx, tx, stock, o, given, own, said)
	if err != nil {
		return err
	}
	if err := s.Store.Note(ctx, tx, o.ID, stock.Now, "refunded_at_provider"); err != nil {
		return err
	}
	o.Refund = PartialRefund
	if given+own < o.Payment.Received {
		if err := s.tell(ctx, tx, o, notify.Refund, back.String()); err != nil {
			return err
		}
		return s.Store.SetOrder(ctx, tx, *o, stock.Now, "refunded_in_part")
	}
	o.Refund = FullRefund
	if o.State != Paid {
		if err := s.tell(ctx, tx, o, notify.Refund, back.String()); err != nil {
			return err
		}
		return s.Store.SetOrder(ctx, tx, *o, stock.Now, "refunded")
	}
	if err := s.tell(ctx, tx, o, notify.OrderCanceled, ""); err != nil {
		return err
	}
	return s.void(ctx, tx, stock, o)
}

// externalBack stores and books the part of such a refund that is the order's own, with
// its credit note. It was decided and sent at once.
func (s *Service) externalBack(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, given, own int64, said payment.Refund) (id.Refund, error) {
	back := payment.Back{
		ID: id.NewRefund(stock.ID), Order: o.ID, Amount: o.Total, State: payment.RefundState(said.State), Source: payment.External, Reason: madeThere,
		ProviderID: said.ID, Organizer: stock.Organizer, CreatedAt: stock.Now,
	}
	back.Amount.Amount = own
	fees := payment.InStep(o.Fees, given, own, o.Total.Amount)
	if said.Reversed && o.Payment.Destination != "" {
		back.Reverse = own - fees
	}
	if err := s.Store.InsertRefund(ctx, tx, back); err != nil {
		return back.ID, err
	}
	tax, err := s.creditNote(ctx, tx, stock, o, back, decision{given: given, amount: own})
	if err != nil {
		return back.ID, err
	}
	if err := s.Store.Post(ctx, tx, payment.Promise(back.ID, o.ID, stock.Organizer, back.Amount, fees).Taxed(stock.Organizer, -tax)); err != nil {
		return back.ID, err
	}
	return back.ID, s.postWithOnward(ctx, tx, payment.Payback(back.ID, o.ID, back.Amount), stock.Organizer, -back.Reverse)
}

// arrived books what a refund at the provider gave of what was owed already. A refund of
// ours that had failed and is covered by it is done.
func (s *Service) arrived(ctx context.Context, tx txn.Tx, o *Order, backs []payment.Back, said payment.Refund, rest int64) error {
	var owed int64
	left := rest
	for _, b := range backs {
		if b.State != payment.RefundFailed {
			continue
		}
		owed += b.Amount.Amount
		if b.Amount.Amount > left {
			continue
		}
		left -= b.Amount.Amount
		b.State, b.ProviderID = payment.RefundState(said.State), said.ID
		if err := s.Store.SetRefund(ctx, tx, b); err != nil {
			return err
		}
	}
	amount := said.Amount
	amount.Amount = rest
	return s.Store.Post(ctx, tx, payment.Arrived(said.ID, o.ID, amount, owed))
}

// returnedNotice is done when every refund of the payment is known: it says how much went
// back, and not by what.
func (s *Service) returnedNotice(ctx context.Context, tx txn.Tx, said payment.Returned) (text string, became payment.Outcome, err error) {
	order, ok, err := s.Store.OrderOfIntent(ctx, tx, said.IntentID)
	if err != nil || !ok {
		return "", payment.Waiting, err
	}
	backs, err := s.Store.Refunds(ctx, tx, order)
	if err != nil {
		return "", "", err
	}
	var known int64
	for _, b := range backs {
		if b.ProviderID != "" && (b.State == payment.RefundDone || b.State == payment.RefundInTransit) {
			known += b.Amount.Amount
		}
	}
	if known < said.Amount.Amount {
		return order.String(), payment.Waiting, nil
	}
	return order.String(), payment.Done, nil
}

// askRefunds asks the provider for the refunds of a payment and takes them in.
func (s *Service) askRefunds(ctx context.Context, intent string) error {
	h, ok := s.Processor.(payment.Historian)
	if !ok {
		return nil
	}
	order, ours, err := s.Store.OrderOfIntent(ctx, txn.None, intent)
	if err != nil || !ours {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := h.RefundsOf(asking, intent)
	if err != nil {
		return err
	}
	for _, said := range slices.Backward(all) { // the oldest first
		err := s.atDesk(ctx, order.Event(), func(ctx context.Context, tx txn.Tx) error {
			return txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) error {
				_, _, err := s.refundNotice(ctx, tx, said)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

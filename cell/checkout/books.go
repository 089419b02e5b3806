package checkout

import (
	"context"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// postWithOnward books an entry, and what the provider hands on to the organizer's
// own account, or takes back from there, at the same time.
func (s *Service) postWithOnward(ctx context.Context, tx txn.Tx, e payment.Entry, org id.Organizer, onward int64) error {
	if err := s.Store.Post(ctx, tx, e); err != nil {
		return err
	}
	return s.Store.Post(ctx, tx, e.Onward(org, onward))
}

// tax is what is in the total, or came on top.
func (o *Order) tax() (sum int64) {
	for _, item := range o.Items {
		sum += item.Tax * item.Quantity
	}
	return sum
}

// refundable refuses an amount that no card is given back.
func refundable(amount int64, o *Order) error {
	if step := money.CardStep(o.Total.Currency); amount%step != 0 {
		return ErrInvalidOrder.At("/amount", "must be a multiple of %d minor units of %s", step, o.Total.Currency)
	}
	return nil
}

// promise decides on a refund of amount after given was given back; see promised.
func (s *Service) promise(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, given, amount int64, by payment.Source, reason string) (refund id.Refund, err error) {
	return s.promised(ctx, tx, stock, o, decision{given: given, amount: amount, by: by, reason: reason})
}

// promised decides on a refund: it is stored, booked as owed, and a credit note is
// written. Our share and what the organizer's own account had goes back in step with
// the total; sums stay exact. The tax is the credit note's.
func (s *Service) promised(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, d decision) (refund id.Refund, err error) {
	if err := s.enough(ctx, tx, o, d); err != nil {
		return refund, err
	}
	back := payment.Back{
		ID: id.NewRefund(stock.ID), Order: o.ID, Amount: o.Total, State: payment.RefundCreated, Source: d.by, Reason: d.reason, Organizer: stock.Organizer,
		Tickets: d.named, CreatedAt: stock.Now,
	}
	back.Amount.Amount = d.amount
	fees := payment.InStep(o.Fees, d.given, d.amount, o.Total.Amount)
	if o.Payment != nil && o.Payment.Destination != "" {
		back.Reverse = d.amount - fees
	}
	if err := s.Store.InsertRefund(ctx, tx, back); err != nil {
		return refund, err
	}
	tax, err := s.creditNote(ctx, tx, stock, o, back, d)
	if err != nil {
		return refund, err
	}
	if err := s.Store.Post(ctx, tx, payment.Promise(back.ID, o.ID, stock.Organizer, back.Amount, fees).Taxed(stock.Organizer, -tax)); err != nil {
		return refund, err
	}
	o.Refund = PartialRefund
	o.Refunds = append(o.Refunds, back)
	return back.ID, nil
}

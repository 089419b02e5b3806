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

// DisputeStore keeps disputes and what organizers want done about them.
type DisputeStore interface {
	// OrderOfIntent finds the order that an intent pays.
	OrderOfIntent(ctx context.Context, tx txn.Tx, intent string) (id.Order, bool, error)
	DisputesOf(ctx context.Context, tx txn.Tx, order id.Order) ([]payment.Dispute, error)
	SetDispute(ctx context.Context, tx txn.Tx, d payment.Dispute) error
	// PolicyOf is the organizer's policy for an event, "" when he has none.
	PolicyOf(ctx context.Context, tx txn.Tx, event id.Event) (payment.Policy, error)
	// BlockTickets revokes the valid tickets of an order and says which; their barcodes
	// are on the list of revocations for good.
	BlockTickets(ctx context.Context, tx txn.Tx, order id.Order) ([]id.Ticket, error)
	// UnblockTickets makes those that are still revoked valid again, with new barcodes.
	UnblockTickets(ctx context.Context, tx txn.Tx, tickets []Ticket) error
}

// undisputed refuses to give money back of which a bank has some in question: the
// provider would refuse too, and a lost dispute would give it back a second time.
func (s *Service) undisputed(ctx context.Context, tx txn.Tx, o *Order) error {
	if o.Payment == nil || o.Payment.State != payment.Disputed {
		return nil
	}
	disputes, err := s.Store.DisputesOf(ctx, tx, o.ID)
	if err != nil {
		return err
	}
	for _, d := range disputes {
		if !d.State.Final() {
			return payment.ErrDisputed.With("the buyer's bank has the payment in question; it decides first").Field("state", string(d.State))
		}
	}
	return nil
}

// disputeNotice takes in what the provider says of a dispute. Whatever comes first,
// the end is the same: movements are booked once each, a decision is final.
func (s *Service) disputeNotice(ctx context.Context, tx txn.Tx, said payment.Dispute) (text string, became payment.Outcome, err error) {
	order, ok, err := s.Store.OrderOfIntent(ctx, tx, said.IntentID)
	if err != nil || !ok { // perhaps another system's, perhaps we are not told of the payment yet
		return "", payment.Waiting, err
	}
	became = payment.Done
	err = s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, _ *booking.Hold, o *Order) error {
		if o.Payment == nil || o.Payment.State != payment.Captured && o.Payment.State != payment.Disputed {
			became = payment.Waiting
			return nil
		}
		became = payment.Done
		return s.dispute(ctx, tx, stock, o, said)
	})
	return order.String(), became, err
}

func (s *Service) dispute(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, said payment.Dispute) error {
	all, err := s.Store.DisputesOf(ctx, tx, o.ID)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(d payment.Dispute) bool { return d.ID == said.ID })
	changed := at < 0
	if at < 0 {
		said.Order, said.Blocked = o.ID, nil
		all, at = append(all, said), len(all)
	} else {
		changed = all[at].See(said)
	}
	d := &all[at]
	d.Organizer = stock.Organizer
	for _, m := range d.Movements {
		if err := s.Store.Post(ctx, tx, d.Moved(m)); err != nil {
			return err
		}
	}
	if !changed {
		return s.Store.SetDispute(ctx, tx, *d)
	}
	if err := s.disputeChanged(ctx, tx, stock, o, d); err != nil {
		return err
	}
	if err := s.Store.SetDispute(ctx, tx, *d); err != nil {
		return err
	}
	open := slices.ContainsFunc(all, func(d payment.Dispute) bool { return d.State == payment.DisputeOpen })
	o.Payment.State = payment.Captured
	if open {
		o.Payment.State = payment.Disputed
	}
	if err := s.Store.SetPayment(ctx, tx, *o.Payment); err != nil {
		return err
	}
	return s.endDisputed(ctx, tx, stock, o)
}

// disputeChanged does what the new state of a dispute asks for.
func (s *Service) disputeChanged(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, d *payment.Dispute) error {
	switch d.State {
	case payment.DisputeOpen:
		policy, err := s.policy(ctx, tx, stock.ID)
		if err != nil {
			return err
		}
		if policy == payment.Block && o.State == Paid {
			if d.Blocked, err = s.Store.BlockTickets(ctx, tx, o.ID); err != nil {
				return err
			}
		}
	case payment.DisputeWon:
		if err := s.unblock(ctx, tx, stock, o, d); err != nil {
			return err
		}
	case payment.DisputeLost:
		if err := s.lost(ctx, tx, stock, o, d); err != nil {
			return err
		}
	default: // an inquiry, or its end
	}
	return s.Store.Note(ctx, tx, o.ID, stock.Now, "dispute_"+string(d.State))
}

func (s *Service) policy(ctx context.Context, tx txn.Tx, event id.Event) (payment.Policy, error) {
	p, err := s.Store.PolicyOf(ctx, tx, event)
	if p == "" {
		p = s.OnDispute
	}
	if p == "" {
		p = payment.Block
	}
	return p, err
}

// lost books a lost dispute like a refund that somebody else made. With all of its
// money gone the order is void, unless the organizer keeps its tickets.
func (s *Service) lost(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, d *payment.Dispute) error {
	given, err := s.given(ctx, tx, o.ID)
	if err != nil {
		return err
	}
	entry, own := d.Lose(o.Payment.Received, given, o.Fees)
	if own == 0 {
		return s.Store.Post(ctx, tx, entry)
	}
	back := payment.Back{
		ID: id.NewRefund(stock.ID), Order: o.ID, Amount: d.Amount, State: payment.RefundDone, Source: payment.External,
		Reason: "lost in a dispute: " + d.Reason, Organizer: stock.Organizer, CreatedAt: stock.Now,
	}
	back.Amount.Amount = own
	if err := s.Store.InsertRefund(ctx, tx, back); err != nil {
		return err
	}
	tax, err := s.creditNote(ctx, tx, stock, o, back, decision{given: given, amount: own})
	if err != nil {
		return err
	}
	if err := s.Store.Post(ctx, tx, entry.Taxed(stock.Organizer, -tax)); err != nil {
		return err
	}
	o.Refund = PartialRefund
	if given+own < o.Payment.Received {
		// The rest is paid for: its tickets are good again.
		if err := s.unblock(ctx, tx, stock, o, d); err != nil {
			return err
		}
		return s.Store.SetOrder(ctx, tx, *o, stock.Now, "refunded_in_part")
	}
	o.Refund = FullRefund
	policy, err := s.policy(ctx, tx, stock.ID)
	if err != nil {
		return err
	}
	if policy == payment.Keep || o.State != Paid {
		if err := s.unblock(ctx, tx, stock, o, d); err != nil { // the organizer may want it so since
			return err
		}
		return s.Store.SetOrder(ctx, tx, *o, stock.Now, "refunded")
	}
	if err := s.tell(ctx, tx, o, notify.OrderCanceled, ""); err != nil { // his bank told him of the money, not of the tickets
		return err
	}
	return s.void(ctx, tx, stock, o)
}

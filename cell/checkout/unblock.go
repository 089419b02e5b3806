package checkout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"guichet/cell/booking"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/ticket"
	"guichet/internal/txn"
)

// unblock makes the tickets valid again that a dispute blocked, unless another one of
// the order is open: then they are its to unblock. Gates know their barcodes as
// revoked, and take none back: each ticket gets a new one, which is sent to who has it.
func (s *Service) unblock(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, d *payment.Dispute) error {
	if handed, err := s.handOver(ctx, tx, d); handed || err != nil {
		return err
	}
	var again []Ticket
	for i := range o.Tickets {
		t := &o.Tickets[i]
		if t.State != TicketRevoked || !slices.Contains(d.Blocked, t.ID) {
			continue
		}
		old, err := ticket.Peek(t.Barcode)
		if err != nil {
			return fmt.Errorf("read our own barcode: %w", err)
		}
		at := stock.Now
		if after := old.IssuedAt.Add(time.Second); at.Before(after) { // a barcode says whole seconds; no two may be the same
			at = after
		}
		t.State, t.Barcode = TicketValid, s.Signer.Barcode(ticket.Claims{Ticket: t.ID, Type: t.Type, IssuedAt: at})
		again = append(again, *t)
	}
	d.Blocked = nil
	if len(again) == 0 {
		return nil
	}
	if err := s.Store.UnblockTickets(ctx, tx, again); err != nil {
		return err
	}
	if stock.State == booking.Canceled { // they are void in a moment
		return nil
	}
	if err := s.Store.Note(ctx, tx, o.ID, stock.Now, "tickets_reissued"); err != nil {
		return err
	}
	return s.tellReissued(ctx, tx, o, again, d.ID)
}

// handOver leaves what a dispute blocked to another one of its order that is open.
func (s *Service) handOver(ctx context.Context, tx txn.Tx, d *payment.Dispute) (handed bool, err error) {
	all, err := s.Store.DisputesOf(ctx, tx, d.Order)
	if err != nil {
		return false, err
	}
	at := slices.IndexFunc(all, func(other payment.Dispute) bool { return other.ID != d.ID && other.State == payment.DisputeOpen })
	if at < 0 {
		return false, nil
	}
	all[at].Blocked = append(all[at].Blocked, d.Blocked...)
	d.Blocked = nil
	return true, s.Store.SetDispute(ctx, tx, all[at])
}

// endDisputed ends a paid order of a canceled event that the cancellation left alone,
// when no bank has its money in question any more.
func (s *Service) endDisputed(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order) error {
	if stock.State != booking.Canceled || o.State != Paid || o.Payment.State == payment.Disputed {
		return nil
	}
	back, err := s.refund(ctx, tx, stock, o, 0, payment.ByEventCancellation, canceledEvent)
	if err != nil {
		return err
	}
	if !back.IsZero() {
		if err := s.sendLater(ctx, tx, back, o.ID, tellNothing); err != nil {
			return err
		}
	}
	return s.tell(ctx, tx, o, notify.EventCanceled, "")
}

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
)

// unblock makes the tickets valid again that a dispute blocked. Gates know their
// barcodes as revoked, and take none back: each ticket gets a new one, and the buyer
// is sent them.
func (s *Service) unblock(ctx context.Context, stock *booking.Stock, o *Order, d *payment.Dispute) error {
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
	if err := s.Store.UnblockTickets(ctx, again); err != nil {
		return err
	}
	if stock.State == booking.Canceled { // they are void in a moment
		return nil
	}
	if err := s.Store.Note(ctx, o.ID, stock.Now, "tickets_reissued"); err != nil {
		return err
	}
	return s.tell(ctx, o, notify.OrderPaid, d.ID[:min(len(d.ID), notify.MaxPart)])
}

// endDisputed ends a paid order of a canceled event that the cancellation left alone,
// when no bank has its money in question any more.
func (s *Service) endDisputed(ctx context.Context, stock *booking.Stock, o *Order) error {
	if stock.State != booking.Canceled || o.State != Paid || o.Payment.State == payment.Disputed {
		return nil
	}
	back, err := s.refund(ctx, stock, o, 0, payment.ByEventCancellation, canceledEvent)
	if err != nil {
		return err
	}
	if !back.IsZero() {
		if err := s.sendLater(ctx, back, o.ID, tellNothing); err != nil {
			return err
		}
	}
	return s.tell(ctx, o, notify.EventCanceled, "")
}

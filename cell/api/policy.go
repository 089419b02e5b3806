package api

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/txn"
)

// refundsOf is a policy in a body; nil where none is said.
func refundsOf(in *client.RefundPolicy) *booking.DraftRefundPolicy {
	if in == nil {
		return nil
	}
	d := &booking.DraftRefundPolicy{Kind: booking.RefundKind(in.Kind), UntilHours: in.UntilHours}
	if in.Fee != nil {
		d.FeeAmount, d.FeeBasisPoints = in.Fee.Amount, in.Fee.BasisPoints
	}
	return d
}

func refundsView(p booking.RefundPolicy, currency string) client.RefundPolicy {
	p = p.Stated()
	v := client.RefundPolicy{Kind: string(p.Kind)}
	if p.Kind == booking.RefundUntil {
		v.UntilHours = &p.UntilHours
	}
	if p.FeeAmount > 0 || p.FeeBasisPoints > 0 {
		v.Fee = &client.RefundFee{BasisPoints: p.FeeBasisPoints}
		if p.FeeAmount > 0 {
			v.Fee.Amount = &money.Money{Amount: p.FeeAmount, Currency: currency}
		}
	}
	return v
}

// rescheduledView is an event's last move; nil while it takes place as it was first sold.
func rescheduledView(e *booking.Event) *client.Rescheduled {
	m := e.Rescheduled
	if m == nil {
		return nil
	}
	v := &client.Rescheduled{
		Number: m.Number, At: m.At.UTC(), RefundableUntil: inZone(e.WindowEnd(), e.TimeZone),
		From: client.Occasion{StartsAt: inZone(m.From.StartsAt, m.From.TimeZone), TimeZone: m.From.TimeZone, Venue: venueView(m.From.Venue)},
	}
	if m.From.EndsAt != nil {
		end := inZone(*m.From.EndsAt, m.From.TimeZone)
		v.From.EndsAt = &end
	}
	return v
}

// withRefunds says of a paid order what its buyer may give back now.
func (s *Server) withRefunds(ctx context.Context, v *client.Order, o *checkout.Order) error {
	if o.State != checkout.Paid {
		return nil
	}
	e, err := s.Booking.Store.Event(ctx, txn.None, o.ID.Event())
	if err != nil {
		return err
	}
	var given int64
	if o.Refund != checkout.NoRefund { // it is stored together with an order's first refund
		backs, err := s.Checkout.Store.Refunds(ctx, txn.None, o.ID)
		if err != nil {
			return err
		}
		for _, b := range backs {
			given += b.Amount.Amount
		}
	}
	if right := o.RightOf(&e, e.SeenAt); !right.Until.IsZero() {
		v.RefundableUntil = new(right.Until.UTC())
	}
	v.Refundable = &money.Money{Amount: o.Refundable(&e, given, e.SeenAt), Currency: o.Total.Currency}
	return nil
}

// agreeToRefund lets who was given a ticket agree that its money goes back to who paid.
func (s *Server) agreeToRefund(c *gin.Context) error { return s.consent(c, true) }

// disagreeToRefund takes that back.
func (s *Server) disagreeToRefund(c *gin.Context) error { return s.consent(c, false) }

func (s *Server) consent(c *gin.Context, agreed bool) error {
	tid, err := id.ParseTicket(c.Param("ticket_id"))
	if err != nil {
		return err
	}
	answer, err := s.once(c, tid.Event(), false, "", nil, 200, func(ctx context.Context, tx txn.Tx) (any, error) {
		t, err := s.Checkout.ConsentToRefund(ctx, tx, tid, agreed)
		if err != nil {
			return nil, err
		}
		audit.Of(ctx).Changed(nil, object{"refund_consent": agreed})
		return client.RefundConsent{TicketID: tid.String(), ConsentedAt: whenSaid(t.Consented)}, nil
	})
	if err != nil {
		return err
	}
	send(c, 200, answer)
	return nil
}

// whenSaid is nil for the zero time.
func whenSaid(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

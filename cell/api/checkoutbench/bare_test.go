package checkoutbench

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"io"
	"net/http"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/ticket"
	"guichet/internal/txn"
)

// bare is the baseline: the same rows of booking, checkout, payment, mail and
// outbox, the same calls to the provider, at the same desk, and no saga. It leaves
// out what a saga is for: when the process dies between two steps nobody goes on,
// a webhook that never comes is not looked for, nothing runs out and nothing is
// given back. The cell's HTTP and idempotency keys it leaves out as well.
func bare(h *house) way {
	return way{name: "3 the same steps without sagas", house: h, buy: func(ctx context.Context, c *buyer) (created time.Duration, err error) {
		hold, err := h.hold(ctx)
		if err != nil {
			return 0, err
		}
		at := time.Now()
		o, err := h.place(ctx, &hold)
		if err != nil {
			return 0, err
		}
		i, err := h.processor.CreateIntent(ctx, payment.NewIntent{
			Amount: o.Total, OrderID: o.ID.String(), EventID: h.sale.ID.String(), Email: o.Buyer.Email, Description: "Order " + o.Code, Key: o.ID.String(),
		})
		if err != nil {
			return 0, err
		}
		if err := h.store.SetIntent(ctx, txn.None, payment.Payment{Order: o.ID, IntentID: i.ID, ClientSecret: i.ClientSecret}); err != nil {
			return 0, err
		}
		created = time.Since(at)
		if err := c.pay(ctx, h, o.ID.String(), i.ClientSecret); err != nil {
			return created, err
		}
		return created, h.seen(ctx, o.ID)
	}}
}

// place stores the order and its payment at the desk.
func (h *house) place(ctx context.Context, hold *booking.Hold) (o checkout.Order, err error) {
	err = h.turn(ctx, hold.ID.String(), func(ctx context.Context, tx txn.Tx) error {
		if _, err := h.store.Form(ctx, tx, h.sale.ID); err != nil {
			return err
		}
		return h.store.WithStock(ctx, tx, h.sale.ID, booking.DefaultHoldTTL, []id.Hold{hold.ID}, func(s *booking.Stock) error {
			kept := s.Holds[hold.ID]
			if kept == nil {
				return booking.ErrHoldNotFound
			}
			o = checkout.Order{
				ID: id.NewOrder(s.ID), Hold: kept.ID, Code: crand.Text()[:7], State: checkout.Pending, Refund: checkout.NoRefund, Total: kept.Total, Buyer: person,
				Items: kept.Items, CreatedAt: s.Now, ExpiresAt: s.Now.Add(checkout.DefaultWindow),
			}
			if err := s.Enter(kept, o.ID, o.ExpiresAt.Add(time.Minute)); err != nil {
				return err
			}
			for _, item := range kept.Items {
				o.Fees += item.Fees * item.Quantity
			}
			if err := h.store.InsertOrder(ctx, tx, o); err != nil {
				return err
			}
			return h.store.InsertPayment(ctx, tx, payment.Payment{ID: id.NewPayment(s.ID), Order: o.ID, Provider: h.processor.Name(), State: payment.Created, Amount: o.Total})
		})
	})
	return o, err
}

// turn is done at the desk, in a transaction that it shares with others.
func (h *house) turn(ctx context.Context, subject string, do func(ctx context.Context, tx txn.Tx) error) error {
	return h.box.Desks.Share(ctx, h.sale.ID, subject, nil, do)
}

// bareHook takes the provider's webhooks in place of the cell's API.
func (h *house) bareHook() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = h.hear(r.Context(), body, r.Header.Get("Stripe-Signature"))
		}
		if err != nil {
			h.faults.report(err)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
}

func (h *house) hear(ctx context.Context, body []byte, signature string) error {
	n, err := h.processor.ParseNotice(body, signature, time.Now())
	if err != nil {
		return err
	}
	if n.Intent == nil || n.Intent.State != payment.Captured {
		_, err := h.store.InsertNotice(ctx, txn.None, n, "", body)
		return err
	}
	order, err := id.ParseOrder(n.Intent.OrderID)
	if err != nil {
		return err
	}
	return h.turn(ctx, order.String(), func(ctx context.Context, tx txn.Tx) error {
		if first, err := h.store.InsertNotice(ctx, tx, n, order.String(), body); err != nil || !first {
			return err
		}
		before, err := h.store.Order(ctx, tx, order)
		if err != nil {
			return err
		}
		return h.store.WithStock(ctx, tx, h.sale.ID, booking.DefaultHoldTTL, []id.Hold{before.Hold}, func(s *booking.Stock) error {
			return h.settle(ctx, tx, s, order, *n.Intent)
		})
	})
}

// settle sells the hold, issues the tickets and books the money.
func (h *house) settle(ctx context.Context, tx txn.Tx, s *booking.Stock, order id.Order, i payment.Intent) error {
	o, err := h.store.Order(ctx, tx, order)
	if err != nil {
		return err
	}
	o.Payment.See(i)
	if o.Payment.State != payment.Captured || o.Payment.Received != o.Total.Amount {
		return fmt.Errorf("%s was not paid", order)
	}
	if err := h.store.SetPayment(ctx, tx, *o.Payment); err != nil {
		return err
	}
	if err := s.Convert(s.Holds[o.Hold]); err != nil {
		return err
	}
	o.State = checkout.Paid
	for _, item := range o.Items {
		for n := range item.Quantity {
			t := checkout.Ticket{ID: id.NewTicket(s.ID), Order: o.ID, Type: item.Type, Name: item.Name, State: checkout.TicketValid, Seat: item.SeatAt(n)}
			t.Barcode = h.signer.Barcode(ticket.Claims{Ticket: t.ID, Type: t.Type, IssuedAt: s.Now})
			o.Tickets = append(o.Tickets, t)
		}
	}
	if err := h.store.InsertTickets(ctx, tx, o.Tickets, s.Now); err != nil {
		return err
	}
	if err := h.store.SetOrder(ctx, tx, o, s.Now, "paid"); err != nil {
		return err
	}
	if err := h.invoice(ctx, tx, s, &o); err != nil {
		return err
	}
	if err := h.store.Post(ctx, tx, payment.Sale(o.ID, s.Organizer, o.Total, o.Fees)); err != nil {
		return err
	}
	return h.checkout.Notifier.Enqueue(ctx, tx, checkout.Letter(&o, notify.OrderPaid, ""))
}

func (h *house) invoice(ctx context.Context, tx txn.Tx, s *booking.Stock, o *checkout.Order) error {
	seller, err := h.store.SellerOf(ctx, tx, s.ID, s.Organizer)
	if err != nil {
		return err
	}
	p := checkout.Paper{
		Kind: checkout.Invoice, Cause: o.ID.String(), Order: o.ID, Organizer: s.Organizer, Total: o.Total, IssuedAt: s.Now,
		Content: checkout.PaperContent{
			Seller: seller, Buyer: o.Buyer.Name, Event: s.Name, Country: s.Venue.Country, StartsAt: s.StartsAt, TimeZone: s.TimeZone, OrderCode: o.Code,
			Taxes: []checkout.PaperTaxes{{Gross: o.Total.Amount}},
		},
	}
	for _, item := range o.Items {
		p.Content.Lines = append(p.Content.Lines, checkout.PaperLine{Name: item.Name, Quantity: item.Quantity, Each: item.AllIn.Amount})
	}
	return h.store.IssuePaper(ctx, tx, p)
}

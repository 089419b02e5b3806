package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/cell/saga"
	"guichet/cell/ticket"
	"guichet/internal/txn"
)

// Times of checkout.
const (
	// DefaultWindow is how long a buyer may take to pay.
	DefaultWindow = 15 * time.Minute
	// grace keeps the hold beyond the window, while the payment is read back.
	grace = 5 * time.Minute
)

// Service is the checkout of one cell.
type Service struct {
	Store     Store
	Processor payment.Processor
	Signer    Signer
	// Runs runs the flows; see Register.
	Runs     *saga.Runner
	Desks    *booking.Desks // where stock is decided; nil leaves it to the row locks
	Notifier Notifier       // nil: nobody is told
	Window   time.Duration
	HoldTTL  time.Duration
	// Manual authorizes cards first and captures when the stock is confirmed; methods
	// that cannot do that take the money at once, and the rules for late money hold.
	Manual bool
	// BasisPoints of an order that the platform keeps, see payment.PlatformShare.
	BasisPoints int64
	// OnDispute is the cell's policy where an organizer has none; "" blocks.
	OnDispute payment.Policy
	// OnNotice counts what became of each notice, after its transaction; nil counts nothing.
	OnNotice func(noticeType string, became payment.Outcome)

	newCode func() string // nil: random
}

// Create makes an order from a hold. It asks nobody outside; call Prepare after
// the transaction has been committed to get the payment started.
func (s *Service) Create(ctx context.Context, tx txn.Tx, r Request) (Order, error) {
	if err := r.Check(); err != nil {
		return Order{}, err
	}
	replies, err := s.replies(ctx, tx, r)
	if err != nil {
		return Order{}, err
	}
	var o Order
	place := func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold) error {
		o = Order{
			ID: id.NewOrder(stock.ID), Hold: h.ID, State: Pending, Refund: NoRefund, Total: h.Total,
			Buyer: r.Buyer, Attendees: r.Attendees, Items: h.Items, CreatedAt: stock.Now, ExpiresAt: stock.Now.Add(s.Window),
			Timeline: []Moment{{At: stock.Now, What: "created"}}, Policy: stock.Refunds.Stated(),
		}
		if err := stock.MayEnter(h); err != nil { // first: what is over needs no other reason
			return err
		}
		if n := ticketsOf(h); int64(len(r.Attendees)) > n {
			return ErrInvalidOrder.At("/attendees", "must be at most one per ticket, %d", n)
		}
		if err := h.MayOrder(stock.ID, r.Buyer.Email); err != nil {
			return err
		}
		if err := s.pay(ctx, tx, stock, h, r.Buyer.Email); err != nil {
			return err
		}
		if r.Shown != nil && *r.Shown != h.Total {
			return ErrPriceChanged.With("the total is %s, not %s", h.Total, r.Shown).Field("total", h.Total)
		}
		for _, item := range h.Items {
			o.Fees += item.Fees * item.Quantity
		}
		o.Fees = payment.PlatformShare(o.Total, o.Fees, s.BasisPoints)
		if err := money.Chargeable(o.Total); err != nil {
			return err
		}
		if err := stock.Enter(h, o.ID, o.ExpiresAt.Add(grace)); err != nil {
			return err
		}
		if err := s.insert(ctx, tx, &o); err != nil {
			return err
		}
		if err := s.keep(ctx, tx, stock, &o, replies); err != nil {
			return err
		}
		if o.Total.Amount == 0 { // its tickets are mailed at once, to whatever address
			return s.allow(ctx, tx, r.Buyer.Email)
		}
		return s.Store.InsertPayment(ctx, tx, payment.Payment{
			ID: id.NewPayment(stock.ID), Order: o.ID, Provider: s.Processor.Name(), State: payment.Created, Amount: o.Total,
			Organizer: stock.Organizer, Fee: o.Fees,
		})
	}
	err = txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) (err error) {
		if err := s.locked(ctx, tx, r.Hold, place); err != nil {
			return err
		}
		free := o.Total.Amount == 0
		if err := s.begin(ctx, tx, purchaseOf(o.ID), o.ID, map[string]any{"free": free}, true); err != nil || !free {
			return err
		}
		o, err = s.Store.Order(ctx, tx, o.ID) // it has its tickets
		return err
	})
	if err != nil {
		return Order{}, fmt.Errorf("create order from %s: %w", r.Hold, err)
	}
	return o, nil
}

// pay counts what is ordered for the order's address where the hold names its buyer by
// a key only.
func (s *Service) pay(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, email string) error {
	payer, err := h.PayerOf(stock.ID, email)
	if err != nil || payer == "" {
		return err
	}
	if err := s.Store.KnowBuyer(ctx, tx, stock, payer); err != nil {
		return err
	}
	return stock.Pay(h, payer)
}

// insert stores the order under a code that no other order of the event has.
func (s *Service) insert(ctx context.Context, tx txn.Tx, o *Order) error {
	code := newCode
	if s.newCode != nil {
		code = s.newCode
	}
	for try := 1; ; try++ {
		o.Code = code()
		if err := s.Store.InsertOrder(ctx, tx, *o); !errors.Is(err, ErrCodeTaken) || try == codeTries {
			return err
		}
	}
}

func ticketsOf(h *booking.Hold) (n int64) {
	for _, item := range h.Items {
		n += item.Quantity
	}
	return n
}

// locked runs do with the hold's event locked, in one transaction. Behind the
// fence nothing is decided here (P1): neither stock nor money moves.
func (s *Service) locked(ctx context.Context, tx txn.Tx, hold id.Hold, do func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold) error) error {
	return txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) error {
		return s.Store.WithStock(ctx, tx, hold.Event(), s.HoldTTL, []id.Hold{hold}, func(stock *booking.Stock) error {
			h := stock.Holds[hold]
			if h == nil {
				return booking.ErrHoldNotFound
			}
			if err := stock.Fence(); err != nil {
				return err
			}
			return do(ctx, tx, stock, h)
		})
	})
}

// OnEvent runs do with the event locked, in one transaction. What belongs to the event
// is not changed behind the fence either (P1).
func (s *Service) OnEvent(ctx context.Context, tx txn.Tx, event id.Event, do func(ctx context.Context, tx txn.Tx) error) error {
	return txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) error {
		return s.Store.WithStock(ctx, tx, event, s.HoldTTL, nil, func(stock *booking.Stock) error {
			if err := stock.Fence(); err != nil {
				return err
			}
			return do(ctx, tx)
		})
	})
}

// complete sells the hold and issues the tickets: with the order's new state,
// all in the transaction at hand (P3).
func (s *Service) complete(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) error {
	if err := stock.Convert(h); err != nil {
		return err
	}
	o.State = Paid
	for _, item := range o.Items {
		for i := range item.Quantity {
			t := Ticket{ID: id.NewTicket(stock.ID), Order: o.ID, Type: item.Type, Name: item.Name, State: TicketValid, Seat: item.SeatAt(i)}
			if n := len(o.Tickets); n < len(o.Attendees) {
				t.Attendee = o.Attendees[n].Name
			}
			t.Barcode = s.Signer.Barcode(ticket.Claims{Ticket: t.ID, Type: t.Type, IssuedAt: stock.Now})
			o.Tickets = append(o.Tickets, t)
		}
	}
	if err := s.Store.InsertTickets(ctx, tx, o.Tickets, stock.Now); err != nil {
		return err
	}
	if err := s.Store.SetOrder(ctx, tx, *o, stock.Now, "paid"); err != nil {
		return err
	}
	return s.invoice(ctx, tx, stock, o)
}

// Prepare gets an order's payment to where its buyer can pay: it carries the
// purchase on until the provider has made an intent, under a key that makes asking
// twice harmless. It answers the order in brief; one that needs no payment as it is.
// An order that ended before is booking.ErrHoldExpired.
func (s *Service) Prepare(ctx context.Context, order id.Order) (Order, error) {
	o, err := s.Store.Brief(ctx, txn.None, order)
	if err != nil {
		return Order{}, fmt.Errorf("read order: %w", err)
	}
	if o.intentKnown() { // as it was answered first, whatever became of it
		return o, nil
	}
	if ready, err := o.payable(); ready || err != nil {
		return o, err
	}
	return s.PrepareNew(ctx, order)
}

// PrepareNew is Prepare for an order that was made a moment ago: there is no intent.
func (s *Service) PrepareNew(ctx context.Context, order id.Order) (Order, error) {
	driven := s.driveIn(ctx, order)
	o, err := s.Store.Brief(context.WithoutCancel(ctx), txn.None, order)
	if err != nil {
		return Order{}, fmt.Errorf("read order: %w", err)
	}
	if ready, err := o.payable(); ready || err != nil {
		return o, err
	}
	if driven == nil {
		driven = s.refusal(ctx, order)
	}
	return Order{}, fmt.Errorf("prepare payment of %s: %w", order, driven)
}

// Look reads an order with its refunds.
func (s *Service) Look(ctx context.Context, order id.Order) (Order, error) {
	o, err := s.Store.Order(ctx, txn.None, order)
	if err != nil {
		return Order{}, fmt.Errorf("read order: %w", err)
	}
	return s.withRefunds(ctx, o)
}

// Cancel ends an order at its buyer's wish: unpaid, its stock goes back and the
// payment is canceled behind it; paid, the whole is refunded too. While the money
// is being captured the order cannot be canceled; a moment later it can.
func (s *Service) Cancel(ctx context.Context, tx txn.Tx, order id.Order, by payment.Source) (Order, error) {
	var o Order
	err := txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) error {
		what := map[string]any{"order": order.String(), "unpaid": false}
		already := false
		err := s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, found *Order) error {
			defer func() { o = *found }()
			switch found.State {
			case Canceled:
				already = true
				return nil
			case Pending:
				if h.State == booking.HoldConverted {
					return ErrState.With("the payment is being taken; try again in a moment").Field("state", string(found.State)).After(time.Second)
				}
				what["unpaid"], what["quiet"] = true, by == payment.ByBuyer // he knows; the address may be another's
				return s.release(ctx, tx, stock, h, found, "canceled")
			case Paid:
				back, err := s.refund(ctx, tx, stock, found, 0, by, "canceled by the "+string(by))
				if !back.IsZero() {
					what["refund"] = back.String()
				}
				return err
			default:
				return ErrState.With("the order is %s", found.State).Field("state", string(found.State))
			}
		})
		if err != nil || already {
			return err
		}
		return s.followCancel(ctx, tx, order, what)
	})
	if err != nil {
		return Order{}, fmt.Errorf("cancel order %s: %w", order, err)
	}
	return o, nil
}

// followCancel starts what follows when an order was canceled, in the transaction at hand.
func (s *Service) followCancel(ctx context.Context, tx txn.Tx, order id.Order, what map[string]any) error {
	_, err := s.Runs.Start(ctx, tx, saga.New{
		ID: CancelFlow + ":" + order.String(), Name: CancelFlow, Event: order.Event().String(), Input: map[string]any{"order": order.String()}, Result: what,
	})
	return err
}

// release ends an unpaid order and gives its stock back; why is for its timeline.
func (s *Service) release(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order, why string) error {
	stock.End(h, booking.HoldReleased)
	o.State = Canceled
	return s.set(ctx, tx, o, stock.Now, why)
}

// set stores an order with a moment of its timeline, which its answer has too.
func (s *Service) set(ctx context.Context, tx txn.Tx, o *Order, at time.Time, what string) error {
	if !slices.ContainsFunc(o.Timeline, func(m Moment) bool { return m.What == what }) {
		o.Timeline = append(o.Timeline, Moment{At: at, What: what})
	}
	return s.Store.SetOrder(ctx, tx, *o, at, what)
}

// onOrder runs do with the order's event locked and the order read behind that lock.
func (s *Service) onOrder(ctx context.Context, tx txn.Tx, order id.Order, do func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) error) error {
	if s.Store.Locked(tx, order.Event()) {
		o, err := s.Store.Order(ctx, tx, order)
		if err != nil {
			return err
		}
		return s.locked(ctx, tx, o.Hold, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold) error {
			return do(ctx, tx, stock, h, &o)
		})
	}
	before, err := s.Store.Brief(ctx, tx, order) // only for its hold, which never changes
	if err != nil {
		return err
	}
	return s.locked(ctx, tx, before.Hold, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold) error {
		o, err := s.Store.Order(ctx, tx, order)
		if err != nil {
			return err
		}
		return do(ctx, tx, stock, h, &o)
	})
}

// Ticket reads a ticket with the order it came from.
func (s *Service) Ticket(ctx context.Context, ticket id.Ticket) (Ticket, Order, error) {
	t, err := s.Store.Ticket(ctx, txn.None, ticket)
	if err != nil {
		return Ticket{}, Order{}, fmt.Errorf("read ticket: %w", err)
	}
	o, err := s.Store.Order(ctx, txn.None, t.Order)
	if err != nil {
		return Ticket{}, Order{}, errors.Join(ErrTicketNotFound, err)
	}
	return t, o, nil
}

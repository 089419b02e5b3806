package checkout_test

import (
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// apart gives the second process a desk of its own, so that nothing but the rows'
// locks stands between the two.
func (tw *town) apart() {
	tw.desks[1].Desks = &booking.Desks{Store: tw.stores[1], HoldTTL: ttl, Patience: time.Minute, Now: time.Now}
}

// returned is how often an order's stock was given back, and how much of it, by the
// event's ledger, which is added up on the way.
func (tw *town) returned(t *testing.T, order id.Order) (times, places int64) {
	t.Helper()
	rows, err := tw.stores[1].Ledger(t.Context(), tw.shop.ID, 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var sum booking.Tally
	for _, row := range rows {
		if err := sum.Add(row); err != nil {
			t.Fatal(err)
		}
		var entries []booking.Entry
		if err := json.Unmarshal(row.Entries, &entries); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Kind == booking.EntryReturn && e.Ref == order.String() {
				times++
				for _, c := range e.Changes {
					places -= c.Sold
				}
			}
		}
	}
	e, err := tw.stores[0].Event(t.Context(), txn.None, tw.shop.ID)
	if err != nil {
		t.Fatal(err)
	}
	if q, told := e.Quotas[0], sum.Quotas[e.Quotas[0].ID]; q.Sold != told.Sold || q.Held != told.Held {
		t.Errorf("counters say %d held and %d sold, the ledger %d and %d", q.Held, q.Sold, told.Held, told.Sold)
	}
	return times, places
}

// crowd lets so many do something at once, at the two processes by turns.
func (tw *town) crowd(n int, do func(i int, desk *checkout.Service)) {
	var all sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-gate
			do(i, tw.desks[i/2%2])
		})
	}
	close(gate)
	all.Wait()
}

// Everybody who may end a paid order does so at once and again: its buyer, the
// organizer, the cancellation of the event, and word of the payment that comes once more.
func TestRegression04_orderEndedByEverybodyAtOnceGivesItsStockBackOnce(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.apart()
	o, other := tw.paid(t, tw.floor, 3), tw.paid(t, tw.odd, 2)
	tw.cancelEvent(t)
	taken := payment.Intent{ID: o.Payment.IntentID, State: payment.Captured, Received: 12750}
	tw.crowd(40, func(i int, desk *checkout.Service) {
		var err error
		switch i % 5 {
		case 0, 1:
			_, err = desk.Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer)
		case 2:
			_, err = desk.Refund(t.Context(), txn.None, o.ID, 0, payment.ByOrganizer, "")
		case 3:
			_, err = desk.Runs.Pass(t.Context())
		default:
			err = desk.Settle(t.Context(), o.ID, taken)
		}
		if err != nil && !errors.Is(err, checkout.ErrState) && kind.Of(err) != kind.Unavailable {
			t.Error(err)
		}
	})
	for range 3 {
		tw.mustReconcile(t)
	}
	if now := tw.look(t, o.ID); now.State != checkout.Canceled || now.Refund != checkout.FullRefund {
		t.Errorf("it is %s, %s", now.State, now.Refund)
	}
	for order, want := range map[id.Order]int64{o.ID: 3, other.ID: 2} {
		if times, places := tw.returned(t, order); times != 1 || places != want {
			t.Errorf("%d places came back in %d entries, want %d in one", places, times, want)
		}
	}
	tw.wantStock(t, 0, 0)
	if back, err := tw.stores[0].Refunds(t.Context(), txn.None, o.ID); err != nil || len(back) != 1 || back[0].Amount.Amount != 12750 {
		t.Errorf("%+v, %v", back, err)
	}
}

// The same for an order that was not paid: its buyer cancels again and again while its
// window is over and the purchase ends it.
func TestRegression04_unpaidOrderEndedByEverybodyAtOnceGivesItsStockBackOnce(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.apart()
	o := tw.order(t, tw.floor, 3)
	tw.paid(t, tw.floor, 2)
	tw.runOut(t, o.ID)
	tw.crowd(40, func(i int, desk *checkout.Service) {
		var err error
		if i%4 == 3 {
			err = tw.reconcile(t.Context(), i/2%2)
		} else {
			_, err = desk.Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer)
		}
		if err != nil && !errors.Is(err, checkout.ErrState) && kind.Of(err) != kind.Unavailable {
			t.Error(err)
		}
	})
	for range 3 {
		tw.mustReconcile(t)
	}
	if now := tw.look(t, o.ID); now.State != checkout.Canceled && now.State != checkout.Expired {
		t.Errorf("it is %s", now.State)
	}
	if times, _ := tw.returned(t, o.ID); times != 0 {
		t.Errorf("what was never sold came back %d times", times)
	}
	tw.wantStock(t, 0, 2)
}

// One attendee of an order cannot come. His ticket is taken back many times at once,
// at two processes, and then the whole order is ended while it is taken back again:
// every place comes back once, and so does its price.
func TestRegression04_ticketTakenBackByManyAtOnceGivesItsPlaceBackOnce(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.apart()
	o := tw.paid(t, tw.odd, 4) // 34.34 each
	one := []id.Ticket{o.Tickets[2].ID}
	var done atomic.Int64
	again := func(i int, desk *checkout.Service) {
		_, err := desk.RefundTickets(t.Context(), txn.None, o.ID, one, payment.ByOrganizer, "")
		if err == nil {
			done.Add(1)
		} else if !errors.Is(err, checkout.ErrState) {
			t.Errorf("client %d: %v", i, err)
		}
	}
	tw.crowd(32, again)
	if done.Load() != 1 {
		t.Errorf("it was taken back %d times", done.Load())
	}
	if times, places := tw.returned(t, o.ID); times != 1 || places != 1 {
		t.Errorf("%d places came back in %d entries, want one in one", places, times)
	}
	tw.wantStock(t, 0, 3)
	tw.crowd(32, func(i int, desk *checkout.Service) {
		if i%2 == 0 {
			again(i, desk)
			return
		}
		if _, err := desk.Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
			t.Error(err)
		}
	})
	if times, places := tw.returned(t, o.ID); done.Load() != 1 || times != 2 || places != 4 {
		t.Errorf("%d places came back in %d entries, want 4 in two", places, times)
	}
	tw.wantStock(t, 0, 0)
	for range 2 {
		tw.mustReconcile(t)
	}
	backs, err := tw.stores[0].Refunds(t.Context(), txn.None, o.ID)
	if err != nil || len(backs) != 2 || backs[0].Amount.Amount+backs[1].Amount.Amount != 4*3434 {
		t.Errorf("%+v, %v", backs, err)
	}
}

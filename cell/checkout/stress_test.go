package checkout_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// P2, P3, P4, P5: fifty buyers at once at two processes, who pay, are declined,
// cancel, vanish, pay twice or too late and ask for their money back, while the provider fails
// one call in ten, tells everything several times out of order, and the windows
// of the slow ones close. In the end everything adds up.
func TestStress_whateverBuyersDoTheBooksBalance(t *testing.T) {
	t.Parallel()
	const crowd, places = 50, 90
	tw := openTown(t, places)
	tw.faults(t, sandbox.Faults{Error500Percent: 10, Duplicates: 3, Reorder: true})

	ctx, stop := context.WithCancel(t.Context())
	var background sync.WaitGroup
	for process := range tw.desks {
		background.Go(func() {
			for ctx.Err() == nil {
				_ = tw.reconcile(ctx, process) // the provider's failures; what was missed is done below
			}
		})
	}
	var all sync.WaitGroup
	var mu sync.Mutex // guards did
	did := map[string]int{}
	for n := range crowd {
		all.Go(func() {
			what := tw.oneBuyer(t, rand.New(rand.NewPCG(uint64(n), 8)), n)
			mu.Lock()
			did[what]++
			mu.Unlock()
		})
	}
	all.Wait()
	stop()
	background.Wait()
	tw.faults(t, sandbox.Faults{})
	tw.mustReconcile(t)
	eventually(t, "every payment to end in a ticket or a refund", func() bool {
		var open int64
		if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), stillOpen).Scan(&open); err != nil {
			t.Fatal(err)
		}
		if open > 0 {
			tw.exec(t, closeWindows)
			tw.mustReconcile(t)
		}
		return open == 0
	})
	t.Logf("buyers: %v", did)
	var paid int
	for _, o := range tw.allOrders(t) {
		if o.State == checkout.Pending {
			t.Errorf("%s is still pending", o.ID)
		}
		if o.State == checkout.Paid {
			paid++
		}
	}
	if paid == 0 || len(did) < 6 {
		t.Errorf("%d paid; the buyers did only %v", paid, did)
	}
	e, err := tw.stores[0].Event(t.Context(), txn.None, tw.shop.ID)
	if err != nil || e.Quotas[0].Held != 0 {
		t.Errorf("%v: %d are still held", err, e.Quotas[0].Held)
	}
}

const (
	stillOpen    = `SELECT (SELECT count(*) FROM payment.payment WHERE NOT settled) + (SELECT count(*) FROM payment.refund WHERE state = 'created')`
	closeWindows = `UPDATE checkout.orders SET expires_at = clock_timestamp()`
)

func (tw *town) allOrders(t *testing.T) []checkout.Order {
	t.Helper()
	orders, err := tw.stores[0].OrdersOf(t.Context(), txn.None, tw.shop.ID, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return orders
}

// oneBuyer does something that buyers do and says what.
func (tw *town) oneBuyer(t *testing.T, r *rand.Rand, n int) string {
	t.Helper()
	desk, other := tw.desks[n%2], tw.desks[(n+1)%2]
	of := []id.TicketType{tw.floor, tw.odd, tw.floor, tw.free}[r.IntN(4)]
	var h booking.Hold
	err := again(t, func() (err error) {
		h, err = tw.box.Hold(t.Context(), booking.Request{Hold: id.NewHold(tw.shop.ID), Lines: []booking.Line{{Type: of, Quantity: 1 + r.Int64N(4)}}})
		return err
	})
	if errors.Is(err, booking.ErrSoldOut) {
		return "came too late"
	}
	var o checkout.Order
	if err == nil {
		err = again(t, func() (err error) {
			o, err = desk.Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
			return err
		})
	}
	if err != nil {
		t.Error(err)
		return "failed"
	}
	if o.State == checkout.Paid {
		return "went for nothing"
	}
	what := r.IntN(8)
	if what == 0 {
		return "vanished before paying"
	}
	order := o.ID
	if err := again(t, func() (err error) { o, err = desk.Prepare(t.Context(), order); return err }); err != nil {
		t.Error(err)
		return "failed"
	}
	if o.State != checkout.Pending {
		return "was too slow"
	}
	pay := func(card string) {
		// Declines, the provider's failures and windows that closed are this test's weather.
		for range 3 {
			if status, err := tw.confirm(t.Context(), o, card); err == nil && status < 500 {
				return
			}
		}
	}
	switch what {
	case 1:
		pay(declined)
		return "was declined and gave up"
	case 2:
		pay(declined)
		pay(visa)
		return "paid with the second card"
	case 3:
		var both sync.WaitGroup
		both.Go(func() { pay(visa) })
		if err := again(t, func() error { _, err := other.Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); return err }); err != nil && !errors.Is(err, checkout.ErrState) {
			t.Error(err)
		}
		both.Wait()
		return "canceled while paying"
	case 4:
		tw.exec(t, closeWindow, o.ID.String())
		pay(visa)
		return "paid at the last moment"
	case 5:
		pay(visa)
		tw.giveBack(t, r, other, o)
		return "paid and wanted money back"
	default:
		pay(visa)
		return "paid"
	}
}

// giveBack asks for a part of the money, or cancels, once the order is paid.
func (tw *town) giveBack(t *testing.T, r *rand.Rand, desk *checkout.Service, o checkout.Order) {
	t.Helper()
	limit := time.Now().Add(10 * time.Second)
	for tw.look(t, o.ID).State == checkout.Pending && time.Now().Before(limit) {
		time.Sleep(10 * time.Millisecond)
	}
	err := again(t, func() error {
		if r.IntN(2) == 0 {
			_, err := desk.Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer)
			return err
		}
		_, err := desk.Refund(t.Context(), txn.None, o.ID, 1+r.Int64N(4000), payment.ByOrganizer, "")
		return err
	})
	if err != nil && !errors.Is(err, checkout.ErrState) {
		t.Error(err)
	}
}

// again repeats what failed for a reason that goes away.
func again(t *testing.T, do func() error) (err error) {
	t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if err = do(); err == nil || kind.Of(err) != kind.Unavailable && kind.Of(err) != kind.Busy {
			return err
		}
	}
	return err
}

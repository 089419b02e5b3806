package checkout_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/txn"
)

// openManual is a town whose cards are authorized first and captured when the
// stock is confirmed.
func openManual(t *testing.T, places int64) *town {
	t.Helper()
	tw := openTown(t, places)
	tw.manual = true
	for i := range tw.desks {
		tw.desks[i] = tw.desk(t, tw.stores[i], tw.processor())
	}
	return tw
}

// authorized is an order of two tickets whose card was authorized and not charged yet.
func (tw *town) authorized(t *testing.T) checkout.Order {
	t.Helper()
	o := tw.order(t, tw.floor, 2)
	tw.mustConfirm(t, o, visa)
	eventually(t, "the authorization", func() bool { return tw.look(t, o.ID).Payment.State == payment.Authorized })
	return o
}

// settleAll works on sagas until none is due.
func (tw *town) settleAll(t *testing.T) {
	t.Helper()
	for {
		n, err := tw.desks[0].Runs.Pass(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// await, working on sagas meanwhile.
func (tw *town) awaitWorking(t *testing.T, o checkout.Order, want checkout.State) checkout.Order {
	t.Helper()
	eventually(t, "the order to be "+string(want), func() bool {
		tw.settleAll(t)
		return tw.look(t, o.ID).State == want
	})
	return tw.look(t, o.ID)
}

func TestManual_theMoneyIsTakenWhenTheStockIsConfirmed(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 10)
	o := tw.authorized(t)
	if in := tw.intents(t)[0]; in.Status != "requires_capture" || in.AmountReceived != 0 {
		t.Errorf("the intent is %s, %d received", in.Status, in.AmountReceived)
	}
	tw.wantStock(t, 0, 2) // confirmed before anything is charged
	_, err := tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer)
	wantErr(t, err, checkout.ErrState) // for a moment
	o = tw.awaitWorking(t, o, checkout.Paid)
	wantMoments(t, o, "created", "payment_authorized", "paid")
	if len(o.Tickets) != 2 || o.Payment.State != payment.Captured || o.Payment.Received != 8500 || !o.Payment.Settled {
		t.Errorf("%d tickets, %+v", len(o.Tickets), o.Payment)
	}
	tw.wantStock(t, 0, 2)
}

// The event was canceled, and the bank says yes: nothing is charged, so nothing needs to
// go back.
func TestManual_whatIsGoneIsNotCharged(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 2)
	o := tw.order(t, tw.floor, 2)
	tw.eventCanceled.Store(true)
	if _, err := tw.box.Change(t.Context(), txn.None, tw.shop.ID, tw.shop.Organizer, 0, func(e *booking.Event, _ time.Time) error { return e.Cancel() }); err != nil {
		t.Fatal(err)
	}
	tw.mustConfirm(t, o, visa)
	o = tw.awaitWorking(t, o, checkout.Canceled)
	tw.settleAll(t)
	if in := tw.intents(t)[0]; in.Status != "canceled" || in.AmountReceived != 0 {
		t.Errorf("the intent is %s, %d received", in.Status, in.AmountReceived)
	}
	if o.Refund != checkout.NoRefund || tw.postings(t, o.ID) != 0 {
		t.Errorf("refund %s, %d postings", o.Refund, tw.postings(t, o.ID))
	}
	tw.wantMails(t, o, notify.EventCanceled)
	tw.wantStock(t, 0, 0)
}

// The authorization is withdrawn before the capture: the stock comes back.
func TestManual_aCaptureThatIsRefusedGivesTheStockBack(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 2)
	o := tw.authorized(t)
	if _, err := tw.processor().CancelIntent(t.Context(), o.Payment.IntentID, "by hand"); err != nil {
		t.Fatal(err)
	}
	o = tw.awaitWorking(t, o, checkout.Expired)
	tw.settleAll(t)
	if len(o.Tickets) != 0 || tw.postings(t, o.ID) != 0 || tw.look(t, o.ID).Payment.State != payment.Canceled {
		t.Errorf("%d tickets, %+v", len(o.Tickets), o.Payment)
	}
	tw.wantStock(t, 0, 0)
	tw.awaitWorking(t, tw.confirmed(t, tw.order(t, tw.floor, 2)), checkout.Paid) // the next buyer has them
}

func (tw *town) confirmed(t *testing.T, o checkout.Order) checkout.Order {
	t.Helper()
	tw.mustConfirm(t, o, visa)
	return o
}

// The event is canceled between the reservation and the capture, whose answer is
// even lost: the money was taken, and goes back.
func TestManual_eventCanceledWhileTheMoneyIsTaken(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 2)
	o := tw.authorized(t)
	tw.faults(t, sandbox.Faults{TimeoutAfterEffectPercent: 100})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := tw.desks[0].Runs.Pass(ctx); !errors.Is(err, payment.ErrProviderAway) {
		t.Fatal(err)
	}
	tw.faults(t, sandbox.Faults{})
	tw.cancelEvent(t)
	o = tw.awaitWorkingDue(t, o, checkout.Canceled)
	if o.Refund != checkout.FullRefund || len(o.Tickets) != 0 {
		t.Errorf("refund %s, %d tickets", o.Refund, len(o.Tickets))
	}
	tw.mustReconcile(t)
	wantMoments(t, tw.look(t, o.ID), "created", "payment_authorized", "canceled", "refund_sent")
	tw.wantRefunds(t, o, payment.ByEventCancellation, 8500)
	tw.wantMails(t, o, notify.EventCanceled) // not that he came too late: he did not
	tw.wantStock(t, 0, 0)
}

// The event is canceled while the money is taken, and the bank says no in the end: the
// order ends with its event, and nobody is told to order again.
func TestManual_eventCanceledWhileTheBankSaysNo(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 2)
	o := tw.authorized(t)
	tw.cancelEvent(t)
	if _, err := tw.processor().CancelIntent(t.Context(), o.Payment.IntentID, "by hand"); err != nil {
		t.Fatal(err)
	}
	o = tw.awaitWorkingDue(t, o, checkout.Canceled)
	tw.settleAll(t)
	tw.wantMails(t, o, notify.EventCanceled)
	tw.wantStock(t, 0, 0)
}

// The payment window of an order ends after its event was canceled, before the
// cancellation came to it.
func TestCancelEvent_orderWhoseWindowEndsMeanwhileIsNotToldToOrderAgain(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o := tw.order(t, tw.floor, 1)
	tw.eventCanceled.Store(true)
	if _, err := tw.box.Change(t.Context(), txn.None, tw.shop.ID, tw.shop.Organizer, 0, func(e *booking.Event, _ time.Time) error { return e.Cancel() }); err != nil {
		t.Fatal(err)
	}
	tw.runOut(t, o.ID)
	tw.mustReconcile(t)
	tw.await(t, o.ID, checkout.Canceled)
	tw.wantMails(t, o, notify.EventCanceled)
	_, err := tw.desks[0].PrepareNew(t.Context(), o.ID)
	if wantErr(t, err, booking.ErrHoldExpired); strings.Contains(err.Error(), "again") {
		t.Error(err)
	}
}

// Holds end with their event: nobody is led on to a checkout that must refuse him, and the
// places are counted free at once.
func TestCancelEvent_endsItsHoldsAtOnce(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 5)
	h := tw.hold(t, tw.floor, 2)
	tw.cancelEvent(t)
	if now, err := tw.box.Look(t.Context(), h.ID); err != nil || now.State != booking.HoldExpired {
		t.Errorf("it is %s, %v", now.State, err)
	}
	_, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
	wantErr(t, err, booking.ErrNotOnSale)
	if _, err := tw.box.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	tw.wantStock(t, 0, 0)
}

const endEvent = `UPDATE booking.event SET starts_at = clock_timestamp() - INTERVAL '2 hours', ends_at = clock_timestamp() - INTERVAL '1 second' WHERE event_id = $1`

// The event ended while its tickets were held.
func TestCreate_fromAHoldWhoseEventHasEndedIsRefused(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 5)
	for _, of := range []id.TicketType{tw.floor, tw.free} {
		h := tw.hold(t, of, 1)
		tw.exec(t, endEvent, tw.shop.ID.String())
		_, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
		wantErr(t, err, booking.ErrNotOnSale)
		tw.exec(t, `UPDATE booking.event SET starts_at = $2, ends_at = NULL WHERE event_id = $1`, tw.shop.ID.String(), tw.shop.StartsAt)
	}
}

// Somebody captured a part of the money by hand: that buys nothing, it goes back, and what
// was reserved for the whole is for the next buyer.
func TestManual_aPartOfTheMoneyBuysNothing(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 2)
	o := tw.authorized(t)
	tw.atProvider(t, "/v1/payment_intents/"+o.Payment.IntentID+"/capture", url.Values{"amount_to_capture": {"8000"}})
	o = tw.awaitWorkingDue(t, o, checkout.Expired)
	tw.mustReconcile(t)
	tw.wantRefunds(t, o, payment.ByLatePayment, 8000)
	tw.wantStock(t, 0, 0)
}

// slowBank takes its time over a capture. What it has not decided cannot be canceled.
type slowBank struct {
	payment.Processor
	asked   *atomic.Int64
	decided *atomic.Bool
}

func (b slowBank) CaptureIntent(ctx context.Context, intent, _ string) (payment.Intent, error) {
	b.asked.Add(1)
	return b.GetIntent(ctx, intent)
}

func (b slowBank) GetIntent(ctx context.Context, intent string) (payment.Intent, error) {
	i, err := b.Processor.GetIntent(ctx, intent)
	if b.asked.Load() > 0 && !b.decided.Load() {
		i.State = payment.Pending
	}
	return i, err
}

func (b slowBank) CancelIntent(ctx context.Context, intent, _ string) (payment.Intent, error) {
	i, err := b.GetIntent(ctx, intent)
	if err == nil && i.State == payment.Pending {
		err = payment.ErrUndecided
	}
	return i, err
}

// A capture that the bank decides on later keeps what was confirmed for it, also behind
// the window's end: nobody else buys it meanwhile.
func TestManual_whatIsConfirmedWaitsForABankThatTakesItsTime(t *testing.T) {
	t.Parallel()
	yes := func(ctx context.Context, _ txn.Tx, p payment.Processor, intent string) error {
		_, err := p.CaptureIntent(ctx, intent, "the bank")
		return err
	}
	no := func(ctx context.Context, _ txn.Tx, p payment.Processor, intent string) error {
		_, err := p.CancelIntent(ctx, intent, "the bank")
		return err
	}
	for _, c := range []struct {
		says     func(ctx context.Context, tx txn.Tx, p payment.Processor, intent string) error
		outlives bool // its window
		end      checkout.State
		sold     int64
	}{
		{yes, false, checkout.Paid, 2}, {yes, true, checkout.Paid, 2}, {no, false, checkout.Expired, 0}, {no, true, checkout.Expired, 0},
	} {
		tw := openManual(t, 2)
		bank := slowBank{tw.processor(), new(atomic.Int64), new(atomic.Bool)}
		for i := range tw.desks {
			tw.desks[i] = tw.desk(t, tw.stores[i], bank)
		}
		o := tw.order(t, tw.floor, 2)
		tw.mustConfirm(t, o, visa)
		eventually(t, "the capture", func() bool { tw.settleAll(t); return bank.asked.Load() > 0 })
		if c.outlives {
			tw.runOut(t, o.ID)
		}
		if err := tw.reconcile(t.Context(), 0); err != nil && !errors.Is(err, payment.ErrUndecided) {
			t.Fatal(err)
		}
		if now := tw.look(t, o.ID); now.State != checkout.Pending || now.Payment.State != payment.Pending {
			t.Errorf("%s, %+v", now.State, now.Payment)
		}
		tw.wantStock(t, 0, 2)
		bank.decided.Store(true)
		if err := c.says(t.Context(), txn.None, bank.Processor, o.Payment.IntentID); err != nil {
			t.Fatal(err)
		}
		o = tw.awaitWorkingDue(t, o, c.end)
		tw.wantStock(t, 0, c.sold)
		if o.Refund != checkout.NoRefund || bank.asked.Load() != 1 {
			t.Errorf("%s: refund %s, captured %d times", c.end, o.Refund, bank.asked.Load())
		}
	}
}

// awaitWorkingDue is awaitWorking with every pause skipped.
func (tw *town) awaitWorkingDue(t *testing.T, o checkout.Order, want checkout.State) checkout.Order {
	t.Helper()
	eventually(t, "the order to be "+string(want), func() bool {
		tw.mustReconcile(t)
		return tw.look(t, o.ID).State == want
	})
	return tw.look(t, o.ID)
}

// cancelEvent is what the organizer's call does.
func (tw *town) cancelEvent(t *testing.T) {
	t.Helper()
	tw.eventCanceled.Store(true)
	err := tw.stores[0].InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		if _, err := tw.box.Change(ctx, tx, tw.shop.ID, tw.shop.Organizer, 0, func(e *booking.Event, _ time.Time) error { return e.Cancel() }); err != nil {
			return err
		}
		return tw.desks[0].CancelEvent(ctx, tx, tw.shop.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A whole event is canceled, page by page, with orders in every state: each paid
// one is refunded, each unpaid one ends, each buyer is told once.
func TestCancelEvent_refundsEveryOrder(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 60)
	if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	for _, d := range tw.desks {
		d.Notifier = postbox{tw.stores[0]}
	}
	var paid, pending, free []checkout.Order
	for i := range 23 {
		switch i % 3 {
		case 0:
			paid = append(paid, tw.paid(t, tw.odd, 1))
		case 1:
			pending = append(pending, tw.order(t, tw.floor, 1))
		default:
			o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.free, 1).ID, Buyer: buyer})
			if err != nil {
				t.Fatal(err)
			}
			free = append(free, o)
		}
	}
	part := paid[0]
	if _, err := tw.desks[0].Refund(t.Context(), txn.None, part.ID, 1000, payment.ByOrganizer, "late start"); err != nil {
		t.Fatal(err)
	}
	tw.cancelEvent(t)
	for range 6 {
		tw.mustReconcile(t)
	}
	for _, o := range tw.allOrders(t) {
		if o.State != checkout.Canceled || o.Payment != nil && !o.Payment.Settled {
			t.Errorf("%s is %s, %+v", o.ID, o.State, o.Payment)
		}
		if got := tw.letters(t, o.ID); got[notify.EventCanceled] != 1 {
			t.Errorf("%s was told %v", o.ID, got)
		}
	}
	for _, o := range paid[1:] {
		tw.wantRefunds(t, o, payment.ByEventCancellation, 3434)
	}
	for _, in := range tw.intents(t) {
		if in.Status != "canceled" && in.Status != "succeeded" {
			t.Errorf("the intent %s is %s", in.ID, in.Status)
		}
	}
	if len(pending) == 0 || len(free) == 0 {
		t.Error("there was nothing to end")
	}
	tw.wantStock(t, 0, 0)
}

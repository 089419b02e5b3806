package checkout_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/txn"
)

// awaitGiven waits until an order has so many refunds, while notices that wait are looked
// at again.
func (tw *town) awaitGiven(t *testing.T, o checkout.Order, n int) checkout.Order {
	t.Helper()
	eventually(t, "the refunds to be known", func() bool {
		tw.relook(t)
		o = tw.look(t, o.ID)
		return len(o.Refunds) == n
	})
	return o
}

const recallDue = `UPDATE payment.recall SET next_at = clock_timestamp()`

// recollect looks through everything that the provider told up to this moment.
func (tw *town) recollect(t *testing.T) (found int) {
	t.Helper()
	if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), recallDue); err != nil {
		t.Fatal(err)
	}
	r, _, err := tw.stores[0].ClaimRecall(t.Context(), "stripe", time.Minute, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.From, r.Until, r.After = r.Now.Add(-time.Hour), r.Now.Add(time.Minute), ""
	if err := tw.stores[0].SetRecall(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	tw.exec(t, recallDue)
	if found, err = tw.desks[1].Recollect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return found
}

func wantExternal(t *testing.T, b payment.Back, amount int64, state payment.RefundState) {
	t.Helper()
	if b.Source != payment.External || b.Amount.Amount != amount || b.State != state || !strings.HasPrefix(b.ProviderID, "re_") || b.CreatedAt.IsZero() {
		t.Errorf("%+v", b)
	}
}

// Somebody gives all the money back at the provider's dashboard: the tickets do not open
// the door any more, their places are free, nobody is owed anything, and the buyer knows.
func TestExternalRefund_ofTheWholeVoidsTheTickets(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.desks[0].BasisPoints, tw.desks[1].BasisPoints = 250, 250
	o := tw.paid(t, tw.odd, 2)
	tw.press(t, o, "refund")
	o = tw.await(t, o.ID, checkout.Canceled)
	wantTickets(t, o, checkout.TicketCanceled, checkout.TicketCanceled)
	tw.wantRevoked(t, o, true)
	tw.wantStock(t, 0, 0)
	if len(o.Refunds) != 1 || o.Refund != checkout.FullRefund {
		t.Fatalf("%s, %+v", o.Refund, o.Refunds)
	}
	wantExternal(t, o.Refunds[0], 6868, payment.RefundDone)
	for _, a := range []payment.Account{payment.OwedTo(tw.shop.Organizer), payment.Fees, payment.AtProvider, payment.OwedToBuyer} {
		if n := tw.balance(t, a); n != 0 {
			t.Errorf("%s has %d", a, n)
		}
	}
	wantMoments(t, o, "created", "paid", "canceled", "refunded_at_provider")
}

// A part that is given back there leaves the tickets, and is a refund like any other: the
// buyer gets back what is left, and no more.
func TestExternalRefund_ofAPartLeavesTheTickets(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.floor, 2) // 85.00
	tw.press(t, o, "refund?amount=1000")
	o = tw.awaitGiven(t, o, 1)
	if o.State != checkout.Paid || o.Refund != checkout.PartialRefund {
		t.Errorf("%s, %s", o.State, o.Refund)
	}
	wantTickets(t, o, checkout.TicketValid, checkout.TicketValid)
	wantExternal(t, o.Refunds[0], 1000, payment.RefundDone)
	_, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 7501, payment.ByOrganizer, "")
	wantErr(t, err, checkout.ErrRefundTooLarge)
	if o, err = tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil || o.State != checkout.Canceled {
		t.Fatalf("%s, %v", o.State, err)
	}
	tw.mustReconcile(t)
	if n := tw.balance(t, payment.AtProvider); n != 0 {
		t.Errorf("%d is still there", n)
	}
	tw.awaitGiven(t, o, 2)
}

// A refund that does not reach its buyer is owed again, whoever made it.
func TestRefund_thatFailsInTheEndIsOwedAgain(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	ours, theirs := tw.paid(t, tw.floor, 1), tw.paid(t, tw.floor, 1)
	if _, err := tw.desks[0].Refund(t.Context(), txn.None, ours.ID, 1000, payment.ByOrganizer, ""); err != nil {
		t.Fatal(err)
	}
	tw.mustReconcile(t)
	tw.press(t, theirs, "refund?amount=500")
	tw.awaitGiven(t, theirs, 1)
	for _, o := range []checkout.Order{ours, theirs} {
		tw.press(t, o, "return")
		eventually(t, "the refund to have failed", func() bool {
			tw.relook(t)
			return tw.look(t, o.ID).Refunds[0].State == payment.RefundFailed
		})
	}
	if owed, at := -tw.balance(t, payment.OwedToBuyer), tw.balance(t, payment.AtProvider); owed != 1500 || at != 8500 {
		t.Errorf("%d owed, %d at the provider", owed, at)
	}
}

// What a lost webhook did not tell is found at the provider, a dispute as well as a refund,
// and once.
func TestRecollect_findsWhatNoWebhookTold(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	part, whole, disputed := tw.paid(t, tw.floor, 1), tw.paid(t, tw.odd, 1), tw.paid(t, tw.floor, 1)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	tw.press(t, part, "refund?amount=1000")
	tw.press(t, whole, "refund")
	tw.press(t, disputed, "dispute")
	if found := tw.recollect(t); found < 4 {
		t.Errorf("%d were found", found)
	}
	if found := tw.recollect(t); found != 0 {
		t.Errorf("%d were found a second time", found)
	}
	if o := tw.look(t, part.ID); o.Refund != checkout.PartialRefund || o.State != checkout.Paid {
		t.Errorf("%s, %s", o.State, o.Refund)
	}
	if o := tw.look(t, whole.ID); o.State != checkout.Canceled {
		t.Errorf("it is %s", o.State)
	}
	if o := tw.look(t, disputed.ID); o.Payment.State != payment.Disputed {
		t.Errorf("it is %s", o.Payment.State)
	}
	// Between two looks nobody is asked, and a process that looks is alone.
	if found, err := tw.desks[0].Recollect(t.Context()); err != nil || found != 0 {
		t.Errorf("%d, %v", found, err)
	}
}

// Ours is refused because somebody gave the money back before: that one pays ours.
func TestExternalRefund_thatCameBeforeOursPaysWhatOursOwes(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.floor, 1)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	tw.press(t, o, "refund")
	if _, err := tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
		t.Fatal(err)
	}
	tw.mustReconcile(t)
	if o = tw.look(t, o.ID); o.Refunds[0].State != payment.RefundFailed {
		t.Fatalf("%+v", o.Refunds)
	}
	tw.recollect(t)
	tw.relook(t)
	o = tw.look(t, o.ID)
	if len(o.Refunds) != 1 || o.Refunds[0].State != payment.RefundDone || o.Refunds[0].ProviderID == "" {
		t.Errorf("%+v", o.Refunds)
	}
	if owed, at := tw.balance(t, payment.OwedToBuyer), tw.balance(t, payment.AtProvider); owed != 0 || at != 0 {
		t.Errorf("%d owed, %d at the provider", owed, at)
	}
}

// An endpoint that is told of charges only, as accounts of old are, asks for the refund.
func TestExternalRefund_isAskedForWhenOnlyTheChargeIsTold(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.floor, 2)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	tw.press(t, o, "refund?amount=1000")
	for _, e := range tw.events(t) {
		if strings.Contains(string(e), `"type":"charge.refunded"`) {
			if err := tw.hear(t.Context(), signed(e, time.Now())); err != nil {
				t.Fatal(err)
			}
		}
	}
	o = tw.awaitGiven(t, o, 1)
	wantExternal(t, o.Refunds[0], 1000, payment.RefundDone)
}

// Whatever order notices come in, and however often, the end is the same.
func TestExternalRefund_noticesInAnyOrderEndAlike(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	var orders []checkout.Order
	for range 4 {
		o := tw.order(t, tw.floor, 1)
		tw.mustConfirm(t, o, visa)
		tw.press(t, o, "refund?amount=1000")
		tw.press(t, o, "return")
		tw.press(t, o, "refund?amount=2000")
		orders = append(orders, o)
	}
	all := tw.events(t)
	all = append(all, all...)
	r := rand.New(rand.NewPCG(7, 1))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, e := range all {
		if err := tw.hear(t.Context(), signed(e, time.Now())); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range orders {
		tw.mustReconcile(t)
		tw.await(t, o.ID, checkout.Paid)
	}
	for _, o := range orders {
		eventually(t, "both refunds to be known", func() bool {
			tw.relook(t)
			o = tw.look(t, o.ID)
			return len(o.Refunds) == 2 && slices.ContainsFunc(o.Refunds, func(b payment.Back) bool { return b.State == payment.RefundFailed })
		})
		for _, b := range o.Refunds {
			if want := map[payment.RefundState]int64{payment.RefundFailed: 1000, payment.RefundDone: 2000}[b.State]; b.Amount.Amount != want {
				t.Errorf("%+v", b)
			}
		}
	}
	if owed := -tw.balance(t, payment.OwedToBuyer); owed != 4000 {
		t.Errorf("%d owed", owed)
	}
}

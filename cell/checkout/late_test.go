package checkout_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

const postingsOf = `SELECT count(*) FROM payment.posting WHERE order_id = $1`

func (tw *town) postings(t *testing.T, order id.Order) (n int64) {
	t.Helper()
	if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), postingsOf, order.String()).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Regression 7: the webhooks come five times and out of order, and again, at both
// processes at once: one set of tickets, one booking (P5).
func TestHear_fiveTimesAndOutOfOrder(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.faults(t, sandbox.Faults{Duplicates: 5, Reorder: true})
	o := tw.order(t, tw.floor, 3)
	tw.mustConfirm(t, o, declined)
	tw.mustConfirm(t, o, visa)
	const events = 5 // intent created; charge and intent failed; charge and intent succeeded
	eventually(t, "all copies of all events", func() bool { return tw.heard.Load() >= 5*events })
	tw.await(t, o.ID, checkout.Paid)
	tickets := tw.look(t, o.ID).Tickets

	tw.mu.Lock()
	again := slices.Clone(tw.notices)
	tw.mu.Unlock()
	slices.Reverse(again)
	var all sync.WaitGroup
	for i, n := range again {
		all.Go(func() {
			if err := tw.desks[i%2].Hear(t.Context(), n.body, n.signature, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	now := tw.look(t, o.ID)
	if !slices.Equal(now.Tickets, tickets) || len(tickets) != 3 || now.State != checkout.Paid {
		t.Errorf("%s with %d tickets, had %d", now.State, len(now.Tickets), len(tickets))
	}
	if n := tw.postings(t, o.ID); n != 3 {
		t.Errorf("%d postings, want one entry of 3", n)
	}
	tw.wantStock(t, 0, 3)
}

// crashing is a store whose transaction dies at its last statement, so often.
type crashing struct {
	checkout.Store
	left int
}

var errCrash = errors.New("crashed")

func (c *crashing) SetOrder(ctx context.Context, tx txn.Tx, o checkout.Order, at time.Time, what string) error {
	if c.left--; c.left >= 0 {
		return errCrash
	}
	return c.Store.SetOrder(ctx, tx, o, at, what)
}

// … with the process killed in between: what was not committed is not remembered
// as heard.
func TestHear_afterACrashInBetween(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	o := tw.order(t, tw.floor, 1)
	dying := &crashing{Store: tw.stores[0], left: 6} // each is tried with what else waits, then alone
	tw.desks = [2]*checkout.Service{tw.desk(t, dying, tw.processor()), tw.desk(t, dying, tw.processor())}
	tw.mustConfirm(t, o, visa)
	in, err := tw.desks[0].Processor.GetIntent(t.Context(), o.Payment.IntentID)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantErr(t, tw.desks[0].Settle(t.Context(), o.ID, in), errCrash)
		if now := tw.look(t, o.ID); now.State != checkout.Pending || len(now.Tickets) != 0 || now.Payment.Settled || tw.postings(t, o.ID) != 0 {
			t.Fatalf("half of it was kept: %s, %d tickets, %+v", now.State, len(now.Tickets), now.Payment)
		}
		tw.wantStock(t, 1, 0)
	}
	tw.faults(t, sandbox.Faults{}) // the next crash is while hearing the webhook, which comes again
	tw.await(t, o.ID, checkout.Paid)
	if dying.left >= 0 {
		t.Error("there was no crash while hearing")
	}
}

// The webhook never comes: the reconciler asks (regression 9).
func TestReconcile_settlesWhatNobodyTold(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	o, open := tw.order(t, tw.floor, 2), tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, o, visa)
	tw.mustReconcile(t)
	if now := tw.look(t, o.ID); now.State != checkout.Paid || len(now.Tickets) != 2 {
		t.Errorf("%s with %d tickets", now.State, len(now.Tickets))
	}
	if now := tw.look(t, open.ID); now.State != checkout.Pending || now.Payment.Settled {
		t.Errorf("who has not paid yet is %s", now.State)
	}
	tw.wantStock(t, 1, 2)
	if tw.heard.Load() != 0 {
		t.Error("a webhook came")
	}
}

// Regression 10: nobody pays. The intent is canceled first, then the stock returns.
func TestReconcile_abandonedOrderGivesItsStockBack(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o := tw.order(t, tw.floor, 2)
	tw.runOut(t, o.ID)
	if n, err := tw.box.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("the sweeper touched a hold that is being paid: %d, %v", n, err)
	}
	tw.wantStock(t, 2, 0)
	tw.mustReconcile(t)
	now := tw.look(t, o.ID)
	if now.State != checkout.Expired || now.Payment.State != payment.Canceled {
		t.Errorf("%s, %+v", now.State, now.Payment)
	}
	wantMoments(t, now, "created", "expired")
	tw.wantStock(t, 0, 0)
	if all := tw.intents(t); len(all) != 1 || all[0].Status != "canceled" {
		t.Errorf("%+v", all)
	}
	if status, err := tw.confirm(t.Context(), o, visa); err != nil || status != http.StatusBadRequest {
		t.Errorf("paying it now: %d, %v", status, err)
	}
	_, err := tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer)
	wantErr(t, err, checkout.ErrState)
	if o, err := tw.desks[0].Prepare(t.Context(), o.ID); err != nil || o.State != checkout.Expired {
		t.Errorf("%v, %s", err, o.State)
	}
	_, err = tw.desks[0].PrepareNew(t.Context(), o.ID) // as if it had ended while it was prepared
	wantErr(t, err, booking.ErrHoldExpired)
	tw.paid(t, tw.floor, 2) // the next buyer has them
}

// The answer with the intent was lost and its buyer never came back: the intent is
// brought to light by its key and canceled, so that it can never be paid.
func TestReconcile_findsTheIntentWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.floor, 1).ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	tw.faults(t, sandbox.Faults{TimeoutAfterEffectPercent: 100})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = tw.desks[0].Prepare(ctx, o.ID)
	wantErr(t, err, payment.ErrProviderAway)
	tw.faults(t, sandbox.Faults{})
	tw.runOut(t, o.ID)
	tw.mustReconcile(t)
	tw.await(t, o.ID, checkout.Expired)
	if all := tw.intents(t); len(all) != 1 || all[0].Status != "canceled" {
		t.Errorf("%+v", all)
	}
	tw.wantStock(t, 0, 0)
}

// The window is over, nobody has looked yet, and the money is there: tickets.
func TestReconcile_moneyThatCameFirstBuysTheTickets(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	o := tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, o, visa)
	tw.runOut(t, o.ID)
	tw.mustReconcile(t) // wants to cancel, and reads the payment back
	if now := tw.look(t, o.ID); now.State != checkout.Paid || now.Payment.State != payment.Captured {
		t.Errorf("%s, %+v", now.State, now.Payment)
	}
	tw.wantStock(t, 0, 1)
}

// hasty is a provider that says "canceled" and takes the money all the same, as
// payment methods that settle later can.
type hasty struct{ payment.Processor }

func (h hasty) CancelIntent(_ context.Context, intentID, _ string) (payment.Intent, error) {
	return payment.Intent{ID: intentID, State: payment.Canceled}, nil
}

// expired is an order whose window has closed, its stock given back, whose intent
// can still be paid.
func (tw *town) expired(t *testing.T, n int64) checkout.Order {
	t.Helper()
	o := tw.order(t, tw.floor, n)
	tw.runOut(t, o.ID)
	if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), sagasDue); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.desk(t, tw.stores[0], hasty{tw.processor()}).Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tw.await(t, o.ID, checkout.Expired)
}

// Regression 8, "Paid but expired" rule 3: the stock is there, it is taken again.
func TestSettle_lateMoneyTakesTheStockAgain(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o := tw.expired(t, 2)
	tw.wantStock(t, 0, 0)
	tw.mustConfirm(t, o, visa)
	o = tw.await(t, o.ID, checkout.Paid)
	if len(o.Tickets) != 2 || o.Refund != checkout.NoRefund {
		t.Errorf("%d tickets, refund %s", len(o.Tickets), o.Refund)
	}
	wantMoments(t, o, "created", "expired", "paid")
	tw.wantStock(t, 0, 2)
}

// Regression 8, rule 4: the stock is gone: all of the money goes back by itself.
func TestSettle_lateMoneyForWhatIsGoneGoesBack(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o := tw.expired(t, 2)
	tw.paid(t, tw.floor, 1)
	tw.mustConfirm(t, o, visa)
	eventually(t, "the refund to be decided", func() bool { return tw.look(t, o.ID).Refund == checkout.FullRefund })
	tw.audit(t) // the books balance while it is owed, too
	tw.faults(t, sandbox.Faults{})
	tw.mustReconcile(t)
	now := tw.look(t, o.ID)
	if now.State != checkout.Expired || len(now.Tickets) != 0 {
		t.Errorf("%s with %d tickets", now.State, len(now.Tickets))
	}
	wantMoments(t, now, "created", "expired", "late_payment_refunded", "refund_sent")
	tw.wantRefunds(t, o, payment.ByLatePayment, 8500)
	tw.wantStock(t, 0, 1)
}

// wantRefunds: these amounts went back, each done, at the sandbox too.
func (tw *town) wantRefunds(t *testing.T, o checkout.Order, by payment.Source, want ...int64) {
	t.Helper()
	backs, err := tw.stores[0].Refunds(t.Context(), txn.None, o.ID)
	if err != nil {
		t.Fatal(err)
	}
	var ours, theirs []int64
	for _, b := range backs {
		ours = append(ours, b.Amount.Amount)
		if b.State != payment.RefundDone || b.Source != by || b.ProviderID == "" {
			t.Errorf("%+v", b)
		}
	}
	all, err := list[refunded](t.Context(), tw, "refunds")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.PaymentIntent == tw.look(t, o.ID).Payment.IntentID {
			theirs = append(theirs, r.Amount)
		}
	}
	for _, got := range [][]int64{ours, theirs} {
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("refunds %v (ours) and %v (the provider's), want %v", ours, theirs, want)
		}
	}
}

// The buyer cancels, and his bank agrees a moment later.
func TestSettle_lateMoneyForACanceledOrderGoesBack(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o := tw.order(t, tw.floor, 1)
	now, err := tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer)
	if err != nil || now.State != checkout.Canceled {
		t.Fatal(err)
	}
	tw.wantStock(t, 0, 0)
	tw.mustConfirm(t, o, visa)
	eventually(t, "the refund to be decided", func() bool {
		tw.mustReconcile(t) // wants to cancel the payment, and reads back that it was made
		return tw.look(t, o.ID).Refund == checkout.FullRefund
	})
	tw.mustReconcile(t)
	if now := tw.look(t, o.ID); now.State != checkout.Canceled || len(now.Tickets) != 0 {
		t.Errorf("%s with %d tickets", now.State, len(now.Tickets))
	}
	tw.wantRefunds(t, o, payment.ByLatePayment, 4250)
	tw.wantStock(t, 0, 0)
}

func TestCancel_unpaidCancelsTheIntentToo(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o := tw.order(t, tw.floor, 1)
	for range 2 {
		if _, err := tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
			t.Fatal(err)
		}
	}
	tw.wantStock(t, 0, 0)
	if _, err := tw.desks[1].Reconcile(t.Context()); err != nil { // it is due at once
		t.Fatal(err)
	}
	if all := tw.intents(t); len(all) != 1 || all[0].Status != "canceled" {
		t.Errorf("%+v", all)
	}
	if now := tw.look(t, o.ID); now.State != checkout.Canceled || !now.Payment.Settled {
		t.Errorf("%s, %+v", now.State, now.Payment)
	}
}

// The event is canceled while somebody pays: no ticket for it, the money goes back.
func TestSettle_moneyForACanceledEventGoesBack(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 5)
	o, held := tw.order(t, tw.floor, 2), tw.hold(t, tw.free, 1)
	tw.cancelEvent(t)
	_, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: held.ID, Buyer: buyer})
	wantErr(t, err, booking.ErrNotOnSale)
	tw.mustConfirm(t, o, visa)
	tw.await(t, o.ID, checkout.Canceled) // and not that his time is over and he may order again
	tw.mustReconcile(t)
	tw.wantRefunds(t, o, payment.ByEventCancellation, 8500)
	tw.wantMails(t, o, notify.EventCanceled)
}

const place = `UPDATE booking.event SET placement = $2 WHERE event_id = $1`

// P1: the event is being moved. Nothing is decided here; the provider is told to
// come again, and what it said is not remembered as heard.
func TestHear_behindTheFenceDecidesNothing(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 5)
	o, other := tw.order(t, tw.floor, 1), tw.order(t, tw.floor, 1)
	bought := tw.paid(t, tw.floor, 1)
	tw.exec(t, place, tw.shop.ID.String(), "sealed")
	before := tw.heard.Load()
	tw.mustConfirm(t, o, visa)
	eventually(t, "a webhook of the payment", func() bool {
		tw.mu.Lock()
		defer tw.mu.Unlock()
		return int64(len(tw.notices)) > before+3
	})
	_, err := tw.desks[0].Cancel(t.Context(), txn.None, other.ID, payment.ByBuyer)
	wantErr(t, err, booking.ErrMoved)
	_, err = tw.desks[0].Refund(t.Context(), txn.None, bought.ID, 0, payment.ByBuyer, "")
	wantErr(t, err, booking.ErrMoved)
	tw.runOut(t, other.ID)
	wantErr(t, tw.reconcile(t.Context(), 0), booking.ErrMoved)
	if now := tw.look(t, o.ID); now.State != checkout.Pending {
		t.Errorf("it is %s", now.State)
	}
	tw.wantStock(t, 2, 1)
	tw.exec(t, place, tw.shop.ID.String(), "serving")
	tw.awaitWorkingDue(t, o, checkout.Paid) // the provider came again, or was asked again
	tw.mustReconcile(t)
	tw.await(t, other.ID, checkout.Expired)
}

func TestHear_strangers(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 5)
	// Another system shares the account: its payments are taken note of, not acted upon.
	for _, order := range []string{id.NewOrder(tw.shop.ID).String(), "", "their-7", id.NewOrder(id.NewEvent("apn1")).String()} {
		in, err := tw.processor().CreateIntent(t.Context(), payment.NewIntent{Amount: tw.shop.Types[0].Price, OrderID: order, Key: "stranger-" + order})
		if err != nil {
			t.Fatal(err)
		}
		before := tw.heard.Load()
		tw.mustConfirm(t, checkout.Order{Payment: &payment.Payment{IntentID: in.ID, ClientSecret: in.ClientSecret}}, visa)
		eventually(t, "the stranger's webhooks", func() bool { return tw.heard.Load() > before+2 })
	}
	tw.mu.Lock()
	n := tw.notices[0]
	tw.mu.Unlock()
	err := tw.desks[0].Hear(t.Context(), append(slices.Clone(n.body), ' '), n.signature, time.Now())
	wantErr(t, err, payment.ErrBadSignature)
	if kind.Of(err) != kind.Invalid {
		t.Error(kind.Of(err).Status())
	}
	wantErr(t, tw.desks[0].Hear(t.Context(), n.body, n.signature, time.Now().Add(time.Hour)), payment.ErrBadSignature)
	tw.unaudited = true // the strangers' money is not in our books, and must not be
	if account, err := accounts(t.Context(), tw.stores[0].DB); err != nil || len(account) != 0 {
		t.Errorf("%v: %v", err, account)
	}
}

// A signed notice that names a payment which the provider does not know, or another
// order's, pays nothing, whatever it says; nor does money in another currency.
func TestHear_anUnknownPaymentPaysNothing(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 5)
	o, other := tw.order(t, tw.floor, 1), tw.paid(t, tw.floor, 1)
	unasked, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.floor, 1).ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	for n, forged := range []struct {
		intent, currency string
		order            checkout.Order
	}{{"pi_forged", "eur", o}, {"pi_forged", "eur", unasked}, {other.Payment.IntentID, "eur", o}, {"pi_forged", "jpy", o}} {
		notice := fmt.Sprintf(`{"id":"evt_forged%d","object":"event","created":%d,"type":"payment_intent.succeeded","data":{"object":{"id":%q,"object":"payment_intent",`+
			`"status":"succeeded","amount":4250,"amount_received":4250,"currency":%q,"metadata":{"order_id":%q}}}}`, n, time.Now().Unix(), forged.intent, forged.currency, forged.order.ID)
		if err := tw.hear(t.Context(), signed([]byte(notice), time.Now())); err != nil {
			t.Fatal(err)
		}
		tw.relook(t)
		tw.mustReconcile(t)
		if now := tw.look(t, forged.order.ID); now.State != checkout.Pending || len(now.Tickets) != 0 || tw.postings(t, now.ID) != 0 {
			t.Errorf("%+v: it is %s with %d tickets", forged, now.State, len(now.Tickets))
		}
	}
	var ignored int64
	if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), `SELECT count(*) FROM payment.notice WHERE notice_id LIKE 'evt_forged%' AND outcome = 'ignored'`).Scan(&ignored); err != nil || ignored != 4 {
		t.Errorf("%d are ignored, %v", ignored, err)
	}
}

// What a provider writes may have a NUL in it, which no text column takes: the notice is
// taken in, or refused as one that cannot be read, and is no fault of ours.
func TestHear_aNULInAProvidersTextIsNoFault(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 5)
	o, bought := tw.order(t, tw.floor, 1), tw.paid(t, tw.floor, 1)
	for n, object := range []string{
		`"id":"` + o.Payment.IntentID + `","status":"requires_payment_method","amount":4250,"currency":"eur","client_secret":"a\u0000b","metadata":{"order_id":"` + o.ID.String() +
			`"},"last_payment_error":{"type":"card_error","code":"c\u0000d","decline_code":"\u0000"}`,
		`"id":"dp_1","amount":4250,"currency":"eur","status":"warning_needs_response","reason":"fraud\u0000ulent","payment_intent":"` + bought.Payment.IntentID + `"`,
		`"id":"re_1","amount":1,"currency":"eur","status":"pending","reason":"\u0000","payment_intent":"` + bought.Payment.IntentID + `"`,
	} {
		kind := []string{"payment_intent.payment_failed", "charge.dispute.created", "refund.created"}[n]
		body := fmt.Sprintf(`{"id":"evt_nul%d","object":"event","created":%d,"type":%q,"data":{"object":{%s}}}`, n, time.Now().Unix(), kind, object)
		if err := tw.hear(t.Context(), signed([]byte(body), time.Now())); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, body := range []string{
		`{"id":"evt_nul","object":"event","created":1,"type":"charge\u0000.updated","data":{"object":{}}}`,
		`{"id":"evt_n\u0000ul","object":"event","created":1,"type":"charge.updated","data":{"object":{}}}`,
		`{"id":"evt_nul9","object":"event","created":1,"type":"charge.dispute.created","data":{"object":{"id":"dp_2","amount":1,"currency":"e\u0000r","status":"lost","payment_intent":"pi_1"}}}`,
	} {
		if err := tw.hear(t.Context(), signed([]byte(body), time.Now())); kind.Of(err) != kind.Invalid {
			t.Errorf("%s: %v", body, err)
		}
	}
	tw.mustReconcile(t)
	tw.unaudited = true // the provider knows neither that dispute nor that refund
}

const longestPause = `SELECT extract(epoch FROM max(coalesce(wake_at, 'infinity')) - clock_timestamp())::float8 FROM saga.run WHERE status = 'running'`

// P4 gives 60 s: whatever the reconciler heard, or did not hear, it looks again
// within twenty, so that three looks fit.
func TestReconcile_looksAgainSoonEnough(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	soon := func(when string) {
		t.Helper()
		var pause float64
		if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), longestPause).Scan(&pause); err != nil {
			t.Fatal(err)
		}
		if pause > 20 {
			t.Errorf("%s the next look is in %.1f s", when, pause)
		}
	}
	waiting := tw.order(t, tw.floor, 1)
	if _, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.floor, 1).ID, Buyer: buyer}); err != nil {
		t.Fatal(err)
	}
	soon("after the orders were made")
	for range 7 {
		if err := tw.reconcile(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		soon("while buyers take their time")
	}
	tw.faults(t, sandbox.Faults{Error500Percent: 100, WebhookBlackout: true})
	if err := tw.reconcile(t.Context(), 0); !errors.Is(err, payment.ErrProviderAway) {
		t.Error(err)
	}
	soon("while the provider is away")
	tw.runOut(t, waiting.ID)
	if err := tw.reconcile(t.Context(), 1); !errors.Is(err, payment.ErrProviderAway) {
		t.Error(err)
	}
	soon("while it is away and the window is over")
}

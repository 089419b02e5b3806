package checkout_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
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

// isAway: the provider fails every call and tells nothing.
var isAway = sandbox.Faults{Error500Percent: 100, WebhookBlackout: true}

// unprepared is an order that was made while the provider was away; lost: he made
// its payment, and nobody heard the answer.
func (tw *town) unprepared(t *testing.T, n int64, lost bool) checkout.Order {
	t.Helper()
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.floor, n).ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	tw.faults(t, isAway)
	ctx := t.Context()
	if lost {
		tw.faults(t, sandbox.Faults{TimeoutAfterEffectPercent: 100, WebhookBlackout: true})
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
	}
	_, err = tw.desks[0].Prepare(ctx, o.ID)
	wantErr(t, err, payment.ErrProviderAway)
	tw.faults(t, isAway)
	if lost {
		tw.reconcileAway(t) // its answer is given up
	}
	return o
}

// reconcileAway looks after everything while the provider is away.
func (tw *town) reconcileAway(t *testing.T) {
	t.Helper()
	if err := tw.reconcile(t.Context(), 0); err != nil && !errors.Is(err, payment.ErrProviderAway) {
		t.Fatal(err)
	}
}

// isBack: the provider answers again, and everything is looked after.
func (tw *town) isBack(t *testing.T) {
	t.Helper()
	tw.faults(t, sandbox.Faults{})
	for range 3 { // his news and our questions come by turns
		tw.mustReconcile(t)
	}
}

const pastGrace = `UPDATE checkout.orders SET expires_at = clock_timestamp() - INTERVAL '5 minutes' WHERE order_id = $1`

func (tw *town) wantOnePayment(t *testing.T, status string) {
	t.Helper()
	if all := tw.intents(t); len(all) != 1 || all[0].Status != status {
		t.Errorf("the provider has %+v, want one payment, %s", all, status)
	}
}

func (tw *town) wantLetters(t *testing.T, o checkout.Order, want ...notify.Kind) {
	t.Helper()
	var got []string
	rows, err := tw.stores[0].DB.Pool.Query(t.Context(), lettersOf, o.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		if err := rows.Scan(&kind); err != nil {
			t.Fatal(err)
		}
		got = append(got, kind)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, k := range want {
		kinds = append(kinds, string(k))
	}
	if strings.Join(got, " ") != strings.Join(kinds, " ") {
		t.Errorf("letters %v, want %v", got, kinds)
	}
}

const lettersOf = `SELECT kind FROM notify.message WHERE order_id = $1 ORDER BY created_at, kind`

// confirmLost pays a payment of which only the provider knows.
func (tw *town) confirmLost(t *testing.T) {
	t.Helper()
	all := tw.intents(t)
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	tw.atProvider(t, "/v1/payment_intents/"+all[0].ID+"/confirm", url.Values{"payment_method": {visa}})
}

// P4: the provider is away when the window of an order closes that nobody could pay.
// It is decided all the same: its stock is there for others, its buyer is told.
func TestLetGo_orderWithoutAPaymentExpiresWhileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		tw := openTown(t, 2)
		o := tw.unprepared(t, 2, lost)
		tw.wantStock(t, 2, 0)
		tw.reconcileAway(t)
		if now := tw.look(t, o.ID); now.State != checkout.Pending {
			t.Errorf("within its window it is %s", now.State)
		}
		tw.runOut(t, o.ID)
		tw.reconcileAway(t)
		now := tw.look(t, o.ID)
		if now.State != checkout.Expired || now.Payment.Settled {
			t.Errorf("%s, %+v", now.State, now.Payment)
		}
		wantMoments(t, now, "created", "expired")
		tw.wantStock(t, 0, 0)
		tw.wantLetters(t, o, notify.OrderExpired)
		_, err := tw.desks[0].Prepare(t.Context(), o.ID)
		wantErr(t, err, booking.ErrHoldExpired) // whoever asks for it now
		tw.isBack(t)
		tw.wantOnePayment(t, "canceled")
		if now := tw.look(t, o.ID); now.State != checkout.Expired || !now.Payment.Settled {
			t.Errorf("%s, %+v", now.State, now.Payment)
		}
		tw.wantLetters(t, o, notify.OrderExpired)
		tw.paid(t, tw.floor, 2)
	}
}

// Money that came on a payment which we never knew of: the stock is there, it is
// taken again (rule 3); it is gone, the money goes back by itself (rule 4).
func TestLetGo_moneyOnAPaymentThatNobodyKnewOf(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		tw := openTown(t, 2)
		o := tw.unprepared(t, 2, true)
		tw.runOut(t, o.ID)
		tw.reconcileAway(t)
		tw.await(t, o.ID, checkout.Expired)
		if gone {
			tw.hold(t, tw.floor, 1)
		}
		tw.faults(t, sandbox.Faults{WebhookBlackout: true})
		tw.confirmLost(t)
		tw.isBack(t)
		tw.wantOnePayment(t, "succeeded")
		now := tw.look(t, o.ID)
		if !gone {
			if now.State != checkout.Paid || len(now.Tickets) != 2 {
				t.Errorf("%s with %d tickets", now.State, len(now.Tickets))
			}
			continue
		}
		if now.State != checkout.Expired || now.Refund != checkout.FullRefund || len(now.Tickets) != 0 {
			t.Errorf("%s, refund %s, %d tickets", now.State, now.Refund, len(now.Tickets))
		}
		tw.wantRefunds(t, o, payment.ByLatePayment, 8500)
		tw.wantLetters(t, o, notify.OrderExpired, notify.LatePaymentRefund)
		tw.wantStock(t, 1, 0)
	}
}

// A webhook tells of a payment whose answer was lost, while the provider answers no
// calls: within the window it buys the tickets, behind it it is late money. It is
// heard once, however it comes to light (P5).
func TestLetGo_webhookOfAPaymentWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		tw := openTown(t, 2)
		o := tw.unprepared(t, 2, true)
		if late {
			tw.runOut(t, o.ID)
			tw.reconcileAway(t)
			tw.await(t, o.ID, checkout.Expired)
		}
		tw.faults(t, sandbox.Faults{WebhookBlackout: true})
		tw.confirmLost(t)
		tw.faults(t, sandbox.Faults{Error500Percent: 100})
		if !late {
			tw.await(t, o.ID, checkout.Paid)
		}
		eventually(t, "the webhooks", func() bool { return tw.heard.Load() >= 3 })
		tw.isBack(t)
		tw.wantOnePayment(t, "succeeded")
		if now := tw.look(t, o.ID); now.State != checkout.Paid || len(now.Tickets) != 2 || now.Refund != checkout.NoRefund {
			t.Errorf("%s with %d tickets", now.State, len(now.Tickets))
		}
		if n := tw.postings(t, o.ID); n != 3 {
			t.Errorf("%d postings, want one entry of 3", n)
		}
		tw.wantStock(t, 0, 2)
	}
}

// The buyer cancels while the provider is away, or the organizer the event: what may
// have been made is canceled behind it.
func TestLetGo_canceledWhileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		tw := openTown(t, 4)
		o := tw.unprepared(t, 2, lost)
		if _, err := tw.desks[1].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
			t.Fatal(err)
		}
		other := tw.unprepared(t, 1, false)
		tw.cancelEvent(t)
		tw.reconcileAway(t)
		tw.reconcileAway(t)
		tw.wantStock(t, 0, 0)
		tw.isBack(t)
		all := tw.intents(t)
		if len(all) != 2 || all[0].Status != "canceled" || all[1].Status != "canceled" {
			t.Errorf("%+v", all)
		}
		for _, o := range []checkout.Order{o, other} {
			if now := tw.look(t, o.ID); now.State != checkout.Canceled || !now.Payment.Settled {
				t.Errorf("%s, %+v", now.State, now.Payment)
			}
		}
		tw.wantLetters(t, o) // he did it himself
		tw.wantLetters(t, other, notify.EventCanceled)
	}
}

// A payment that is there may have been made in time: while the provider cannot be
// asked its stock is sold to nobody for the rest of the hold (rule 2), and money that
// was in time buys the tickets. Then the order is decided without him.
func TestLetGo_orderWithAPaymentIsDecidedWhenItsHoldEnds(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 4)
	o, inTime := tw.order(t, tw.floor, 2), tw.order(t, tw.floor, 1)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	tw.mustConfirm(t, inTime, visa)
	tw.faults(t, isAway)
	tw.runOut(t, o.ID)
	tw.runOut(t, inTime.ID)
	tw.reconcileAway(t)
	tw.reconcileAway(t)
	if now := tw.look(t, o.ID); now.State != checkout.Pending {
		t.Errorf("within its hold it is %s", now.State)
	}
	tw.wantStock(t, 3, 0)
	tw.faults(t, sandbox.Faults{Error500Percent: 100}) // his news come, and he answers nothing
	tw.await(t, inTime.ID, checkout.Paid)

	tw.exec(t, pastGrace, o.ID.String())
	tw.reconcileAway(t)
	if now := tw.look(t, o.ID); now.State != checkout.Expired || now.Payment.Settled {
		t.Errorf("%s, %+v", now.State, now.Payment)
	}
	tw.wantStock(t, 0, 1)
	tw.wantLetters(t, o, notify.OrderExpired)
	tw.isBack(t)
	if now := tw.look(t, o.ID); now.State != checkout.Expired || !now.Payment.Settled || now.Payment.State != payment.Canceled {
		t.Errorf("%s, %+v", now.State, now.Payment)
	}
	tw.wantLetters(t, o, notify.OrderExpired)
}

// It was paid in time, and nobody heard so until its hold had ended and the stock was
// gone: the money goes back by itself (rule 4).
func TestLetGo_moneyThatNobodyHeardOfUntilTheStockWasGone(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o := tw.order(t, tw.floor, 2)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	tw.mustConfirm(t, o, visa)
	tw.faults(t, isAway)
	tw.exec(t, pastGrace, o.ID.String())
	tw.reconcileAway(t)
	tw.await(t, o.ID, checkout.Expired)
	tw.hold(t, tw.floor, 1)
	tw.isBack(t)
	tw.await(t, o.ID, checkout.Expired)
	tw.wantRefunds(t, o, payment.ByLatePayment, 8500)
	tw.wantLetters(t, o, notify.OrderExpired, notify.LatePaymentRefund)
	tw.wantStock(t, 1, 0)
}

// The same with a card that was only authorized: where the stock is there it buys the
// tickets, for what is gone it is never charged.
func TestLetGo_authorizationThatNobodyHeardOf(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		tw := openTown(t, 2)
		for i := range tw.desks {
			tw.desks[i].Manual = true
		}
		o := tw.order(t, tw.floor, 2)
		tw.faults(t, sandbox.Faults{WebhookBlackout: true})
		tw.mustConfirm(t, o, visa)
		tw.faults(t, isAway)
		tw.exec(t, pastGrace, o.ID.String())
		tw.reconcileAway(t)
		tw.await(t, o.ID, checkout.Expired)
		if gone {
			tw.hold(t, tw.floor, 1)
		}
		tw.faults(t, sandbox.Faults{WebhookBlackout: true})
		tw.mustReconcile(t)
		tw.mustReconcile(t)
		now := tw.look(t, o.ID)
		if !gone {
			tw.wantOnePayment(t, "succeeded")
			if now.State != checkout.Paid || len(now.Tickets) != 2 {
				t.Errorf("%s with %d tickets", now.State, len(now.Tickets))
			}
			tw.wantLetters(t, o, notify.OrderExpired, notify.OrderPaid)
			continue
		}
		tw.wantOnePayment(t, "canceled")
		if now.State != checkout.Expired || now.Refund != checkout.NoRefund || !now.Payment.Settled {
			t.Errorf("%s, refund %s", now.State, now.Refund)
		}
		tw.wantStock(t, 1, 0)
	}
}

// A card that was authorized in time and of which nobody told is not let go when the
// window closes: its stock is still held.
func TestLetGo_authorizationInTimeIsReadBack(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	for i := range tw.desks {
		tw.desks[i].Manual = true
	}
	o := tw.order(t, tw.floor, 2)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	tw.mustConfirm(t, o, visa)
	tw.runOut(t, o.ID)
	tw.mustReconcile(t)
	if now := tw.look(t, o.ID); now.State != checkout.Paid {
		t.Errorf("it is %s", now.State)
	}
	tw.wantStock(t, 0, 2)
}

// A bank that is still deciding is no provider who is away: the stock is kept until it
// has decided, however long that takes.
func TestLetGo_bankThatIsStillDecidingIsWaitedFor(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true}) // nobody is heard while the desks change
	for i := range tw.desks {
		tw.desks[i].Processor = undecided{tw.desks[i].Processor}
	}
	o := tw.order(t, tw.floor, 2)
	tw.exec(t, pastGrace, o.ID.String())
	for range 3 {
		if err := tw.reconcile(t.Context(), 0); err != nil && !errors.Is(err, payment.ErrUndecided) {
			t.Fatal(err)
		}
	}
	if now := tw.look(t, o.ID); now.State != checkout.Pending {
		t.Errorf("it is %s", now.State)
	}
	tw.wantStock(t, 2, 0)
	for i := range tw.desks {
		tw.desks[i].Processor = tw.processor()
	}
	tw.mustReconcile(t)
	tw.await(t, o.ID, checkout.Expired)
}

// undecided is a provider whose buyer's bank is still deciding.
type undecided struct{ payment.Processor }

func (u undecided) CancelIntent(context.Context, string, string) (payment.Intent, error) {
	return payment.Intent{}, fmt.Errorf("%w: %w", payment.ErrUndecided, payment.ErrProviderAway)
}

// shut is a provider who is known not to answer: nobody asks him.
type shut struct{ payment.Processor }

func (shut) Ready() error { return payment.ErrProviderAway }

func (shut) CreateIntent(context.Context, payment.NewIntent) (payment.Intent, error) {
	return payment.Intent{}, errors.New("he was asked")
}

// An order for which the provider was never asked has nothing at him: it is over when
// its window closes. One question is enough, and he is asked again when he is back.
func TestLetGo_nothingIsLookedForWhereNobodyAsked(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 4)
	asked := tw.unprepared(t, 1, true)
	for i := range tw.desks {
		tw.desks[i].Processor = shut{tw.processor()}
	}
	never, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.floor, 1).ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tw.desks[0].Prepare(t.Context(), never.ID)
	wantErr(t, err, payment.ErrProviderAway)
	tw.runOut(t, asked.ID)
	tw.runOut(t, never.ID)
	tw.reconcileAway(t)
	tw.wantStock(t, 0, 0)
	for o, settled := range map[*checkout.Order]bool{&asked: false, &never: true} {
		if now := tw.look(t, o.ID); now.State != checkout.Expired || now.Payment.Settled != settled {
			t.Errorf("%s, %+v", now.State, now.Payment)
		}
		tw.wantLetters(t, *o, notify.OrderExpired)
	}
	for i := range tw.desks {
		tw.desks[i].Processor = tw.processor()
	}
	tw.isBack(t)
	tw.wantOnePayment(t, "canceled")
}

const (
	wakesIn = `SELECT extract(epoch FROM wake_at - clock_timestamp())::float8 FROM saga.run WHERE run_id = $1`
	closeIn = `UPDATE checkout.orders SET expires_at = clock_timestamp() + $2::float8 * INTERVAL '1 second' WHERE order_id = $1`
)

// However long the pauses between the questions have become, the next look is when
// the window closes; a call does not last longer either.
func TestLetGo_pausesEndWhenTheWindowCloses(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o := tw.unprepared(t, 1, false)
	for range 6 {
		tw.reconcileAway(t)
	}
	soon := func(most float64) {
		t.Helper()
		var in float64
		if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), wakesIn, "purchase:"+o.ID.String()).Scan(&in); err != nil {
			t.Fatal(err)
		}
		if in > most || in < most-2 {
			t.Errorf("the next look is in %.1f s, want %.0f", in, most)
		}
	}
	soon(20)
	tw.exec(t, closeIn, o.ID.String(), 7.5)
	tw.reconcileAway(t)
	soon(8)
}

// A hold that is being paid does not return to the shop while the decision waits, and
// a buyer who cancels in that time ends it at once.
func TestLetGo_buyerCancelsBehindTheWindow(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 2)
	o := tw.order(t, tw.floor, 2)
	tw.faults(t, isAway)
	tw.runOut(t, o.ID)
	tw.reconcileAway(t)
	_, err := tw.box.Hold(t.Context(), booking.Request{Hold: id.NewHold(tw.shop.ID), Lines: []booking.Line{{Type: tw.floor, Quantity: 1}}})
	wantErr(t, err, booking.ErrSoldOut)
	if _, err := tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
		t.Fatal(err)
	}
	tw.reconcileAway(t)
	tw.wantStock(t, 0, 0)
	tw.isBack(t)
	tw.wantOnePayment(t, "canceled")
	tw.wantLetters(t, o)
}

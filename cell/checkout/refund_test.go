package checkout_test

import (
	"errors"
	"net/http"
	"strings"
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

const feesOf = `SELECT coalesce(sum(amount), 0)::bigint FROM payment.posting WHERE order_id = $1 AND account = 'platform_fees'`

func (tw *town) fees(t *testing.T, o checkout.Order) (n int64) {
	t.Helper()
	if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), feesOf, o.ID.String()).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return -n
}

// What the policy keeps of orders that buyers cancel, whole and in parts, stays in the books
// beside the value of the valid orders: the audit at the end adds both up (P4).
func TestRefund_whatIsKeptStaysInTheBooks(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	keeps := booking.DraftRefundPolicy{Kind: booking.RefundAlways, FeeBasisPoints: 1000}
	if _, err := tw.box.Change(t.Context(), txn.None, tw.shop.ID, tw.shop.Organizer, 0, func(e *booking.Event, _ time.Time) error { return keeps.Set(e, "") }); err != nil {
		t.Fatal(err)
	}
	whole, part := tw.paid(t, tw.floor, 2), tw.paid(t, tw.odd, 3)
	if now, err := tw.desks[0].Cancel(t.Context(), txn.None, whole.ID, payment.ByBuyer); err != nil || now.State != checkout.Canceled || now.Kept != 850 {
		t.Errorf("%s, %d are kept, %v", now.State, now.Kept, err)
	}
	if now, err := tw.desks[1].RefundTickets(t.Context(), txn.None, part.ID, []id.Ticket{part.Tickets[0].ID}, payment.ByBuyer, ""); err != nil || now.State != checkout.Paid || now.Kept == 0 {
		t.Errorf("%s, %d are kept, %v", now.State, now.Kept, err)
	}
	tw.mustReconcile(t)
	tw.wantStock(t, 0, 2)
}

func TestRefund_inPartsUntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.odd, 3) // 103.02, of which 3.03 are fees
	if o.Total.Amount != 10302 || tw.fees(t, o) != 303 {
		t.Fatalf("total %d, fees %d", o.Total.Amount, tw.fees(t, o))
	}
	refund := func(amount int64) (checkout.Order, error) {
		return tw.desks[amount%2].Refund(t.Context(), txn.None, o.ID, amount, payment.ByOrganizer, "rain")
	}
	given, moments := int64(0), []string{"created", "paid", "refunded_in_part"}
	for _, amount := range []int64{1, 3333, 1000, 7} {
		now, err := refund(amount)
		if err != nil || now.State != checkout.Paid || now.Refund != checkout.PartialRefund {
			t.Fatalf("%v: %s, %s", err, now.State, now.Refund)
		}
		wantMoments(t, now, moments...)
		moments = []string{"created", "paid", "refunded_in_part", "refund_sent"} // each once
		given += amount
		if want := 303 - 303*given/10302; tw.fees(t, o) != want {
			t.Errorf("after %d our share is %d, want %d", given, tw.fees(t, o), want)
		}
		tw.mustReconcile(t)
		tw.audit(t)
		tw.faults(t, sandbox.Faults{})
	}
	tw.wantStock(t, 0, 3) // a part of the price is no ticket
	_, err := refund(10302 - given + 1)
	wantErr(t, err, checkout.ErrRefundTooLarge)
	if e := kind.As(err); e == nil || e.Fields["limit"] != 10302-given {
		t.Errorf("%v", err)
	}
	_, err = refund(-2)
	wantErr(t, err, checkout.ErrInvalidOrder)
	_, err = tw.desks[0].Refund(t.Context(), txn.None, o.ID, 1, payment.ByOrganizer, strings.Repeat("x", 201))
	wantErr(t, err, checkout.ErrInvalidOrder)

	now, err := refund(0) // what is left
	if err != nil || now.State != checkout.Canceled || now.Refund != checkout.FullRefund {
		t.Fatalf("%v: %s, %s", err, now.State, now.Refund)
	}
	for _, k := range tw.look(t, o.ID).Tickets {
		if k.State != checkout.TicketCanceled {
			t.Errorf("ticket %s is %s", k.ID, k.State)
		}
	}
	tw.mustReconcile(t)
	tw.wantRefunds(t, o, payment.ByOrganizer, 1, 7, 1000, 3333, 10302-given)
	tw.wantStock(t, 0, 0)
	if tw.fees(t, o) != 0 {
		t.Errorf("our share of nothing is %d", tw.fees(t, o))
	}
	_, err = refund(0)
	wantErr(t, err, checkout.ErrState)
}

// The last part is what is left, asked for by its amount.
func TestRefund_ofTheWholeByItsAmountIsAFullOne(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.floor, 1)
	now, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 4250, payment.ByOrganizer, "")
	if err != nil || now.State != checkout.Canceled || now.Refund != checkout.FullRefund {
		t.Fatalf("%v: %+v", err, now)
	}
	pending := tw.order(t, tw.floor, 1)
	_, err = tw.desks[0].Refund(t.Context(), txn.None, pending.ID, 0, payment.ByOrganizer, "")
	wantErr(t, err, checkout.ErrState)
}

// Many at once at both processes: never more than was paid goes back.
func TestRefund_crowdNeverGivesMoreThanWasPaid(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.floor, 2) // 85.00
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			_, err := tw.desks[i%2].Refund(t.Context(), txn.None, o.ID, 1500, payment.ByOrganizer, "")
			if err != nil && !errors.Is(err, checkout.ErrRefundTooLarge) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for range 2 {
		tw.mustReconcile(t)
	}
	tw.wantRefunds(t, o, payment.ByOrganizer, 1500, 1500, 1500, 1500, 1500)
	if now := tw.look(t, o.ID); now.State != checkout.Paid || now.Refund != checkout.PartialRefund {
		t.Errorf("%s, %s", now.State, now.Refund)
	}
}

// Regression 4: canceling a paid order gives stock and money back exactly once.
func TestCancel_paidGivesBackOnce(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o, other := tw.paid(t, tw.floor, 2), tw.paid(t, tw.floor, 3)
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			if i%4 == 3 {
				if err := tw.desks[i%2].Settle(t.Context(), o.ID, payment.Intent{ID: o.Payment.IntentID, State: payment.Captured, Received: 8500}); err != nil {
					t.Error(err)
				}
				return
			}
			if now, err := tw.desks[i%2].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil || now.State != checkout.Canceled {
				t.Errorf("%v: %s", err, now.State)
			}
		})
	}
	all.Wait()
	tw.wantStock(t, 0, 3)
	for range 2 {
		tw.mustReconcile(t)
	}
	tw.wantRefunds(t, o, payment.ByBuyer, 8500)
	if now := tw.look(t, other.ID); now.State != checkout.Paid || now.Tickets[2].State != checkout.TicketValid {
		t.Errorf("the neighbour is %s", now.State)
	}
}

// The provider is away when a refund is decided, or its answer is lost: it is sent
// later, once (P4, P5).
func TestRefund_isSentOnceTheProviderIsBack(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.floor, 1)
	tw.faults(t, sandbox.Faults{Error500Percent: 100})
	if _, err := tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
		t.Fatalf("a refund waits for the provider: %v", err)
	}
	if err := tw.reconcile(t.Context(), 0); !errors.Is(err, payment.ErrProviderAway) {
		t.Error(err)
	}
	tw.audit(t)
	tw.faults(t, sandbox.Faults{TimeoutAfterEffectPercent: 100})
	if err := tw.reconcile(t.Context(), 1); !errors.Is(err, payment.ErrProviderAway) { // done, and nobody heard
		t.Error(err)
	}
	tw.faults(t, sandbox.Faults{})
	tw.mustReconcile(t)
	tw.wantRefunds(t, o, payment.ByBuyer, 4250)
	wantMoments(t, tw.look(t, o.ID), "created", "paid", "canceled", "refund_sent")
}

// Somebody has refunded at the provider's own page: ours is refused, and not taken
// from the organizer a second time.
func TestRefund_refusedByTheProviderStaysOwed(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.floor, 1)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true}) // we are not told of it
	if _, err := tw.processor().Refund(t.Context(), o.Payment.IntentID, 4000, "by hand"); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 1000, payment.ByOrganizer, ""); err != nil {
		t.Fatal(err)
	}
	tw.mustReconcile(t)
	backs, err := tw.stores[0].Refunds(t.Context(), txn.None, o.ID)
	if err != nil || len(backs) != 1 || backs[0].State != payment.RefundFailed {
		t.Errorf("%v: %+v", err, backs)
	}
	wantMoments(t, tw.look(t, o.ID), "created", "paid", "refunded_in_part", "refund_refused_by_provider")
	_, err = tw.desks[0].Refund(t.Context(), txn.None, o.ID, 3251, payment.ByOrganizer, "")
	wantErr(t, err, checkout.ErrRefundTooLarge)
	account, err := accounts(t.Context(), tw.stores[0].DB)
	if err != nil || account[string(payment.OwedToBuyer)] != -1000 || account[string(payment.AtProvider)] != 4250 {
		t.Errorf("%v: %v", err, account)
	}
	tw.unaudited = true // money left the provider behind our back
}

// No such payment at the provider: there is nothing to cancel, and no money can come.
func TestReconcile_intentThatTheProviderDoesNotKnow(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.order(t, tw.floor, 1)
	tw.exec(t, `UPDATE payment.payment SET intent_id = 'pi_gone' WHERE order_id = $1`, o.ID.String())
	wantErr(t, tw.reconcile(t.Context(), 0), payment.ErrUnknownIntent) // within its window it is asked again
	tw.runOut(t, o.ID)
	tw.mustReconcile(t)
	if now := tw.look(t, o.ID); now.State != checkout.Expired {
		t.Errorf("it is %s", now.State)
	}
	tw.wantStock(t, 0, 0)
	// And should money come all the same, it is found where it was captured.
	if status, err := tw.confirm(t.Context(), o, visa); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	if now := tw.await(t, o.ID, checkout.Paid); now.Payment.IntentID != o.Payment.IntentID {
		t.Errorf("the money is at %s, we say %s", o.Payment.IntentID, now.Payment.IntentID)
	}
}

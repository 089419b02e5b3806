package checkout_test

import (
	"testing"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/txn"
)

const followed = `SELECT concat_ws(' ', (SELECT string_agg(concat_ws(' ', order_id, state, intent_id), ' ' ORDER BY order_id) FROM payment.payment),
	(SELECT string_agg(concat_ws(' ', refund_id, state, provider_id), ' ' ORDER BY refund_id) FROM payment.refund),
	(SELECT count(*) FROM payment.posting), (SELECT count(*) FROM checkout.moment))`

// followed is what the steps that follow a decision have written.
func (tw *town) followed(t *testing.T) (all string) {
	t.Helper()
	if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), followed).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// P1: the event was sealed after a decision and before what follows from it. Whatever
// the provider says of it, nothing is written here until the event is at home again.
func TestSealed_whatFollowsADecisionWaits(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.unaudited = true // what somebody refunded at the provider's own page is not in the ledger
	sent, refused := tw.paid(t, tw.floor, 1), tw.paid(t, tw.floor, 1)
	tw.mustReconcile(t)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true}) // we are not told of it
	if _, err := tw.processor().Refund(t.Context(), refused.Payment.IntentID, 4000, "by hand"); err != nil {
		t.Fatal(err)
	}
	for _, o := range []checkout.Order{sent, refused} {
		if _, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 1000, payment.ByOrganizer, ""); err != nil {
			t.Fatal(err)
		}
	}
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.floor, 1).ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	tw.exec(t, place, tw.shop.ID.String(), "sealed")
	before := tw.followed(t)
	_, err = tw.desks[0].Prepare(t.Context(), o.ID)
	wantErr(t, err, booking.ErrMoved)
	wantErr(t, tw.reconcile(t.Context(), 0), booking.ErrMoved)
	if after := tw.followed(t); after != before {
		t.Errorf("left\n%s\nwas\n%s", after, before)
	}
	tw.exec(t, place, tw.shop.ID.String(), "serving")
	tw.mustReconcile(t)
	if o, err = tw.desks[1].Prepare(t.Context(), o.ID); err != nil || o.Payment.IntentID == "" {
		t.Errorf("%+v, %v", o.Payment, err)
	}
	wantMoments(t, tw.look(t, sent.ID), "created", "paid", "refunded_in_part", "refund_sent")
	wantMoments(t, tw.look(t, refused.ID), "created", "paid", "refunded_in_part", "refund_refused_by_provider")
}

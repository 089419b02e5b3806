package checkout_test

import (
	"testing"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/stripe"
	"guichet/internal/txn"
)

// An event's cancellation cannot give back what a bank has in question: it leaves the
// order alone and ends the others, and the order ends when the bank has decided.
func TestCancelEvent_leavesDisputedOrdersToTheBankAndEndsThemThen(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]payment.Source{"win": payment.ByEventCancellation, "lose": payment.External} {
		tw := openTown(t, 10)
		disputed, other := tw.order(t, tw.floor, 2), tw.paid(t, tw.floor, 1)
		tw.mustConfirm(t, disputed, cardOfDispute)
		tw.awaitPayment(t, disputed.ID, payment.Disputed)
		tw.awaitInQuestion(t, 8500)
		tw.cancelEvent(t)
		eventually(t, "the other order to end", func() bool {
			tw.mustReconcile(t)
			return tw.look(t, other.ID).State == checkout.Canceled
		})
		if o := tw.look(t, disputed.ID); o.State != checkout.Paid || o.Refund != checkout.NoRefund {
			t.Errorf("in question, it is %s, refund %s", o.State, o.Refund)
		}
		tw.press(t, disputed, what)
		o := tw.awaitPayment(t, disputed.ID, payment.Captured)
		tw.awaitInQuestion(t, 0)
		wantTickets(t, o, checkout.TicketCanceled, checkout.TicketCanceled)
		tw.wantRevoked(t, o, true)
		backs, err := tw.stores[0].Refunds(t.Context(), txn.None, o.ID)
		if err != nil || len(backs) != 1 || backs[0].Source != want || backs[0].Amount.Amount != 8500 || o.State != checkout.Canceled {
			t.Errorf("%s: %s, %+v, %v", what, o.State, backs, err)
		}
		tw.wantStock(t, 0, 0)
	}
}

// Money that is captured later is disputed, handed on and declined as other money is.
func TestManual_disputesDeclinesAndDestinations(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 10)
	for _, d := range tw.desks {
		d.BasisPoints = 250
	}
	tw.payee(t)
	for range 2 {
		o := tw.order(t, tw.odd, 3) // 103.02, of which 5.53 are ours
		tw.mustConfirm(t, o, declined)
		tw.mustConfirm(t, o, visa)
		tw.awaitWorking(t, o, checkout.Paid)
		if own := tw.balance(t, payment.OwedTo(tw.shop.Organizer)); own != 0 || tw.balance(t, payment.AtProvider) != 553 {
			t.Errorf("the organizer is owed %d, the provider has %d", -own, tw.balance(t, payment.AtProvider))
		}
		if _, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 0, payment.ByOrganizer, ""); err != nil {
			t.Fatal(err)
		}
		tw.mustReconcile(t)
	}
	tested := tw.order(t, tw.floor, 1)
	for range checkout.MaxDeclines {
		tw.mustConfirm(t, tested, declined)
	}
	tw.awaitWorking(t, tested, checkout.Canceled)
}

func TestManual_aCapturedPaymentIsDisputed(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 10)
	o := tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, o, cardOfDispute)
	tw.awaitWorking(t, o, checkout.Paid)
	o = tw.awaitPayment(t, o.ID, payment.Disputed)
	wantTickets(t, o, checkout.TicketRevoked)
	tw.awaitInQuestion(t, 4250)
	tw.press(t, o, "lose")
	tw.awaitPayment(t, o.ID, payment.Captured)
	tw.awaitInQuestion(t, 0)
	tw.wantStock(t, 0, 0)
}

// An intent that offers other methods beside cards asks for a later capture of cards
// alone; a bank's transfer is taken at once.
func TestManual_besideMethodsThatKnowNoCapture(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 10)
	for i := range tw.desks {
		tw.desks[i] = tw.desk(t, tw.stores[i], stripe.New(stripe.Config{
			SecretKey: "sk_test_sandbox_euw3", PublishableKey: "pk_test_sandbox_euw3", WebhookSecret: "whsec_sandbox_euw3", BaseURL: tw.url, Timeout: 5 * time.Second,
			Methods: []string{"card", "ideal", "sepa_debit"},
		}))
	}
	card := tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, card, visa)
	wantMoments(t, tw.awaitWorking(t, card, checkout.Paid), "created", "payment_authorized", "paid")
	bank := tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, bank, "pm_sandbox_sepa_debit")
	wantMoments(t, tw.awaitWorking(t, bank, checkout.Paid), "created", "paid")
	tw.wantStock(t, 0, 2)
}

// A seat is as free as the ticket that was for it is void, whatever became of the money.
func TestSeats_comeBackWithSingleTicketsAndLostDisputes(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 1)
	tw.sellSeats(t, 6)
	o := tw.order(t, tw.floor, 3)
	tw.mustConfirm(t, o, visa)
	o = tw.awaitWorking(t, o, checkout.Paid)
	tw.wantSeats(t, 0, 3)
	if _, err := tw.desks[0].RefundTickets(t.Context(), txn.None, o.ID, []id.Ticket{o.Tickets[1].ID}, payment.ByOrganizer, ""); err != nil {
		t.Fatal(err)
	}
	tw.wantSeats(t, 0, 2)
	disputed := tw.order(t, tw.floor, 3)
	tw.mustConfirm(t, disputed, cardOfDispute)
	tw.awaitWorking(t, disputed, checkout.Paid)
	tw.awaitPayment(t, disputed.ID, payment.Disputed)
	tw.awaitInQuestion(t, 12000)
	tw.wantSeats(t, 0, 5) // blocked, and nobody else's
	tw.press(t, disputed, "lose")
	tw.awaitPayment(t, disputed.ID, payment.Captured)
	tw.awaitInQuestion(t, 0)
	tw.wantSeats(t, 0, 2)
	tw.mustReconcile(t)
}

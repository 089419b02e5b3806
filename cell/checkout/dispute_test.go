package checkout_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/cell/ticket"
	"guichet/internal/txn"
)

const cardOfDispute = "pm_card_createDispute"

// press is a button of the sandbox's page.
func (tw *town) press(t *testing.T, o checkout.Order, what string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tw.url+"/sandbox/payments/"+o.Payment.IntentID+"/"+what, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", what, resp.Status)
	}
}

// signed is a notice as the provider would send it at this moment.
func signed(body []byte, at time.Time) notice {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte("whsec_sandbox_euw3"))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return notice{body, "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))}
}

// events are all that the provider has to tell, in the order in which it happened.
func (tw *town) events(t *testing.T) []json.RawMessage {
	t.Helper()
	all, err := list[json.RawMessage](t.Context(), tw, "events")
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

const noticesDue = `UPDATE payment.notice SET next_look_at = clock_timestamp() WHERE outcome = 'waiting'`

// relook does at once what a process does every few seconds.
func (tw *town) relook(t *testing.T) {
	t.Helper()
	if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), noticesDue); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.desks[0].Relook(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (tw *town) awaitPayment(t *testing.T, order id.Order, want payment.State) (o checkout.Order) {
	t.Helper()
	eventually(t, "the payment to be "+string(want), func() bool {
		tw.relook(t)
		o = tw.look(t, order)
		return o.Payment.State == want
	})
	return tw.look(t, order) // an order is read in several steps, its payment last
}

// awaitInQuestion waits for what banks have in question.
func (tw *town) awaitInQuestion(t *testing.T, want int64) {
	t.Helper()
	eventually(t, strconv.FormatInt(want, 10)+" to be in question", func() bool {
		tw.relook(t)
		return tw.balance(t, payment.Disputes) == want
	})
}

func (tw *town) balance(t *testing.T, a payment.Account) int64 {
	t.Helper()
	all, err := accounts(t.Context(), tw.stores[0].DB)
	if err != nil {
		t.Fatal(err)
	}
	return all[string(a)]
}

func wantTickets(t *testing.T, o checkout.Order, want ...checkout.TicketState) {
	t.Helper()
	var got []checkout.TicketState
	for _, k := range o.Tickets {
		got = append(got, k.State)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("tickets are %v, want %v", got, want)
	}
}

// wantRevoked holds the gates' list to an order's tickets.
func (tw *town) wantRevoked(t *testing.T, o checkout.Order, want bool) {
	t.Helper()
	list, _, _, err := tw.stores[0].Revocations(t.Context(), tw.shop.ID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range o.Tickets {
		mark := ticket.Mark(k.Barcode)
		if on := slices.ContainsFunc(list, func(r checkout.Revocation) bool { return r.Mark == mark }); on != want {
			t.Errorf("the barcode of %s, which is %s, is revoked: %t, want %t", k.ID, k.State, on, want)
		}
	}
}

func TestDispute_blocksTicketsUntilTheBankDecidesForUs(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.order(t, tw.floor, 2)
	tw.mustConfirm(t, o, cardOfDispute)
	o = tw.awaitPayment(t, o.ID, payment.Disputed)
	tw.awaitInQuestion(t, 8500)
	if o.State != checkout.Paid {
		t.Errorf("the order is %s", o.State)
	}
	wantTickets(t, o, checkout.TicketRevoked, checkout.TicketRevoked)
	tw.wantStock(t, 0, 2)
	tw.wantRevoked(t, o, true) // gates without a network do not let them in
	_, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 100, payment.ByOrganizer, "")
	wantErr(t, err, payment.ErrDisputed)
	_, err = tw.desks[1].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer)
	wantErr(t, err, payment.ErrDisputed)
	_, err = tw.desks[1].RefundTickets(t.Context(), txn.None, o.ID, []id.Ticket{o.Tickets[0].ID}, payment.ByOrganizer, "")
	wantErr(t, err, payment.ErrDisputed)

	tw.press(t, o, "win")
	o = tw.awaitPayment(t, o.ID, payment.Captured)
	wantTickets(t, o, checkout.TicketValid, checkout.TicketValid)
	tw.wantRevoked(t, o, false) // their barcodes are new
	tw.awaitInQuestion(t, 0)
	if n := tw.balance(t, payment.ProviderFees); n != 1500 {
		t.Errorf("the provider kept %d, want its fee of 1500", n)
	}
	if o.Refund != checkout.NoRefund {
		t.Errorf("refund status %s", o.Refund)
	}
	if _, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 0, payment.ByOrganizer, ""); err != nil {
		t.Errorf("after it is won: %v", err)
	}
	tw.unaudited = true // the provider refuses to refund a charge that was disputed twice over; here it is only decided
}

func TestDispute_lostVoidsTheOrderAndIsBorneInStep(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.order(t, tw.floor, 2)
	tw.mustConfirm(t, o, cardOfDispute)
	tw.awaitPayment(t, o.ID, payment.Disputed)
	tw.press(t, o, "lose")
	o = tw.awaitPayment(t, o.ID, payment.Captured)
	wantTickets(t, o, checkout.TicketCanceled, checkout.TicketCanceled)
	tw.wantRevoked(t, o, true)
	tw.wantStock(t, 0, 0)
	tw.awaitInQuestion(t, 0)
	backs, err := tw.stores[0].Refunds(t.Context(), txn.None, o.ID)
	if err != nil || len(backs) != 1 || backs[0].Source != payment.External || backs[0].State != payment.RefundDone || backs[0].Amount.Amount != 8500 {
		t.Errorf("%v: %+v", err, backs)
	}
	if o.Refund != checkout.FullRefund || tw.balance(t, payment.OwedTo(tw.shop.Organizer)) != 0 || tw.balance(t, payment.Fees) != 0 || tw.balance(t, payment.AtProvider) != -1500 {
		t.Errorf("%s; organizer %d, platform %d, provider %d", o.Refund, tw.balance(t, payment.OwedTo(tw.shop.Organizer)), tw.balance(t, payment.Fees), tw.balance(t, payment.AtProvider))
	}
}

func TestDispute_keepsTicketsWhereTheOrganizerWantsIt(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	if err := tw.stores[0].SetPolicy(t.Context(), txn.None, tw.shop.ID, payment.Keep); err != nil {
		t.Fatal(err)
	}
	o := tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, o, cardOfDispute)
	o = tw.awaitPayment(t, o.ID, payment.Disputed)
	wantTickets(t, o, checkout.TicketValid)
	tw.press(t, o, "lose")
	o = tw.awaitPayment(t, o.ID, payment.Captured)
	wantTickets(t, o, checkout.TicketValid)
	if o.State != checkout.Paid || o.Refund != checkout.FullRefund {
		t.Errorf("%s, %s", o.State, o.Refund)
	}
	_, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 1, payment.ByOrganizer, "")
	wantErr(t, err, checkout.ErrRefundTooLarge)
}

func TestDispute_inquiryLeavesEverythingAsItIs(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, o, "pm_card_createDisputeInquiry")
	o = tw.await(t, o.ID, checkout.Paid)
	eventually(t, "the inquiry to be noted", func() bool {
		tw.relook(t)
		return slices.ContainsFunc(tw.look(t, o.ID).Timeline, func(m checkout.Moment) bool { return m.What == "dispute_warning" })
	})
	o = tw.look(t, o.ID)
	wantTickets(t, o, checkout.TicketValid)
	if o.Payment.State != payment.Captured || tw.balance(t, payment.Disputes) != 0 {
		t.Errorf("%s, %d in question", o.Payment.State, tw.balance(t, payment.Disputes))
	}
	if _, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 100, payment.ByOrganizer, ""); err != nil {
		t.Error(err)
	}
	tw.mustReconcile(t)
}

// All that there is to tell comes backwards: the dispute before the payment that it
// is about waits, and in the end everything is as if told in order.
func TestDispute_toldBackwardsEndsTheSame(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]checkout.State{"win": checkout.Paid, "lose": checkout.Canceled} {
		tw := openTown(t, 10)
		tw.faults(t, sandbox.Faults{WebhookBlackout: true})
		o := tw.order(t, tw.floor, 1)
		tw.mustConfirm(t, o, cardOfDispute)
		tw.press(t, o, what)
		all := tw.events(t)
		slices.Reverse(all)
		for _, body := range all {
			if err := tw.hear(t.Context(), signed(body, time.Now())); err != nil {
				t.Fatal(err)
			}
		}
		var waiting int64
		if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), `SELECT count(*) FROM payment.notice WHERE outcome = 'waiting'`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting != 3+map[string]int64{"win": 1}[what] {
			t.Errorf("%d notices wait", waiting)
		}
		tw.exec(t, noticesDue)
		if n, err := tw.desks[1].Relook(t.Context()); err != nil || int64(n) != waiting {
			t.Errorf("looked at %d again, %v", n, err)
		}
		now := tw.look(t, o.ID)
		if now.State != want || now.Payment.State != payment.Captured || tw.balance(t, payment.Disputes) != 0 {
			t.Errorf("%s: %s, %s, %d in question", what, now.State, now.Payment.State, tw.balance(t, payment.Disputes))
		}
		if n, err := tw.desks[0].Relook(t.Context()); err != nil || n != 0 {
			t.Errorf("%d notices still wait, %v", n, err)
		}
	}
}

// A dispute about a payment of another system that shares the account is kept and,
// after as many looks as it gets, ignored.
func TestDispute_ofAStrangerIsIgnoredInTheEnd(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 1)
	var became []payment.Outcome
	tw.desks[0].OnNotice = func(_ string, o payment.Outcome) { became = append(became, o) }
	body := `{"id":"evt_s","object":"event","created":1,"type":"charge.dispute.created","data":{"object":{"id":"dp_s","status":"needs_response","amount":5,"currency":"eur","payment_intent":"pi_s"}}}`
	n := signed([]byte(body), time.Now())
	if err := tw.desks[0].Hear(t.Context(), n.body, n.signature, time.Now()); err != nil {
		t.Fatal(err)
	}
	for range 25 {
		if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), noticesDue); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.desks[0].Relook(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(became, []payment.Outcome{payment.Waiting, payment.Ignored}) {
		t.Errorf("it became %v", became)
	}
	stored, ok, err := tw.stores[0].Notice(t.Context(), "evt_s")
	if err != nil || !ok || stored.Outcome != payment.Ignored || !strings.Contains(string(stored.Body), "dp_s") {
		t.Errorf("%+v, %t, %v", stored, ok, err)
	}
}

// tellDispute is a notice of one of an order's disputes.
func (tw *town) tellDispute(t *testing.T, o checkout.Order, dispute, what, status string, amount int64) {
	t.Helper()
	body := fmt.Sprintf(`{"id":"evt_%s_%s","object":"event","created":1,"type":"charge.dispute.%s","data":{"object":{"id":"%s","status":"%s","amount":%d,"currency":"eur","payment_intent":"%s"}}}`,
		dispute, status, what, dispute, status, amount, o.Payment.IntentID)
	if err := tw.hear(t.Context(), signed([]byte(body), time.Now())); err != nil {
		t.Fatal(err)
	}
}

// A charge may be disputed in two parts. What the bank decides of one says nothing of
// the other: the tickets are blocked until the last one is decided, whichever that is.
func TestDispute_twoOfOneOrderKeepItsTicketsBlockedUntilBothAreDecided(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][2]string{"the first is won first": {"dp_1", "dp_2"}, "the second is won first": {"dp_2", "dp_1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tw := openTown(t, 10)
			tw.unaudited = true // the disputes are told by hand, the provider knows none
			o := tw.paid(t, tw.floor, 2)
			for _, dispute := range []string{"dp_1", "dp_2"} {
				tw.tellDispute(t, o, dispute, "created", "needs_response", 2000)
			}
			wantTickets(t, tw.look(t, o.ID), checkout.TicketRevoked, checkout.TicketRevoked)
			tw.tellDispute(t, o, order[0], "closed", "won", 2000)
			now := tw.look(t, o.ID)
			wantTickets(t, now, checkout.TicketRevoked, checkout.TicketRevoked)
			tw.wantRevoked(t, now, true)
			if now.Payment.State != payment.Disputed {
				t.Errorf("the payment is %s", now.Payment.State)
			}
			tw.tellDispute(t, o, order[1], "closed", "won", 2000)
			now = tw.look(t, o.ID)
			wantTickets(t, now, checkout.TicketValid, checkout.TicketValid)
			tw.wantRevoked(t, now, false)
			if now.Payment.State != payment.Captured {
				t.Errorf("in the end the payment is %s", now.Payment.State)
			}
		})
	}
}

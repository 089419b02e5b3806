package api_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
)

const foreignNotice = `{"id":"evt_1Nabc","object":"event","api_version":"2023-10-16","created":1700000000,"type":"charge.updated","data":{"object":{"id":"ch_1","object":"charge"}}}`

// signature is the Stripe-Signature of a body by now (docs.stripe.com/webhooks#verify-manually).
func signature(body string) string {
	at := time.Now().Unix()
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	_, _ = fmt.Fprintf(mac, "%d.%s", at, body)
	return fmt.Sprintf("t=%d,v1=%s", at, hex.EncodeToString(mac.Sum(nil)))
}

// settled waits until the reconciler has nothing left to do.
func (s *stage) settled(t *testing.T) {
	t.Helper()
	eventually(t, "all refunds are sent", func() bool {
		if _, err := s.server.Checkout.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		var open int
		if err := s.store.DB.Pool.QueryRow(t.Context(), "SELECT count(*) FROM payment.refund WHERE state = 'created'").Scan(&open); err != nil {
			t.Fatal(err)
		}
		return open == 0
	})
}

func TestRefund_buyersGetTheWholeOrganizersMayGiveAPart(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.floor, 2) // 85.00 EUR
	path := "POST /v1/orders/" + o.ID + "/refunds"
	other := bearer(s.account(t, "Other").APIKey)
	before := s.rows(t)
	s.ask(t, path, object{"amount": eur(1000)}).want(t, "403 not_allowed")
	for _, amount := range []object{eur(0), eur(-1), {"amount": 100, "currency": "USD"}} {
		s.ask(t, path, object{"amount": amount}).want(t, "400 invalid_order /amount")
	}
	s.ask(t, path, object{"amount": object{"amount": 100}}).want(t, "400 missing_field /amount/currency")
	s.ask(t, path, object{"amount": object{}}).want(t, "400 missing_field /amount/amount")
	s.ask(t, path, object{"amount": eur(8501)}, s.bearer).want(t, "422 refund_too_large")
	s.ask(t, path, object{"reason": "x\x07"}, s.bearer).want(t, "400 invalid_order /reason")
	first, second := object{"ticket_id": o.Tickets[0].ID}, object{"ticket_id": o.Tickets[1].ID}
	s.ask(t, path, object{"items": []object{first, second, first}}, s.bearer).want(t, "400 invalid_order /items/2/ticket_id")
	s.ask(t, path, object{"amount": eur(100)}, other).want(t, "404 order_not_found")
	if after := s.rows(t); after != before {
		t.Errorf("refused refunds left\n%s\nwas\n%s", after, before)
	}

	part := s.ask(t, path, object{"amount": eur(1000), "reason": "late start"}, s.bearer, key("part")).want(t, "201")
	if got := read[client.Order](t, part); got.State != "paid" || got.RefundStatus != "partial" || got.Tickets[0].State != "valid" || got.Payment != nil {
		t.Errorf("%+v", got)
	}
	again := s.ask(t, path, object{"amount": eur(1000), "reason": "late start"}, s.bearer, key("part")).want(t, "201")
	if string(again.body) != string(part.body) || again.header.Get("Idempotent-Replayed") != "true" || s.count(t, "payment.refund") != 1 {
		t.Errorf("the repetition is another answer: %s", again.body)
	}
	if a := s.ask(t, path, object{"amount": eur(7501)}, s.bearer).want(t, "422 refund_too_large"); a.member("limit") != "7500" {
		t.Errorf("%s", a.body)
	}
	all := read[client.Order](t, s.ask(t, path, object{"reason": "I cannot come"}).want(t, "201"))
	if all.State != "canceled" || all.RefundStatus != "full" || all.Tickets[0].State != "canceled" {
		t.Errorf("%+v", all)
	}
	s.ask(t, path, object{}).want(t, "409 invalid_state")
	s.settled(t)
	var given int64
	if err := s.store.DB.Pool.QueryRow(t.Context(), "SELECT sum(amount) FROM payment.refund WHERE state IN ('done', 'in_transit')").Scan(&given); err != nil || given != 8500 {
		t.Errorf("%d given back, %v", given, err)
	}
	if q := s.quota(t, 0); q.Sold != 0 || q.Free != 100 {
		t.Errorf("%+v", q)
	}
}

func TestCancel_ofAPaidOrderRefundsTheWhole(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.both, 2)
	for _, replayed := range []string{"", "true"} {
		a := s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil, key("c")).want(t, "200")
		if got := read[client.Order](t, a); got.State != "canceled" || got.RefundStatus != "full" || a.header.Get("Idempotent-Replayed") != replayed {
			t.Errorf("%s %s", a.header, a.body)
		}
	}
	s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200")
	s.settled(t)
	if q := s.quota(t, 1); q.Sold != 0 || q.Free != 5 || s.count(t, "payment.refund") != 1 {
		t.Errorf("%+v, %d refunds", q, s.count(t, "payment.refund"))
	}
}

// Every refund is there to be seen, by the order's buyer and by its organizer: in the
// answer that made it, in the list, and in the timeline with its amount.
func TestRefunds_areListedWithIdAmountAndTickets(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.floor, 3) // 42.50 EUR each
	path := "/v1/orders/" + o.ID + "/refunds"
	if a := s.ask(t, "GET "+path, nil).want(t, "200"); string(a.body) != `{"items":[],"next_cursor":null}` {
		t.Errorf("before any: %s", a.body)
	}
	first := read[client.Order](t, s.ask(t, "POST "+path, object{"amount": eur(1000), "reason": "late start"}, s.bearer).want(t, "201"))
	ticket := o.Tickets[1].ID
	second := read[client.Order](t, s.ask(t, "POST "+path, object{"items": []object{{"ticket_id": ticket}}}, s.bearer).want(t, "201"))
	if first.Refund == nil || second.Refund == nil || first.Refund.Amount.Amount != 1000 || second.Refund.Amount.Amount != 4250 || first.Refund.ID == second.Refund.ID {
		t.Fatalf("%+v, %+v", first.Refund, second.Refund)
	}
	for _, as := range []with{s.bearer, func(*http.Request) {}} {
		list := read[client.RefundList](t, s.ask(t, "GET "+path, nil, as).want(t, "200")).Items
		if len(list) != 2 || list[0].ID != first.Refund.ID || list[1].ID != second.Refund.ID {
			t.Fatalf("%+v", list)
		}
		if list[0].Reason != "late start" || list[0].Source != "organizer" || len(list[0].Items) != 0 || list[0].CreatedAt.IsZero() {
			t.Errorf("%+v", list[0])
		}
		if len(list[1].Items) != 1 || list[1].Items[0].TicketID != ticket || list[1].Amount != (money.Money{Amount: 4250, Currency: "EUR"}) {
			t.Errorf("%+v", list[1])
		}
	}
	shown := map[string]int64{}
	for _, m := range read[client.Order](t, s.ask(t, "GET /v1/orders/"+o.ID, nil).want(t, "200")).Timeline {
		if m.What == "refund" && m.Amount != nil {
			shown[m.RefundID] = m.Amount.Amount
		}
	}
	if len(shown) != 2 || shown[first.Refund.ID] != 1000 || shown[second.Refund.ID] != 4250 {
		t.Errorf("the timeline has %v", shown)
	}
	s.ask(t, "GET "+path, nil, bearer(s.account(t, "Other").APIKey)).want(t, "404 order_not_found")
	canceled := read[client.Order](t, s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil, key("c")).want(t, "200"))
	if canceled.Refund == nil || canceled.Refund.Amount.Amount != 7500 || canceled.Refund.Source != "buyer" {
		t.Errorf("%+v", canceled.Refund)
	}
	s.settled(t)
}

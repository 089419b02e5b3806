package api_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/cell/client"
)

// payee makes an account at the provider that is connected to the cell's.
func (h *house) payee(t testing.TB, more string) string {
	t.Helper()
	body := h.atProvider(t, "/v1/accounts", "type=express&country=FR"+more)
	_, rest, _ := strings.Cut(body, `"id":"`)
	id, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal(body)
	}
	return id
}

func (h *house) atProvider(t testing.TB, path, form string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.paying+path, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk_test_sandbox_euw3")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v %s", resp.StatusCode, err, body)
	}
	return string(body)
}

func TestPayouts_sayWhatTheOrganizerIsOwed(t *testing.T) {
	t.Parallel()
	s := open(t, func(h *house) { h.server.Checkout.BasisPoints = 1000 }).stage(t)
	path := "GET /v1/organizers/" + s.org.ID + "/payouts"
	s.ask(t, path, nil, s.bearer).want(t, "200").looks(t, `{"organizer_id":"org_1","cell":"euw3","payment_account":null,"balances":[]}`)
	o := s.paid(t, s.floor, 2) // 85.00, of which 5.00 are fees on top and 8.00 basis points
	got := read[client.Payouts](t, s.ask(t, path, nil, s.bearer).want(t, "200"))
	if len(got.Balances) != 1 || got.Balances[0].Sold.Amount != 7200 || got.Balances[0].Owed.Amount != 7200 || got.Balances[0].Currency != "EUR" {
		t.Errorf("%+v", got)
	}
	s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", object{"amount": eur(850)}, s.bearer).want(t, "201")
	got = read[client.Payouts](t, s.ask(t, path+"?home_region=eu-west-3", nil, s.bearer).want(t, "200"))
	if b := got.Balances[0]; b.Sold.Amount != 7200 || b.Refunded.Amount != 720 || b.Owed.Amount != 6480 || b.PaidOut.Amount != 0 {
		t.Errorf("%+v", b)
	}
	other := s.account(t, "Other")
	s.ask(t, path, nil).want(t, "401 unauthorized")
	s.ask(t, path, nil, bearer(other.APIKey)).want(t, "403 forbidden")
	s.ask(t, path+"?home_region=us-east-1", nil, s.bearer).want(t, "421 moved")
	s.ask(t, path+"?home_region=mars", nil, s.bearer).want(t, "400 unknown_region")
	s.ask(t, "GET /v1/organizers/org_x/payouts", nil, s.bearer).want(t, "400 invalid_id")
}

// What an organizer is owed is in the price's currency, whatever his own account settles
// in; where that is another, he is told.
func TestPayouts_sayThatTheAccountSettlesInAnotherCurrency(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.paid(t, s.floor, 1)
	for currency, want := range map[string]string{"EUR": "", "GBP": "GBP"} {
		if _, err := s.store.DB.Pool.Exec(t.Context(), `INSERT INTO payment.payee (organizer_id, account, country, currency) VALUES ($1, 'acct_1', 'GB', $2)
			ON CONFLICT (organizer_id) DO UPDATE SET currency = excluded.currency`, s.org.ID, currency); err != nil {
			t.Fatal(err)
		}
		got := read[client.Payouts](t, s.ask(t, "GET /v1/organizers/"+s.org.ID+"/payouts", nil, s.bearer).want(t, "200"))
		if len(got.Balances) != 1 || got.Balances[0].SettledIn != want || got.Balances[0].Currency != "EUR" {
			t.Errorf("%s: %+v", currency, got)
		}
	}
}

func TestPaymentAccount_takesTheShareOfNewOrders(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	path := "PUT /v1/organizers/" + s.org.ID + "/payment_account"
	to := s.payee(t, "")
	restricted := s.payee(t, "&metadata[sandbox_restricted]=1")
	before := s.order(t, s.hold(t, s.floor, 1))
	s.ask(t, path, object{"stripe_account": "acct_none"}, s.bearer).want(t, "422 payment_account_unknown")
	s.ask(t, path, object{"stripe_account": "../../v1"}, s.bearer).want(t, "422 payment_account_unknown")
	s.ask(t, path, object{"stripe_account": restricted}, s.bearer).want(t, "422 payment_account_unusable")
	s.ask(t, path, object{"stripe_account": 7}, s.bearer)
	s.ask(t, path, object{"stripe_account": to}, bearer(s.account(t, "Other").APIKey)).want(t, "403 forbidden")
	if n := s.count(t, "payment.payee"); n != 0 {
		t.Errorf("%d accounts were stored by refused requests", n)
	}
	s.ask(t, path, object{"stripe_account": to}, s.bearer).want(t, "200").looks(t, `{"stripe_account":"`+to+`","country":"FR","currency":"EUR"}`)

	o := s.paid(t, s.floor, 2)
	s.confirm(t, before.Payment.ClientSecret, "pm_card_visa")
	eventually(t, "the order from before to be paid", func() bool { return s.look(t, before.ID).State == "paid" })
	payouts := "GET /v1/organizers/" + s.org.ID + "/payouts"
	got := read[client.Payouts](t, s.ask(t, payouts, nil, s.bearer).want(t, "200"))
	if b := got.Balances[0]; b.Sold.Amount != 12_000 || b.PaidOut.Amount != 8000 || b.Owed.Amount != 4000 || got.Account == nil || got.Account.StripeAccount != to {
		t.Errorf("%+v", got)
	}
	s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", object{}, s.bearer).want(t, "201")
	s.settled(t)
	got = read[client.Payouts](t, s.ask(t, payouts, nil, s.bearer).want(t, "200"))
	if b := got.Balances[0]; b.Refunded.Amount != 8000 || b.PaidOut.Amount != 0 || b.Owed.Amount != 4000 {
		t.Errorf("after the refund: %+v", b)
	}
	s.ask(t, path, object{"stripe_account": nil}, s.bearer).want(t, "200")
	if got := read[client.Payouts](t, s.ask(t, payouts, nil, s.bearer).want(t, "200")); got.Account != nil {
		t.Errorf("the account is still there: %+v", got.Account)
	}
}

func TestRefund_ofSingleTicketsAtTheirPrice(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.floor, 3)
	path := "POST /v1/orders/" + o.ID + "/refunds"
	one := []object{{"ticket_id": o.Tickets[1].ID}}
	s.ask(t, path, object{"items": []object{}}, s.bearer).want(t, "400 invalid_order /items")
	s.ask(t, path, object{"items": one, "amount": eur(5)}, s.bearer).want(t, "400 invalid_order /items")
	s.ask(t, path, object{"items": []object{{"ticket_id": "tkt"}}}, s.bearer).want(t, "400 invalid_id /items/0/ticket_id")
	_, stranger := strangers()
	s.ask(t, path, object{"items": []object{{"ticket_id": strings.Replace(stranger, "ord_", "tkt_", 1)}}}, s.bearer).want(t, "404 ticket_not_found")
	got := read[client.Order](t, s.ask(t, path, object{"items": one}, s.bearer, key("one")).want(t, "201"))
	if got.State != "paid" || got.RefundStatus != "partial" || got.Tickets[1].State != "canceled" || got.Tickets[0].State != "valid" {
		t.Errorf("%+v", got)
	}
	s.ask(t, path, object{"items": one}, s.bearer, key("one")).want(t, "201")
	s.ask(t, path, object{"items": one}, s.bearer).want(t, "409 invalid_state /items/0/ticket_id")
	if q := s.quota(t, 0); q.Sold != 2 {
		t.Errorf("%+v", q)
	}
	s.settled(t)
}

func TestPaymentPolicy_decidesAboutTicketsInDispute(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	path := "PUT " + s.path() + "/payment_policy"
	s.ask(t, path, object{"on_dispute": "burn"}, s.bearer).want(t, "400 invalid_payment_settings /on_dispute")
	s.ask(t, path, object{"on_dispute": "keep"}, bearer(s.account(t, "Other").APIKey)).want(t, "404 event_not_found")
	for policy, state := range map[any]string{"keep": "valid", "block": "revoked", nil: "revoked"} {
		s.ask(t, path, object{"on_dispute": policy}, s.bearer).want(t, "200")
		o := s.order(t, s.hold(t, s.floor, 1))
		s.confirm(t, o.Payment.ClientSecret, "pm_card_createDispute")
		eventually(t, "the dispute", func() bool {
			if _, err := s.store.DB.Pool.Exec(t.Context(), "UPDATE payment.notice SET next_look_at = now() WHERE outcome = 'waiting'"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.server.Checkout.Relook(t.Context()); err != nil {
				t.Fatal(err)
			}
			return s.look(t, o.ID).PaymentState == "disputed"
		})
		if o = s.look(t, o.ID); o.State != "paid" || o.Tickets[0].State != state {
			t.Errorf("with %v it is %s, its ticket %s", policy, o.State, o.Tickets[0].State)
		}
		s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "409 payment_disputed")
	}
}

func TestReplay_isForOperatorsAndPagesThroughAllNotices(t *testing.T) {
	t.Parallel()
	s := open(t, func(h *house) { h.server.Checkout.OnNotice = api.CountNotices(h.server.Metrics) }).stage(t)
	s.paid(t, s.floor, 1)
	path, op := "POST /v1/payments/notices/replay", bearer(operatorToken)
	s.ask(t, path, object{"since": time.Now()}).want(t, "401 unauthorized")
	s.ask(t, path, object{"since": time.Now()}, s.bearer).want(t, "401 unauthorized")
	s.ask(t, path, object{}, op).want(t, "400 invalid_replay ")
	s.ask(t, path, object{"id": "evt_1", "since": time.Now()}, op).want(t, "400 invalid_replay ")
	s.ask(t, path, object{"id": "evt_none"}, op).want(t, "404 notice_not_found")
	s.ask(t, path, object{"cursor": "1.2.3"}, op)
	s.ask(t, path, object{"cursor": "x"}, op).want(t, "400 invalid_cursor")
	s.ask(t, path+"?cell=use1", object{"id": "evt_1"}, op).want(t, "400 invalid_parameter")
	if _, err := s.store.DB.Pool.Exec(t.Context(), `INSERT INTO payment.notice (notice_id, type, order_id, body, created_at, outcome)
		SELECT 'evt_many' || n, 'charge.updated', '', convert_to('{"id":"evt_many' || n || '","type":"charge.updated"}', 'UTF8'), now(), 'ignored' FROM generate_series(1, 450) AS n`); err != nil {
		t.Fatal(err)
	}
	var ids []string
	ask := object{"since": time.Now().Add(-time.Hour)}
	for {
		page := read[api.Page[client.Replayed]](t, s.ask(t, path+"?cell=euw3", ask, op).want(t, "200"))
		for _, n := range page.Items {
			if n.Was != n.Became || n.Error != "" {
				t.Errorf("%+v", n)
			}
			ids = append(ids, n.ID)
		}
		if page.NextCursor == nil {
			break
		}
		ask = object{"cursor": *page.NextCursor}
	}
	slices.Sort(ids)
	if n := len(ids); n < 453 || len(slices.Compact(ids)) != n {
		t.Errorf("%d notices, %d of them different", n, len(slices.Compact(ids)))
	}
	metrics := s.metrics(t)
	for _, want := range []string{`guichet_payment_notices_total{became="done",type="payment_intent.succeeded"} 1`, `guichet_payment_notices_total{became="ignored",type="other"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// Forged, replayed, huge, truncated: refused or ignored, nothing stored twice.
func TestWebhook_hostileBodiesAreRefusedOrIgnored(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.floor, 1)
	const path = "POST /v1/payments/stripe/webhook"
	var body []byte
	if err := s.store.DB.Pool.QueryRow(t.Context(), "SELECT n.body FROM payment.notice AS n WHERE n.type = 'payment_intent.succeeded'").Scan(&body); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all webhooks", func() bool { return s.count(t, "payment.notice") >= 3 })
	before := s.rows(t)
	notices := s.count(t, "payment.notice")
	good := signature(string(body))
	forged := strings.Replace(string(body), `"amount":4250`, `"amount":1`, 1)
	for name, c := range map[string]struct{ body, signature, want string }{
		"replayed":               {string(body), good, "200"},
		"forged":                 {forged, good, "400 bad_signature"},
		"truncated":              {string(body[:len(body)/2]), good, "400 bad_signature"},
		"truncated and signed":   {string(body[:len(body)/2]), signature(string(body[:len(body)/2])), "400 notice_not_understood"},
		"huge":                   {strings.Repeat("x", 1<<20+1), good, "413 body_too_large"},
		"deep":                   {strings.Repeat("[", 100_000), signature(strings.Repeat("[", 100_000)), "400 notice_not_understood"},
		"no signature":           {string(body), "", "400 bad_signature"},
		"somebody else's secret": {string(body), strings.Replace(good, "v1=", "v1=0", 1), "400 bad_signature"},
		"empty":                  {"", signature(""), "400 notice_not_understood"},
		"zeros":                  {"\x00\x00", signature("\x00\x00"), "400 notice_not_understood"},
	} {
		if a := s.askRaw(t, path, c.body, header("Stripe-Signature", c.signature)); a.is() != c.want {
			t.Errorf("%s: %s, want %s", name, a.is(), c.want)
		}
	}
	// Signed by the provider, and about money that is none: ids of ours that mean nothing.
	for i, object := range []string{
		`{"id":"pi_x","status":"succeeded","amount":4250,"amount_received":4250,"currency":"eur","metadata":{"order_id":"ord_euw3_zzzzzzzzzzzz_zzzzzzzzzzzzzzzz"}}`,
		`{"id":"pi_x","status":"succeeded","amount":1,"amount_received":1,"currency":"eur","metadata":{"order_id":"'; DROP TABLE payment.notice; --"}}`,
		`{"id":"pi_x","status":"succeeded","amount":1,"amount_received":1,"currency":"eur","metadata":{"order_id":"` + strings.Repeat("A", 10_000) + `"}}`,
	} {
		event := `{"id":"evt_hostile` + string(rune('a'+i)) + `","type":"payment_intent.succeeded","created":1700000000,"data":{"object":` + object + `}}`
		for range 2 {
			s.askRaw(t, path, event, header("Stripe-Signature", signature(event))).want(t, "200")
		}
		notices++
	}
	if after := s.rows(t); after != before || s.count(t, "payment.notice") != notices {
		t.Errorf("%d notices, want %d; rows are\n%s\nwere\n%s", s.count(t, "payment.notice"), notices, after, before)
	}
	if now := s.look(t, o.ID); now.State != "paid" || len(now.Tickets) != 1 {
		t.Errorf("%+v", now)
	}
}

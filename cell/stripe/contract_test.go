package stripe_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/cell/stripe"
)

// The same calls of the same Processor against stripe-mock, which checks the
// request by Stripe's own OpenAPI, and against the sandbox.
func TestContract_sandboxAnswersInTheShapeOfStripesMock(t *testing.T) {
	theirs, ours := &recorder{}, &recorder{}
	m, s := processor(startMock(t), theirs), processor(startSandbox(t).url, ours)

	call := func(schema string, do func(p *stripe.Processor, intent string) error, intent string) {
		t.Helper()
		if err := do(m, "pi_any"); err != nil {
			t.Fatalf("stripe-mock refuses our request: %v", err)
		}
		if err := do(s, intent); err != nil {
			t.Fatalf("the sandbox refuses our request: %v", err)
		}
		want := theirs.answer()
		got := ours.answer()
		conforms(t, schema, got)
		isSubset(t, schema, want, got)
	}

	var open payment.Intent
	call("payment_intent", func(p *stripe.Processor, _ string) (err error) {
		open, err = p.CreateIntent(t.Context(), forTicket)
		return err
	}, "")
	call("payment_intent", func(p *stripe.Processor, id string) error {
		_, err := p.GetIntent(t.Context(), id)
		return err
	}, open.ID)
	call("payment_intent", func(p *stripe.Processor, id string) error {
		_, err := p.CancelIntent(t.Context(), id, "order-1:cancel")
		return err
	}, open.ID)

	again := forTicket
	again.Key = "order-2:intent"
	second, err := s.CreateIntent(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	serverConfirm(t, ours, second.ID, "pm_card_visa")
	call("refund", func(p *stripe.Processor, id string) error {
		_, err := p.Refund(t.Context(), id, 0, "order-2:refund")
		return err
	}, second.ID)
}

// A destination charge, its refund and the account it goes to: the same calls
// against both give the same shapes.
func TestContract_connectAnswersInTheShapeOfStripesMock(t *testing.T) {
	theirs, ours := &recorder{}, &recorder{}
	mock, tw := startMock(t), startSandbox(t)
	m, s := processor(mock, theirs), processor(tw.url, ours)
	_, body := post(t, tw.url, "sk_test_sandbox_euw3", "/v1/accounts", url.Values{"type": {"express"}, "country": {"FR"}})
	conforms(t, "account", body)
	var made struct{ ID string }
	if err := json.Unmarshal(body, &made); err != nil {
		t.Fatal(err)
	}
	same := func(schema string) {
		t.Helper()
		conforms(t, schema, ours.answer())
		isSubset(t, schema, theirs.answer(), ours.answer())
	}

	if _, err := m.Payee(t.Context(), "acct_any"); err != nil {
		t.Fatalf("stripe-mock refuses our request: %v", err)
	}
	payee, err := s.Payee(t.Context(), made.ID)
	if err != nil || payee != (payment.Payee{Account: made.ID, Country: "FR", Currency: "EUR", Charges: true, Payouts: true}) {
		t.Fatalf("%+v, %v", payee, err)
	}
	same("account")

	n := forTicket
	n.Destination, n.Fee = made.ID, 350
	if _, err := m.CreateIntent(t.Context(), n); err != nil {
		t.Fatalf("stripe-mock refuses our request: %v", err)
	}
	in, err := s.CreateIntent(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	same("payment_intent")
	var shape struct {
		Data struct{ Destination string } `json:"transfer_data"`
		Fee  int64                        `json:"application_fee_amount"`
		For  string                       `json:"on_behalf_of"`
	}
	if err := json.Unmarshal(ours.answer(), &shape); err != nil || shape.Data.Destination != made.ID || shape.Fee != 350 || shape.For != made.ID {
		t.Errorf("it is no destination charge: %+v, %v", shape, err)
	}

	serverConfirm(t, ours, in.ID, "pm_card_visa")
	if fee, err := s.ChargeFee(t.Context(), in.ID); err != nil || fee != (money.Money{Amount: 88, Currency: "EUR"}) {
		t.Errorf("the fee of it: %+v, %v", fee, err)
	}
	conforms(t, "payment_intent", ours.answer())
	if _, err := m.ChargeFee(t.Context(), "pi_any"); err != nil && !errors.Is(err, payment.ErrProviderAway) { // its intent has no charge
		t.Errorf("stripe-mock refuses our request: %v", err)
	}
	if _, err := m.Refund(t.Context(), "pi_any", 1000, "re"); err != nil {
		t.Fatalf("stripe-mock refuses our request: %v", err)
	}
	if _, err := s.Refund(t.Context(), in.ID, 1000, "re"); err != nil {
		t.Fatal(err)
	}
	same("refund")
	var back struct {
		Reversal string `json:"transfer_reversal"`
	}
	if err := json.Unmarshal(ours.answer(), &back); err != nil || back.Reversal == "" {
		t.Errorf("the refund took nothing back from the organizer: %s", ours.answer())
	}
}

// What Stripe told and which refunds there are is asked in Stripe's way, page by page, of
// the sandbox as of stripe-mock.
func TestContract_whatWasToldIsAskedForPageByPage(t *testing.T) {
	tw := startSandbox(t)
	s, m := processor(tw.url, tw.recorder), processor(startMock(t), &recorder{})
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if _, _, err := m.Told(t.Context(), from, until, "evt_any"); err != nil {
		t.Fatalf("stripe-mock refuses our request: %v", err)
	}
	if _, err := m.RefundsOf(t.Context(), "pi_any"); err != nil {
		t.Fatalf("stripe-mock refuses our request: %v", err)
	}
	in, err := s.CreateIntent(t.Context(), forTicket)
	if err != nil {
		t.Fatal(err)
	}
	serverConfirm(t, tw.recorder, in.ID, "pm_card_visa")
	const made = 120
	for range made {
		if status, body := post(t, tw.url, "sk_test_sandbox_euw3", "/v1/refunds", url.Values{"payment_intent": {in.ID}, "amount": {"1"}}); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	refunds, err := s.RefundsOf(t.Context(), in.ID)
	if err != nil || len(refunds) != 100 || refunds[0].IntentID != in.ID || refunds[0].Amount.Amount != 1 || refunds[0].State != "done" {
		t.Fatalf("%d, %v", len(refunds), err)
	}
	seen, after := map[string]bool{}, ""
	for more := true; more; {
		var page []payment.Telling
		if page, more, err = s.Told(t.Context(), from, until, after); err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			n, err := s.ReadNotice(e.Body)
			if err != nil || n.Refund == nil || n.ID != e.ID {
				t.Fatalf("%+v, %v", n, err)
			}
			seen[n.Refund.ID] = true
			after = e.ID
		}
	}
	if len(seen) != made {
		t.Errorf("%d refunds were told of, want %d", len(seen), made)
	}
	if page, _, err := s.Told(t.Context(), from.Add(-2*time.Hour), from, ""); err != nil || len(page) != 0 {
		t.Errorf("of another time: %d, %v", len(page), err)
	}
	if _, _, err := s.Told(t.Context(), from, until, "evt_forgotten"); !errors.Is(err, payment.ErrUnknownIntent) {
		t.Errorf("behind an event that went with age: %v", err)
	}
}

func TestConnect_saysWhichAccountsCannotBePaid(t *testing.T) {
	tw := startSandbox(t)
	s := processor(tw.url, tw.recorder)
	for _, id := range []string{"acct_none", "acct_x/../../y", "", "pi_1"} {
		if _, err := s.Payee(t.Context(), id); !errors.Is(err, payment.ErrUnknownPayee) {
			t.Errorf("%q: %v", id, err)
		}
	}
	n := forTicket
	n.Destination = "acct_none"
	if _, err := s.CreateIntent(t.Context(), n); !errors.Is(err, payment.ErrRefusedByProvider) {
		t.Errorf("a charge for nobody: %v", err)
	}
	n.Key, n.Fee = "other", n.Amount.Amount+1
	if _, err := s.CreateIntent(t.Context(), n); !errors.Is(err, payment.ErrRefusedByProvider) {
		t.Errorf("a fee above the amount: %v", err)
	}
}

func TestContract_disputesConformAndAreRead(t *testing.T) {
	tw := startSandbox(t)
	s := processor(tw.url, tw.recorder)
	for card, want := range map[string]payment.DisputeState{"pm_card_createDispute": payment.DisputeOpen, "pm_card_createDisputeInquiry": payment.DisputeWarning} {
		n := forTicket
		n.Key = card
		in, err := s.CreateIntent(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := confirmWith(t, tw.url, in.ID, card); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		var disputes struct{ Data []json.RawMessage }
		_, body := get(t, tw.url, "/v1/disputes?payment_intent="+in.ID)
		if err := json.Unmarshal(body, &disputes); err != nil || len(disputes.Data) != 1 {
			t.Fatalf("%v: %s", err, body)
		}
		conforms(t, "dispute", disputes.Data[0])
		event := `{"id":"evt_d","object":"event","created":1790000000,"type":"charge.dispute.created","data":{"object":` + string(disputes.Data[0]) + `}}`
		read, err := s.ReadNotice([]byte(event))
		if err != nil || read.Dispute == nil {
			t.Fatalf("%+v, %v", read, err)
		}
		d := read.Dispute
		if d.State != want || d.IntentID != in.ID || d.Amount != forTicket.Amount || d.Reason != "fraudulent" || d.Due.IsZero() {
			t.Errorf("%+v", d)
		}
		if moved := len(d.Movements) == 1; moved != (want == payment.DisputeOpen) || moved && (d.Movements[0].Amount.Amount != -4250 || d.Movements[0].Fee != 1500) {
			t.Errorf("moved %+v", d.Movements)
		}
	}
}

// Other methods than cards are asked for by configuration, where they take the currency.
func TestContract_otherMethodsHaveStripesShape(t *testing.T) {
	tw := startSandbox(t)
	all := stripe.Config{SecretKey: "sk_test_sandbox_euw3", BaseURL: tw.url, Timeout: patience, Methods: []string{"card", "bancontact", "ideal", "sepa_debit"}}
	s, m := stripe.New(all), all
	m.BaseURL = startMock(t)
	if _, err := stripe.New(m).CreateIntent(t.Context(), forTicket); err != nil {
		t.Fatalf("stripe-mock refuses our request: %v", err)
	}
	yen := forTicket
	yen.Amount, yen.Key = money.Money{Amount: 5000, Currency: "JPY"}, "yen"
	if _, err := s.CreateIntent(t.Context(), yen); err != nil {
		t.Errorf("yen: %v", err)
	}
	for method, more := range map[string]url.Values{
		"pm_sandbox_ideal":            {"return_url": {"https://shop.example/"}},
		"pm_sandbox_bancontact":       {"return_url": {"https://shop.example/"}},
		"pm_sandbox_sepa_debit":       {},
		"pm_sandbox_sepa_debit_fails": {},
	} {
		n := forTicket
		n.Key = method
		in, err := s.CreateIntent(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		more.Set("payment_method", method)
		status, body := post(t, tw.url, "sk_test_sandbox_euw3", "/v1/payment_intents/"+in.ID+"/confirm", more)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", method, status, body)
		}
		conforms(t, "payment_intent", body)
		if in, err = s.GetIntent(t.Context(), in.ID); err != nil || in.State != payment.Pending {
			t.Errorf("%s: %+v, %v", method, in, err)
		}
		for _, press := range []string{"settle", "fail"} {
			if strings.Contains(method, "sepa") {
				_, _ = post(t, tw.url, "", "/sandbox/payments/"+in.ID+"/"+press, nil)
			}
		}
		_, body = get(t, tw.url, "/v1/payment_intents/"+in.ID+"?expand[]=latest_charge")
		conforms(t, "payment_intent", body)
	}
}

// confirmWith posts a confirmation as a server does.
func confirmWith(t *testing.T, base, intent, card string) (int, []byte) {
	t.Helper()
	return post(t, base, "sk_test_sandbox_euw3", "/v1/payment_intents/"+intent+"/confirm", url.Values{"payment_method": {card}})
}

func post(t *testing.T, base, key, path string, form url.Values) (int, []byte) {
	t.Helper()
	return send(t, http.MethodPost, base+path, key, strings.NewReader(form.Encode()))
}

func TestContract_everyObjectConformsToStripesPublishedSchema(t *testing.T) {
	tw := startSandbox(t)
	s := processor(tw.url, tw.recorder)
	fresh := func(key string) string {
		n := forTicket
		n.Key = key
		in, err := s.CreateIntent(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		return in.ID
	}

	paid := fresh("paid")
	status, body := confirmWith(t, tw.url, paid, "pm_card_mastercard")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	conforms(t, "payment_intent", body)
	var pi struct {
		LatestCharge string `json:"latest_charge"`
	}
	if err := json.Unmarshal(body, &pi); err != nil {
		t.Fatal(err)
	}
	_, body = get(t, tw.url, "/v1/charges/"+pi.LatestCharge)
	conforms(t, "charge", body)
	_, body = get(t, tw.url, "/v1/payment_intents/"+paid+"?expand[]=latest_charge")
	conforms(t, "payment_intent", body)

	declined := fresh("declined")
	status, body = confirmWith(t, tw.url, declined, "pm_card_visa_chargeDeclined")
	if status != http.StatusPaymentRequired {
		t.Fatalf("%d %s", status, body)
	}
	conforms(t, "error", body)
	_, body = get(t, tw.url, "/v1/payment_intents/"+declined)
	conforms(t, "payment_intent", body)

	asked := fresh("asked")
	_, body = confirmWith(t, tw.url, asked, "pm_card_authenticationRequired")
	conforms(t, "payment_intent", body)

	_, body = get(t, tw.url, "/v1/payment_intents/pi_none")
	conforms(t, "error", body)
	status, body = send(t, http.MethodPost, tw.url+"/v1/refunds", "sk_test_sandbox_euw3", strings.NewReader("payment_intent="+paid))
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	conforms(t, "refund", body)

	_, body = get(t, tw.url, "/v1/events?limit=100")
	var events struct {
		Data []struct {
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		} `json:"data"`
	}
	var raw struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &events); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, e := range events.Data {
		conforms(t, "event", raw.Data[i])
		var data struct {
			Object json.RawMessage `json:"object"`
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		var kind struct {
			Object string `json:"object"`
		}
		if err := json.Unmarshal(data.Object, &kind); err != nil {
			t.Fatal(err)
		}
		conforms(t, kind.Object, data.Object)
		seen[e.Type] = true
	}
	for _, want := range []string{
		"payment_intent.created", "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.requires_action",
		"charge.succeeded", "charge.failed", "charge.refunded", "refund.created",
	} {
		if !seen[want] {
			t.Errorf("no event %s among %d", want, len(events.Data))
		}
	}
}

func TestContract_errorsHaveTheKeysOfStripesMock(t *testing.T) {
	tw, m := startSandbox(t), startMock(t)
	for name, form := range map[string]url.Values{
		"missing amount":    {"currency": {"eur"}},
		"unknown parameter": {"amount": {"100"}, "currency": {"eur"}, "nonsense": {"1"}},
		"not a number":      {"amount": {"lots"}, "currency": {"eur"}},
	} {
		wantStatus, want := post(t, m, "sk_test_sandbox_euw3", "/v1/payment_intents", form)
		gotStatus, got := post(t, tw.url, "sk_test_sandbox_euw3", "/v1/payment_intents", form)
		if wantStatus != http.StatusBadRequest || gotStatus != wantStatus {
			t.Errorf("%s: stripe-mock %d %s, sandbox %d %s", name, wantStatus, want, gotStatus, got)
		}
		conforms(t, "error", got)
		var a, b struct {
			Error struct {
				Type string `json:"type"`
			} `json:"error"`
		}
		if json.Unmarshal(want, &a) != nil || json.Unmarshal(got, &b) != nil || a.Error.Type != b.Error.Type || a.Error.Type == "" {
			t.Errorf("%s: stripe-mock says %s, the sandbox %s", name, want, got)
		}
	}
}

// isSubset checks that every member of ours is in theirs with the same type
// where both have a value.
func isSubset(t *testing.T, at string, theirs, ours []byte) {
	t.Helper()
	var a, b map[string]any
	if err := json.Unmarshal(theirs, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(ours, &b); err != nil {
		t.Fatal(err)
	}
	for name, value := range b {
		want, ok := a[name]
		if !ok {
			t.Errorf("%s.%s is not in stripe-mock's answer", at, name)
			continue
		}
		if value != nil && want != nil && kindOf(value) != kindOf(want) {
			t.Errorf("%s.%s is %s here and %s at stripe-mock", at, name, kindOf(value), kindOf(want))
		}
	}
}

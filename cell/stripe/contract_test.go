package stripe_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

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

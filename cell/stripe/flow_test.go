package stripe_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/cell/stripe"
	"guichet/internal/kind"
)

func send(t *testing.T, method, url, key string, body io.Reader) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

func get(t *testing.T, base, path string) (int, []byte) {
	t.Helper()
	return send(t, http.MethodGet, base+path, "sk_test_sandbox_euw3", http.NoBody)
}

func serverConfirm(t *testing.T, over *recorder, intent, card string) {
	t.Helper()
	over.mu.Lock()
	base := over.base
	over.mu.Unlock()
	if status, body := confirmWith(t, base, intent, card); status != http.StatusOK {
		t.Fatalf("confirm: %d %s", status, body)
	}
}

// browserConfirm is what the checkout page does with the client secret.
func browserConfirm(t *testing.T, base string, in payment.Intent, card string) (int, map[string]any) {
	t.Helper()
	status, body := post(t, base, "pk_test_sandbox_euw3", "/v1/payment_intents/"+in.ID+"/confirm",
		url.Values{"payment_method": {card}, "client_secret": {in.ClientSecret}})
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return status, out
}

func TestPurchase_declinedThenPaidToldTwiceAndRefunded(t *testing.T) {
	tw := startSandbox(t)
	p := processor(tw.url, tw.recorder)
	in, err := p.CreateIntent(t.Context(), forTicket)
	if err != nil {
		t.Fatal(err)
	}
	if in.State != payment.Created || in.Amount != forTicket.Amount || in.OrderID != forTicket.OrderID || in.Received != 0 || in.Decline != "" {
		t.Fatalf("created: %+v", in)
	}
	if !strings.HasPrefix(in.ClientSecret, in.ID+"_secret_") {
		t.Fatalf("client secret %q", in.ClientSecret)
	}
	same, err := p.CreateIntent(t.Context(), forTicket)
	if err != nil || same.ID != in.ID {
		t.Fatalf("the same key made %v (%v), not %s", same.ID, err, in.ID)
	}

	status, body := browserConfirm(t, tw.url, in, "pm_card_visa_chargeDeclined")
	if e, _ := body["error"].(map[string]any); status != http.StatusPaymentRequired || e["code"] != "card_declined" || e["decline_code"] != "generic_decline" {
		t.Fatalf("declined: %d %v", status, body)
	}
	if in, err = p.GetIntent(t.Context(), in.ID); err != nil || in.State != payment.Created || in.Decline != "generic_decline" {
		t.Fatalf("after the decline: %+v, %v", in, err)
	}

	status, body = browserConfirm(t, tw.url, in, "pm_card_visa")
	if status != http.StatusOK || body["status"] != "succeeded" {
		t.Fatalf("paid: %d %v", status, body)
	}
	if body["metadata"] != nil {
		t.Error("a browser sees the metadata")
	}
	if in, err = p.GetIntent(t.Context(), in.ID); err != nil || in.State != payment.Captured || in.Received != 4250 || in.Decline != "" {
		t.Fatalf("after the payment: %+v, %v", in, err)
	}
	toldTwice(t, p, tw, in)

	late, err := p.CancelIntent(t.Context(), in.ID, "order-1:cancel")
	if err != nil || late.State != payment.Captured {
		t.Fatalf("a cancel after the money came: %+v, %v", late, err)
	}
	part, err := p.Refund(t.Context(), in.ID, 1000, "order-1:refund-1")
	if err != nil || part.State != "done" || part.Amount != (money.Money{Amount: 1000, Currency: "EUR"}) {
		t.Fatalf("refund: %+v, %v", part, err)
	}
	if again, err := p.Refund(t.Context(), in.ID, 1000, "order-1:refund-1"); err != nil || again.ID != part.ID {
		t.Fatalf("the same key refunded again: %+v, %v", again, err)
	}
	rest, err := p.Refund(t.Context(), in.ID, 0, "order-1:refund-2")
	if err != nil || rest.Amount.Amount != 3250 {
		t.Fatalf("the rest: %+v, %v", rest, err)
	}
	if _, err := p.Refund(t.Context(), in.ID, 0, "order-1:refund-3"); !errors.Is(err, payment.ErrRefusedByProvider) {
		t.Fatalf("a refund of nothing: %v", err)
	}
}

// toldTwice reads webhooks until the payment's success came twice, each verified.
func toldTwice(t *testing.T, p *stripe.Processor, tw town, in payment.Intent) {
	t.Helper()
	deadline := time.After(patience)
	succeeded := map[string]int{}
	for {
		select {
		case d := <-tw.notices:
			n, err := p.ParseNotice(d.body, d.signature, time.Now())
			if err != nil {
				t.Fatalf("a webhook of the sandbox is refused: %v", err)
			}
			if _, err := webhook.ConstructEvent(d.body, d.signature, webhookSecret); err != nil {
				t.Fatalf("stripe-go itself refuses it: %v", err)
			}
			if n.Type != "payment_intent.succeeded" {
				continue
			}
			if n.Intent == nil || n.Intent.ID != in.ID || n.Intent.State != payment.Captured || n.Intent.OrderID != forTicket.OrderID || n.Intent.Received != 4250 {
				t.Fatalf("notice %+v of %+v", n, n.Intent)
			}
			if succeeded[n.ID]++; succeeded[n.ID] == 2 {
				return
			}
		case <-deadline:
			t.Fatalf("payment_intent.succeeded came %v, not twice", succeeded)
		}
	}
}

func TestCancel_ofAnOpenIntentIsFinalAndRepeatable(t *testing.T) {
	tw := startSandbox(t)
	p := processor(tw.url, tw.recorder)
	in, err := p.CreateIntent(t.Context(), forTicket)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cancel", "cancel", "another-key"} {
		out, err := p.CancelIntent(t.Context(), in.ID, key)
		if err != nil || out.State != payment.Canceled {
			t.Fatalf("cancel with %s: %+v, %v", key, out, err)
		}
	}
	if status, _ := browserConfirm(t, tw.url, in, "pm_card_visa"); status != http.StatusBadRequest {
		t.Fatalf("a canceled intent was confirmed: %d", status)
	}
	if out, err := p.GetIntent(t.Context(), in.ID); err != nil || out.State != payment.Canceled || out.Received != 0 {
		t.Fatalf("%+v, %v", out, err)
	}
}

func TestProcessor_saysWhichErrorItIs(t *testing.T) {
	tw := startSandbox(t)
	p := processor(tw.url, tw.recorder)
	in, err := p.CreateIntent(t.Context(), forTicket)
	if err != nil {
		t.Fatal(err)
	}
	other := forTicket
	other.Amount.Amount++
	free := forTicket
	free.Amount.Amount, free.Key = 0, "free"
	wrongMail := forTicket
	wrongMail.Email, wrongMail.Key = "nobody", "mail"
	noKey := forTicket
	noKey.Key = ""
	create := func(n payment.NewIntent) func() error {
		return func() error { _, err := p.CreateIntent(t.Context(), n); return err }
	}
	for name, c := range map[string]struct {
		do   func() error
		want *kind.Error
	}{
		"an unknown intent":             {func() error { _, err := p.GetIntent(t.Context(), "pi_none"); return err }, payment.ErrUnknownIntent},
		"a path for an intent":          {func() error { _, err := p.GetIntent(t.Context(), "pi_x/../../y"); return err }, payment.ErrUnknownIntent},
		"no intent":                     {func() error { _, err := p.GetIntent(t.Context(), ""); return err }, payment.ErrUnknownIntent},
		"cancel of an unknown intent":   {func() error { _, err := p.CancelIntent(t.Context(), "pi_none", "k"); return err }, payment.ErrUnknownIntent},
		"refund of an unknown intent":   {func() error { _, err := p.Refund(t.Context(), "pi_none", 0, "k1"); return err }, payment.ErrUnknownIntent},
		"refund of what was not paid":   {func() error { _, err := p.Refund(t.Context(), in.ID, 0, "k2"); return err }, payment.ErrRefusedByProvider},
		"a negative refund":             {func() error { _, err := p.Refund(t.Context(), in.ID, -1, "k3"); return err }, payment.ErrRefusedByProvider},
		"a key used for something else": {create(other), stripe.ErrKey},
		"a call without a key":          {create(noKey), stripe.ErrKey},
		"nothing to pay":                {create(free), payment.ErrRefusedByProvider},
		"an address that is none":       {create(wrongMail), payment.ErrRefusedByProvider},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

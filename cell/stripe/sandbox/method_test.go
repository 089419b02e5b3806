package sandbox_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func (h *house) press(intent, what string) reply {
	h.t.Helper()
	return h.ask("POST", "/sandbox/payments/"+intent+"/"+what, "", "")
}

func (h *house) status(intent string) string {
	h.t.Helper()
	return h.get("/v1/payment_intents/" + intent).text("status")
}

// debit is a bank debit that is being processed.
func (h *house) debit(method string) string {
	h.t.Helper()
	in := h.create("&payment_method_types[]=card&payment_method_types[]=sepa_debit").text("id")
	if got := h.must(h.confirm(in, method), 200).body; got.text("status") != "processing" || got.at("amount_received") != 0.0 {
		h.t.Fatalf("a debit is %v", got)
	}
	return in
}

func TestBankDebit_isProcessingUntilTheBankSaysYesOrNo(t *testing.T) {
	t.Parallel()
	e := listen(t)
	h := open(t, e.URL)
	h.stop()
	h.config.SettleAfter = time.Hour
	h.start()
	for method, want := range map[string]string{"pm_sandbox_sepa_debit": "settle", "pm_sandbox_sepa_debit_fails": "fail"} {
		in := h.debit(method)
		ch := h.get("/v1/charges/" + h.get("/v1/payment_intents/"+in).text("latest_charge"))
		if ch.text("status") != "pending" || ch.text("payment_method_details.type") != "sepa_debit" || ch.at("paid") != false {
			t.Errorf("the charge is %v", ch)
		}
		if r := h.ask("POST", "/v1/payment_intents/"+in+"/cancel", secret, ""); r.status != http.StatusBadRequest {
			t.Errorf("a debit under way was canceled: %s", r.raw)
		}
		h.must(h.press(in, want), 200)
		got := h.get("/v1/payment_intents/" + in)
		switch want {
		case "settle":
			if got.text("status") != "succeeded" || got.at("amount_received") != 4250.0 {
				t.Errorf("the bank paid and it is %v", got)
			}
		case "fail":
			if got.text("status") != "requires_payment_method" || got.text("last_payment_error.code") != "payment_intent_payment_attempt_failed" ||
				got.text("last_payment_error.payment_method.type") != "sepa_debit" {
				t.Errorf("the bank refused and it is %v", got)
			}
		}
		if r := h.press(in, want); r.status != http.StatusBadRequest {
			t.Errorf("the bank decided twice: %s", r.raw)
		}
	}
	e.until(t, "both were told of", func() bool {
		n := e.times()
		return n["payment_intent.processing"] == 4 && n["payment_intent.succeeded"] == 2 && n["payment_intent.payment_failed"] == 2
	})
}

func TestBankDebit_isDecidedByItselfAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	h := open(t, "")
	h.stop()
	h.config.SettleAfter = time.Hour
	h.start()
	in, bad := h.debit("AT321904300235473204"), h.debit("pm_sandbox_sepa_debit_fails")
	h.stop()
	start := time.Now()
	h.config.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	h.start()
	eventually(t, "both are decided", func() bool {
		return h.status(in) == "succeeded" && h.status(bad) == "requires_payment_method"
	})
	if time.Since(start) > patience {
		t.Error("it took the hour")
	}
	h.stop()
	h.config.Now, h.config.SettleAfter = time.Now, time.Millisecond
	h.start()
	soon := h.debit("pm_sandbox_sepa_debit")
	eventually(t, "the bank pays by itself", func() bool { return h.status(soon) == "succeeded" })
}

func TestRedirect_methodsSendTheBuyerToAPage(t *testing.T) {
	t.Parallel()
	h := open(t, "")
	for _, method := range []string{"ideal", "bancontact"} {
		for answer, want := range map[string]string{"approve": "succeeded", "refuse": "requires_payment_method"} {
			in := h.create("&payment_method_types[]=" + method).text("id")
			form := "payment_method_data[type]=" + method
			if r := h.ask("POST", "/v1/payment_intents/"+in+"/confirm", secret, form); r.status != http.StatusBadRequest || r.body.text("error.param") != "return_url" {
				t.Errorf("%s without a way back: %s", method, r.raw)
			}
			got := h.must(h.ask("POST", "/v1/payment_intents/"+in+"/confirm", secret, form+"&return_url="+url.QueryEscape("https://shop.example/back")), 200).body
			page := got.text("next_action.redirect_to_url.url")
			if got.text("status") != "requires_action" || !strings.HasPrefix(page, h.front.URL) {
				t.Fatalf("%s: %v", method, got)
			}
			c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			resp, err := c.PostForm(page, url.Values{"answer": {answer}})
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if back := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(back, "https://shop.example/back?payment_intent="+in) {
				t.Errorf("%s %s: %d to %s", method, answer, resp.StatusCode, back)
			}
			if got := h.status(in); got != want {
				t.Errorf("%s %s: %s, want %s", method, answer, got, want)
			}
		}
	}
}

func TestMethods_areHeldToStripesRules(t *testing.T) {
	t.Parallel()
	h := open(t, "")
	for name, form := range map[string]string{
		"an unknown type":              "amount=100&currency=eur&payment_method_types[]=cheque",
		"ideal in dollars":             "amount=100&currency=usd&payment_method_types[]=ideal",
		"ideal captured by hand":       "amount=100&currency=eur&payment_method_types[]=ideal&capture_method=manual",
		"both ways to say it":          "amount=100&currency=eur&payment_method_types[]=card&automatic_payment_methods[enabled]=true",
		"an option nobody has":         "amount=100&currency=eur&payment_method_options[card][colour]=red",
		"a card captured by telepathy": "amount=100&currency=eur&payment_method_options[card][capture_method]=telepathy",
	} {
		if r := h.ask("POST", "/v1/payment_intents", secret, form); r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
	}
	if r := h.confirm(h.create("").text("id"), "pm_sandbox_ideal"); r.status != http.StatusBadRequest {
		t.Errorf("ideal for an intent of cards: %s", r.raw)
	}
	mixed := "&payment_method_types[]=card&payment_method_types[]=sepa_debit&payment_method_options[card][capture_method]=manual"
	card, debit := h.create(mixed).text("id"), h.create(mixed).text("id")
	if got := h.must(h.confirm(card, "pm_card_visa"), 200).body.text("status"); got != "requires_capture" {
		t.Errorf("a card that is captured by hand is %s", got)
	}
	h.must(h.confirm(debit, "pm_sandbox_sepa_debit"), 200)
	h.must(h.press(debit, "settle"), 200)
	if got := h.status(debit); got != "succeeded" {
		t.Errorf("beside it a debit is captured at once, and is %s", got)
	}
	auto := h.must(h.ask("POST", "/v1/payment_intents", secret, "amount=100&currency=eur&automatic_payment_methods[enabled]=true"), 200).body
	if types, _ := auto.at("payment_method_types").([]any); len(types) != 4 {
		t.Errorf("automatic methods in euros are %v", types)
	}
}

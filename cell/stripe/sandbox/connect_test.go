package sandbox_test

import (
	"net/http"
	"strings"
	"testing"
)

func (h *house) payee(form string) string {
	h.t.Helper()
	return h.must(h.ask("POST", "/v1/accounts", secret, "type=express&country=FR"+form), 200).body.text("id")
}

// page is the sandbox's page as text.
func (h *house) page() string {
	h.t.Helper()
	return h.must(h.ask("GET", "/", "", ""), 200).raw
}

func TestConnect_handsOnAndTakesBackInStep(t *testing.T) {
	t.Parallel()
	h := open(t, "")
	to := h.payee("")
	in := h.create("&transfer_data[destination]=" + to + "&on_behalf_of=" + to + "&application_fee_amount=333")
	if in.text("transfer_data.destination") != to || in.text("on_behalf_of") != to || in.at("application_fee_amount") != 333.0 {
		t.Fatalf("made: %v", in)
	}
	paid := h.must(h.confirm(in.text("id"), "pm_card_visa"), 200).body
	ch := h.get("/v1/charges/" + paid.text("latest_charge"))
	if !strings.HasPrefix(ch.text("transfer"), "tr_") || !strings.HasPrefix(ch.text("application_fee"), "fee_") || ch.at("application_fee_amount") != 333.0 {
		t.Errorf("the charge: %v", ch)
	}
	has := func(want string) {
		t.Helper()
		if page := h.page(); !strings.Contains(page, want) {
			t.Errorf("the account does not have %q: %s", want, page[strings.Index(page, "Connected"):])
		}
	}
	has("39.17 EUR")
	refund := func(amount string) object {
		return h.must(h.ask("POST", "/v1/refunds", secret, "payment_intent="+in.text("id")+"&amount="+amount+"&reverse_transfer=true&refund_application_fee=true"), 200).body
	}
	if re := refund("1000"); !strings.HasPrefix(re.text("transfer_reversal"), "trr_") {
		t.Errorf("the refund: %v", re)
	}
	has("29.95 EUR") // 1000 less 78 of the fee
	h.restart()
	refund("3250")
	has("0.00 EUR")
}

func TestConnect_isHeldToStripesRules(t *testing.T) {
	t.Parallel()
	h := open(t, "")
	to, restricted := h.payee(""), h.payee("&metadata[sandbox_restricted]=1")
	for name, form := range map[string]string{
		"an unknown destination":    "&transfer_data[destination]=acct_none",
		"an unknown merchant":       "&on_behalf_of=acct_none",
		"a restricted destination":  "&transfer_data[destination]=" + restricted,
		"a fee without destination": "&application_fee_amount=5",
		"a fee above the amount":    "&application_fee_amount=4251&transfer_data[destination]=" + to,
		"a fee of nothing":          "&application_fee_amount=0&transfer_data[destination]=" + to,
		"an unknown part":           "&transfer_data[colour]=red",
	} {
		if r := h.ask("POST", "/v1/payment_intents", secret, "amount=4250&currency=eur"+form); r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
	}
	plain := h.paid().text("id")
	for _, form := range []string{"&reverse_transfer=true", "&refund_application_fee=true"} {
		if r := h.ask("POST", "/v1/refunds", secret, "payment_intent="+plain+form); r.status != http.StatusBadRequest {
			t.Errorf("%s of what was not handed on: %s", form, r.raw)
		}
	}
	if r := h.ask("GET", "/v1/accounts/acct_none", secret, ""); r.status != http.StatusForbidden || r.body.text("error.code") != "account_invalid" {
		t.Errorf("a stranger's account: %d %s", r.status, r.raw)
	}
	if h.get("/v1/accounts/"+restricted).at("charges_enabled") != false || h.get("/v1/accounts/"+to).at("sandbox_has") != nil {
		t.Error("the accounts do not say what Stripe says")
	}
	for _, form := range []string{"country=France", "default_currency=xxx", "type=secret"} {
		if r := h.ask("POST", "/v1/accounts", secret, form); r.status != http.StatusBadRequest {
			t.Errorf("%s: %d", form, r.status)
		}
	}
}

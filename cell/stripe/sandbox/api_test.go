package sandbox_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestAPI_refusesWhatStripeRefuses(t *testing.T) {
	h := open(t, "")
	pi := h.paid()
	id := pi.text("id")
	const create, confirm = "/v1/payment_intents", "/v1/payment_intents/%s/confirm"
	for _, c := range []struct {
		name, path, form string
		status           int
		code             string
	}{
		{"nothing", create, "", 400, "parameter_missing"},
		{"no currency", create, "amount=1", 400, "parameter_missing"},
		{"zero", create, "amount=0&currency=eur", 400, "parameter_invalid_integer"},
		{"negative", create, "amount=-1&currency=eur", 400, "parameter_invalid_integer"},
		{"a decimal", create, "amount=1.5&currency=eur", 400, "parameter_invalid_integer"},
		{"overflow", create, "amount=99999999999999999999&currency=eur", 400, "parameter_invalid_integer"},
		{"too much", create, "amount=1000000000000&currency=eur", 400, "amount_too_large"},
		{"a currency that is none", create, "amount=1&currency=xxx", 400, ""},
		{"fractions of a króna", create, "amount=150&currency=isk", 400, "invalid_charge_amount_no_decimal_compatible"},
		{"a third digit", create, "amount=151&currency=kwd", 400, ""},
		{"an unknown parameter", create, "amount=100&currency=eur&colour=red", 400, "parameter_unknown"},
		{"another method", create, "amount=100&currency=eur&payment_method_types[]=klarna", 400, ""},
		{"methods twice", create, "amount=100&currency=eur&payment_method_types[]=card&automatic_payment_methods[enabled]=true", 400, "parameters_exclusive"},
		{"a customer", create, "amount=100&currency=eur&customer=cus_1", 404, "resource_missing"},
		{"a mail address that is none", create, "amount=100&currency=eur&receipt_email=nobody", 400, "email_invalid"},
		{"long metadata", create, "amount=100&currency=eur&metadata[a]=" + strings.Repeat("x", 501), 400, ""},
		{"nested metadata", create, "amount=100&currency=eur&metadata[a][b]=1", 400, ""},
		{"confirm without a card", create, "amount=100&currency=eur&confirm=true", 400, "parameter_missing"},
		{"confirm neither yes nor no", create, "amount=100&currency=eur&confirm=maybe", 400, ""},
		{"a member that does not expand", create, "amount=100&currency=eur&expand[]=customer", 400, ""},
		{"not a form", create, "amount=%zz", 400, ""},
		{"not UTF-8", create, "amount=100&currency=eur&description=%ff", 400, ""},
		{"too many fields", create, strings.Repeat("a=1&", 300), 400, ""},
		{"too large", create, "description=" + strings.Repeat("x", 100<<10), 413, ""},
		{"confirm of what is paid", fmt.Sprintf(confirm, id), "payment_method=pm_card_visa", 400, "payment_intent_unexpected_state"},
		{"confirm of nothing", fmt.Sprintf(confirm, "pi_x"), "payment_method=pm_card_visa", 404, "resource_missing"},
		{"cancel of what is paid", "/v1/payment_intents/" + id + "/cancel", "", 400, "payment_intent_unexpected_state"},
		{"cancel for no reason", "/v1/payment_intents/" + id + "/cancel", "cancellation_reason=bored", 400, ""},
		{"capture of what is captured", "/v1/payment_intents/" + id + "/capture", "", 400, "payment_intent_unexpected_state"},
		{"refund of nothing", "/v1/refunds", "", 400, "parameter_missing"},
		{"refund of an unknown intent", "/v1/refunds", "payment_intent=pi_x", 404, "resource_missing"},
		{"refund of another's charge", "/v1/refunds", "payment_intent=pi_x&charge=" + pi.text("latest_charge"), 404, "resource_missing"},
		{"refund of too much", "/v1/refunds", "payment_intent=" + id + "&amount=4251", 400, ""},
		{"refund of a negative", "/v1/refunds", "payment_intent=" + id + "&amount=-1", 400, "parameter_invalid_integer"},
		{"an unknown path", "/v1/customers", "", 404, ""},
	} {
		r := h.ask("POST", c.path, secret, c.form)
		if r.status != c.status || r.body.text("error.code") != c.code || r.body.text("error.type") != "invalid_request_error" || r.body.text("error.message") == "" {
			t.Errorf("%s: %d %s", c.name, r.status, r.raw)
		}
	}
	r := h.ask("POST", create, secret, `{"amount":1,"currency":"eur"}`, "Content-Type", "application/json")
	if r.status != http.StatusBadRequest {
		t.Errorf("JSON: %d", r.status)
	}
	for _, path := range []string{"/v1/payment_intents/pi_x", "/v1/refunds/re_x", "/v1/charges/ch_x", "/v1/events/evt_x"} {
		if r := h.ask("GET", path, secret, ""); r.status != http.StatusNotFound || r.body.text("error.code") != "resource_missing" {
			t.Errorf("%s: %d %s", path, r.status, r.raw)
		}
	}
	if n := len(h.get("/v1/payment_intents").at("data").([]any)); n != 1 {
		t.Errorf("refused requests left %d intents", n-1)
	}
}

func TestList_pagesForwardAndBackWithoutGaps(t *testing.T) {
	h := open(t, "")
	var made []string
	for range 7 {
		made = append(made, h.create("").text("id"))
	}
	slices.Reverse(made)
	page := func(query string) ([]string, bool) {
		o := h.get("/v1/payment_intents?" + query)
		var ids []string
		for _, v := range o.at("data").([]any) {
			ids = append(ids, v.(map[string]any)["id"].(string))
		}
		return ids, o.at("has_more") == true
	}
	var got []string
	cursor := ""
	for {
		ids, more := page("limit=3" + cursor)
		got = append(got, ids...)
		if !more {
			break
		}
		cursor = "&starting_after=" + ids[len(ids)-1]
	}
	if !slices.Equal(got, made) {
		t.Errorf("forward %v, want %v", got, made)
	}
	if ids, more := page("limit=2&ending_before=" + made[4]); !slices.Equal(ids, made[2:4]) || !more {
		t.Errorf("back %v %v, want %v", ids, more, made[2:4])
	}
	if ids, more := page("limit=4&ending_before=" + made[4]); !slices.Equal(ids, made[:4]) || more {
		t.Errorf("back to the start %v %v", ids, more)
	}
	if ids, _ := page("created[lt]=1"); len(ids) != 0 {
		t.Errorf("before the epoch: %v", ids)
	}
	if ids, _ := page("created[gte]=1"); len(ids) != 7 {
		t.Errorf("since the epoch: %v", ids)
	}
	events := h.get("/v1/events?types[]=payment_intent.created&types[]=charge.failed&limit=100").at("data").([]any)
	if len(events) != 7 {
		t.Errorf("%d events", len(events))
	}
	for _, bad := range []string{"limit=0", "limit=101", "limit=x", "starting_after=pi_x", "created[gt]=soon", "sort=up"} {
		if r := h.ask("GET", "/v1/payment_intents?"+bad, secret, ""); r.status != 400 && r.status != 404 {
			t.Errorf("%s: %d", bad, r.status)
		}
	}
}

func TestPage_showsPaymentsAndLetsNothingThrough(t *testing.T) {
	h := open(t, "")
	h.create("&metadata[order_id]=" + url.QueryEscape("<img src=x onerror=alert(1)>"))
	h.confirm(h.create("").text("id"), "pm_card_chargeDeclinedInsufficientFunds")
	r := h.must(h.ask("GET", "/", "", ""), 200)
	for _, want := range []string{"euw3", "use1", "42.50 EUR", "requires_payment_method", "insufficient_funds"} {
		if !strings.Contains(r.raw, want) {
			t.Errorf("no %s on the page", want)
		}
	}
	if strings.Contains(r.raw, "<img") || strings.Contains(r.raw, "_secret_") {
		t.Error("the page shows what it must not")
	}
	for _, path := range []string{"/livez", "/readyz"} {
		h.must(h.ask("GET", path, "", ""), 200)
	}
}

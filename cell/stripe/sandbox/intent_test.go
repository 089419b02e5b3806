package sandbox_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

func TestConfirm_everyTestCardBehavesAsStripesDocumentationSays(t *testing.T) {
	h := open(t, "")
	for card, want := range map[string][3]string{
		"pm_card_visa":                                {"succeeded"},
		"pm_card_mastercard":                          {"succeeded"},
		"pm_card_amex":                                {"succeeded"},
		"tok_visa":                                    {"succeeded"},
		"pm_card_visa_chargeDeclined":                 {"", "card_declined", "generic_decline"},
		"pm_card_chargeDeclined":                      {"", "card_declined", "generic_decline"},
		"pm_card_chargeDeclinedInsufficientFunds":     {"", "card_declined", "insufficient_funds"},
		"pm_card_chargeDeclinedExpiredCard":           {"", "expired_card", "expired_card"},
		"pm_card_chargeDeclinedIncorrectCvc":          {"", "incorrect_cvc", "incorrect_cvc"},
		"pm_card_chargeDeclinedProcessingError":       {"", "processing_error", "processing_error"},
		"pm_card_visa_chargeDeclinedStolenCard":       {"", "card_declined", "stolen_card"},
		"pm_card_chargeDeclinedVelocityLimitExceeded": {"", "card_declined", "card_velocity_exceeded"},
		"pm_card_authenticationRequired":              {"requires_action"},
		"pm_card_threeDSecure2Required":               {"requires_action"},
	} {
		pi := h.create("")
		r := h.confirm(pi.text("id"), card)
		if want[0] != "" {
			if r.status != http.StatusOK || r.body.text("status") != want[0] {
				t.Errorf("%s: %d %s", card, r.status, r.raw)
			}
			continue
		}
		if r.status != http.StatusPaymentRequired || r.body.text("error.type") != "card_error" || r.body.text("error.code") != want[1] ||
			r.body.text("error.decline_code") != want[2] || r.body.text("error.payment_intent.status") != "requires_payment_method" ||
			r.body.text("error.payment_intent.last_payment_error.code") != want[1] || r.body.text("error.charge") == "" || r.body.text("error.message") == "" {
			t.Errorf("%s: %d %s", card, r.status, r.raw)
		}
	}
	pi := h.create("")
	form := url.Values{"payment_method_data[type]": {"card"}, "payment_method_data[card][number]": {"4242 4242 4242 4242"}}
	if r := h.ask("POST", "/v1/payment_intents/"+pi.text("id")+"/confirm", secret, form.Encode()); r.body.text("status") != "succeeded" {
		t.Errorf("by its number: %s", r.raw)
	}
}

func TestCreate_canConfirmAtOnceAndKeepsADeclinedIntent(t *testing.T) {
	h := open(t, "")
	ok := h.create("&confirm=true&payment_method=pm_card_visa&expand[]=latest_charge")
	if ok.text("status") != "succeeded" || ok.text("latest_charge.status") != "succeeded" {
		t.Fatalf("%v", ok)
	}
	waiting := h.create("&payment_method=pm_card_visa")
	if waiting.text("status") != "requires_confirmation" {
		t.Fatalf("%v", waiting)
	}
	if r := h.ask("POST", "/v1/payment_intents/"+waiting.text("id")+"/confirm", secret, ""); r.body.text("status") != "succeeded" {
		t.Fatalf("%s", r.raw)
	}
	r := h.must(h.ask("POST", "/v1/payment_intents", secret, "amount=100&currency=eur&confirm=true&payment_method=pm_card_visa_chargeDeclined&expand[]=latest_charge"), 402)
	if h.get("/v1/payment_intents/"+r.body.text("error.payment_intent.id")).text("status") != "requires_payment_method" {
		t.Fatal("the declined intent is not there")
	}
	r = h.must(h.ask("POST", "/v1/payment_intents", secret, "amount=100&currency=eur&confirm=true&off_session=true&payment_method=pm_card_authenticationRequired"), 402)
	if r.body.text("error.code") != "authentication_required" {
		t.Fatalf("without the buyer: %s", r.raw)
	}
}

func TestAuthentication_buyerApprovesOrRefusesOnce(t *testing.T) {
	h := open(t, "")
	ask := func(extra string) (object, string) {
		pi := h.create("&description=" + url.QueryEscape("<script>alert(1)</script>"))
		r := h.must(h.ask("POST", "/v1/payment_intents/"+pi.text("id")+"/confirm", secret, "payment_method=pm_card_authenticationRequired"+extra), 200)
		if r.body.text("next_action.type") != "redirect_to_url" {
			t.Fatalf("%s", r.raw)
		}
		return pi, strings.TrimPrefix(r.body.text("next_action.redirect_to_url.url"), h.front.URL)
	}
	pi, page := ask("")
	r := h.must(h.ask("GET", page, "", ""), 200)
	if !strings.Contains(r.raw, "Approve") || !strings.Contains(r.raw, "Refuse") || !strings.Contains(r.raw, "42.50 EUR") || strings.Contains(r.raw, "<script>") {
		t.Fatalf("page: %s", r.raw)
	}
	if r := h.ask("POST", page, "", "answer=perhaps"); r.status != http.StatusBadRequest {
		t.Errorf("an answer that is none: %d", r.status)
	}
	h.must(h.ask("POST", page, "", "answer=approve"), 200)
	if got := h.get("/v1/payment_intents/" + pi.text("id")); got.text("status") != "succeeded" || got.at("next_action") != nil {
		t.Fatalf("approved: %v", got)
	}
	if r := h.ask("POST", page, "", "answer=refuse"); r.status != http.StatusNotFound {
		t.Errorf("answered twice: %d", r.status)
	}

	pi, page = ask("")
	h.must(h.ask("POST", page, "", "answer=refuse"), 200)
	got := h.get("/v1/payment_intents/" + pi.text("id"))
	if got.text("status") != "requires_payment_method" || got.text("last_payment_error.code") != "payment_intent_authentication_failure" {
		t.Fatalf("refused: %v", got)
	}
	if r := h.ask("GET", page[:len(page)-1]+"x", "", ""); r.status != http.StatusNotFound {
		t.Errorf("a guessed ticket: %d", r.status)
	}

	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for answer, want := range map[string]string{"approve": "succeeded", "refuse": "failed"} {
		pi, page = ask("&return_url=" + url.QueryEscape("https://shop.example/order?code=7"))
		resp, err := stay.PostForm(h.front.URL+page, url.Values{"answer": {answer}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		back, err := resp.Location()
		if err != nil || back.Host != "shop.example" || back.Query().Get("code") != "7" || back.Query().Get("redirect_status") != want ||
			back.Query().Get("payment_intent_client_secret") != pi.text("client_secret") {
			t.Errorf("%s: back to %v, %v", answer, back, err)
		}
	}
	r = h.ask("POST", "/v1/payment_intents/"+h.create("").text("id")+"/confirm", secret, "payment_method=pm_card_visa&return_url=javascript:alert(1)")
	if r.status != http.StatusBadRequest || r.body.text("error.code") != "url_invalid" {
		t.Errorf("a return_url that is a script: %s", r.raw)
	}
}

func TestBrowser_reachesItsOwnIntentOnly(t *testing.T) {
	h := open(t, "")
	pi := h.create("&description=tickets")
	path, own := "/v1/payment_intents/"+pi.text("id"), "client_secret="+pi.text("client_secret")
	got := h.must(h.ask("GET", path+"?"+own, browser, ""), 200).body
	if got.text("status") != "requires_payment_method" || got.at("metadata") != nil || got.at("amount_received") != nil {
		t.Errorf("a browser sees %v", got)
	}
	for name, c := range map[string]struct {
		r    reply
		want int
	}{
		"no secret":                  {h.ask("GET", path, browser, ""), 400},
		"another secret":             {h.ask("GET", path+"?client_secret="+pi.text("id")+"_secret_x", browser, ""), 400},
		"confirm without the secret": {h.ask("POST", path+"/confirm", browser, "payment_method=pm_card_visa"), 400},
		"create":                     {h.ask("POST", "/v1/payment_intents", browser, "amount=100&currency=eur"), 401},
		"cancel":                     {h.ask("POST", path+"/cancel", browser, ""), 401},
		"refund":                     {h.ask("POST", "/v1/refunds", browser, "payment_intent="+pi.text("id")), 401},
		"events":                     {h.ask("GET", "/v1/events", browser, ""), 401},
		"another account's secret":   {h.ask("GET", path, "sk_test_sandbox_use1", ""), 404},
		"another account's browser":  {h.ask("GET", path+"?"+own, "pk_test_sandbox_use1", ""), 404},
		"an unknown key":             {h.ask("GET", path, "sk_test_sandbox_apn1", ""), 401},
		"no key":                     {h.ask("GET", path, "", ""), 401},
	} {
		if c.r.status != c.want {
			t.Errorf("%s: %d, want %d: %s", name, c.r.status, c.want, c.r.raw)
		}
	}
	if r := h.ask("GET", path, "sk_test_sandbox_unknown_apn1", ""); strings.Contains(r.raw, "sandbox_unknown") {
		t.Errorf("the key is echoed: %s", r.raw)
	}
	if r := h.ask("POST", path+"/confirm", browser, own+"&payment_method=pm_card_visa"); r.status != 200 || r.body.at("metadata") != nil {
		t.Errorf("confirm: %s", r.raw)
	}
	r := h.ask("OPTIONS", path+"/confirm", "", "")
	if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("a page of another origin may not call: %d %v", r.status, r.header)
	}
}

func TestIdempotency_isStripes(t *testing.T) {
	h := open(t, "")
	const form = "amount=4250&currency=eur&metadata[a]=1&metadata[b]=2"
	first := h.must(h.ask("POST", "/v1/payment_intents", secret, form, "Idempotency-Key", "k"), 200)
	again := h.must(h.ask("POST", "/v1/payment_intents", secret, "metadata[b]=2&metadata[a]=1&currency=eur&amount=4250", "Idempotency-Key", "k"), 200)
	if again.raw != first.raw || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" ||
		again.header.Get("Original-Request") != first.header.Get("Request-Id") {
		t.Errorf("first %v %s\nagain %v %s", first.header, first.raw, again.header, again.raw)
	}
	other := h.ask("POST", "/v1/payment_intents", secret, form+"&description=x", "Idempotency-Key", "k")
	if other.status != http.StatusBadRequest || other.body.text("error.type") != "idempotency_error" {
		t.Errorf("another body: %s", other.raw)
	}
	if r := h.ask("POST", "/v1/refunds", secret, form, "Idempotency-Key", "k"); r.body.text("error.type") != "idempotency_error" {
		t.Errorf("another path: %s", r.raw)
	}
	if r := h.ask("POST", "/v1/payment_intents", "sk_test_sandbox_use1", form, "Idempotency-Key", "k"); r.status != 200 || r.body.text("id") == first.body.text("id") {
		t.Errorf("another account: %s", r.raw)
	}

	// A decline is remembered, a malformed request is not.
	path := "/v1/payment_intents/" + first.body.text("id") + "/confirm"
	for range 2 {
		h.must(h.ask("POST", path, secret, "payment_method=pm_card_visa_chargeDeclined", "Idempotency-Key", "c"), 402)
	}
	if n := len(h.get("/v1/events?type=payment_intent.payment_failed").at("data").([]any)); n != 1 {
		t.Errorf("%d declines happened", n)
	}
	h.must(h.ask("POST", path, secret, "payment_method=pm_nonsense", "Idempotency-Key", "d"), 404)
	h.must(h.ask("POST", path, secret, "payment_method=pm_card_visa", "Idempotency-Key", "d"), 200)
	h.must(h.ask("POST", path, secret, "", "Idempotency-Key", strings.Repeat("k", 256)), 400)
}

func TestIdempotency_ofAHundredAtOnceMakesOneIntent(t *testing.T) {
	h := open(t, "")
	h.faults(`{"latency_ms":20}`)
	var all sync.WaitGroup
	ids := make(chan string, 100)
	for range 100 {
		all.Go(func() {
			r, err := h.try(t.Context(), "POST", "/v1/payment_intents", secret, "amount=100&currency=eur", "Idempotency-Key", "one")
			switch {
			case err != nil:
				t.Error(err)
			case r.status == http.StatusConflict && r.body.text("error.code") == "idempotency_key_in_use":
			case r.status == http.StatusOK:
				ids <- r.body.text("id")
			default:
				t.Errorf("%d %s", r.status, r.raw)
			}
		})
	}
	all.Wait()
	close(ids)
	seen := map[string]bool{}
	for id := range ids {
		seen[id] = true
	}
	if len(seen) != 1 || len(h.get("/v1/payment_intents").at("data").([]any)) != 1 {
		t.Fatalf("made %v", seen)
	}
}

func TestConfirm_byAHundredAtOnceTakesTheMoneyOnce(t *testing.T) {
	h := open(t, "")
	pi := h.create("")
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 100 {
		all.Go(func() {
			r, err := h.try(t.Context(), "POST", "/v1/payment_intents/"+pi.text("id")+"/confirm", secret, "payment_method=pm_card_visa", "Idempotency-Key", fmt.Sprint(i))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[r.status]++
		})
	}
	all.Wait()
	if statuses[200] != 1 || statuses[400] != 99 {
		t.Fatalf("%v", statuses)
	}
	if n := len(h.get("/v1/events?type=charge.succeeded").at("data").([]any)); n != 1 {
		t.Fatalf("%d charges", n)
	}
}

func TestCapture_takesApartOrAllAndCancelLetsGo(t *testing.T) {
	h := open(t, "")
	authorized := func() string {
		pi := h.create("&capture_method=manual&confirm=true&payment_method=pm_card_visa")
		if pi.text("status") != "requires_capture" || pi.at("amount_capturable") != 4250.0 || pi.at("amount_received") != 0.0 {
			t.Fatalf("%v", pi)
		}
		return "/v1/payment_intents/" + pi.text("id")
	}
	all := h.must(h.ask("POST", authorized()+"/capture", secret, ""), 200).body
	if all.text("status") != "succeeded" || all.at("amount_received") != 4250.0 {
		t.Errorf("%v", all)
	}
	path := authorized()
	h.must(h.ask("POST", path+"/capture", secret, "amount_to_capture=4251"), 400)
	part := h.must(h.ask("POST", path+"/capture", secret, "amount_to_capture=1000"), 200).body
	if part.at("amount_received") != 1000.0 || part.at("amount_capturable") != 0.0 {
		t.Errorf("%v", part)
	}
	h.must(h.ask("POST", path+"/capture", secret, ""), 400)
	if r := h.must(h.ask("POST", "/v1/refunds", secret, "payment_intent="+part.text("id")), 200); r.body.at("amount") != 1000.0 {
		t.Errorf("refunded %s", r.raw)
	}
	path = authorized()
	h.must(h.ask("POST", path+"/cancel", secret, "cancellation_reason=abandoned"), 200)
	if got := h.get(path); got.text("status") != "canceled" || got.text("cancellation_reason") != "abandoned" || got.at("amount_capturable") != 0.0 {
		t.Errorf("%v", got)
	}
	r := h.must(h.ask("POST", path+"/cancel", secret, ""), 400)
	if r.body.text("error.code") != "payment_intent_unexpected_state" || r.body.text("error.payment_intent.status") != "canceled" {
		t.Errorf("%s", r.raw)
	}
}

func TestRefund_neverMoreThanWasTaken(t *testing.T) {
	h := open(t, "")
	pi := h.paid()
	for _, amount := range []string{"1000", "250"} {
		h.must(h.ask("POST", "/v1/refunds", secret, "payment_intent="+pi.text("id")+"&amount="+amount), 200)
	}
	h.must(h.ask("POST", "/v1/refunds", secret, "payment_intent="+pi.text("id")+"&amount=3001"), 400)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := h.try(t.Context(), "POST", "/v1/refunds", secret, "charge="+pi.text("latest_charge")+"&amount=1000", "Idempotency-Key", fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r := h.ask("POST", "/v1/refunds", secret, "payment_intent="+pi.text("id"))
	if r.status != http.StatusBadRequest || r.body.text("error.code") != "charge_already_refunded" {
		t.Errorf("%s", r.raw)
	}
	sum := 0.0
	list := h.get("/v1/refunds?limit=100&payment_intent=" + pi.text("id")).at("data").([]any)
	for _, re := range list {
		sum += re.(map[string]any)["amount"].(float64)
	}
	if sum != 4250 || len(list) != 5 {
		t.Errorf("%d refunds give back %v", len(list), sum)
	}
	if ch := h.get("/v1/charges/" + pi.text("latest_charge")); ch.at("refunded") != true || ch.at("amount_refunded") != 4250.0 {
		t.Errorf("%v", ch)
	}
	one := list[0].(map[string]any)["id"].(string)
	if h.get("/v1/refunds/"+one).text("id") != one {
		t.Error("a refund cannot be read")
	}
}

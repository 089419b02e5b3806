package sandbox_test

import (
	"net/http"
	"testing"
)

func (h *house) dispute(intent string) object {
	h.t.Helper()
	all, _ := h.get("/v1/disputes?payment_intent=" + intent).at("data").([]any)
	if len(all) != 1 {
		h.t.Fatalf("%d disputes of %s", len(all), intent)
	}
	d, _ := all[0].(map[string]any)
	return d
}

// net is what the dispute moved at the provider.
func (o object) net() (sum float64) {
	all, _ := o.at("balance_transactions").([]any)
	for _, m := range all {
		n, _ := object(m.(map[string]any)).at("net").(float64)
		sum += n
	}
	return sum
}

func TestDispute_takesTheMoneyAndIsWonOrLost(t *testing.T) {
	t.Parallel()
	e := listen(t)
	h := open(t, e.URL)
	for how, want := range map[string]struct {
		status string
		net    float64
	}{"win": {"won", -1500}, "lose": {"lost", -5750}, "winning_evidence": {"won", -1500}, "losing_evidence": {"lost", -5750}, "close": {"lost", -5750}} {
		in := h.must(h.confirm(h.create("").text("id"), "pm_card_createDispute"), 200).body.text("id")
		d := h.dispute(in)
		if d.text("status") != "needs_response" || d.net() != -5750 || d.text("reason") != "fraudulent" {
			t.Fatalf("raised: %v", d)
		}
		if r := h.ask("POST", "/v1/refunds", secret, "payment_intent="+in); r.body.text("error.code") != "charge_disputed" {
			t.Errorf("a disputed charge was refunded: %s", r.raw)
		}
		at := "/v1/disputes/" + d.text("id")
		switch how {
		case "win", "lose":
			h.must(h.press(in, how), 200)
		case "close":
			h.must(h.ask("POST", at+"/close", secret, ""), 200)
		default:
			if got := h.must(h.ask("POST", at, secret, "evidence[uncategorized_text]=we+think"), 200).body.text("status"); got != "under_review" {
				t.Errorf("answered: %s", got)
			}
			h.must(h.ask("POST", at, secret, "evidence[uncategorized_text]="+how), 200)
		}
		if d = h.get(at); d.text("status") != want.status || d.net() != want.net {
			t.Errorf("%s: %s, moved %v; want %s, %v", how, d.text("status"), d.net(), want.status, want.net)
		}
		if r := h.ask("POST", at+"/close", secret, ""); r.status != http.StatusBadRequest {
			t.Errorf("decided twice: %s", r.raw)
		}
		if r := h.press(in, "dispute"); r.status != http.StatusBadRequest {
			t.Errorf("disputed twice: %s", r.raw)
		}
	}
	e.until(t, "all was told", func() bool {
		n := e.times()
		return n["charge.dispute.created"] == 10 && n["charge.dispute.funds_withdrawn"] == 10 && n["charge.dispute.closed"] == 10 &&
			n["charge.dispute.funds_reinstated"] == 4 && n["charge.dispute.updated"] == 4
	})
}

func TestDispute_inquiryMovesNoMoney(t *testing.T) {
	t.Parallel()
	h := open(t, "")
	in := h.must(h.confirm(h.create("").text("id"), "pm_card_createDisputeInquiry"), 200).body.text("id")
	if d := h.dispute(in); d.text("status") != "warning_needs_response" || d.net() != 0 {
		t.Fatalf("raised: %v", d)
	}
	h.must(h.ask("POST", "/v1/refunds", secret, "payment_intent="+in+"&amount=50"), 200)
	h.must(h.press(in, "lose"), 200)
	h.restart()
	if d := h.dispute(in); d.text("status") != "warning_closed" || d.net() != 0 {
		t.Errorf("closed: %v", d)
	}
}

func TestDispute_ofAnyPaymentByAButton(t *testing.T) {
	t.Parallel()
	h := open(t, "")
	in := h.paid().text("id")
	h.must(h.press(in, "inquire"), 200)
	unpaid := h.create("").text("id")
	for _, what := range []string{"settle", "dispute", "win", "nonsense"} {
		if r := h.press(unpaid, what); r.status < 400 || r.status > 404 {
			t.Errorf("%s of what is not paid: %d %s", what, r.status, r.raw)
		}
	}
	if r := h.ask("POST", "/sandbox/payments/"+in+"/lose", "", "", "Sec-Fetch-Site", "cross-site"); r.status != http.StatusForbidden {
		t.Errorf("another site pressed a button: %d", r.status)
	}
	html := "text/html"
	if r := h.ask("POST", "/sandbox/payments/"+in+"/lose", "", "", "Accept", html); r.status != http.StatusOK { // after the redirect to the page
		t.Errorf("a browser got %d", r.status)
	}
	if d := h.dispute(in); d.text("status") != "warning_closed" {
		t.Errorf("it is %s", d.text("status"))
	}
}

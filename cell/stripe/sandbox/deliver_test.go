package sandbox_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

func TestWebhooks_comeTwiceEachAndAreSignedLikeStripes(t *testing.T) {
	e := listen(t)
	h := open(t, e.URL)
	h.must(h.ask("POST", "/v1/refunds", secret, "payment_intent="+h.paid().text("id"), "Idempotency-Key", "back"), 200)
	all := []string{"payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "refund.created", "charge.refunded"}
	e.until(t, "each event twice", func() bool {
		n := e.times()
		for _, kind := range all {
			if n[kind] < 2 {
				return false
			}
		}
		return true
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, raw := range e.raw {
		if _, err := webhook.ConstructEvent([]byte(raw), e.headers[i], "whsec_sandbox_euw3"); err != nil {
			t.Errorf("stripe-go refuses %s: %v", e.headers[i], err)
		}
		if e.got[i].text("type") == "charge.refunded" && (e.got[i].text("request.idempotency_key") != "back" || e.got[i].at("data.previous_attributes.refunded") != false) {
			t.Errorf("%s", raw)
		}
	}
}

func TestWebhooks_areOfTheTypesThatTheEndpointIsSubscribedTo(t *testing.T) {
	e := listen(t)
	h := open(t, e.URL)
	h.stop()
	h.config.Accounts[0].Events = []string{"payment_intent.succeeded", "refund.created"}
	h.start()
	h.must(h.ask("POST", "/v1/refunds", secret, "payment_intent="+h.paid().text("id")), 200)
	e.until(t, "both twice", func() bool { n := e.times(); return n["payment_intent.succeeded"] >= 2 && n["refund.created"] >= 2 })
	eventually(t, "nothing is owed", func() bool { // of all five
		n := 0
		for _, v := range h.get("/v1/events?limit=100").at("data").([]any) {
			if v.(map[string]any)["pending_webhooks"] == 0.0 {
				n++
			}
		}
		return n == 5
	})
	if n := e.times(); len(n) != 2 {
		t.Errorf("told %v", n)
	}
}

func TestWebhooks_areRetriedUntilTheyAreTaken(t *testing.T) {
	e := listen(t)
	e.setRefuse(true)
	h := open(t, e.URL)
	id := h.paid().text("id")
	e.until(t, "several refusals", func() bool { return e.refusals() >= 5 })
	if pending := h.get("/v1/events?type=payment_intent.succeeded").at("data").([]any)[0].(map[string]any)["pending_webhooks"]; pending != 1.0 {
		t.Errorf("pending_webhooks is %v while nothing was taken", pending)
	}
	e.setRefuse(false)
	e.until(t, "the event after the endpoint is back", func() bool { return e.times()["payment_intent.succeeded"] >= 2 })
	eventually(t, "nothing is owed", func() bool {
		for _, v := range h.get("/v1/events?limit=100").at("data").([]any) {
			if v.(map[string]any)["pending_webhooks"] != 0.0 {
				return false
			}
		}
		return true
	})
	if got := h.get("/v1/payment_intents/" + id); got.text("status") != "succeeded" {
		t.Errorf("%v", got)
	}
}

func TestWebhooks_owedBeforeARestartComeAfterIt(t *testing.T) {
	e := listen(t)
	e.setRefuse(true)
	h := open(t, e.URL)
	h.paid()
	e.until(t, "a refusal", func() bool { return e.refusals() > 0 })
	h.stop()
	e.setRefuse(false)
	h.start()
	e.until(t, "the events of before", func() bool { return e.times()["payment_intent.succeeded"] >= 2 })
}

func TestFaults_blackoutKeepsWebhooksBackAndDuplicatesMultiplyThem(t *testing.T) {
	dark, lit := listen(t), listen(t)
	h := open(t, dark.URL)
	h.stop()
	h.config.Accounts[1].WebhookURL = lit.URL
	h.start()
	h.must(h.ask("POST", "/sandbox/faults?cell=euw3", "", `{"webhook_blackout":true,"duplicates":5,"reorder":true}`), 200)
	for range 2 { // a first and a later event of the dark cell, then one of the other
		h.paid()
	}
	h.must(h.ask("POST", "/v1/payment_intents", "sk_test_sandbox_use1", "amount=100&currency=eur&confirm=true&payment_method=pm_card_visa"), 200)
	lit.until(t, "the other cell's webhooks", func() bool { return lit.times()["payment_intent.succeeded"] == 2 })
	if n := dark.times(); len(n) != 0 {
		t.Fatalf("during the blackout came %v", n)
	}
	h.faults(`{}`)
	dark.until(t, "five copies of two", func() bool { return dark.times()["payment_intent.succeeded"] == 10 })
}

func TestFaults_of500DoNothingAndOfOneCellLeaveTheOthers(t *testing.T) {
	h := open(t, "")
	h.must(h.ask("POST", "/sandbox/faults?cell=euw3", "", `{"error_500_percent":100}`), 200)
	r := h.ask("POST", "/v1/payment_intents", secret, "amount=100&currency=eur", "Idempotency-Key", "k")
	if r.status != http.StatusInternalServerError || r.body.text("error.type") != "api_error" {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	h.must(h.ask("POST", "/v1/payment_intents", "sk_test_sandbox_use1", "amount=100&currency=eur"), 200)
	if got := h.must(h.ask("GET", "/sandbox/faults?cell=euw3", "", ""), 200); got.body.at("error_500_percent") != 100.0 {
		t.Errorf("%s", got.raw)
	}
	h.faults(`{}`)
	if n := len(h.get("/v1/payment_intents").at("data").([]any)); n != 0 {
		t.Fatalf("a 500 made %d intents", n)
	}
	h.must(h.ask("POST", "/v1/payment_intents", secret, "amount=100&currency=eur", "Idempotency-Key", "k"), 200)
}

func TestFaults_timeoutAfterEffectIsAnsweredByTheSameKey(t *testing.T) {
	h := open(t, "")
	h.faults(`{"timeout_after_effect_percent":100}`)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if r, err := h.try(ctx, "POST", "/v1/payment_intents", secret, "amount=100&currency=eur", "Idempotency-Key", "k"); err == nil {
		t.Fatalf("was answered: %s", r.raw)
	}
	eventually(t, "the effect", func() bool { return len(h.get("/v1/payment_intents").at("data").([]any)) == 1 })
	h.faults(`{}`)
	r := h.must(h.ask("POST", "/v1/payment_intents", secret, "amount=100&currency=eur", "Idempotency-Key", "k"), 200)
	if r.header.Get("Idempotent-Replayed") != "true" || len(h.get("/v1/payment_intents").at("data").([]any)) != 1 {
		t.Errorf("%v %s", r.header, r.raw)
	}
}

func TestFaults_refuseWhatTheyDoNotKnow(t *testing.T) {
	h := open(t, "")
	for _, body := range []string{
		"", "[]", `{"latency":1}`, `{"latency_ms":-1}`, `{"latency_ms":60001}`, `{"error_500_percent":101}`, `{"timeout_after_effect_percent":-1}`,
		`{"duplicates":21}`, `{"reorder":"yes"}`, `{}{}`, strings.Repeat(" ", 100<<10) + "{}",
	} {
		if r := h.ask("POST", "/sandbox/faults", "", body); r.status != http.StatusBadRequest {
			t.Errorf("%.40s: %d %s", body, r.status, r.raw)
		}
	}
	if r := h.ask("POST", "/sandbox/faults?cell=nowhere", "", "{}"); r.status != http.StatusBadRequest {
		t.Errorf("of a cell that is not here: %d", r.status)
	}
}

// A cell that is down is knocked at, not flooded, and gets everything once it is up.
func TestWebhooks_toADeadCellComeAllWhenItIsBack(t *testing.T) {
	e := listen(t)
	address := e.Listener.Addr().String()
	e.Close()
	h := open(t, "http://"+address)
	const payments = 20
	for range payments {
		h.paid()
	}
	back := listenAt(t, address)
	back.until(t, "everything that is owed", func() bool { return back.times()["payment_intent.succeeded"] == 2*payments })
}

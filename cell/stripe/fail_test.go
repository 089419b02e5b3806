package stripe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/cell/stripe"
	"guichet/internal/kind"
)

// Answers that the sandbox cannot give on demand, one at a time.
func TestProcessor_mapsWhatGoesWrongOnTheWay(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
		}
	}
	problem := func(kind, code string) string {
		return fmt.Sprintf(`{"error":{"type":%q,"code":%q,"message":"m","payment_intent":{"id":"pi_1","client_secret":"pi_1_secret_TELLTALE"}}}`, kind, code)
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want *kind.Error
	}{
		"500":                   {answer(500, problem("api_error", "")), payment.ErrProviderAway},
		"502 of a proxy":        {answer(502, "<html>bad gateway pi_1_secret_TELLTALE</html>"), payment.ErrProviderAway},
		"503 with an odd type":  {answer(503, problem("invalid_request_error", "")), payment.ErrProviderAway},
		"429":                   {answer(429, problem("invalid_request_error", "rate_limit")), payment.ErrProviderAway},
		"409":                   {answer(409, problem("idempotency_error", "idempotency_key_in_use")), payment.ErrProviderAway},
		"401":                   {answer(401, problem("invalid_request_error", "")), payment.ErrProviderAway},
		"403":                   {answer(403, problem("invalid_request_error", "")), payment.ErrProviderAway},
		"no JSON":               {answer(200, "pi_1_secret_TELLTALE"), payment.ErrProviderAway},
		"JSON that is no error": {answer(400, "{}"), payment.ErrProviderAway},
		"a redirect":            {answer(302, ""), payment.ErrProviderAway},
		"endless":               {answer(200, `{"id":"`+strings.Repeat("x", 5<<20)), payment.ErrProviderAway},
		"cut off":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, payment.ErrProviderAway},
		"an unknown state":      {answer(200, `{"id":"pi_1","status":"dreaming"}`), stripe.ErrAnswer},
		"402":                   {answer(402, problem("card_error", "card_declined")), payment.ErrRefusedByProvider},
		"400":                   {answer(400, problem("invalid_request_error", "amount_too_small")), payment.ErrRefusedByProvider},
		"404":                   {answer(404, problem("invalid_request_error", "resource_missing")), payment.ErrUnknownIntent},
		"400 resource_missing":  {answer(400, problem("invalid_request_error", "resource_missing")), payment.ErrUnknownIntent},
		"key used otherwise":    {answer(400, problem("idempotency_error", "")), stripe.ErrKey},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				c.h(w, r)
			}))
			defer s.Close()
			_, err := processor(s.URL, nil).CreateIntent(t.Context(), forTicket)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "TELLTALE") {
				t.Errorf("a client secret is in the error: %v", err)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("called %d times; repeating is the caller's", n)
			}
		})
	}
}

func TestProcessor_isAwayWhenNobodyListensOrAnswersInTime(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if _, err := processor(gone.URL, nil).GetIntent(t.Context(), "pi_1"); !errors.Is(err, payment.ErrProviderAway) {
		t.Errorf("nobody listens: %v", err)
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client is gone
		<-r.Context().Done()
	}))
	defer slow.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := processor(slow.URL, nil).CreateIntent(ctx, forTicket); !errors.Is(err, payment.ErrProviderAway) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's deadline: %v", err)
	}
	own := stripe.New(stripe.Config{SecretKey: "sk_test_1", BaseURL: slow.URL, Timeout: 30 * time.Millisecond})
	if _, err := own.GetIntent(t.Context(), "pi_1"); !errors.Is(err, payment.ErrProviderAway) {
		t.Errorf("its own deadline: %v", err)
	}
}

// Stripe remembers a refusal under its key for a day; the intent goes on.
func TestCancel_doesNotBelieveARememberedRefusal(t *testing.T) {
	var keys []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch key := r.Header.Get("Idempotency-Key"); {
		case r.Method == http.MethodGet:
			_, _ = fmt.Fprint(w, `{"id":"pi_1","status":"requires_payment_method","amount":1,"currency":"eur"}`)
		case key == "cancel":
			keys = append(keys, key)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"error":{"type":"invalid_request_error","code":"payment_intent_unexpected_state","message":"processing"}}`)
		default:
			keys = append(keys, key)
			_, _ = fmt.Fprint(w, `{"id":"pi_1","status":"canceled","amount":1,"currency":"eur"}`)
		}
	}))
	defer s.Close()
	in, err := processor(s.URL, nil).CancelIntent(t.Context(), "pi_1", "cancel")
	if err != nil || in.State != payment.Canceled {
		t.Fatalf("%+v, %v", in, err)
	}
	if len(keys) != 2 || keys[1] != "cancel:requires_payment_method" {
		t.Fatalf("keys %q", keys)
	}
}

func TestCancel_waitsWhileTheBankDecides(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = fmt.Fprint(w, `{"id":"pi_1","status":"processing","amount":1,"currency":"eur"}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"error":{"type":"invalid_request_error","code":"payment_intent_unexpected_state","message":"processing"}}`)
	}))
	defer s.Close()
	if in, err := processor(s.URL, nil).CancelIntent(t.Context(), "pi_1", "cancel"); !errors.Is(err, payment.ErrProviderAway) {
		t.Fatalf("%+v, %v", in, err)
	}
}

func TestMoney_isTheSameAfterAWalkThroughStripesUnits(t *testing.T) {
	tw := startSandbox(t)
	p := processor(tw.url, tw.recorder)
	for currency, want := range map[string]string{
		"EUR": `"amount":1230,`, "JPY": `"amount":1230,`, "ISK": `"amount":123000,`, "UGX": `"amount":123000,`, "KWD": `"amount":1230,`,
	} {
		n := forTicket
		n.Amount, n.Key = money.Money{Amount: 1230, Currency: currency}, "in-"+currency
		in, err := p.CreateIntent(t.Context(), n)
		if err != nil || in.Amount != n.Amount {
			t.Fatalf("%s: %+v, %v", currency, in, err)
		}
		if raw := tw.recorder.answer(); !strings.Contains(string(raw), want) {
			t.Errorf("%s: Stripe was told %s, want %s", currency, raw, want)
		}
		if status, body := browserConfirm(t, tw.url, in, "pm_card_visa"); status != http.StatusOK {
			t.Fatalf("%s: %v", currency, body)
		}
		re, err := p.Refund(t.Context(), in.ID, 230, "back-"+currency)
		if err != nil || re.Amount != (money.Money{Amount: 230, Currency: currency}) {
			t.Errorf("%s: %+v, %v", currency, re, err)
		}
	}
	n := forTicket
	n.Amount, n.Key = money.Money{Amount: 1234, Currency: "KWD"}, "odd"
	if _, err := p.CreateIntent(t.Context(), n); !errors.Is(err, payment.ErrRefusedByProvider) {
		t.Errorf("three digits with a last one that is not zero: %v", err)
	}
	n.Amount.Currency = "XXX"
	if _, err := p.CreateIntent(t.Context(), n); !errors.Is(err, money.ErrCurrency) {
		t.Errorf("no currency: %v", err)
	}
}

func TestCreateIntent_shortensALongDescription(t *testing.T) {
	tw := startSandbox(t)
	n := forTicket
	n.Description = strings.Repeat("é東", 400)
	if _, err := processor(tw.url, tw.recorder).CreateIntent(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if raw := tw.recorder.answer(); !strings.Contains(string(raw), `"description":"`+strings.Repeat("é東", 250)+`"`) {
		t.Errorf("%.300s", raw)
	}
}

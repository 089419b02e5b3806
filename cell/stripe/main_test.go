package stripe_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"

	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/cell/stripe"
	"guichet/cell/stripe/sandbox"
)

const webhookSecret = "whsec_sandbox_euw3"

// patience is how long a test waits for what another goroutine does.
const patience = 20 * time.Second

// mock is Stripe's own stateless stand-in, in this process.
var mock = sync.OnceValues(func() (http.Handler, error) {
	spec, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		return nil, err
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		return nil, err
	}
	stub, err := server.NewStubServer(fixtures, spec, false, false)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "Bearer sk_test_123") // it takes no key with the town's underscores
		stub.HandleRequest(w, r)
	})
	return &server.DoubleSlashFixHandler{Mux: mux}, nil
})

func startMock(t *testing.T) string {
	t.Helper()
	h, err := mock()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// town is a sandbox with one account, and the endpoint that its webhooks reach.
type town struct {
	url      string
	notices  chan delivery
	recorder *recorder
}

type delivery struct {
	body      []byte
	signature string
}

func startSandbox(t *testing.T) town {
	t.Helper()
	tw := town{notices: make(chan delivery, 1000), recorder: &recorder{}}
	endpoint := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		tw.notices <- delivery{body, r.Header.Get("Stripe-Signature")}
	}))
	s, err := sandbox.Open(sandbox.Config{
		StateDir: t.TempDir(), RetryBase: time.Millisecond, Now: time.Now,
		Accounts: []sandbox.Account{sandbox.AccountOf("euw3", endpoint.URL)},
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s.Handler())
	tw.url = front.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		front.Close()
		endpoint.Close()
	})
	return tw
}

// recorder is a transport that keeps the raw answers.
type recorder struct {
	mu   sync.Mutex // guards the fields below
	last []byte
	base string // where the last request went
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.base = body, "http://"+req.URL.Host
	return resp, nil
}

func (r *recorder) answer() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func processor(url string, over http.RoundTripper) *stripe.Processor {
	return stripe.New(stripe.Config{
		SecretKey: "sk_test_sandbox_euw3", PublishableKey: "pk_test_sandbox_euw3", WebhookSecret: webhookSecret,
		BaseURL: url, Timeout: patience, HTTPClient: &http.Client{Transport: over},
	})
}

var forTicket = payment.NewIntent{
	Amount: money.Money{Amount: 4250, Currency: "EUR"}, OrderID: "ord_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", EventID: "evt_euw3_k3v9x2m4q7rt",
	Email: "a@example.org", Description: "2 × Orchestre de Paris", Key: "order-1:intent",
}

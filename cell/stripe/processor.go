// Package stripe lets payments meet Stripe: it is payment.Processor by means of
// stripe-go. The same code talks to Stripe, to Stripe's own stripe-mock in the
// contract tests and to cell/stripe/sandbox in a town, by its base URL alone. It
// keeps nothing; what must survive is written down by its caller before and after.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	api "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/account"
	"github.com/stripe/stripe-go/v76/event"
	"github.com/stripe/stripe-go/v76/paymentintent"
	"github.com/stripe/stripe-go/v76/refund"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"

	"guichet/cell/payment"
	"guichet/internal/kind"
)

const (
	defaultTimeout = 10 * time.Second
	maxAnswer      = 4 << 20 // bytes of an answer; Stripe's are a few thousand
	maxDescription = 500     // characters
	maxKey         = 255     // characters of an idempotency key, Stripe's limit
	idleConns      = 32
)

// ErrKey means a call without a usable idempotency key, or with one that was used
// for something else: a bug of ours, never an answer for a buyer.
var ErrKey = kind.Internal.New("payment_key_unusable")

// Config says which account is used and where.
type Config struct {
	SecretKey      string
	PublishableKey string
	WebhookSecret  string
	BaseURL        string        // "" is Stripe itself
	Timeout        time.Duration // of one call, default 10 s; the context may end it earlier
	HTTPClient     *http.Client  // default: one of its own with pooled connections
	Methods        []string      // Stripe's types of payment methods that are offered, default card
}

// Processor is Stripe as a payment.Processor. It is safe for concurrent use.
type Processor struct {
	config  Config
	intents paymentintent.Client
	refunds refund.Client
	payees  account.Client
	events  event.Client
}

var (
	_ payment.Processor = (*Processor)(nil)
	_ payment.Payees    = (*Processor)(nil)
	_ payment.Reader    = (*Processor)(nil)
	_ payment.FeeTeller = (*Processor)(nil)
	_ payment.Historian = (*Processor)(nil)
)

// New makes a Processor. stripe-go would repeat failed calls by itself and
// sleep in between without looking at the context; here nothing is repeated,
// the caller does that with the same key.
func New(config Config) *Processor {
	if config.Timeout <= 0 {
		config.Timeout = defaultTimeout
	}
	if config.BaseURL == "" {
		config.BaseURL = api.APIURL
	}
	backend := api.GetBackendWithConfig(api.APIBackend, &api.BackendConfig{
		URL: new(config.BaseURL), HTTPClient: boundedClient(config.HTTPClient), MaxNetworkRetries: new(int64(0)),
		EnableTelemetry: new(false), LeveledLogger: &api.LeveledLogger{Level: api.LevelNull},
	})
	return &Processor{
		config:  config,
		intents: paymentintent.Client{B: backend, Key: config.SecretKey},
		refunds: refund.Client{B: backend, Key: config.SecretKey},
		payees:  account.Client{B: backend, Key: config.SecretKey},
		events:  event.Client{B: backend, Key: config.SecretKey},
	}
}

// boundedClient is the client with a limit on what it reads of an answer, which
// stripe-go does not have. It follows no redirects: Stripe sends none.
func boundedClient(given *http.Client) *http.Client {
	var c http.Client
	if given != nil {
		c = *given
	}
	if c.Transport == nil {
		t := &http.Transport{}
		if usual, ok := http.DefaultTransport.(*http.Transport); ok { // it may have been replaced
			t = usual.Clone()
		}
		t.MaxIdleConnsPerHost = idleConns
		c.Transport = t
	}
	c.Transport = otelhttp.NewTransport(bounded{c.Transport}, otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return "provider " + r.Method }),
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator())) // the provider is not told our trace
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

// Name is "stripe".
func (p *Processor) Name() string { return "stripe" }

// PublishableKey is what a buyer's browser authenticates with.
func (p *Processor) PublishableKey() string { return p.config.PublishableKey }

// CreateIntent prepares a card payment that is captured as soon as the buyer's
// bank agrees, or, made Manual and paid by card, by CaptureIntent. The answer to a repeated key is the first one, however old.
func (p *Processor) CreateIntent(ctx context.Context, n payment.NewIntent) (payment.Intent, error) {
	params := &api.PaymentIntentParams{
		Currency:           new(strings.ToLower(n.Amount.Currency)),
		CaptureMethod:      new(string(api.PaymentIntentCaptureMethodAutomatic)),
		PaymentMethodTypes: api.StringSlice(p.methods(n.Amount.Currency)),
	}
	if n.Manual {
		params.PaymentMethodOptions = byHand()
	}
	amount, err := toStripe(n.Amount)
	if err != nil {
		return payment.Intent{}, fmt.Errorf("stripe: create the intent of %s: %w", n.OrderID, err)
	}
	params.Amount = new(amount)
	params.AddMetadata("order_id", n.OrderID)
	params.AddMetadata("event_id", n.EventID)
	if err := payTo(params, n); err != nil {
		return payment.Intent{}, fmt.Errorf("stripe: create the intent of %s: %w", n.OrderID, err)
	}
	if n.Email != "" {
		params.ReceiptEmail = new(n.Email)
	}
	if n.Description != "" {
		params.Description = new(shortened(n.Description, maxDescription))
	}
	done, err := p.prepare(ctx, &params.Params, n.Key)
	if err != nil {
		return payment.Intent{}, fmt.Errorf("stripe: create the intent of %s: %w", n.OrderID, err)
	}
	defer done()
	pi, err := p.intents.New(params)
	if err != nil {
		if err = failure(err); errors.Is(err, payment.ErrUnknownIntent) { // the destination: nothing else is named
			err = fmt.Errorf("%w (%w)", payment.ErrRefusedByProvider.With("the organizer's account does not take payments"), err)
		}
		return payment.Intent{}, fmt.Errorf("stripe: create the intent of %s: %w", n.OrderID, err)
	}
	return checked(pi)
}

// inEuro are methods that take euros only.
var inEuro = []string{"bancontact", "ideal", "sepa_debit"}

// methods are the offered ones that take the currency; a card takes every one.
func (p *Processor) methods(currency string) []string {
	var fit []string
	for _, m := range p.config.Methods {
		if currency == "EUR" || !slices.Contains(inEuro, m) {
			fit = append(fit, m)
		}
	}
	if len(fit) == 0 {
		return []string{"card"}
	}
	return fit
}

// GetIntent reads an intent as it is now.
func (p *Processor) GetIntent(ctx context.Context, intentID string) (payment.Intent, error) {
	pi, err := p.get(ctx, intentID)
	if err != nil {
		return payment.Intent{}, fmt.Errorf("stripe: get the intent %.40s: %w", intentID, err)
	}
	return checked(pi)
}

func (p *Processor) get(ctx context.Context, intentID string) (*api.PaymentIntent, error) {
	if !isID(intentID, "pi_") {
		return nil, payment.ErrUnknownIntent
	}
	params := &api.PaymentIntentParams{}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	params.Context = ctx
	pi, err := p.intents.Get(intentID, params)
	if err != nil {
		return nil, failure(err)
	}
	return pi, nil
}

// CancelIntent answers Canceled, or Captured when the money came first; while
// the bank is still deciding it answers ErrUndecided.
func (p *Processor) CancelIntent(ctx context.Context, intentID, key string) (payment.Intent, error) {
	in, err := p.cancel(ctx, intentID, key)
	if err != nil {
		return payment.Intent{}, fmt.Errorf("stripe: cancel the intent %.40s: %w", intentID, err)
	}
	return in, nil
}

func (p *Processor) cancel(ctx context.Context, intentID, key string) (payment.Intent, error) {
	if !isID(intentID, "pi_") {
		return payment.Intent{}, payment.ErrUnknownIntent
	}
	pi, err := p.tryCancel(ctx, intentID, key)
	if !isUnexpectedState(err) {
		if err != nil {
			return payment.Intent{}, failure(err)
		}
		return checked(pi)
	}
	if pi, err = p.get(ctx, intentID); err != nil {
		return payment.Intent{}, err
	}
	if cancelable(pi.Status) {
		// The refusal is a remembered one, from before the bank decided; the key
		// would repeat it for a day, so this state gets a key of its own.
		if pi, err = p.tryCancel(ctx, intentID, key+":"+string(pi.Status)); err != nil {
			return payment.Intent{}, failure(err)
		}
	}
	if pi.Status == api.PaymentIntentStatusProcessing {
		return payment.Intent{}, fmt.Errorf("%w: %w", payment.ErrUndecided.With("the bank is still deciding").After(time.Second), payment.ErrProviderAway)
	}
	return checked(pi)
}

func (p *Processor) tryCancel(ctx context.Context, intentID, key string) (*api.PaymentIntent, error) {
	params := &api.PaymentIntentCancelParams{}
	done, err := p.prepare(ctx, &params.Params, key)
	if err != nil {
		return nil, err
	}
	defer done()
	return p.intents.Cancel(intentID, params)
}

// Refund gives amount of the intent back, in the minor units of its currency;
// zero means all that is left.
func (p *Processor) Refund(ctx context.Context, intentID string, amount int64, key string) (payment.Refund, error) {
	r, err := p.refund(ctx, intentID, amount, key)
	if err != nil {
		return payment.Refund{}, fmt.Errorf("stripe: refund %d of %.40s: %w", amount, intentID, err)
	}
	return r, nil
}

func (p *Processor) refund(ctx context.Context, intentID string, amount int64, key string) (payment.Refund, error) {
	if !isID(intentID, "pi_") {
		return payment.Refund{}, payment.ErrUnknownIntent
	}
	if amount < 0 {
		return payment.Refund{}, payment.ErrRefusedByProvider.With("a refund cannot be negative")
	}
	params := &api.RefundParams{PaymentIntent: new(intentID)}
	pi, err := p.get(ctx, intentID)
	if err != nil {
		return payment.Refund{}, err
	}
	takeBack(params, pi)
	if amount > 0 { // what a minor unit is for Stripe depends on the currency
		units, err := toStripe(moneyOf(amount, pi.Currency))
		if err != nil {
			return payment.Refund{}, err
		}
		params.Amount = new(units)
	}
	done, err := p.prepare(ctx, &params.Params, key)
	if err != nil {
		return payment.Refund{}, err
	}
	defer done()
	re, err := p.refunds.New(params)
	if err != nil {
		return payment.Refund{}, failure(err)
	}
	return refundOf(re)
}

// prepare gives a call our key and a deadline.
func (p *Processor) prepare(ctx context.Context, params *api.Params, key string) (context.CancelFunc, error) {
	if key == "" || len(key) > maxKey || strings.TrimSpace(key) != key {
		return nil, ErrKey.With("a call that moves money needs a key of 1 to %d characters", maxKey)
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	params.Context = ctx
	params.SetIdempotencyKey(key)
	return cancel, nil
}

// isID keeps anything but an id out of the request's path.
func isID(s, prefix string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok || rest == "" || len(s) > 255 {
		return false
	}
	return strings.Trim(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

func shortened(s string, runes int) string {
	for i := range s {
		if runes == 0 {
			return s[:i]
		}
		if utf8.RuneStart(s[i]) {
			runes--
		}
	}
	return s
}

package stripe

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	api "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"guichet/cell/payment"
	"guichet/internal/kind"
)

// ErrNotice means a webhook that Stripe signed and that is no event we can read.
var ErrNotice = kind.Invalid.New("notice_not_understood")

// ParseNotice checks the Stripe-Signature header against the raw body and, by
// now, that it is at most 300 s old (or ahead, for clocks that differ).
func (p *Processor) ParseNotice(body []byte, signature string, now time.Time) (payment.Notice, error) {
	if p.config.WebhookSecret == "" { // a signature under an empty secret is anybody's
		return payment.Notice{}, payment.ErrBadSignature.With("this cell has no webhook secret")
	}
	at, err := signedAt(signature)
	if err != nil {
		return payment.Notice{}, err
	}
	if age := now.Sub(at); age > webhook.DefaultTolerance || age < -webhook.DefaultTolerance {
		return payment.Notice{}, payment.ErrBadSignature.With("the signature is from %s, more than %s away", at.UTC().Format(time.RFC3339), webhook.DefaultTolerance)
	}
	// stripe-go asks the wall clock for the tolerance; here it was asked for above.
	if err := webhook.ValidatePayloadIgnoringTolerance(body, signature, p.config.WebhookSecret); err != nil {
		return payment.Notice{}, fmt.Errorf("%w: %w", payment.ErrBadSignature, err)
	}
	return p.ReadNotice(body)
}

// ReadNotice reads a notice of any API version whose signature was checked when it came.
func (p *Processor) ReadNotice(body []byte) (payment.Notice, error) {
	var event envelope
	if err := json.Unmarshal(body, &event); err != nil {
		return payment.Notice{}, fmt.Errorf("%w: %w", ErrNotice, err)
	}
	return noticeOf(event)
}

// Heard are the types of events that say something to us: what a cell's webhook endpoint
// is to be subscribed to at Stripe. Others are stored and counted, and have no effect.
var Heard = []string{
	"payment_intent.amount_capturable_updated", "payment_intent.canceled", "payment_intent.payment_failed", "payment_intent.processing",
	"payment_intent.requires_action", "payment_intent.succeeded",
	"charge.dispute.closed", "charge.dispute.created", "charge.dispute.funds_reinstated", "charge.dispute.funds_withdrawn", "charge.dispute.updated",
	"charge.refunded", "refund.created", "refund.failed", "refund.updated",
}

// envelope is what is read of every event. stripe-go's own Event reads the object into a
// map as well, which nobody looks at, and most events are not about an object of ours.
type envelope struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Created int64  `json:"created"`
	Data    struct {
		Object json.RawMessage `json:"object"`
	} `json:"data"`
}

// signedAt is the one timestamp of the header. Two are refused: stripe-go
// would sign with the last, so which one was checked must not be a question.
func signedAt(signature string) (time.Time, error) {
	var at time.Time
	n := 0
	for part := range strings.SplitSeq(signature, ",") {
		value, ok := strings.CutPrefix(part, "t=")
		if !ok {
			continue
		}
		n++
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds <= 0 || seconds > 1<<40 {
			return at, payment.ErrBadSignature.With("the signature has no readable time")
		}
		at = time.Unix(seconds, 0)
	}
	if n != 1 {
		return at, payment.ErrBadSignature.With("the signature has %d times, must have one", n)
	}
	return at, nil
}

func noticeOf(event envelope) (payment.Notice, error) {
	n := payment.Notice{ID: event.ID, Type: event.Type, Created: time.Unix(event.Created, 0).UTC()}
	if !isID(n.ID, "evt_") || n.Type == "" || len(n.Type) > maxCode || strings.Trim(n.Type, "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" {
		return payment.Notice{}, ErrNotice.With("the event has no id, or no type that Stripe would give it")
	}
	read := readers[n.Type]
	for prefix, of := range readersOf {
		if strings.HasPrefix(n.Type, prefix) {
			read = of
		}
	}
	if read == nil {
		return n, nil
	}
	if len(event.Data.Object) == 0 {
		return payment.Notice{}, ErrNotice.With("the event %s has no object", n.ID)
	}
	if err := read(event.Data.Object, &n); err != nil {
		return payment.Notice{}, fmt.Errorf("%w: the event %s: %w", ErrNotice, n.ID, err)
	}
	return n, nil
}

// readers read the object of an event by its type, readersOf by how its type begins.
var (
	readers = map[string]func(object []byte, n *payment.Notice) error{
		"charge.refunded": returnedIn, "charge.refund.updated": refundIn, // what the latter was called before there was refund.updated
	}
	readersOf = map[string]func(object []byte, n *payment.Notice) error{
		"payment_intent.": func(object []byte, n *payment.Notice) error {
			in, err := intentIn(object)
			n.Intent = &in
			return err
		},
		"charge.dispute.": func(object []byte, n *payment.Notice) (err error) {
			n.Dispute, err = disputeOf(object)
			return err
		},
		"refund.": refundIn,
	}
)

// intentIn reads the payment intent of an event: of its many members those that are looked
// at, as every order's event passes here.
func intentIn(object []byte) (payment.Intent, error) {
	var in struct {
		ID               string                  `json:"id"`
		ClientSecret     string                  `json:"client_secret"`
		Status           api.PaymentIntentStatus `json:"status"`
		Amount           int64                   `json:"amount"`
		AmountReceived   int64                   `json:"amount_received"`
		Currency         api.Currency            `json:"currency"`
		Metadata         map[string]string       `json:"metadata"`
		LastPaymentError *api.Error              `json:"last_payment_error"`
	}
	if err := json.Unmarshal(object, &in); err != nil {
		return payment.Intent{}, err
	}
	return checked(&api.PaymentIntent{
		ID: in.ID, ClientSecret: in.ClientSecret, Status: in.Status, Amount: in.Amount, AmountReceived: in.AmountReceived,
		Currency: in.Currency, Metadata: in.Metadata, LastPaymentError: in.LastPaymentError,
	})
}

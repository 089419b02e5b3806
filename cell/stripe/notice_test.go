package stripe_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/cell/stripe"
	"guichet/internal/kind"
)

var noticeTime = time.Unix(1_790_000_000, 0)

const noticeBody = `{"id":"evt_1","object":"event","api_version":"2099-01-01","created":1790000000,"type":"payment_intent.succeeded",
"data":{"object":{"id":"pi_1","object":"payment_intent","status":"succeeded","amount":500,"amount_received":500,"currency":"jpy",
"metadata":{"order_id":"ord_1"}}}}`

const disputeBody = `{"id":"evt_2","object":"event","created":1790000000,"type":"charge.dispute.funds_withdrawn",
"data":{"object":{"id":"dp_1","object":"dispute","status":"needs_response","amount":4250,"currency":"eur","payment_intent":"pi_1","reason":"fraudulent",
"evidence_details":{"due_by":1790600000},"balance_transactions":[{"id":"txn_1","amount":-4250,"fee":1500,"net":-5750,"currency":"eur"}]}}}`

func signed(body, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: secret, Timestamp: at}).Header
}

func TestParseNotice_takesWhatStripeSigned(t *testing.T) {
	p := processor("http://127.0.0.1:0", nil)
	// A newer API version than the library's, and clocks that differ by up to the tolerance.
	for _, ahead := range []time.Duration{0, 300 * time.Second, -300 * time.Second} {
		n, err := p.ParseNotice([]byte(noticeBody), signed(noticeBody, webhookSecret, noticeTime), noticeTime.Add(ahead))
		if err != nil {
			t.Fatalf("%s: %v", ahead, err)
		}
		if n.ID != "evt_1" || !n.Created.Equal(noticeTime) || n.Intent == nil || n.Intent.Amount.Currency != "JPY" || n.Intent.Received != 500 {
			t.Fatalf("%s: %+v %+v", ahead, n, n.Intent)
		}
	}
	refund := strings.ReplaceAll(noticeBody, "payment_intent.succeeded", "charge.refunded")
	n, err := p.ParseNotice([]byte(refund), signed(refund, webhookSecret, noticeTime), noticeTime)
	if err != nil || n.Intent != nil || n.Type != "charge.refunded" {
		t.Fatalf("%+v, %v", n, err)
	}
	rolled := signed(noticeBody, "whsec_new", noticeTime) + "," + strings.SplitN(signed(noticeBody, webhookSecret, noticeTime), ",", 2)[1]
	if _, err := p.ParseNotice([]byte(noticeBody), rolled, noticeTime); err != nil {
		t.Fatalf("while the secret is rolled Stripe signs with both: %v", err)
	}
}

// What an endpoint is to be subscribed to says something; what Stripe tells besides of a
// purchase or a refund does not.
func TestHeard_areTheEventsThatSaySomething(t *testing.T) {
	p := processor("http://127.0.0.1:0", nil)
	for _, kind := range append(slices.Clone(stripe.Heard), "charge.succeeded", "charge.captured", "charge.pending", "charge.failed") {
		body := strings.Replace(noticeBody, "payment_intent.succeeded", kind, 1)
		if strings.HasPrefix(kind, "charge.dispute.") {
			body = strings.Replace(disputeBody, "charge.dispute.funds_withdrawn", kind, 1)
		}
		if strings.HasPrefix(kind, "refund.") {
			body = refundEvent(kind, `"id":"re_1","object":"refund","amount":500,"currency":"eur","status":"succeeded","payment_intent":"pi_1"`)
		}
		if kind == "charge.refunded" {
			body = refundEvent(kind, `"id":"ch_1","object":"charge","amount_refunded":500,"currency":"eur","payment_intent":"pi_1"`)
		}
		n, err := p.ReadNotice([]byte(body))
		if says := !n.Silent(); err != nil || n.Type != kind || says != slices.Contains(stripe.Heard, kind) {
			t.Errorf("%s: %+v, %v", kind, n, err)
		}
	}
}

func refundEvent(kind, object string) string {
	return `{"id":"evt_1","object":"event","created":1700000000,"type":"` + kind + `","data":{"object":{` + object + `}}}`
}

// A refund's notice says how much goes back of which payment, in our minor units, in
// whatever version of the API it is told.
func TestParseNotice_readsRefundsThatWereMadeAtTheProvider(t *testing.T) {
	p := processor("http://127.0.0.1:0", nil)
	for object, want := range map[string]*payment.Refund{
		`"id":"re_1","amount":500,"currency":"eur","status":"succeeded","payment_intent":"pi_1"`:                                  {ID: "re_1", State: "done", Amount: money.Money{Amount: 500, Currency: "EUR"}, IntentID: "pi_1"},
		`"id":"re_1","amount":500,"currency":"isk","status":"pending","payment_intent":{"id":"pi_1"},"transfer_reversal":"trr_1"`: {ID: "re_1", State: "in_transit", Amount: money.Money{Amount: 5, Currency: "ISK"}, IntentID: "pi_1", Reversed: true},
		`"id":"pyr_1","amount":500,"currency":"eur","status":"failed","payment_intent":"pi_1"`:                                    {ID: "pyr_1", State: "failed", Amount: money.Money{Amount: 500, Currency: "EUR"}, IntentID: "pi_1"},
		`"id":"re_1","amount":500,"currency":"eur","status":"reconsidered","payment_intent":"pi_1"`:                               nil,
		`"id":"re_1","amount":500,"currency":"eur","status":"succeeded","payment_intent":null`:                                    nil,
	} {
		n, err := p.ReadNotice([]byte(refundEvent("refund.updated", object)))
		if err != nil || (want == nil) != n.Silent() || want != nil && *n.Refund != *want {
			t.Errorf("%s: %+v, %v", object, n.Refund, err)
		}
	}
	n, err := p.ReadNotice([]byte(refundEvent("charge.refunded", `"id":"ch_1","amount_refunded":500,"currency":"eur","payment_intent":"pi_1"`)))
	if err != nil || n.Returned == nil || *n.Returned != (payment.Returned{IntentID: "pi_1", Amount: money.Money{Amount: 500, Currency: "EUR"}}) {
		t.Errorf("%+v, %v", n.Returned, err)
	}
	for _, bad := range []string{`"id":"re_1\u0000","amount":1,"status":"failed","payment_intent":"pi_1"`, `"id":"re_1","amount":-1,"status":"failed","payment_intent":"pi_1"`, `"id":1`} {
		if _, err := p.ReadNotice([]byte(refundEvent("refund.created", bad))); !errors.Is(err, stripe.ErrNotice) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// forgeries are headers that must not be taken for the body at noticeTime.
func forgeries() map[string]string {
	good := signed(noticeBody, webhookSecret, noticeTime)
	old := signed(noticeBody, webhookSecret, noticeTime.Add(-301*time.Second))
	at, mac, _ := strings.Cut(good, ",")
	_, oldMac, _ := strings.Cut(old, ",")
	return map[string]string{
		"none":                     "",
		"truncated":                good[:len(good)-2],
		"half":                     good[:len(good)/2],
		"one digit":                good[:len(good)-1],
		"no time":                  mac,
		"no mac":                   at,
		"another secret":           signed(noticeBody, "whsec_other", noticeTime),
		"an empty secret":          signed(noticeBody, "", noticeTime),
		"too old":                  old,
		"too far ahead":            signed(noticeBody, webhookSecret, noticeTime.Add(301*time.Second)),
		"an old mac at a new time": at + "," + oldMac,
		"the right time twice":     at + "," + good,
		"two times, new first":     at + "," + old,
		"two times, new last":      old + "," + at,
		"another scheme":           strings.Replace(good, "v1=", "v0=", 1),
		"time zero":                signed(noticeBody, webhookSecret, time.Unix(0, 0)),
		"time overflows":           "t=99999999999999999999," + mac,
		"time of another age":      "t=9223372036854775807," + mac,
		"negative time":            "t=-1," + mac,
		"not hex":                  at + ",v1=zz",
		"equals signs":             at + ",v1==" + mac,
		"commas":                   ",,,,",
		"another body":             signed(noticeBody+" ", webhookSecret, noticeTime),
	}
}

func TestParseNotice_refusesForgedOldAndTruncatedSignatures(t *testing.T) {
	p := processor("http://127.0.0.1:0", nil)
	for name, header := range forgeries() {
		if n, err := p.ParseNotice([]byte(noticeBody), header, noticeTime); !errors.Is(err, payment.ErrBadSignature) {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	unset := stripe.New(stripe.Config{})
	if _, err := unset.ParseNotice([]byte(noticeBody), signed(noticeBody, "", noticeTime), noticeTime); !errors.Is(err, payment.ErrBadSignature) {
		t.Errorf("without a secret everybody could sign: %v", err)
	}
}

func TestParseNotice_saysWhenASignedBodyIsNoEvent(t *testing.T) {
	p := processor("http://127.0.0.1:0", nil)
	for _, body := range []string{
		"", "null", "[]", "{", "{}", `{"id":"evt_1","type":"payment_intent.succeeded"}`, `{"id":"","type":"charge.refunded"}`,
		`{"id":"evt_1","type":"payment_intent.succeeded","data":{}}`,
		`{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":7}}`,
		`{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","status":"dreaming"}}}`,
		`{"id":"../evt","type":"charge.refunded"}`,
	} {
		_, err := p.ParseNotice([]byte(body), signed(body, webhookSecret, noticeTime), noticeTime)
		if !errors.Is(err, stripe.ErrNotice) || kind.Of(err) != kind.Invalid {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestReadNotice_refusesDisputesThatMakeNoSense(t *testing.T) {
	p := processor("http://127.0.0.1:0", nil)
	good, err := p.ReadNotice([]byte(disputeBody))
	if err != nil || good.Dispute == nil || good.Dispute.State != payment.DisputeOpen || good.Dispute.Movements[0].Amount.Amount != -4250 {
		t.Fatalf("%+v, %v", good, err)
	}
	for name, swap := range map[string][2]string{
		"no intent":            {`"payment_intent":"pi_1",`, ""},
		"a path for an intent": {`pi_1`, `pi_/../x`},
		"another id":           {`dp_1`, `ch_1`},
		"a negative amount":    {`"amount":4250`, `"amount":-1`},
		"an impossible amount": {`"amount":4250`, `"amount":9223372036854775807`},
		"no status":            {`"status":"needs_response",`, ""},
		"a movement of nobody": {`txn_1`, ``},
		"a huge fee":           {`"fee":1500`, `"fee":-9223372036854775808`},
		"no object":            {`"data"`, `"nodata"`},
	} {
		body := strings.Replace(disputeBody, swap[0], swap[1], 1)
		if body == disputeBody {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := p.ReadNotice([]byte(body)); !errors.Is(err, stripe.ErrNotice) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A state of tomorrow is kept, and says nothing yet.
	tomorrow := strings.Replace(disputeBody, "needs_response", "prevented", 1)
	if n, err := p.ReadNotice([]byte(tomorrow)); err != nil || n.Dispute != nil || n.ID != "evt_2" {
		t.Errorf("%+v, %v", n, err)
	}
}

func FuzzParseNotice(f *testing.F) {
	good := signed(noticeBody, webhookSecret, noticeTime)
	f.Add([]byte(noticeBody), good, false)
	f.Add([]byte(`{"id":"evt_1","type":"payment_intent.created","data":{"object":{"id":"pi_1","status":"canceled"}}}`), good, true)
	f.Add([]byte(`{"id":"evt_1","type":"payment_intent.created","data":null}`), "", true)
	for _, header := range forgeries() {
		f.Add([]byte(noticeBody), header, false)
	}
	dispute := strings.Replace(disputeBody, "needs_response", "won", 1)
	f.Add([]byte(disputeBody), signed(disputeBody, webhookSecret, noticeTime), false)
	f.Add([]byte(dispute), "", true)
	p := processor("http://127.0.0.1:0", nil)
	f.Fuzz(func(t *testing.T, body []byte, header string, honest bool) {
		if honest {
			header = signed(string(body), webhookSecret, noticeTime)
		}
		n, err := p.ParseNotice(body, header, noticeTime)
		if err != nil {
			if kind.Of(err) != kind.Invalid {
				t.Fatalf("not a caller's mistake: %v", err)
			}
			return
		}
		if d := n.Dispute; d != nil && (d.IntentID == "" || d.Amount.Amount < 0 || d.State == "" || len(d.Movements) > 20) {
			t.Fatalf("accepted %+v", d)
		}
		if n.ID == "" || n.Type == "" {
			t.Fatalf("accepted %+v", n)
		}
		// Whoever is let in has a mac over this very body and a time within the tolerance.
		if err := webhook.ValidatePayloadIgnoringTolerance(body, header, webhookSecret); err != nil {
			t.Fatalf("accepted %q: %v", header, err)
		}
		_ = fmt.Sprintf("%+v", n)
	})
}

package sandbox

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"guichet/cell/money"
)

// call is what a decision knows of the request beside its parameters.
type call struct {
	now         int64
	nowMS       int64
	settleAfter time.Duration // how long a bank debit takes
	request     string        // id of the request
	key         string        // idempotency key
	base        string        // where a browser reaches the sandbox
	id          string        // from the path
	path        string
	publishable bool // the key is one that a browser has
}

// outcome is what a request does and what it is answered. A declined card does
// both: it changes the intent and is a failure.
type outcome struct {
	change change
	body   any
	fail   *failure
}

func refused(f *failure) outcome { return outcome{fail: f} }

// decide is one request: it reads the account and changes nothing.
type decide func(a *account, c call, p params) outcome

// createIntent is POST /v1/payment_intents.
func createIntent(a *account, c call, p params) outcome {
	if f := p.known("amount", "application_fee_amount", "currency", "automatic_payment_methods", "capture_method", "confirm", "confirmation_method",
		"customer", "description", "error_on_requires_action", "metadata", "off_session", "on_behalf_of", "payment_method", "payment_method_data",
		"payment_method_options", "payment_method_types", "receipt_email", "return_url", "transfer_data"); f != nil {
		return refused(f)
	}
	in, f := newIntent(c, p)
	if f == nil {
		f = a.handOn(&in, p)
	}
	if f == nil {
		f = withMethod(&in, p)
	}
	if f != nil {
		return refused(f)
	}
	confirm, f := p.boolean("confirm")
	if f != nil {
		return refused(f)
	}
	born := eventOf("payment_intent.created", in.paymentIntent, nil, c)
	if !confirm {
		if in.PaymentMethod != nil {
			in.Status = needsConfirmation
			born = eventOf("payment_intent.created", in.paymentIntent, nil, c)
		}
		return outcome{change: change{Intent: &in, Events: []event{born}}, body: in.paymentIntent}
	}
	if in.PaymentMethod == nil {
		return refused(required("payment_method"))
	}
	out := attempt(in, c, p)
	out.change.Events = append([]event{born}, out.change.Events...)
	return out
}

func newIntent(c call, p params) (intent, *failure) {
	in := intent{paymentIntent: paymentIntent{
		ID: newID("pi"), Object: "payment_intent", Created: c.now, ConfirmationMethod: "automatic", Status: needsMethod,
	}}
	in.ClientSecret = in.ID + "_secret_" + random(25)
	var f [7]*failure
	in.Amount, in.Currency, f[0] = amountOf(p)
	in.Metadata, f[1] = p.metadata()
	in.CaptureMethod, f[2] = p.oneOf("capture_method", "automatic", "automatic_async", "manual")
	var description, email string
	description, f[3] = p.short("description", maxText)
	email, f[4] = p.short("receipt_email", 512)
	in.Description, in.ReceiptEmail = textOrNull(description), textOrNull(email)
	in.MethodTypes, in.AutomaticMethods, f[5] = methodTypes(p, in.Currency)
	f[6] = in.options(p)
	if p.has("customer") {
		return in, missing("customer", p.text("customer"))
	}
	if email != "" && (!strings.Contains(email, "@") || strings.ContainsAny(email, " \r\n")) {
		return in, refuse(http.StatusBadRequest, "email_invalid", "receipt_email", "Invalid email address: %.60s", email)
	}
	return in, firstOf(f[:]...)
}

func firstOf(fs ...*failure) *failure {
	for _, f := range fs {
		if f != nil {
			return f
		}
	}
	return nil
}

func amountOf(p params) (int64, string, *failure) {
	if !p.has("amount") {
		return 0, "", required("amount")
	}
	if !p.has("currency") {
		return 0, "", required("currency")
	}
	currency := strings.ToLower(p.text("currency"))
	if _, err := money.Exponent(strings.ToUpper(currency)); err != nil {
		return 0, "", invalid("currency", "Invalid currency: %.12s", currency)
	}
	amount, f := p.integer("amount")
	if f != nil {
		return 0, "", f
	}
	if f := checkAmount("amount", amount, currency); f != nil {
		return amount, currency, f
	}
	return amount, currency, checkCharge(amount, currency)
}

// checkAmount holds an amount to Stripe's rules for the currency
// (docs.stripe.com/currencies, special cases).
func checkAmount(param string, amount int64, currency string) *failure {
	switch {
	case amount < 1:
		return refuse(http.StatusBadRequest, "parameter_invalid_integer", param, "This value must be greater than or equal to 1.")
	case amount > maxAmount:
		return refuse(http.StatusBadRequest, "amount_too_large", param, "Amount must be no more than %d", int64(maxAmount))
	case (currency == "isk" || currency == "ugx") && amount%100 != 0:
		return refuse(http.StatusBadRequest, "invalid_charge_amount_no_decimal_compatible", param,
			"Invalid amount. Currency %s has become effectively zero-decimal and charged amounts must be evenly divisible by 100.", strings.ToUpper(currency))
	case slices.Contains([]string{"bhd", "jod", "kwd", "omr", "tnd"}, currency) && amount%10 != 0:
		return invalid(param, "Invalid amount: the last digit of amounts in %s must be 0.", strings.ToUpper(currency))
	}
	return nil
}

// leastCharges are the smallest payments by currency, in Stripe's units, of an account
// that settles in each of them (docs.stripe.com/currencies, minimum charge amounts).
var leastCharges = map[string]int64{
	"aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500,
	"inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}

// checkCharge holds what is to be charged to Stripe's least and most; refunds may be of less.
func checkCharge(amount int64, currency string) *failure {
	most := int64(99_999_999)
	if currency == "idr" {
		most = maxAmount
	}
	if amount > most {
		return refuse(http.StatusBadRequest, "amount_too_large", "amount", "Amount must be no more than %s", moneyText(most, currency))
	}
	if least := leastCharges[currency]; amount < least {
		return refuse(http.StatusBadRequest, "amount_too_small", "amount", "Amount must be at least %s", moneyText(least, currency))
	}
	return nil
}

// getIntent is GET /v1/payment_intents/{id}.
func getIntent(a *account, c call, p params) outcome {
	if f := p.known("client_secret"); f != nil {
		return refused(f)
	}
	in, f := a.intent(c, p)
	if f != nil {
		return refused(f)
	}
	return outcome{body: in.paymentIntent}
}

// intent finds the intent and, for a browser, checks its secret.
func (a *account) intent(c call, p params) (intent, *failure) {
	in, ok := a.intents.get(c.id)
	if !ok {
		return in, missing("payment_intent", c.id)
	}
	if !c.publishable && !p.has("client_secret") {
		return in, nil
	}
	if !p.has("client_secret") {
		return in, required("client_secret")
	}
	if subtle.ConstantTimeCompare([]byte(p.text("client_secret")), []byte(in.ClientSecret)) != 1 {
		return in, refuse(http.StatusBadRequest, "payment_intent_invalid_parameter", "client_secret",
			"The client_secret provided does not match the client_secret associated with the PaymentIntent.")
	}
	return in, nil
}

// confirmIntent is POST /v1/payment_intents/{id}/confirm, by the server or by the buyer's browser.
func confirmIntent(a *account, c call, p params) outcome {
	if f := p.known("client_secret", "error_on_requires_action", "expected_payment_method_type", "key", "off_session",
		"payment_method", "payment_method_data", "receipt_email", "return_url", "use_stripe_sdk"); f != nil {
		return refused(f)
	}
	in, f := a.intent(c, p)
	if f != nil {
		return refused(f)
	}
	switch in.Status {
	case needsMethod, needsConfirmation, needsAction:
	default:
		return refused(unexpected(in, "This PaymentIntent's status is %s, so it cannot be confirmed.", in.Status))
	}
	if f := withMethod(&in, p); f != nil {
		return refused(f)
	}
	if in.PaymentMethod == nil {
		return refused(unexpected(in, "You cannot confirm this PaymentIntent because it's missing a payment method."))
	}
	return attempt(in, c, p)
}

// attempt charges the intent's card, or asks the buyer to approve first.
func attempt(in intent, c call, p params) outcome {
	if m := cards[in.Card]; m.kind != "" && !p.has("return_url") && m.authenticate {
		return refused(required("return_url"))
	}
	if u, err := url.Parse(p.text("return_url")); p.has("return_url") && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return refused(refuse(http.StatusBadRequest, "url_invalid", "return_url", "Not a valid URL"))
	}
	card := cards[in.Card]
	if !card.authenticate {
		return settle(in, card, c)
	}
	if p.text("off_session") == "true" || p.text("error_on_requires_action") == "true" {
		card.code, card.decline = "authentication_required", "authentication_required"
		card.message = "Your card was declined. This transaction requires authentication."
		return settle(in, card, c)
	}
	in.Status, in.Ticket, in.LastPaymentError = needsAction, random(32), nil
	in.NextAction = &nextAction{Type: "redirect_to_url", Redirect: redirect{
		ReturnURL: textOrNull(p.text("return_url")),
		URL:       c.base + "/sandbox/authenticate/" + in.ID + "/" + in.Ticket,
	}}
	asked := eventOf("payment_intent.requires_action", in.paymentIntent, nil, c)
	return outcome{change: change{Intent: &in, Events: []event{asked}}, body: in.paymentIntent}
}

// settle is the bank's answer.
func settle(in intent, card card, c call) outcome {
	ch := newCharge(in, card, c)
	in.LatestCharge, in.NextAction, in.Ticket = &ch.ID, nil, ""
	if card.code != "" && !card.delayed {
		return decline(in, ch, card, c)
	}
	in.LastPaymentError = nil
	if card.delayed && in.Due == 0 {
		return process(in, ch, c)
	}
	if card.code != "" {
		return decline(in, ch, card, c)
	}
	return succeed(in, ch, card, c)
}

// succeed is money that came, or that is set aside to be captured.
func succeed(in intent, ch charge, card card, c call) outcome {
	in.Due = 0
	told := "payment_intent.succeeded"
	if in.manual() {
		in.Status, in.AmountCapturable = needsCapture, in.Amount
		told = "payment_intent.amount_capturable_updated"
	} else {
		in.Status, in.AmountReceived = succeeded, in.Amount
		ch.Captured, ch.AmountCaptured = true, in.Amount
	}
	handedOn(in, &ch)
	out := outcome{body: in.paymentIntent, change: change{Intent: &in, Charge: &ch, Events: []event{
		eventOf("charge.succeeded", ch, nil, c), eventOf(told, in.paymentIntent, nil, c),
	}}}
	if card.disputed != "" && in.Status == succeeded {
		raise(&out.change, in, card.disputed, card.inquiry, c)
	}
	return out
}

func decline(in intent, ch charge, card card, c call) outcome {
	ch.Status, ch.Paid = "failed", false
	ch.FailureCode, ch.FailureMessage = &card.code, &card.message
	ch.Outcome = outcomeOf("declined_by_network", &card.decline, "The bank did not return any further details with this decline.", "issuer_declined")
	in.LastPaymentError = &errorBody{
		Charge: ch.ID, Code: card.code, DeclineCode: card.decline, DocURL: docs + dashed(card.code), Message: card.message,
		PaymentMethod: card.method(in), Type: "card_error",
	}
	in.Status, in.PaymentMethod, in.Card, in.Due = needsMethod, nil, "", 0
	return outcome{fail: cardRefused(in), change: change{Intent: &in, Charge: &ch, Events: []event{
		eventOf("charge.failed", ch, nil, c), eventOf("payment_intent.payment_failed", in.paymentIntent, nil, c),
	}}}
}

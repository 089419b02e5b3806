package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
)

// browserSees are the members of an intent that Stripe shows to a publishable key.
var browserSees = []string{
	"id", "object", "amount", "amount_details", "automatic_payment_methods", "canceled_at", "cancellation_reason", "capture_method",
	"client_secret", "confirmation_method", "created", "currency", "description", "last_payment_error", "livemode", "next_action",
	"payment_method", "payment_method_configuration_details", "payment_method_types", "processing", "receipt_email",
	"setup_future_usage", "shipping", "status",
}

// visible is the intent as the caller may see it.
func visible(in paymentIntent, c call) any {
	if !c.publishable {
		return in
	}
	all, public := members(in), make(map[string]any, len(browserSees))
	for _, name := range browserSees {
		public[name] = all[name]
	}
	return public
}

// members are an object's members by name, each as its JSON.
func members(v any) (raw map[string]json.RawMessage) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &raw)
	}
	if err != nil {
		panic("an object of the sandbox has no JSON: " + err.Error()) // our own types always have
	}
	return raw
}

// expand puts the charge into the intent when expand[]=latest_charge asks for
// it; it also takes away what a browser may not see.
func expand(a *account, c change, body any, who call, p params) (any, *failure) {
	in, isIntent := body.(paymentIntent)
	deep := false
	for _, what := range p.texts("expand") {
		deep = deep || what == chargeAndFee
		if what != "latest_charge" && what != chargeAndFee || !isIntent || who.publishable {
			return nil, refuse(http.StatusBadRequest, "", "expand", "This property cannot be expanded (%.60s).", what)
		}
	}
	if !isIntent {
		return body, nil
	}
	if len(p.texts("expand")) == 0 || in.LatestCharge == nil {
		return visible(in, who), nil
	}
	ch, ok := a.charges.get(*in.LatestCharge)
	if c.Charge != nil && c.Charge.ID == *in.LatestCharge {
		ch, ok = *c.Charge, true
	}
	switch {
	case !ok:
		return in, nil
	case deep && ch.BalanceTransfer != nil:
		return expandedIntent{in, expandedCharge{ch, movementOf(ch)}}, nil
	default:
		return expandedIntent{in, ch}, nil
	}
}

// expandedIntent has the charge in place of its id.
type expandedIntent struct {
	paymentIntent

	LatestCharge any `json:"latest_charge"`
}

// expandedCharge has the movement of money in place of its id.
type expandedCharge struct {
	charge

	BalanceTransfer movement `json:"balance_transaction"`
}

// fingerprint tells whether two requests ask the same.
func fingerprint(method, path string, p params) string {
	sum := sha256.Sum256([]byte(method + " " + path + "\n" + p.canonical()))
	return hex.EncodeToString(sum[:])
}

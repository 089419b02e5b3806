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
	all, public := members(in), map[string]any{}
	for _, name := range browserSees {
		public[name] = all[name]
	}
	return public
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
	all := members(in)
	ch, ok := a.charges.get(*in.LatestCharge)
	if c.Charge != nil && c.Charge.ID == *in.LatestCharge {
		ch, ok = *c.Charge, true
	}
	if ok {
		all["latest_charge"] = ch
	}
	if ok && deep && ch.BalanceTransfer != nil {
		inner := members(ch)
		inner["balance_transaction"] = movementOf(ch)
		all["latest_charge"] = inner
	}
	return all, nil
}

// members are an object's members by name, each as its JSON.
func members(v any) map[string]any {
	var raw map[string]json.RawMessage
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &raw)
	}
	if err != nil {
		panic("an object of the sandbox has no JSON: " + err.Error()) // our own types always have
	}
	out := make(map[string]any, len(raw))
	for name, value := range raw {
		out[name] = value
	}
	return out
}

// fingerprint tells whether two requests ask the same.
func fingerprint(method, path string, p params) string {
	sum := sha256.Sum256([]byte(method + " " + path + "\n" + p.canonical()))
	return hex.EncodeToString(sum[:])
}

package sandbox

import (
	"net/http"
	"slices"
	"strings"
)

// methods are the types of payment that the sandbox has, and the currency that
// some are bound to (docs.stripe.com/payments/payment-methods/payment-method-support).
var methods = map[string]string{"card": "", "bancontact": "eur", "ideal": "eur", "sepa_debit": "eur"}

// methodTypes reads payment_method_types, or what automatic methods come to.
func methodTypes(p params, currency string) ([]string, *automaticMethods, *failure) {
	types := p.texts("payment_method_types")
	for _, t := range types {
		bound, ok := methods[t]
		if !ok {
			return nil, nil, invalid("payment_method_types", "The payment method type %.30q is not activated in this sandbox; it has card, bancontact, ideal and sepa_debit.", t)
		}
		if bound != "" && bound != currency {
			return nil, nil, invalid("payment_method_types", "The currency provided (%s) is invalid for the payment method type %s. It accepts %s only.", currency, t, bound)
		}
	}
	on := p.text("automatic_payment_methods[enabled]") == "true"
	if on && len(types) > 0 {
		return nil, nil, refuse(http.StatusBadRequest, "parameters_exclusive", "payment_method_types",
			"You may only specify one of these parameters: automatic_payment_methods, payment_method_types.")
	}
	if !on {
		if len(types) == 0 {
			types = []string{"card"}
		}
		return types, nil, nil
	}
	types = []string{"card"}
	if p.text("capture_method") != "manual" && p.text("automatic_payment_methods[allow_redirects]") != "never" {
		for _, t := range []string{"bancontact", "ideal", "sepa_debit"} {
			if methods[t] == currency {
				types = append(types, t)
			}
		}
	}
	allow := p.text("automatic_payment_methods[allow_redirects]")
	if allow == "" {
		allow = "always"
	}
	return types, &automaticMethods{Enabled: true, AllowRedirects: allow}, nil
}

// options says what each method of the intent is told; only a card can be captured
// by hand.
func (in *intent) options(p params) *failure {
	for _, t := range in.MethodTypes {
		switch t {
		case "card":
			in.MethodOptions.Card = &cardOptions{RequestThreeDSecure: "automatic"}
		case "bancontact":
			in.MethodOptions.Bancontact = &bancontactOptions{PreferredLanguage: "en"}
		case "ideal":
			in.MethodOptions.IDEAL = &struct{}{}
		case "sepa_debit":
			in.MethodOptions.SEPADebit = &struct{}{}
		}
		if t != "card" && in.CaptureMethod == "manual" {
			return invalid("capture_method", "The payment method type %s does not support manual capture; say payment_method_options[card][capture_method].", t)
		}
	}
	for name := range p {
		if strings.HasPrefix(name, "payment_method_options") && name != "payment_method_options[card][capture_method]" && name != "payment_method_options[card][request_three_d_secure]" {
			return refuse(http.StatusBadRequest, "parameter_unknown", name, "Received unknown parameter: %.60s", name)
		}
	}
	by := p.text("payment_method_options[card][capture_method]")
	if by == "" {
		return nil
	}
	if by != "manual" || in.MethodOptions.Card == nil {
		return invalid("payment_method_options[card][capture_method]", "Invalid capture_method: must be manual, for an intent that takes cards")
	}
	in.MethodOptions.Card.CaptureMethod = by
	return nil
}

// manual says whether the intent's method waits for a capture.
func (in *intent) manual() bool {
	return in.CaptureMethod == "manual" || in.MethodOptions.Card != nil && in.MethodOptions.Card.CaptureMethod == "manual" && cards[in.Card].kind == ""
}

// tokenOf is the method that the parameters name, "" when they name none.
func tokenOf(p params) string {
	if token := p.text("payment_method"); token != "" {
		return token
	}
	switch p.text("payment_method_data[type]") {
	case "ideal":
		return "pm_sandbox_ideal"
	case "bancontact":
		return "pm_sandbox_bancontact"
	case "sepa_debit":
		return p.text("payment_method_data[sepa_debit][iban]")
	}
	if token := p.text("payment_method_data[card][token]"); token != "" {
		return token
	}
	return p.text("payment_method_data[card][number]")
}

// withMethod puts the method of the parameters into the intent, if they have one.
func withMethod(in *intent, p params) *failure {
	token := tokenOf(p)
	if token == "" || in.PaymentMethod != nil && token == *in.PaymentMethod {
		return nil
	}
	name, m, ok := cardByToken(token)
	if !ok {
		f := missing("PaymentMethod", token)
		f.body.Param = "payment_method"
		return f
	}
	if !slices.Contains(in.MethodTypes, m.typeName()) {
		return invalid("payment_method", "The PaymentMethod provided (%s) is not allowed for this PaymentIntent. It takes %s.", m.typeName(), strings.Join(in.MethodTypes, ", "))
	}
	id := newID("pm")
	in.Card, in.PaymentMethod = name, &id
	return nil
}

func (c card) typeName() string {
	if c.kind == "" {
		return "card"
	}
	return c.kind
}

// byType is what Stripe shows of the method.
func (c card) byType() byType {
	switch c.kind {
	case "bancontact":
		return byType{Bancontact: &struct{}{}}
	case "ideal":
		return byType{IDEAL: &struct{}{}}
	case "sepa_debit":
		return byType{SEPADebit: &sepaDetails{Country: c.country, Last4: c.number[len(c.number)-4:]}}
	}
	return byType{Card: c.details()}
}

func destinationOf(method string) destination {
	d := destination{Type: method}
	switch method {
	case "bancontact":
		d.Bancontact = &struct{}{}
	case "ideal":
		d.IDEAL = &struct{}{}
	case "sepa_debit":
		d.SEPADebit = &struct{}{}
	default:
		d.Card = &struct {
			Type string `json:"type"`
		}{"refund"}
	}
	return d
}

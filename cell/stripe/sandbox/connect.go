package sandbox

import (
	"maps"
	"net/http"
	"regexp"
	"strings"

	"guichet/cell/money"
)

// payee is a connected account in Stripe's shape, and what it has.
type payee struct {
	ID           string            `json:"id"`
	Object       string            `json:"object"`
	Type         string            `json:"type"`
	Capabilities map[string]string `json:"capabilities"`
	Charges      bool              `json:"charges_enabled"`
	Country      string            `json:"country"`
	Created      int64             `json:"created"`
	Currency     string            `json:"default_currency"`
	Submitted    bool              `json:"details_submitted"`
	Email        *string           `json:"email"`
	Metadata     map[string]string `json:"metadata"`
	Payouts      bool              `json:"payouts_enabled"`
	// Has is what was handed on and not taken back, by currency. Stripe shows it
	// elsewhere; createPayee and getPayee leave it out.
	Has map[string]int64 `json:"sandbox_has,omitempty"`
}

func (a payee) shown() payee {
	a.Has = nil
	return a
}

var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)

// createPayee is POST /v1/accounts: an account that may take payments at once,
// unless metadata[sandbox_restricted] is set.
func createPayee(_ *account, c call, p params) outcome {
	if f := p.known("capabilities", "country", "default_currency", "email", "metadata", "type"); f != nil {
		return refused(f)
	}
	kind, f1 := p.oneOf("type", "custom", "express", "standard")
	metadata, f2 := p.metadata()
	email, f3 := p.short("email", 512)
	if f := firstOf(f1, f2, f3); f != nil {
		return refused(f)
	}
	a := payee{
		ID: "acct_" + random(16), Object: "account", Type: kind, Country: "FR", Currency: "eur", Created: c.now, Submitted: true, Email: textOrNull(email),
		Metadata: metadata, Charges: metadata["sandbox_restricted"] == "", Capabilities: map[string]string{"card_payments": "active", "transfers": "active"},
	}
	a.Payouts = a.Charges
	if p.has("country") {
		a.Country = p.text("country")
	}
	if p.has("default_currency") {
		a.Currency = strings.ToLower(p.text("default_currency"))
	}
	if !countryCode.MatchString(a.Country) {
		return refused(invalid("country", "Country '%.10s' is unknown.", a.Country))
	}
	if _, err := money.Exponent(strings.ToUpper(a.Currency)); err != nil {
		return refused(invalid("default_currency", "Invalid currency: %.12s", a.Currency))
	}
	if !a.Charges {
		a.Submitted, a.Capabilities = false, map[string]string{"card_payments": "inactive", "transfers": "inactive"}
	}
	return outcome{body: a.shown(), change: change{Payee: &a}}
}

// getPayee is GET /v1/accounts/{id}.
func getPayee(a *account, c call, p params) outcome {
	if f := p.known(); f != nil {
		return refused(f)
	}
	to, ok := a.payees.get(c.id)
	if !ok {
		return refused(refuse(http.StatusForbidden, "account_invalid", "",
			"The provided key does not have access to account '%.60s' (or that account does not exist). Application access may have been revoked.", c.id))
	}
	return outcome{body: to.shown()}
}

// handOn makes a destination charge of an intent whose parameters say so.
func (a *account) handOn(in *intent, p params) *failure {
	for name := range p {
		if strings.HasPrefix(name, "transfer_data") && name != "transfer_data[destination]" {
			return refuse(http.StatusBadRequest, "parameter_unknown", name, "Received unknown parameter: %.60s", name)
		}
	}
	for name, what := range map[string]string{"transfer_data[destination]": "destination", "on_behalf_of": "on_behalf_of"} {
		if !p.has(name) {
			continue
		}
		to, ok := a.payees.get(p.text(name))
		if !ok {
			f := missing(what, p.text(name))
			f.status, f.body.Param = http.StatusBadRequest, name
			return f
		}
		if !to.Charges {
			return refuse(http.StatusBadRequest, "insufficient_capabilities_for_transfer", name,
				"Your destination account needs to have at least one of the following capabilities enabled: transfers, crypto_transfers, legacy_payments")
		}
	}
	if p.has("on_behalf_of") {
		in.OnBehalfOf = new(p.text("on_behalf_of"))
	}
	if p.has("transfer_data[destination]") {
		in.TransferData = &transferData{Destination: p.text("transfer_data[destination]")}
	}
	if !p.has("application_fee_amount") {
		return nil
	}
	fee, f := p.integer("application_fee_amount")
	switch {
	case f != nil:
		return f
	case in.TransferData == nil:
		return invalid("application_fee_amount", "Can only apply an application_fee_amount when the PaymentIntent is attempting a direct payment "+
			"(using an OAuth key or Stripe-Account header) or destination payment (using `transfer_data[destination]`).")
	case fee < 1 || fee > in.Amount:
		return invalid("application_fee_amount", "Your application fee must be at least 1 and at most the amount of the charge.")
	}
	in.ApplicationFee = &fee
	return nil
}

// handedOn notes on the charge where it went.
func handedOn(in intent, ch *charge) {
	ch.OnBehalfOf, ch.TransferData = in.OnBehalfOf, in.TransferData
	if in.TransferData == nil {
		return
	}
	ch.Transfer, ch.FeeAmount = newID("tr"), in.ApplicationFee
	if in.ApplicationFee != nil {
		ch.FeeID = new(newID("fee"))
	}
}

// handOver gives a destination its part when a charge is captured.
func (a *account) handOver(c *change) {
	if c.Charge == nil || !c.Charge.Captured || c.Charge.TransferData == nil {
		return
	}
	if before, ok := a.charges.get(c.Charge.ID); ok && before.Captured {
		return
	}
	amount := c.Charge.AmountCaptured
	if c.Charge.FeeAmount != nil {
		amount -= *c.Charge.FeeAmount
	}
	c.Payee = a.gives(*c.Charge, amount)
}

// gives changes what the destination of a charge has.
func (a *account) gives(ch charge, amount int64) *payee {
	if ch.TransferData == nil {
		return nil
	}
	to, ok := a.payees.get(ch.TransferData.Destination)
	if !ok {
		return nil
	}
	to.Has = maps.Clone(to.Has)
	if to.Has == nil {
		to.Has = map[string]int64{}
	}
	to.Has[ch.Currency] += amount
	return &to
}

// takeBack is the destination's account after a refund of amount that reverses the
// transfer, nil when none is touched. Transfer and fee go back in proportion, the
// fee rounded down over all refunds together.
func (a *account) takeBack(ch charge, amount int64, p params) (*payee, *failure) {
	reverse, f1 := p.boolean("reverse_transfer")
	fee, f2 := p.boolean("refund_application_fee")
	if f := firstOf(f1, f2); f != nil {
		return nil, f
	}
	if (reverse || fee) && ch.TransferData == nil {
		return nil, invalid("reverse_transfer", "Cannot reverse transfer on charge %s because it was not a destination charge.", ch.ID)
	}
	if fee && ch.FeeAmount == nil {
		return nil, invalid("refund_application_fee", "Cannot refund the application fee on charge %s because it has none.", ch.ID)
	}
	var back int64
	if reverse {
		back -= amount
	}
	if fee {
		part := func(of int64) int64 { return *ch.FeeAmount * of / ch.Amount }
		back += part(ch.AmountRefunded+amount) - part(ch.AmountRefunded)
	}
	if back == 0 {
		return nil, nil
	}
	return a.gives(ch, back), nil
}

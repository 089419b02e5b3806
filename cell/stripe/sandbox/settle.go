package sandbox

import (
	"net/http"
	"slices"
)

// cancelIntent is POST /v1/payment_intents/{id}/cancel.
func cancelIntent(a *account, c call, p params) outcome {
	if f := p.known("cancellation_reason"); f != nil {
		return refused(f)
	}
	why, f := p.oneOf("cancellation_reason", "", "abandoned", "duplicate", "fraudulent", "requested_by_customer")
	if f != nil {
		return refused(f)
	}
	in, ok := a.intents.get(c.id)
	if !ok {
		return refused(missing("payment_intent", c.id))
	}
	if !slices.Contains([]string{needsMethod, needsConfirmation, needsAction, needsCapture}, in.Status) {
		return refused(unexpected(in, "You cannot cancel this PaymentIntent because it has a status of %s. "+
			"Only a PaymentIntent with one of the following statuses may be canceled: "+
			"requires_payment_method, requires_capture, requires_reauthorization, requires_confirmation, requires_action, processing.", in.Status))
	}
	var out change
	if in.Status == needsCapture { // the authorization goes back to the buyer's card
		if ch, ok := a.charges.get(*in.LatestCharge); ok {
			ch.Refunded, ch.AmountRefunded = true, ch.Amount
			out.Charge = &ch
			out.Events = append(out.Events, eventOf("charge.refunded", ch, map[string]any{"amount_refunded": 0, "refunded": false}, c))
		}
	}
	in.Status, in.CanceledAt, in.CancellationReason = canceled, &c.now, textOrNull(why)
	in.NextAction, in.Ticket, in.AmountCapturable = nil, "", 0
	out.Intent, out.Events = &in, append(out.Events, eventOf("payment_intent.canceled", in.paymentIntent, nil, c))
	return outcome{change: out, body: in.paymentIntent}
}

// captureIntent is POST /v1/payment_intents/{id}/capture; what is not captured is let go.
func captureIntent(a *account, c call, p params) outcome {
	if f := p.known("amount_to_capture"); f != nil {
		return refused(f)
	}
	in, ok := a.intents.get(c.id)
	if !ok {
		return refused(missing("payment_intent", c.id))
	}
	if in.Status != needsCapture {
		return refused(unexpected(in, "This PaymentIntent could not be captured because it has a status of %s. "+
			"Only a PaymentIntent with one of the following statuses may be captured: requires_capture.", in.Status))
	}
	amount := in.AmountCapturable
	if p.has("amount_to_capture") {
		var f *failure
		if amount, f = p.integer("amount_to_capture"); f == nil {
			f = checkAmount("amount_to_capture", amount, in.Currency)
		}
		if f == nil && amount > in.AmountCapturable {
			f = refuse(http.StatusBadRequest, "amount_too_large", "amount_to_capture",
				"Charge could not be captured: the requested capture amount is greater than the amount you can capture for this charge.")
		}
		if f != nil {
			return refused(f)
		}
	}
	ch, ok := a.charges.get(*in.LatestCharge)
	if !ok {
		return refused(missing("charge", *in.LatestCharge))
	}
	ch.Captured, ch.AmountCaptured, ch.AmountRefunded = true, amount, ch.Amount-amount
	card := cards[in.Card]
	in.Status, in.AmountReceived, in.AmountCapturable = succeeded, amount, 0
	out := outcome{body: in.paymentIntent, change: change{Intent: &in, Charge: &ch, Events: []event{
		eventOf("charge.captured", ch, nil, c), eventOf("payment_intent.succeeded", in.paymentIntent, nil, c),
	}}}
	if card.disputed != "" {
		raise(&out.change, in, card.disputed, card.inquiry, c)
	}
	return out
}

// authenticate is the buyer's answer on the authentication page.
func authenticate(in intent, approve bool, c call) outcome {
	card := cards[in.Card]
	if approve {
		return settle(in, card, c)
	}
	in.LastPaymentError = &errorBody{
		Code: "payment_intent_authentication_failure", DocURL: docs + "payment-intent-authentication-failure", Type: "invalid_request_error",
		Message:       "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
		PaymentMethod: card.method(in),
	}
	in.Status, in.PaymentMethod, in.Card, in.NextAction, in.Ticket = needsMethod, nil, "", nil, ""
	return outcome{body: in.paymentIntent, change: change{Intent: &in, Events: []event{
		eventOf("payment_intent.payment_failed", in.paymentIntent, nil, c),
	}}}
}

func newCharge(in intent, card card, c call) charge {
	return charge{
		ID: newID("ch"), Object: "charge", Amount: in.Amount, Billing: billing{Email: in.ReceiptEmail}, Created: c.now,
		Currency: in.Currency, Description: in.Description, Metadata: in.Metadata, Paid: true, PaymentIntent: in.ID,
		PaymentMethod: *in.PaymentMethod, Details: methodDetails{Type: card.typeName(), byType: card.byType()}, ReceiptEmail: in.ReceiptEmail,
		Status: "succeeded", Outcome: outcomeOf("approved_by_network", nil, "Payment complete.", "authorized"),
	}
}

func outcomeOf(network string, reason *string, message, kind string) *outcomeBody {
	return &outcomeBody{NetworkStatus: network, Reason: reason, RiskLevel: "normal", SellerMessage: message, Type: kind}
}

// getCharge is GET /v1/charges/{id}.
func getCharge(a *account, c call, p params) outcome {
	if f := p.known(); f != nil {
		return refused(f)
	}
	ch, ok := a.charges.get(c.id)
	if !ok {
		return refused(missing("charge", c.id))
	}
	return outcome{body: ch}
}

package sandbox

import "net/http"

// createRefund is POST /v1/refunds: money of a captured charge goes back, all
// that is left or a part of it.
func createRefund(a *account, c call, p params) outcome {
	if f := p.known("amount", "charge", "metadata", "payment_intent", "reason", "refund_application_fee", "reverse_transfer"); f != nil {
		return refused(f)
	}
	ch, f := a.refundable(p)
	if f != nil {
		return refused(f)
	}
	why, f := p.oneOf("reason", "", "duplicate", "fraudulent", "requested_by_customer")
	if f != nil {
		return refused(f)
	}
	metadata, f := p.metadata()
	if f != nil {
		return refused(f)
	}
	left := ch.Amount - ch.AmountRefunded
	if left == 0 {
		f := refuse(http.StatusBadRequest, "charge_already_refunded", "", "Charge %s has already been refunded.", ch.ID)
		f.kept = true
		return refused(f)
	}
	amount := left
	if p.has("amount") {
		if amount, f = p.integer("amount"); f == nil {
			f = checkAmount("amount", amount, ch.Currency)
		}
		if f == nil && amount > left {
			f = invalid("amount", "Refund amount (%d %s) is greater than unrefunded amount on charge (%d %s)", amount, ch.Currency, left, ch.Currency)
			f.kept = true
		}
		if f != nil {
			return refused(f)
		}
	}
	back, f := a.takeBack(ch, amount, p)
	if f != nil {
		return refused(f)
	}
	before := map[string]any{"amount_refunded": ch.AmountRefunded}
	ch.AmountRefunded += amount
	if ch.Refunded = ch.AmountRefunded == ch.Amount; ch.Refunded {
		before["refunded"] = false
	}
	re := refund{
		ID: newID("re"), Object: "refund", Amount: amount, Charge: ch.ID, Created: c.now, Currency: ch.Currency,
		Metadata: metadata, PaymentIntent: ch.PaymentIntent, Reason: textOrNull(why), Status: "succeeded",
	}
	re.Destination = destinationOf(ch.Details.Type)
	if p.text("reverse_transfer") == "true" {
		re.Reversal = new(newID("trr"))
	}
	return outcome{body: re, change: change{Charge: &ch, Refund: &re, Payee: back, Events: []event{
		eventOf("refund.created", re, nil, c), eventOf("charge.refunded", ch, before, c),
	}}}
}

// refundable finds the captured charge that a refund names by itself or by its intent.
func (a *account) refundable(p params) (charge, *failure) {
	id := p.text("charge")
	if id == "" {
		if p.text("payment_intent") == "" {
			return charge{}, refuse(http.StatusBadRequest, "parameter_missing", "", "One of the following params should be provided for this request: payment_intent or charge.")
		}
		in, ok := a.intents.get(p.text("payment_intent"))
		if !ok {
			f := missing("payment_intent", p.text("payment_intent"))
			f.body.Param = "payment_intent"
			return charge{}, f
		}
		if in.Status != succeeded || in.LatestCharge == nil {
			return charge{}, unexpected(in, "This PaymentIntent (%s) does not have a successful charge to refund.", in.ID)
		}
		id = *in.LatestCharge
	}
	ch, ok := a.charges.get(id)
	if !ok || p.has("charge") && p.has("payment_intent") && ch.PaymentIntent != p.text("payment_intent") {
		f := missing("charge", id)
		f.body.Param = "charge"
		return ch, f
	}
	if ch.Disputed && a.disputeOpen(ch.ID) {
		f := refuse(http.StatusBadRequest, "charge_disputed", "", "Charge %s has been charged back; cannot issue a refund.", ch.ID)
		f.kept = true
		return ch, f
	}
	if !ch.Captured {
		f := invalid("charge", "Charge %s has not been captured and cannot be refunded.", ch.ID)
		f.kept = true
		return ch, f
	}
	return ch, nil
}

// getRefund is GET /v1/refunds/{id}.
func getRefund(a *account, c call, p params) outcome {
	if f := p.known(); f != nil {
		return refused(f)
	}
	re, ok := a.refunds.get(c.id)
	if !ok {
		return refused(missing("refund", c.id))
	}
	return outcome{body: re}
}

// bounce lets the youngest refund of an intent fail, as when the card was closed: the
// account has the money again.
func (a *account) bounce(c call) outcome {
	var found *refund
	a.refunds.youngest(func(re refund) bool {
		if re.PaymentIntent == c.id && re.Status != "failed" {
			found = &re
		}
		return found == nil
	})
	if found == nil {
		return refused(invalid("", "This payment has no refund that could fail."))
	}
	re := *found
	re.Status, re.FailureReason = "failed", new("expired_or_canceled_card")
	out := outcome{body: re, change: change{Refund: &re}}
	if ch, ok := a.charges.get(re.Charge); ok {
		ch.AmountRefunded -= re.Amount
		ch.Refunded = false
		out.change.Charge = &ch
	}
	before := map[string]any{"status": found.Status}
	for _, kind := range []string{"charge.refund.updated", "refund.updated", "refund.failed"} {
		out.change.Events = append(out.change.Events, eventOf(kind, re, before, c))
	}
	return out
}

package stripe

import (
	"context"
	"fmt"

	api "github.com/stripe/stripe-go/v76"

	"guichet/cell/payment"
)

// byHand lets cards be authorized first. It is said of cards alone: an intent that
// takes other methods too would be refused, as they know no capture.
func byHand() *api.PaymentIntentPaymentMethodOptionsParams {
	return &api.PaymentIntentPaymentMethodOptionsParams{
		Card: &api.PaymentIntentPaymentMethodOptionsCardParams{CaptureMethod: new(string(api.PaymentIntentCaptureMethodManual))},
	}
}

// CaptureIntent takes all the money that was authorized. Captured before, by a call
// whose answer was lost, it is answered as it is.
func (p *Processor) CaptureIntent(ctx context.Context, intentID, key string) (payment.Intent, error) {
	in, err := p.capture(ctx, intentID, key)
	if err != nil {
		return payment.Intent{}, fmt.Errorf("stripe: capture the intent %.40s: %w", intentID, err)
	}
	return in, nil
}

func (p *Processor) capture(ctx context.Context, intentID, key string) (payment.Intent, error) {
	if !isID(intentID, "pi_") {
		return payment.Intent{}, payment.ErrUnknownIntent
	}
	params := &api.PaymentIntentCaptureParams{}
	done, err := p.prepare(ctx, &params.Params, key)
	if err != nil {
		return payment.Intent{}, err
	}
	defer done()
	pi, err := p.intents.Capture(intentID, params)
	if isUnexpectedState(err) {
		if pi, err = p.get(ctx, intentID); err != nil {
			return payment.Intent{}, err
		}
		if pi.Status != api.PaymentIntentStatusSucceeded {
			return payment.Intent{}, payment.ErrRefusedByProvider.With("the payment is %.40s", string(pi.Status))
		}
		return checked(pi)
	}
	if err != nil {
		return payment.Intent{}, failure(err)
	}
	return checked(pi)
}

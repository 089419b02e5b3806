package stripe

import (
	"context"
	"fmt"

	api "github.com/stripe/stripe-go/v76"

	"guichet/cell/money"
	"guichet/cell/payment"
)

// ChargeFee is what Stripe kept of a captured payment, in the currency in which it
// settles.
func (p *Processor) ChargeFee(ctx context.Context, intentID string) (money.Money, error) {
	if !isID(intentID, "pi_") {
		return money.Money{}, payment.ErrUnknownIntent
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	params := &api.PaymentIntentParams{}
	params.Context = ctx
	params.AddExpand("latest_charge.balance_transaction")
	pi, err := p.intents.Get(intentID, params)
	if err != nil {
		return money.Money{}, fmt.Errorf("stripe: read the fee of %s: %w", intentID, failure(err))
	}
	if pi.LatestCharge == nil || pi.LatestCharge.BalanceTransaction == nil || pi.LatestCharge.BalanceTransaction.Currency == "" {
		return money.Money{}, payment.ErrProviderAway.With("the provider does not say its fee yet")
	}
	b := pi.LatestCharge.BalanceTransaction
	if b.Fee < 0 || b.Fee > maxStripe || !isCurrency(b.Currency) {
		return money.Money{}, ErrAnswer.With("the fee of %s is %d", intentID, b.Fee)
	}
	return fromStripe(b.Fee, b.Currency), nil
}

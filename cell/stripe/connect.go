package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	api "github.com/stripe/stripe-go/v76"

	"guichet/cell/money"
	"guichet/cell/payment"
)

// payTo makes the payment a destination charge: Stripe hands it on to the
// organizer's own account, which is the merchant, but for our fee.
func payTo(params *api.PaymentIntentParams, n payment.NewIntent) error {
	if n.Destination == "" {
		return nil
	}
	if !isID(n.Destination, "acct_") {
		return payment.ErrUnknownPayee.With("%.40q is no account of the provider", n.Destination)
	}
	if n.Fee < 0 || n.Fee > n.Amount.Amount {
		return payment.ErrRefusedByProvider.With("a fee of %d is outside of the payment", n.Fee)
	}
	params.OnBehalfOf = new(n.Destination)
	params.TransferData = &api.PaymentIntentTransferDataParams{Destination: new(n.Destination)}
	fee, err := toStripe(money.Money{Amount: n.Fee, Currency: n.Amount.Currency})
	if err != nil {
		return err
	}
	if fee > 0 { // Stripe takes no fee of nothing
		params.ApplicationFeeAmount = new(fee)
	}
	return nil
}

// takeBack makes the refund of a destination charge take its part back from the
// organizer's account and give our fee back in step. What the intent says does not
// change, so a repeated call is the same call.
func takeBack(params *api.RefundParams, pi *api.PaymentIntent) {
	if pi.TransferData == nil || pi.TransferData.Destination == nil {
		return
	}
	params.ReverseTransfer = new(true)
	if pi.ApplicationFeeAmount > 0 {
		params.RefundApplicationFee = new(true)
	}
}

// Payee reads an account that is connected to ours.
func (p *Processor) Payee(ctx context.Context, id string) (payment.Payee, error) {
	if !isID(id, "acct_") {
		return payment.Payee{}, payment.ErrUnknownPayee.With("%.40q is no account of the provider", id)
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	params := &api.AccountParams{}
	params.Context = ctx
	a, err := p.payees.GetByID(id, params)
	if err != nil {
		// To ask for a stranger's account is answered with 403, and our key is good.
		if e, ok := errors.AsType[*api.Error](err); ok && (e.HTTPStatusCode == http.StatusForbidden || e.HTTPStatusCode == http.StatusNotFound) {
			return payment.Payee{}, payment.ErrUnknownPayee.With("the provider knows no account %.40q that is connected to this cell's", id)
		}
		return payment.Payee{}, fmt.Errorf("stripe: read the account %.40s: %w", id, failure(err))
	}
	if !isID(a.ID, "acct_") || a.DefaultCurrency != "" && !isCurrency(a.DefaultCurrency) {
		return payment.Payee{}, ErrAnswer.With("the account %.40q settles in %.12q", a.ID, string(a.DefaultCurrency))
	}
	return payment.Payee{
		Account: a.ID, Country: clean(a.Country, 2), Currency: moneyOf(0, a.DefaultCurrency).Currency, Charges: a.ChargesEnabled, Payouts: a.PayoutsEnabled,
	}, nil
}

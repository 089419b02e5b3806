package stripe_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"guichet/cell/money"
	"guichet/cell/payment"
)

// What we call chargeable is what the provider charges, in every currency, at the least
// and the most and just beyond them, in whatever units it counts.
func TestChargeable_isWhatTheProviderCharges(t *testing.T) {
	tw := startSandbox(t)
	s := processor(tw.url, tw.recorder)
	charge := func(amount int64, currency string) error {
		_, err := s.CreateIntent(t.Context(), payment.NewIntent{
			Amount: money.Money{Amount: amount, Currency: currency}, OrderID: "ord_1", Key: fmt.Sprintf("%d%s", amount, currency),
		})
		return err
	}
	for currency := range strings.FieldsSeq(`AED ARS AUD BGN BHD BRL CAD CHF CLP CZK DKK EUR GBP HKD HUF IDR INR ISK JOD JPY KRW KWD MXN MYR NOK NZD OMR PLN RON SEK SGD
		THB TND TRY TWD UGX USD VND XOF ZAR`) {
		c := money.ChargeOf(currency)
		for _, amount := range []int64{c.Min, c.Max} {
			if err := errors.Join(charge(amount, currency), money.Chargeable(money.Money{Amount: amount, Currency: currency})); err != nil {
				t.Errorf("%d of %s: %v", amount, currency, err)
			}
		}
		for _, amount := range []int64{c.Min - c.Step, c.Max + c.Step} {
			if amount <= 0 {
				continue
			}
			if err := charge(amount, currency); err == nil {
				t.Errorf("%d of %s is charged", amount, currency)
			}
			if err := money.Chargeable(money.Money{Amount: amount, Currency: currency}); !errors.Is(err, money.ErrNotChargeable) {
				t.Errorf("%d of %s: %v", amount, currency, err)
			}
		}
	}
}

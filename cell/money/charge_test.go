package money_test

import (
	"errors"
	"testing"

	"guichet/cell/money"
)

// The provider's bounds in our minor units, at both ends of each and just beyond.
func TestChargeable_keepsTheProvidersBoundsPerCurrency(t *testing.T) {
	t.Parallel()
	for currency, c := range map[string]money.Charge{
		"EUR": {Min: 50, Max: 99_999_999, Step: 1},
		"GBP": {Min: 30, Max: 99_999_999, Step: 1},
		"HUF": {Min: 17_500, Max: 99_999_999, Step: 1}, // two decimals when charged, whatever is paid out
		"TWD": {Min: 1, Max: 99_999_999, Step: 1},
		"JPY": {Min: 50, Max: 99_999_999, Step: 1},
		"IDR": {Min: 1, Max: 999_999_999_999, Step: 1},
		"ISK": {Min: 1, Max: 999_999, Step: 1}, // the provider has two digits more
		"UGX": {Min: 1, Max: 999_999, Step: 1},
		"KWD": {Min: 10, Max: 99_999_990, Step: 10},
	} {
		if got := money.ChargeOf(currency); got != c {
			t.Errorf("%s: %+v, want %+v", currency, got, c)
		}
		for amount, ok := range map[int64]bool{0: true, c.Min: true, c.Max: true, c.Max + c.Step: false, c.Min - c.Step: c.Min == c.Step, c.Min + c.Step/2: c.Step == 1} {
			err := money.Chargeable(money.Money{Amount: amount, Currency: currency})
			if (err == nil) != ok || err != nil && !errors.Is(err, money.ErrNotChargeable) {
				t.Errorf("%d of %s: %v", amount, currency, err)
			}
		}
	}
}

package money

import "guichet/internal/kind"

// ErrNotChargeable means an amount that the payment provider charges nobody with.
var ErrNotChargeable = kind.Unprocessable.New("amount_not_chargeable")

// Charge is what one payment in a currency may be, in our minor units.
type Charge struct {
	Min  int64 // at least
	Max  int64 // at most
	Step int64 // a multiple of
}

// leastCharges are the provider's smallest payments (docs.stripe.com/currencies, minimum
// charge amounts), in ISO 4217's minor units. They hold where the account settles in the
// price's own currency. For other currencies there is no such number: the equivalent of
// the least in the currency of settlement, by the day's rate, which only the provider knows.
var leastCharges = map[string]int64{
	"AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 15_00, "DKK": 250, "EUR": 50, "GBP": 30, "HKD": 400, "HUF": 175_00,
	"INR": 50, "JPY": 50, "MXN": 10_00, "MYR": 200, "NOK": 300, "NZD": 50, "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50, "THB": 10_00, "USD": 50,
}

// The provider takes amounts of so many digits, in its own units.
const (
	eightDigits  = 99_999_999
	twelveDigits = 999_999_999_999
)

// ChargeOf is what one payment in a currency may be. The provider's units are ISO 4217's
// but for ISK and UGX, in which it has two digits that are always zero: eight of its
// digits are six of ours. The last of three decimals must be zero (CardStep). HUF and TWD
// are charged with two decimals, and paid out without them.
func ChargeOf(currency string) Charge {
	c := Charge{Min: leastCharges[currency], Max: eightDigits, Step: CardStep(currency)}
	switch currency {
	case "IDR":
		c.Max = twelveDigits
	case "ISK", "UGX":
		c.Max = eightDigits / 100
	}
	c.Min = max(c.Min, c.Step)
	c.Max -= c.Max % c.Step
	return c
}

// Chargeable says whether an amount can be paid in one payment; ErrNotChargeable, with
// the limit that it passes, when it cannot. Nothing is never charged, and so can be.
func Chargeable(m Money) error {
	c := ChargeOf(m.Currency)
	of := func(amount int64) Money { return Money{Amount: amount, Currency: m.Currency} }
	switch {
	case m.Amount == 0:
		return nil
	case m.Amount > c.Max:
		return ErrNotChargeable.With("%s is more than one payment takes, which is %s", m, of(c.Max)).Field("limit", c.Max)
	case m.Amount < c.Min:
		return ErrNotChargeable.With("%s is less than one payment takes, which is %s", m, of(c.Min)).Field("limit", c.Min)
	case m.Amount%c.Step != 0:
		return ErrNotChargeable.With("cards are charged in %s in steps of %d minor units only", m.Currency, c.Step).Field("step", c.Step)
	}
	return nil
}

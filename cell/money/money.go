// Package money is integer money: an amount in the currency's minor units and
// an ISO 4217 code. There are no floats and no silent mixing of currencies.
package money

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"guichet/internal/kind"
)

// Errors of this package.
var (
	ErrCurrency = kind.Invalid.New("invalid_currency")
	ErrAmount   = kind.Invalid.New("invalid_amount")
)

// Max is the largest amount accepted anywhere, in minor units: far above any
// ticket, far below what could overflow when multiplied by a quantity.
const Max = 1_000_000_000_000

// Money is an amount in minor units ("4250" of "EUR" is 42.50 €).
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// exponents holds the ISO 4217 minor-unit digits of the currencies we accept.
var exponents = func() map[string]int {
	m := map[string]int{}
	for c := range strings.FieldsSeq(`AED ARS AUD BDT BGN BRL CAD CHF CNY COP CRC CZK DKK EGP EUR GBP GEL GHS HKD HUF
		IDR ILS INR KES KZT LKR MAD MXN MYR NGN NOK NPR NZD PEN PHP PKR PLN QAR RON RSD SAR SEK SGD THB TRY TWD TZS UAH
		USD UYU ZAR`) {
		m[c] = 2
	}
	for c := range strings.FieldsSeq(`CLP ISK JPY KRW PYG RWF UGX VND XAF XOF XPF`) {
		m[c] = 0
	}
	for c := range strings.FieldsSeq(`BHD JOD KWD OMR TND`) {
		m[c] = 3
	}
	return m
}()

// Exponent is the number of minor-unit digits of an ISO 4217 currency.
func Exponent(currency string) (int, error) {
	e, ok := exponents[currency]
	if !ok {
		return 0, ErrCurrency.With("%.12q is not a currency we can charge", currency)
	}
	return e, nil
}

// CardStep is the number of minor units in which cards are charged: 10 in
// three-decimal currencies, whose last digit card networks do not carry
// (docs.stripe.com/currencies, three-decimal currencies), else 1.
func CardStep(currency string) int64 {
	if exponents[currency] == 3 {
		return 10
	}
	return 1
}

// New checks the currency and that 0 <= amount <= Max.
func New(amount int64, currency string) (Money, error) {
	if _, err := Exponent(currency); err != nil {
		return Money{}, err
	}
	if amount < 0 || amount > Max {
		return Money{}, ErrAmount.With("%d is outside 0 to %d minor units", amount, int64(Max))
	}
	return Money{Amount: amount, Currency: currency}, nil
}

// Parse reads a decimal number of major units ("42.50"); more digits than the
// currency has are an error, never rounded.
func Parse(decimal, currency string) (Money, error) {
	exp, err := Exponent(currency)
	if err != nil {
		return Money{}, err
	}
	whole, frac, _ := strings.Cut(decimal, ".")
	if whole+frac == "" {
		return Money{}, ErrAmount.With("%.20q is not a decimal number", decimal) // "" and "." are not a price of zero
	}
	frac = strings.TrimRight(frac, "0")
	if len(frac) > exp {
		return Money{}, ErrAmount.With("%.20q has more than %d decimals", decimal, exp)
	}
	digits := whole + frac + strings.Repeat("0", exp-len(frac))
	if strings.Trim(digits, "0123456789") != "" {
		return Money{}, ErrAmount.With("%.20q is not a decimal number", decimal)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return Money{}, ErrAmount.With("%.20q is too large", decimal)
	}
	return New(n, currency)
}

// Add sums two amounts of one currency.
func (m Money) Add(o Money) (Money, error) {
	if m.Currency != o.Currency {
		return Money{}, ErrCurrency.With("cannot add %s to %s", o.Currency, m.Currency)
	}
	if o.Amount > 0 && m.Amount > math.MaxInt64-o.Amount || o.Amount < 0 && m.Amount < math.MinInt64-o.Amount {
		return Money{}, ErrAmount.With("the sum is too large")
	}
	return Money{Amount: m.Amount + o.Amount, Currency: m.Currency}, nil
}

// Times multiplies by a quantity.
func (m Money) Times(n int64) (Money, error) {
	p := new(big.Int).Mul(big.NewInt(m.Amount), big.NewInt(n))
	if !p.IsInt64() {
		return Money{}, ErrAmount.With("the product is too large")
	}
	return Money{Amount: p.Int64(), Currency: m.Currency}, nil
}

// Portion is basisPoints/10,000 of m, rounded half up to a minor unit. A share
// that no amount can hold is a bug of the caller: with amounts up to Max it takes
// more than ten million times the whole.
func (m Money) Portion(basisPoints int64) Money {
	p := new(big.Int).Mul(big.NewInt(m.Amount), big.NewInt(basisPoints))
	p.Add(p, big.NewInt(5000))
	p.Div(p, big.NewInt(10000))
	if !p.IsInt64() {
		panic(fmt.Sprintf("money: %d basis points of %s are too large", basisPoints, m))
	}
	return Money{Amount: p.Int64(), Currency: m.Currency}
}

// String is for people: "42.50 EUR".
func (m Money) String() string {
	exp := exponents[m.Currency]
	if exp == 0 {
		return fmt.Sprintf("%d %s", m.Amount, m.Currency)
	}
	sign, a := "", uint64(m.Amount) //nolint:gosec // the sign is taken off below, for the smallest int64 too
	if m.Amount < 0 {
		sign, a = "-", -a
	}
	unit := uint64(math.Pow10(exp))
	return fmt.Sprintf("%s%d.%0*d %s", sign, a/unit, exp, a%unit, m.Currency)
}

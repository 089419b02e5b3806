package money_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"guichet/cell/money"
	"guichet/internal/kind"
)

func TestParse_readsMajorUnits(t *testing.T) {
	for _, c := range []struct {
		decimal, currency string
		want              int64
	}{
		{"42.50", "EUR", 4250},
		{"42.5", "EUR", 4250},
		{"42", "EUR", 4200},
		{"42.", "EUR", 4200},
		{".5", "EUR", 50},
		{"0", "EUR", 0},
		{"0.00", "EUR", 0},
		{"42.5000", "EUR", 4250},
		{"007.10", "USD", 710},
		{"0.01", "GBP", 1},
		{"10000000000", "EUR", money.Max},
		{"10000000000.00", "EUR", money.Max},
		{"1500", "JPY", 1500},
		{"1500.", "JPY", 1500},
		{"1500.00", "JPY", 1500},
		{"0", "KRW", 0},
		{"1000000000000", "JPY", money.Max},
		{"1.234", "KWD", 1234},
		{"1.2", "BHD", 1200},
		{"1", "TND", 1000},
	} {
		got, err := money.Parse(c.decimal, c.currency)
		if want := (money.Money{Amount: c.want, Currency: c.currency}); err != nil || got != want {
			t.Errorf("%s %s gives %+v, %v, want %d", c.decimal, c.currency, got, err, c.want)
		}
	}
}

func TestParse_refusesWhatIsNoPrice(t *testing.T) {
	for _, currency := range []string{"EUR", "JPY", "KWD"} {
		for _, decimal := range []string{
			"", ".", " ", "free", "-1", "+1", "-0", "1e3", "0x10", "1,50", "1.5.0", "1..5", "1 000", " 1", "1 ", "1\n", "1_000", "١", "１", "∞", "NaN", "1.-5", "1.+5", "1\x00", "\xff",
			"0.0001", "99999999999999999999", "9223372036854775808", "10000000000001", strings.Repeat("9", 100_000),
		} {
			if got, err := money.Parse(decimal, currency); !errors.Is(err, money.ErrAmount) || got != (money.Money{}) || len(err.Error()) > 200 {
				t.Errorf("%.40q %s gives %+v, %.200v", decimal, currency, got, err)
			}
		}
	}
	for decimal, currency := range map[string]string{"1.005": "EUR", "1.5": "JPY", "0.1234": "OMR", "10000000000.01": "EUR", "1000000000.001": "KWD"} {
		if got, err := money.Parse(decimal, currency); !errors.Is(err, money.ErrAmount) {
			t.Errorf("%s %s gives %+v, %v: rounded or over the limit", decimal, currency, got, err)
		}
	}
	for _, currency := range []string{"", "eur", "EURO", "XXX", "EU", "E R", "€", "BTC", strings.Repeat("E", 10_000)} {
		if got, err := money.Parse("1", currency); !errors.Is(err, money.ErrCurrency) || kind.Of(err) != kind.Invalid || len(err.Error()) > 200 {
			t.Errorf("%.20q gives %+v, %.200v", currency, got, err)
		}
	}
}

func TestExponent_isISO4217s(t *testing.T) {
	for currency, want := range map[string]int{"EUR": 2, "USD": 2, "HKD": 2, "CAD": 2, "JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "XOF": 0, "KWD": 3, "BHD": 3, "TND": 3} {
		if got, err := money.Exponent(currency); err != nil || got != want {
			t.Errorf("%s has %d digits (%v), want %d", currency, got, err, want)
		}
	}
}

func TestNew_holdsItsBounds(t *testing.T) {
	for amount, good := range map[int64]bool{0: true, 1: true, money.Max: true, -1: false, money.Max + 1: false, math.MinInt64: false, math.MaxInt64: false} {
		if got, err := money.New(amount, "EUR"); (err == nil) != good || good && got.Amount != amount || !good && !errors.Is(err, money.ErrAmount) {
			t.Errorf("%d gives %+v, %v", amount, got, err)
		}
	}
	if _, err := money.New(1, "eur"); !errors.Is(err, money.ErrCurrency) {
		t.Errorf("got %v", err)
	}
}

func eur(amount int64) money.Money { return money.Money{Amount: amount, Currency: "EUR"} }

func TestAdd_neitherMixesNorOverflows(t *testing.T) {
	for _, c := range []struct {
		a, b, want int64
		err        error
	}{
		{1, 2, 3, nil},
		{-5, 2, -3, nil},
		{math.MaxInt64, 0, math.MaxInt64, nil},
		{math.MaxInt64, math.MinInt64, -1, nil},
		{math.MinInt64, math.MaxInt64, -1, nil},
		{math.MaxInt64, 1, 0, money.ErrAmount},
		{1, math.MaxInt64, 0, money.ErrAmount},
		{math.MinInt64, -1, 0, money.ErrAmount},
		{-1, math.MinInt64, 0, money.ErrAmount},
	} {
		if got, err := eur(c.a).Add(eur(c.b)); !errors.Is(err, c.err) || err == nil && got != eur(c.want) {
			t.Errorf("%d + %d gives %+v, %v", c.a, c.b, got, err)
		}
	}
	if _, err := eur(1).Add(money.Money{Amount: 1, Currency: "USD"}); !errors.Is(err, money.ErrCurrency) {
		t.Errorf("euros and dollars: %v", err)
	}
}

func TestTimes_doesNotOverflow(t *testing.T) {
	for _, c := range []struct {
		a, n, want int64
		err        error
	}{
		{4250, 3, 12750, nil},
		{4250, 0, 0, nil},
		{4250, -1, -4250, nil},
		{money.Max, 9_000_000, 9_000_000 * money.Max, nil},
		{math.MinInt64, 1, math.MinInt64, nil},
		{money.Max, 10_000_000, 0, money.ErrAmount},
		{math.MinInt64, -1, 0, money.ErrAmount},
		{math.MaxInt64, math.MaxInt64, 0, money.ErrAmount},
		{1 << 32, 1 << 32, 0, money.ErrAmount},
	} {
		if got, err := eur(c.a).Times(c.n); !errors.Is(err, c.err) || err == nil && got != eur(c.want) {
			t.Errorf("%d × %d gives %+v, %v", c.a, c.n, got, err)
		}
	}
}

func TestPortion_roundsHalfUp(t *testing.T) {
	for _, c := range []struct{ amount, basisPoints, want int64 }{
		{10_000, 250, 250},
		{100, 10_000, 100},
		{100, 0, 0},
		{0, 500, 0},
		{1, 4_999, 0},
		{1, 5_000, 1},
		{3, 5_000, 2},
		{199, 50, 1},
		{99, 50, 0},
		{100, 50, 1},
		{money.Max, 10_000, money.Max},
		{money.Max, 1, money.Max / 10_000},
		{-100, 250, -2},
		{-3, 5_000, -1},
		{math.MaxInt64, 10_000, math.MaxInt64},
		{math.MinInt64, 10_000, math.MinInt64},
	} {
		if got := eur(c.amount).Portion(c.basisPoints); got != eur(c.want) {
			t.Errorf("%d basis points of %d give %d, want %d", c.basisPoints, c.amount, got.Amount, c.want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a share that no int64 holds was given all the same")
		}
	}()
	eur(math.MaxInt64).Portion(20_000)
}

func TestString_isForPeople(t *testing.T) {
	for want, m := range map[string]money.Money{
		"42.50 EUR": eur(4250), "0.00 EUR": eur(0), "0.05 EUR": eur(5), "-0.05 EUR": eur(-5), "-42.50 EUR": eur(-4250), "10000000000.00 EUR": eur(money.Max),
		"92233720368547758.07 EUR": eur(math.MaxInt64), "-92233720368547758.08 EUR": eur(math.MinInt64),
		"1500 JPY": {Amount: 1500, Currency: "JPY"}, "-1500 JPY": {Amount: -1500, Currency: "JPY"}, "-9223372036854775808 KRW": {Amount: math.MinInt64, Currency: "KRW"},
		"1.234 KWD": {Amount: 1234, Currency: "KWD"}, "0.001 BHD": {Amount: 1, Currency: "BHD"}, "-1.002 TND": {Amount: -1002, Currency: "TND"},
	} {
		if got := m.String(); got != want {
			t.Errorf("%d gives %q, want %q", m.Amount, got, want)
		}
	}
}

func TestMoney_hasItsWireForm(t *testing.T) {
	if b, err := json.Marshal(eur(4250)); err != nil || string(b) != `{"amount":4250,"currency":"EUR"}` {
		t.Errorf("got %s, %v", b, err)
	}
}

// What parses is in bounds, is what a big rational says, and reads its own text again.
func FuzzParse(f *testing.F) {
	for _, c := range []string{"EUR", "JPY", "KWD", "eur", ""} {
		for _, d := range []string{"42.50", "", ".", "0.1", "1e3", "-1", "99999999999999999999", "1.000", "00", "1.2.3", "٤"} {
			f.Add(d, c)
		}
	}
	f.Fuzz(func(t *testing.T, decimal, currency string) {
		m, err := money.Parse(decimal, currency)
		if err != nil {
			if kind.Of(err) != kind.Invalid || m != (money.Money{}) {
				t.Fatalf("%q %q gives %+v, %v", decimal, currency, m, err)
			}
			return
		}
		if m.Amount < 0 || m.Amount > money.Max || m.Currency != currency {
			t.Fatalf("%q %q gives %+v", decimal, currency, m)
		}
		again, err := money.Parse(strings.TrimSuffix(m.String(), " "+currency), currency)
		if err != nil || again != m {
			t.Fatalf("%q is written %q and read as %+v, %v", decimal, m, again, err)
		}
		exp, _ := money.Exponent(currency)
		want, ok := new(big.Rat).SetString("0" + strings.TrimSuffix(decimal, "."))
		unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exp)), nil))
		if !ok || want.Mul(want, unit).Cmp(new(big.Rat).SetInt64(m.Amount)) != 0 {
			t.Fatalf("%q %s gives %d, want %v", decimal, currency, m.Amount, fmt.Sprint(want))
		}
	})
}

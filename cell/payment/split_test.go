package payment_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"guichet/cell/money"
	"guichet/cell/payment"
)

func TestInStep_isExactAndNeverOverflows(t *testing.T) {
	t.Parallel()
	for _, c := range [][4]int64{
		{303, 0, 10302, 0},
		{303, 10302, 10302, 303},
		{303, 5151, 10302, 151},
		{0, 7, 9, 0},
		{1_000_000_000_000, 999_999_999_999, 1_000_000_000_000, 999_999_999_999},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if got := payment.InStep(c[0], 0, c[1], c[2]); got != c[3] {
			t.Errorf("%d·%d/%d = %d, want %d", c[0], c[1], c[2], got, c[3])
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 { // parts in any order sum to the whole
		total := 1 + r.Int64N(1_000_000_000_000)
		fees, sum := r.Int64N(total+1), int64(0)
		for given := int64(0); given < total; {
			part := 1 + r.Int64N(total-given)
			share := payment.InStep(fees, given, part, total)
			if share < 0 || share > part {
				t.Fatalf("a part of %d has fees of %d", part, share)
			}
			given, sum = given+part, sum+share
		}
		if sum != fees {
			t.Fatalf("the parts' fees are %d of %d", sum, fees)
		}
	}
}

// The rule of the split: event fees on top, basis points of the rest, half up, once
// per order; never more than the total, and in steps that cards know.
func TestPlatformShare_roundsOncePerOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		total     money.Money
		fees, bps int64
		want      int64
	}{
		"nothing":                        {money.Money{Amount: 0, Currency: "EUR"}, 0, 250, 0},
		"event fees only":                {money.Money{Amount: 4250, Currency: "EUR"}, 250, 0, 250},
		"both":                           {money.Money{Amount: 4250, Currency: "EUR"}, 250, 250, 350},
		"half a cent up":                 {money.Money{Amount: 100, Currency: "EUR"}, 0, 50, 1},
		"less than half a cent":          {money.Money{Amount: 99, Currency: "EUR"}, 0, 50, 0},
		"yen have no cents":              {money.Money{Amount: 10_001, Currency: "JPY"}, 0, 250, 250},
		"dinars in steps of ten":         {money.Money{Amount: 12_340, Currency: "KWD"}, 0, 250, 300},
		"dinars, a whole step":           {money.Money{Amount: 12_000, Currency: "KWD"}, 0, 250, 300},
		"fees that are more than all":    {money.Money{Amount: 100, Currency: "EUR"}, 200, 0, 100},
		"points that are more than all":  {money.Money{Amount: 100, Currency: "EUR"}, 0, 20_000, 100},
		"the largest payment there is":   {money.Money{Amount: payment.MaxCharge, Currency: "EUR"}, 0, 10_000, payment.MaxCharge},
		"free of charge, fees were told": {money.Money{Amount: 0, Currency: "EUR"}, 250, 0, 0},
	} {
		if got := payment.PlatformShare(c.total, c.fees, c.bps); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

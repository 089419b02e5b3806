package booking_test

import (
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/money"
)

// Cards are charged in dinars by steps of ten fils: tax on top is rounded to the
// step, half up; in currencies with two decimals or none nothing changes.
func TestPriceAt_staysOnTheStepOfTheCurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		currency  string
		face      int64
		bps       int64
		onTop     bool
		tax, paid int64
	}{
		{"KWD", 12_340, 500, true, 620, 12_960},
		{"KWD", 12_290, 500, true, 610, 12_900},
		{"KWD", 12_340, 500, false, 588, 12_340},
		{"EUR", 12_340, 500, true, 617, 12_957},
		{"JPY", 7001, 1000, true, 700, 7701},
	} {
		k := booking.TicketType{Price: money.Money{Amount: c.face, Currency: c.currency}, Terms: &booking.Terms{Tax: booking.Tax{BasisPoints: c.bps, OnTop: c.onTop}}}
		if p := k.PriceAt(time.Unix(1, 0)); p.Tax != c.tax || p.AllIn != c.paid {
			t.Errorf("%d %s at %d: tax %d, paid %d; want %d, %d", c.face, c.currency, c.bps, p.Tax, p.AllIn, c.tax, c.paid)
		}
	}
}

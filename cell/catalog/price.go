package catalog

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"time"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"

	"guichet/cell/client"
	"guichet/cell/money"
)

// freeWords are how sources say that nothing is paid.
var freeWords = regexp.MustCompile(`(?i)(?:^|[^\pL])(?:free|gratis|gratuit[oe]?s?|gratuitamente|kostenlos|kostenfrei|(?:eintritt )?frei|entrée libre|entrada libre|no charge|admission by enrol\w*|бесплатно)(?:$|[^\pL])|無料|免费|免費|무료`)

// exactPrice reads a plain decimal, with an exponent or without, as it stands: what the
// currency cannot say, or cards cannot be charged, is an error, but for the dirt that
// floating point leaves behind ("57.850000001").
func exactPrice(decimal, cur string) (money.Money, error) {
	exp, err := money.Exponent(cur)
	if err != nil {
		return money.Money{}, err
	}
	if !plainDecimal.MatchString(decimal) {
		return money.Money{}, fmt.Errorf("%.40q is not an amount", decimal)
	}
	r, ok := new(big.Rat).SetString(decimal)
	if !ok {
		return money.Money{}, fmt.Errorf("%.40q is not an amount", decimal)
	}
	if r.Sign() < 0 {
		return money.Money{}, fmt.Errorf("%.40q is less than nothing", decimal)
	}
	unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exp)), nil))
	exact := r.Mul(r, unit)
	nearest, _ := new(big.Int).SetString(exact.FloatString(0), 10)
	dirt := new(big.Rat).Sub(exact, new(big.Rat).SetInt(nearest))
	if dirt.Abs(dirt).Cmp(big.NewRat(1, 1000)) > 0 {
		return money.Money{}, fmt.Errorf("%.40q has more than the %d decimals of %s", decimal, exp, cur)
	}
	if !nearest.IsInt64() {
		return money.Money{}, fmt.Errorf("%.40q is too much", decimal)
	}
	m, err := money.New(nearest.Int64(), cur)
	if step := money.CardStep(cur); err == nil && m.Amount%step != 0 {
		return money.Money{}, fmt.Errorf("%.40q cannot be charged: cards know steps of %d minor units in %s", decimal, step, cur)
	}
	return m, err
}

// plainDecimal bounds what is reckoned with: an exponent of two digits at most.
var plainDecimal = regexp.MustCompile(`^-?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?$`)

// currencyOf is the currency of a country, if we can charge it.
func currencyOf(country string) string {
	region, err := language.ParseRegion(country)
	if err != nil {
		return ""
	}
	unit, ok := currency.FromRegion(region)
	if !ok {
		return ""
	}
	if _, err := money.Exponent(unit.String()); err != nil {
		return ""
	}
	return unit.String()
}

// generalAdmission makes one quota of the whole capacity and a ticket type for
// each price, all drawing on it.
func generalAdmission(e *client.NewEvent, capacity int64, tiers []tier) {
	const house = "General admission"
	if slices.ContainsFunc(tiers, func(t tier) bool { return !t.soldOut }) {
		e.Quotas = append(e.Quotas, client.NewQuota{Name: house, Size: capacity})
	}
	for _, t := range tiers {
		quota := house
		if t.soldOut { // it is shown, and there is none of it
			quota = t.name + " (sold out)"
			e.Quotas = append(e.Quotas, client.NewQuota{Name: quota})
		}
		e.TicketTypes = append(e.TicketTypes, t.ticketType(quota))
	}
}

// zones shares the capacity evenly among price zones, each with its own quota;
// the last takes the remainder.
func zones(e *client.NewEvent, capacity int64, tiers []tier) {
	share := max(capacity/int64(len(tiers)), 1)
	for i, t := range tiers {
		size := share
		if i == len(tiers)-1 {
			size = max(capacity-share*int64(i), 1)
		}
		e.Quotas = append(e.Quotas, client.NewQuota{Name: t.name, Size: size})
		e.TicketTypes = append(e.TicketTypes, t.ticketType(t.name))
	}
}

// tier is a price with the name it is sold under.
type tier struct {
	name        string
	price       money.Money
	soldOut     bool
	from, until time.Time // when it is sold; zero where that is unsaid
}

// sameSale: nothing but the name tells the two apart.
func (t tier) sameSale(o tier) bool {
	return t.price == o.price && t.soldOut == o.soldOut && t.from.Equal(o.from) && t.until.Equal(o.until)
}

func (t tier) ticketType(quota string) client.NewTicketType {
	made := client.NewTicketType{Name: t.name, Price: t.price, Quotas: []string{quota}}
	if !t.from.IsZero() {
		made.SalesStart = &t.from
	}
	if !t.until.IsZero() {
		made.SalesEnd = &t.until
	}
	return made
}

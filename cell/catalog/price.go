package catalog

import (
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"

	"guichet/cell/client"
	"guichet/cell/money"
)

// priceNumber is one amount in a text: "1,380", "1080", "12.50". A comma groups
// thousands only after one or two digits and only once, since lists are written
// without spaces too ("$130,100, 80", "$1,380,980,580").
var priceNumber = regexp.MustCompile(`\d{1,2},\d{3}(?:\.\d+)?\b|\d+(?:\.\d+)?`)

// freeWords are how sources say that nothing is paid.
var freeWords = regexp.MustCompile(`(?i)\b(?:free|gratis|gratuit[oe]?|kostenlos|no charge|admission by enrol\w*)\b`)

// decimalComma is a text with one amount only, written "18,50 €".
var decimalComma = regexp.MustCompile(`^(\D*\d+),(\d{2}\D*)$`)

// maxGrouped is where "75,100" stops being one price and becomes two, in minor
// units of a currency with decimals.
const maxGrouped = 50_000_00

// prices finds the amounts in a text, in order and without repeats: "$15",
// "$1,380, $980, $580", "10–20", "$480, 380, 260*". Nothing found and a word
// for free gives one zero.
func prices(text, cur string) ([]money.Money, error) {
	text = decimalComma.ReplaceAllString(text, "$1.$2")
	var out []money.Money
	add := func(decimal string) error {
		m, err := roundedPrice(decimal, cur)
		if err != nil {
			return err
		}
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
		return nil
	}
	for _, n := range priceNumber.FindAllString(text, maxTypes) {
		one, err := roundedPrice(strings.ReplaceAll(n, ",", ""), cur)
		parts := []string{strings.ReplaceAll(n, ",", "")}
		if exp, _ := money.Exponent(cur); err == nil && exp > 0 && one.Amount > maxGrouped && strings.Contains(n, ",") {
			parts = strings.Split(n, ",")
		}
		for _, p := range parts {
			if err := add(p); err != nil {
				return nil, err
			}
		}
	}
	if len(out) == 0 && freeWords.MatchString(text) {
		return []money.Money{{Currency: cur}}, nil
	}
	return out, nil
}

// roundedPrice reads a decimal that may have more digits than the currency
// (foreign feeds have "57.850000001"): half a minor unit rounds up, and so does
// half a step in currencies that cards are charged in by larger steps.
func roundedPrice(decimal, cur string) (money.Money, error) {
	m, err := toMinorUnit(decimal, cur)
	step := money.CardStep(cur)
	m.Amount = (m.Amount + step/2) / step * step
	return m, err
}

func toMinorUnit(decimal, cur string) (money.Money, error) {
	exp, err := money.Exponent(cur)
	if err != nil {
		return money.Money{}, err
	}
	whole, frac, _ := strings.Cut(decimal, ".")
	if len(frac) <= exp {
		return money.Parse(decimal, cur)
	}
	m, err := money.Parse(whole+"."+frac[:exp], cur)
	if err == nil && frac[exp] >= '5' {
		m.Amount++
	}
	return m, err
}

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
	e.Quotas = []client.NewQuota{{Name: house, Size: capacity}}
	for _, t := range tiers {
		e.TicketTypes = append(e.TicketTypes, client.NewTicketType{Name: t.name, Price: t.price, Quotas: []string{house}})
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
		e.TicketTypes = append(e.TicketTypes, client.NewTicketType{Name: t.name, Price: t.price, Quotas: []string{t.name}})
	}
}

// tier is a price with the name it is sold under.
type tier struct {
	name  string
	price money.Money
}

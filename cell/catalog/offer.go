package catalog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"guichet/cell/money"
	"guichet/cell/walltime"
)

// offersOf are the offers that name prices themselves: where an offer sums others
// up, those that it sums up, with what it says of all of them.
func offersOf(v any) []map[string]any {
	var out []map[string]any
	for _, x := range list(v) {
		o := obj(x)
		if o == nil {
			continue
		}
		inner := offersOf(o["offers"])
		if len(inner) == 0 {
			out = append(out, o)
			continue
		}
		for _, one := range inner {
			one = maps.Clone(one)
			for _, key := range []string{"priceCurrency", "availability", "validFrom", "validThrough", "availabilityStarts", "availabilityEnds"} {
				if _, said := one[key]; !said && o[key] != nil {
					one[key] = o[key]
				}
			}
			out = append(out, one)
		}
	}
	return out
}

// offerTiers are the distinct prices of schema.org offers, named by the offers.
func offerTiers(offers []map[string]any, cur string, loc *time.Location) ([]tier, error) {
	t := &tierList{names: map[string]bool{}}
	for _, o := range offers {
		for _, said := range append([]map[string]any{o}, objects(o["priceSpecification"])...) {
			if c := strings.ToUpper(str(said["priceCurrency"])); c != "" && c != cur {
				return nil, fmt.Errorf("offers in %.5s and %.5s: one event has one currency", cur, c)
			}
		}
		made := tier{soldOut: soldOut(o)}
		var err error
		if made.from, made.until, err = saleWindow(o, loc); err != nil {
			return nil, err
		}
		list, err := offerPrices(o, cur)
		if err != nil {
			return nil, err
		}
		for i, p := range list {
			made.price, made.name = p, str(o["name"])
			if i > 0 && made.name != "" {
				made.name += " " + p.String()
			}
			t.add(made)
		}
	}
	if len(t.tiers) > maxTypes {
		return nil, fmt.Errorf("more than %d prices", maxTypes)
	}
	if len(t.tiers) == 1 && strings.HasPrefix(t.tiers[0].name, "Ticket ") {
		t.tiers[0].name = "Standard"
	}
	return t.tiers, nil
}

// tierList keeps tiers apart by their names.
type tierList struct {
	tiers []tier
	names map[string]bool
}

func (l *tierList) add(made tier) {
	for _, t := range l.tiers {
		if t.sameSale(made) && (made.name == "" || t.name == plain(made.name)) {
			return
		}
	}
	if made.name == "" && made.price.Amount == 0 {
		made.name = "Free admission"
	}
	name := plain(made.name)
	if name == "" || l.names[name] {
		name = strings.TrimSpace(cmp.Or(name, "Ticket") + " " + made.price.String())
	}
	for n, base := 2, name; l.names[name]; n++ { // the same words and price, another window
		name = fmt.Sprintf("%s (%d)", base, n)
	}
	l.names[name] = true
	made.name = cutRunes(name, maxName)
	l.tiers = append(l.tiers, made)
}

// offerPrices are what one offer asks: its price, or what its specifications say, or
// the low and the high of a summary. A high below the low is no price.
func offerPrices(o map[string]any, cur string) ([]money.Money, error) {
	var out []money.Money
	add := func(v any) (least money.Money, found bool, err error) {
		list, err := pricesOf(v, cur)
		if err != nil || len(list) == 0 {
			return least, false, err
		}
		for _, m := range list {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
		return list[0], true, nil
	}
	for _, said := range append([]map[string]any{o}, objects(o["priceSpecification"])...) {
		if _, _, err := add(said["price"]); err != nil {
			return nil, err
		}
		for _, span := range [][2]string{{"lowPrice", "highPrice"}, {"minPrice", "maxPrice"}} {
			low, found, err := add(said[span[0]])
			if err != nil {
				return nil, err
			}
			high, err := pricesOf(said[span[1]], cur)
			if err != nil {
				return nil, err
			}
			if len(high) == 1 && found && high[0].Amount < low.Amount {
				continue
			}
			if _, _, err := add(said[span[1]]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// pricesOf reads a price: a number of JSON says exactly what it is, a text is read.
func pricesOf(v any, cur string) ([]money.Money, error) {
	for _, x := range list(v) {
		if n, ok := x.(json.Number); ok {
			m, err := exactPrice(n.String(), cur)
			if err != nil {
				return nil, fmt.Errorf("price %w", err)
			}
			return []money.Money{m}, nil
		}
	}
	text := str(v)
	if text == "" {
		return nil, nil
	}
	list, err := prices(text, cur)
	switch {
	case err != nil:
		return nil, fmt.Errorf("price %.40q: %w", text, err)
	case len(list) == 0:
		return nil, fmt.Errorf("price %.40q is neither an amount nor free", text)
	}
	return list, nil
}

// soldOut says that nobody can buy the offer here any more. Some word it, some count.
func soldOut(o map[string]any) bool {
	for _, s := range vocabulary(o["availability"]) {
		switch s {
		case "soldout", "outofstock", "discontinued", "instoreonly":
			return true
		}
	}
	level, ok := number(o["inventoryLevel"])
	return ok && level == 0
}

// saleWindow is when an offer is sold; zero where it does not say.
func saleWindow(o map[string]any, loc *time.Location) (from, until time.Time, err error) {
	at := func(keys ...string) (time.Time, bool, error) {
		for _, key := range keys {
			if text := str(o[key]); text != "" {
				t, dateOnly, err := moment(text, loc)
				if err != nil {
					return t, false, fmt.Errorf("%s %.60q: %w", key, text, err)
				}
				return t, dateOnly, nil
			}
		}
		return time.Time{}, false, nil
	}
	if from, _, err = at("availabilityStarts", "validFrom"); err != nil {
		return from, until, err
	}
	until, wholeDay, err := at("availabilityEnds", "validThrough")
	if wholeDay {
		until = walltime.EndOfDay(until)
	}
	if err == nil && !from.IsZero() && !until.IsZero() && !from.Before(until) {
		err = errors.New("an offer ends before it begins")
	}
	return from, until, err
}

// inventory is the sum of what the offers say is there.
func inventory(offers []map[string]any) int64 {
	var n int64
	for _, o := range offers {
		n += min(count(o["inventoryLevel"]), maxCapacity)
	}
	return n
}

// schemaOrgStock reads offers into ticket types. Without a price: free if the
// event says so, else the default.
func (in *input) schemaOrgStock(d *draft, m map[string]any, loc *time.Location) error {
	e := &d.event
	offers := offersOf(m["offers"])
	for _, o := range offers {
		spec := obj(o["priceSpecification"])
		if e.Currency = strings.ToUpper(cmp.Or(str(o["priceCurrency"]), str(spec["priceCurrency"]))); e.Currency != "" {
			break
		}
	}
	e.Currency = cmp.Or(e.Currency, in.currencyFor(d.file), currencyOf(e.Venue.Country))
	if e.Currency == "" {
		return errors.New("no currency")
	}
	tiers, err := offerTiers(offers, e.Currency, loc)
	if err != nil {
		return err
	}
	if len(tiers) == 0 {
		if truth(m["isAccessibleForFree"]) {
			tiers = []tier{{name: "Free admission", price: money.Money{Currency: e.Currency}}}
		} else if tiers, err = in.assumedPrice(d); err != nil {
			return err
		}
		tiers[0].soldOut = len(offers) > 0 && !slices.ContainsFunc(offers, func(o map[string]any) bool { return !soldOut(o) })
	}
	capacity := cmp.Or(count(m["maximumAttendeeCapacity"]), inventory(offers), e.Venue.Capacity)
	if capacity == 0 {
		capacity = DefaultCapacity
		d.note(NoteCapacity)
	}
	generalAdmission(e, min(capacity, maxCapacity), tiers)
	return nil
}

// assumedPrice is what an event costs that does not say: the person's word, else the
// default of its currency, noted.
func (in *input) assumedPrice(d *draft) ([]tier, error) {
	d.note(NotePrice)
	if in.opts.Price != "" {
		list, err := prices(in.opts.Price, d.event.Currency)
		switch {
		case err != nil:
			return nil, err
		case len(list) != 1:
			return nil, fmt.Errorf("price %.40q is not one price", in.opts.Price)
		}
		name := "Standard"
		if list[0].Amount == 0 {
			name = "Free admission"
		}
		return []tier{{name: name, price: list[0]}}, nil
	}
	price, err := defaultPrice(d.event.Currency)
	if err != nil {
		return nil, err
	}
	return []tier{{name: "Standard", price: price}}, nil
}

func cutRunes(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}

package catalog

import (
	"cmp"
	"fmt"
	"strings"

	"guichet/cell/money"
)

// offerTiers are the distinct prices of schema.org offers, named by the offers.
func offerTiers(offers []map[string]any, cur string) ([]tier, error) {
	var out []tier
	names := map[string]bool{}
	add := func(name string, price money.Money) {
		for _, t := range out {
			if t.price == price && (name == "" || t.name == name) {
				return
			}
		}
		if name == "" && price.Amount == 0 {
			name = "Free admission"
		}
		name = plain(name)
		if name == "" || names[name] {
			name = strings.TrimSpace(cmp.Or(name, "Ticket") + " " + price.String())
		}
		if !names[name] && len(out) < maxTypes {
			names[name] = true
			out = append(out, tier{cutRunes(name, maxName), price})
		}
	}
	for _, o := range offers {
		if c := strings.ToUpper(str(o["priceCurrency"])); c != "" && c != cur {
			return nil, fmt.Errorf("offers in %.5s and %.5s: one event has one currency", cur, c)
		}
		spec := obj(o["priceSpecification"])
		found := 0
		for _, v := range []any{o["price"], o["lowPrice"], o["highPrice"], spec["price"], spec["minPrice"], spec["maxPrice"]} {
			text := str(v)
			if text == "" {
				continue
			}
			list, err := prices(text, cur)
			if err != nil {
				return nil, fmt.Errorf("price %.40q: %w", text, err)
			}
			for _, p := range list {
				name := str(o["name"])
				if found++; found > 1 && name != "" {
					name += " " + p.String()
				}
				add(name, p)
			}
		}
	}
	if len(out) == 1 && strings.HasPrefix(out[0].name, "Ticket ") {
		out[0].name = "Standard"
	}
	return out, nil
}

// inventory is the sum of what the offers say is there.
func inventory(offers []map[string]any) int64 {
	var n int64
	for _, o := range offers {
		n += min(count(o["inventoryLevel"]), maxCapacity)
	}
	return n
}

// assumedPrice is the default for an event of its currency, noted.
func assumedPrice(d *draft) ([]tier, error) {
	price, err := defaultPrice(d.event.Currency)
	if err != nil {
		return nil, err
	}
	d.note(NotePrice)
	return []tier{{"Standard", price}}, nil
}

func cutRunes(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}

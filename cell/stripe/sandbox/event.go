package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// eventOf is what Stripe tells about an object as it is now.
func eventOf(kind string, object any, before map[string]any, c call) event {
	raw, err := json.Marshal(object)
	if err != nil {
		panic(fmt.Sprintf("an object of the sandbox has no JSON: %v", err)) // our own types always have
	}
	return event{
		ID: newID("evt"), Object: "event", APIVersion: apiVersion, Created: c.now, Type: kind,
		Data:    eventData{Object: raw, Previous: before},
		Request: eventRequest{ID: textOrNull(c.request), IdempotencyKey: textOrNull(c.key)},
	}
}

// getEvent is GET /v1/events/{id}.
func getEvent(a *account, c call, p params) outcome {
	if f := p.known(); f != nil {
		return refused(f)
	}
	e, ok := a.events.get(c.id)
	if !ok {
		return refused(missing("event", c.id))
	}
	return outcome{body: e}
}

// listEvents is GET /v1/events, youngest first.
func listEvents(a *account, c call, p params) outcome {
	if f := p.known("type", "types", "created", "limit", "starting_after", "ending_before"); f != nil {
		return refused(f)
	}
	kinds := append(p.texts("types"), p.texts("type")...)
	return page(&a.events, c, p, func(e event) (string, int64, bool) {
		return e.ID, e.Created, len(kinds) == 0 || slices.Contains(kinds, e.Type)
	}, func(e event) any { return e })
}

// listIntents is GET /v1/payment_intents, youngest first.
func listIntents(a *account, c call, p params) outcome {
	if f := p.known("created", "limit", "starting_after", "ending_before"); f != nil {
		return refused(f)
	}
	return page(&a.intents, c, p, func(in intent) (string, int64, bool) {
		return in.ID, in.Created, true
	}, func(in intent) any { return in.paymentIntent })
}

// listRefunds is GET /v1/refunds, youngest first.
func listRefunds(a *account, c call, p params) outcome {
	if f := p.known("charge", "payment_intent", "created", "limit", "starting_after", "ending_before"); f != nil {
		return refused(f)
	}
	return page(&a.refunds, c, p, func(re refund) (string, int64, bool) {
		return re.ID, re.Created, (!p.has("charge") || re.Charge == p.text("charge")) &&
			(!p.has("payment_intent") || re.PaymentIntent == p.text("payment_intent"))
	}, func(re refund) any { return re })
}

// page is one page of a list, Stripe's way: youngest first, a cursor is the id of
// an object, and ending_before gives the page that ends just before it.
func page[V any](t *table[V], c call, p params, about func(V) (id string, created int64, fits bool), show func(V) any) outcome {
	limit, within, f := window(p)
	if f != nil {
		return refused(f)
	}
	after, before := p.text("starting_after"), p.text("ending_before")
	for _, cursor := range []string{after, before} {
		if _, ok := t.get(cursor); cursor != "" && !ok {
			return refused(missing("object", cursor))
		}
	}
	out := list{Object: "list", Data: []any{}, URL: c.path}
	inside := after == ""
	t.youngest(func(v V) bool {
		id, created, fits := about(v)
		if id == before {
			return false
		}
		if inside && fits && within(created) {
			if before == "" && len(out.Data) == limit {
				out.HasMore = true
				return false
			}
			out.Data = append(out.Data, show(v))
		}
		inside = inside || id == after
		return true
	})
	if extra := len(out.Data) - limit; extra > 0 { // only with ending_before: the last of them
		out.Data, out.HasMore = out.Data[extra:], true
	}
	return outcome{body: out}
}

// window reads limit and created[gt|gte|lt|lte].
func window(p params) (int, func(int64) bool, *failure) {
	limit := int64(defaultPage)
	if p.has("limit") {
		var f *failure
		if limit, f = p.integer("limit"); f != nil {
			return 0, nil, f
		}
		if limit < 1 || limit > maxPage {
			return 0, nil, invalid("limit", "This value must be between 1 and %d.", maxPage)
		}
	}
	compare := map[string]func(a, b int64) bool{
		"created": func(a, b int64) bool { return a == b }, "created[gt]": func(a, b int64) bool { return a > b },
		"created[gte]": func(a, b int64) bool { return a >= b }, "created[lt]": func(a, b int64) bool { return a < b },
		"created[lte]": func(a, b int64) bool { return a <= b },
	}
	bounds := map[string]int64{}
	for name := range compare {
		if p.has(name) {
			n, err := strconv.ParseInt(p.text(name), 10, 64)
			if err != nil {
				return 0, nil, invalid(name, "Invalid timestamp: %.30s", p.text(name))
			}
			bounds[name] = n
		}
	}
	return int(limit), func(created int64) bool {
		for name, bound := range bounds {
			if !compare[name](created, bound) {
				return false
			}
		}
		return true
	}, nil
}

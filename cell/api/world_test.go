package api_test

import (
	"maps"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
)

// object is a JSON object as a test writes it.
type object = map[string]any

func eur(amount int64) object { return object{"amount": amount, "currency": "EUR"} }

// but is o with other fields set; nil takes one away.
func (o body) but(changes object) object {
	out := maps.Clone(object(o))
	maps.Copy(out, changes)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == nil })
	return out
}

type body object

func startsAt() time.Time { return time.Now().UTC().AddDate(0, 2, 0).Truncate(time.Hour) }

// concert is an event with two quotas and three ticket types; "both" draws on both.
func concert() body {
	return body{
		"name": "Nuit de la Musique", "summary": "Avec orchestre", "category": "music",
		"venue":     object{"name": "Salle Pleyel", "city": "Paris", "country": "FR", "location": object{"lat": 48.8771, "lon": 2.3009}, "capacity": 1913},
		"starts_at": startsAt(), "time_zone": "Europe/Paris", "currency": "EUR",
		"quotas": []object{{"name": "floor", "size": 100}, {"name": "balcony", "size": 5}},
		"ticket_types": []object{
			{"name": "Floor", "price": eur(4000), "fees": eur(250), "quotas": []string{"floor"}, "max_per_order": 10},
			{"name": "Both", "price": eur(7000), "quotas": []string{"floor", "balcony"}, "min_per_order": 2, "max_per_order": 4},
			{"name": "Guest", "price": eur(0), "quotas": []string{"floor"}, "max_per_order": 50},
		},
		"publish": true,
	}
}

// account opens an organizer's account.
func (h *house) account(t testing.TB, name string) client.Organizer {
	t.Helper()
	return read[client.Organizer](t, h.ask(t, "POST /v1/organizers", object{"name": name}, bearer(operatorToken)).want(t, "201"))
}

// stage is an organizer with a published event.
type stage struct {
	*house
	org    client.Organizer
	event  client.Event
	floor  string // ids of the ticket types
	both   string
	guest  string
	bearer with
	order0 string // an order, for tests that need one
	hold0  string // and a hold
}

func (h *house) stage(t testing.TB, changes ...object) *stage {
	t.Helper()
	s := &stage{house: h, org: h.account(t, "Pleyel")}
	s.bearer = bearer(s.org.APIKey)
	draft := concert()
	for _, c := range changes {
		draft = draft.but(c)
	}
	s.event = read[client.Event](t, h.ask(t, "POST /v1/organizers/"+s.org.ID+"/events", object(draft), s.bearer).want(t, "201"))
	types := s.event.TicketTypes
	s.floor = types[0].ID
	if len(types) == 3 {
		s.both, s.guest = types[1].ID, types[2].ID
	}
	return s
}

func (s *stage) path() string { return "/v1/events/" + s.event.ID }

func items(tid string, quantity any) object {
	return object{"items": []object{{"ticket_type_id": tid, "quantity": quantity}}}
}

func (s *stage) hold(t testing.TB, tid string, quantity int) client.Hold {
	t.Helper()
	return read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", items(tid, quantity)).want(t, "201"))
}

func buyer() object {
	return object{"email": "ana@example.org", "name": "Ana Lívia", "locale": "pt-BR"}
}

func (s *stage) order(t testing.TB, hold client.Hold) client.Order {
	t.Helper()
	return read[client.Order](t, s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer(), "shown_total": hold.Total}).want(t, "201"))
}

// paid buys tickets to the end.
func (s *stage) paid(t testing.TB, tid string, quantity int) client.Order {
	t.Helper()
	o := s.order(t, s.hold(t, tid, quantity))
	if o.State == "pending" {
		s.confirm(t, o.Payment.ClientSecret, "pm_card_visa")
		eventually(t, "the order is paid", func() bool {
			o = s.look(t, o.ID)
			return o.State == "paid"
		})
	}
	return o
}

func (s *stage) look(t testing.TB, order string) client.Order {
	t.Helper()
	return read[client.Order](t, s.askRaw(t, "GET /v1/orders/"+order, nil).want(t, "200"))
}

// quota reads the counters of the event's nth quota.
func (s *stage) quota(t testing.TB, n int) client.Quota {
	t.Helper()
	return read[client.Stats](t, s.ask(t, "GET "+s.path()+"/stats", nil, s.bearer).want(t, "200")).Quotas[n]
}

// strangers are ids of this cell that name nothing.
func strangers() (event, order string) {
	e := id.NewEvent(here)
	return e.String(), id.NewOrder(e).String()
}

func amount(m money.Money) string { return m.String() }

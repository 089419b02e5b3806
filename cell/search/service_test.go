package search

import (
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/control-plane/topology"
)

// TestJudge_cannotAskIsUnknown keeps P9: a home that was not heard makes the
// answer unknown, never none.
func TestJudge_cannotAskIsUnknown(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	on := func(class client.Availability) Document {
		return Document{Event: client.Event{Home: client.Home{Cell: "apn1"}, StartsAt: now, TicketTypes: []client.TicketType{{Availability: class}}}}
	}
	until := func(end time.Time) Document {
		d := on(client.Available)
		d.Event.StartsAt, d.Event.EndsAt = now.Add(-time.Hour), &end
		return d
	}
	yesterday := on(client.Available)
	yesterday.Event.StartsAt = now.Add(-24 * time.Hour)
	heard := func(ago time.Duration) map[topology.CellID]time.Time {
		return map[topology.CellID]time.Time{"apn1": now.Add(-ago), "euw3": now}
	}
	cases := []struct {
		name  string
		doc   Document
		hint  *Hint
		asOf  map[topology.CellID]time.Time
		class client.Availability
		age   float64 // −1: null
	}{
		{"the beat's word", on(client.Available), &Hint{"apn1", client.Few}, heard(4 * time.Second), client.Few, 4},
		{"sold out by a beat", on(client.Available), &Hint{"apn1", client.None}, heard(0), client.None, 0},
		{"no beat about it yet: what was published", on(client.Few), nil, heard(2 * time.Second), client.Few, 2},
		{"just trusted", on(client.Few), nil, heard(HintTrust), client.Few, HintTrust.Seconds()},
		{"too old", on(client.None), &Hint{"apn1", client.None}, heard(HintTrust + time.Millisecond), client.Unknown, -1},
		{"never heard", on(client.Available), &Hint{"apn1", client.Few}, nil, client.Unknown, -1},
		{"said by a former home", on(client.Available), &Hint{"euw3", client.None}, heard(time.Second), client.Available, 1},
		{"the home says unknown", on(client.Available), &Hint{"apn1", client.Unknown}, heard(time.Second), client.Unknown, -1},
		{"nothing to buy", Document{Event: client.Event{Home: client.Home{Cell: "apn1"}, StartsAt: now}}, nil, heard(time.Second), client.Unknown, -1},
		{"just going on", until(now.Add(1)), &Hint{"apn1", client.Few}, heard(time.Second), client.Few, 1},
		{"over", until(now), &Hint{"apn1", client.Few}, heard(time.Second), client.None, 1},
		{"over, its end not said", yesterday, nil, heard(time.Second), client.None, 1},
		{"over, as far as we heard", until(now), nil, nil, client.Unknown, -1},
		{"a clock ahead", on(client.Few), nil, heard(-3 * time.Second), client.Few, 0},
	}
	for _, c := range cases {
		var hint Hint
		if c.hint != nil {
			hint = *c.hint
		}
		class, age := judge(&c.doc, hint, c.hint != nil, c.asOf, now)
		if class != c.class || (age == nil) != (c.age < 0) || age != nil && *age != c.age {
			t.Errorf("%s: %s, age %v; want %s, %g", c.name, class, age, c.class, c.age)
		}
	}
}

func TestDocument_carriesWhatThePublicMayKnow(t *testing.T) {
	t.Parallel()
	e := client.Event{
		ID: "evt_euw3_000000000001", Version: 3, Quotas: []client.Quota{{ID: "quo"}}, StartsAt: time.Unix(1_900_000_000, 0),
		TicketTypes: []client.TicketType{
			{PriceAllIn: money.Money{Amount: 900, Currency: "EUR"}, Availability: client.None, Quotas: []string{"quo"}},
			{PriceAllIn: money.Money{Amount: 700, Currency: "EUR"}, Availability: client.Few, Quotas: []string{"quo"}},
			{PriceAllIn: money.Money{Amount: 100, Currency: "EUR"}, Availability: client.Available, Terms: client.Terms{AddOn: true}},
			{PriceAllIn: money.Money{Amount: 100, Currency: "EUR"}, Availability: client.Available, Terms: client.Terms{Requires: "typ"}}, // of an older cell
		},
	}
	d := NewDocument(e, true)
	if d.Event.Quotas != nil || d.Event.TicketTypes[0].Quotas != nil || e.TicketTypes[0].Quotas == nil {
		t.Error("the organizer's quotas travel, or were taken from the caller's event")
	}
	if p := d.PriceFrom(time.Now()); p == nil || p.Amount != 700 || d.Availability() != client.Few || d.Version != 3 {
		t.Errorf("price %v, availability %s, version %d", p, d.Availability(), d.Version)
	}
	if got := d.EndsAt(); !got.Equal(e.StartsAt.Add(AssumedLength)) {
		t.Errorf("without an end it ends at %v", got)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(d *Document){
		"id":      func(d *Document) { d.Event.ID = "evt_euw3_1" },
		"version": func(d *Document) { d.Version = 0 },
		"year":    func(d *Document) { d.Event.StartsAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"place":   func(d *Document) { d.Event.Venue.Location = &client.Location{Lat: 91} },
	} {
		bad := NewDocument(e, true)
		if spoil(&bad); bad.Validate() == nil {
			t.Errorf("a bad %s is taken", name)
		}
	}
}

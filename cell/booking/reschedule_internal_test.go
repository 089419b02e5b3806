package booking

import (
	"errors"
	"testing"
	"time"
)

func TestReschedule_keepsWhatWasWhereSomebodyMayHaveBoughtIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	end := now.AddDate(0, 1, 1)
	event := func() Event {
		return Event{
			State: Published, Version: 4, StartsAt: now.AddDate(0, 1, 0), EndsAt: &end, TimeZone: "Europe/Paris",
			Venue: Venue{Name: "Salle", City: "Paris", Country: "FR", Located: true, Lat: 48}, Quotas: []Quota{{Size: 10, Sold: 1}},
		}
	}
	for name, c := range map[string]struct {
		change func(e *Event)
		before func(e *Event)
		moved  bool
		err    error
	}{
		"its start":                    {change: func(e *Event) { e.StartsAt = e.StartsAt.Add(time.Hour) }, moved: true},
		"its end":                      {change: func(e *Event) { e.EndsAt = new(e.EndsAt.Add(time.Hour)) }, moved: true},
		"its venue":                    {change: func(e *Event) { e.Venue.Name = "Halle" }, moved: true},
		"the clock at the place":       {change: func(e *Event) { e.TimeZone = "Asia/Tokyo" }, moved: true},
		"the zone's name only":         {change: func(e *Event) { e.TimeZone = "Europe/Brussels" }},
		"nothing":                      {change: func(*Event) {}},
		"coordinates and capacity":     {change: func(e *Event) { e.Venue.Lat, e.Venue.Capacity = 49, 5 }},
		"an end where there was none":  {before: func(e *Event) { e.EndsAt = nil }, change: func(e *Event) { e.EndsAt = &end }},
		"held, not sold yet":           {before: func(e *Event) { e.Quotas[0] = Quota{Size: 10, Held: 2} }, change: func(e *Event) { e.Venue.City = "Lyon" }, moved: true},
		"nobody bought":                {before: func(e *Event) { e.Quotas[0].Sold = 0 }, change: func(e *Event) { e.Venue.City = "Lyon" }},
		"a draft":                      {before: func(e *Event) { e.State = Drafted }, change: func(e *Event) { e.StartsAt = now.Add(-time.Hour) }},
		"into the past":                {change: func(e *Event) { e.StartsAt = now }, err: ErrIntoPast},
		"into the past, nobody bought": {before: func(e *Event) { e.Quotas[0].Sold = 0 }, change: func(e *Event) { e.StartsAt = now.Add(-time.Hour) }, err: ErrIntoPast},
		"its end into the past":        {before: func(e *Event) { e.StartsAt = now.Add(-48 * time.Hour) }, change: func(e *Event) { e.EndsAt = new(now.Add(-time.Hour)) }, err: ErrIntoPast},
		"it runs, and longer":          {before: func(e *Event) { e.StartsAt = now.Add(-48 * time.Hour) }, change: func(e *Event) { e.EndsAt = new(e.EndsAt.Add(time.Hour)) }, moved: true},
		"its date has passed":          {before: func(e *Event) { e.StartsAt, e.EndsAt = now.Add(-48*time.Hour), nil }, change: func(e *Event) { e.StartsAt = now.Add(48 * time.Hour) }, moved: true},
		"canceled":                     {before: func(e *Event) { e.State = Canceled }, change: func(e *Event) { e.StartsAt = e.StartsAt.Add(time.Hour) }, err: ErrState},
		"canceled, another name":       {before: func(e *Event) { e.State = Canceled }, change: func(e *Event) { e.Name = "x" }},
		"too often":                    {before: func(e *Event) { e.Rescheduled = &Reschedule{Number: MaxReschedules} }, change: func(e *Event) { e.Venue.City = "Lyon" }, err: ErrRescheduleLimit},
	} {
		e := event()
		if c.before != nil {
			c.before(&e)
		}
		before := e
		before.Quotas = nil
		c.change(&e)
		err := e.noteReschedule(&before, now)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
			continue
		}
		if moved := e.Rescheduled != before.Rescheduled; moved != c.moved {
			t.Errorf("%s: moved %v, want %v", name, moved, c.moved)
			continue
		}
		if !c.moved {
			continue
		}
		got := *e.Rescheduled
		if e.Version++; got.Number != 1 || got.At != now || got.From != before.Occasion() || !e.JustRescheduled() || e.ShownState() != Rescheduled || e.State != Published {
			t.Errorf("%s: %+v", name, got)
		}
		if e.Version++; e.JustRescheduled() {
			t.Errorf("%s: the next change moves it again", name)
		}
	}
}

func TestAfterSale_aCompanionsSeatIsNotKeptAlone(t *testing.T) {
	t.Parallel()
	s := Stock{Seats: &Seats{}}
	for _, seat := range []Seat{{ID: "A-1", Kind: SeatAccessible}, {ID: "A-2", Kind: SeatCompanion, With: "A-1"}, {ID: "A-3"}} {
		s.Seats.Load(seat)
	}
	for _, c := range []struct {
		seat, other SeatID
		want        bool
	}{{"A-2", "A-1", true}, {"A-1", "A-2", false}, {"A-3", "A-1", false}, {"", "", false}, {"A-9", "A-1", false}} {
		if got := s.Accompanies(c.seat, c.other); got != c.want {
			t.Errorf("%q with %q: %v", c.seat, c.other, got)
		}
	}
	if (&Stock{}).Accompanies("A-2", "A-1") {
		t.Error("an event without seats has companions")
	}
}

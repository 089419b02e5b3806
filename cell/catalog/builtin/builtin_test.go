package builtin_test

import (
	"strings"
	"testing"
	"time"

	"guichet/cell/catalog"
	"guichet/cell/catalog/builtin"
	"guichet/cell/catalog/city"
	"guichet/cell/money"
	"guichet/geo"
)

func readAll(t *testing.T, now time.Time) []catalog.Row {
	t.Helper()
	var rows []catalog.Row
	_, err := builtin.Read(t.Context(), catalog.Options{Now: now}, func(r catalog.Row) error {
		if r.Err != nil {
			t.Errorf("line %d: %v", r.Line, r.Err)
		}
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// continents tells by country, for the catalogue's countries.
var continents = map[string]string{}

func init() {
	for name, countries := range map[string]string{
		"Europe": "FR GB IE DE AT CH IT ES PT NL BE DK SE NO FI IS PL CZ HU GR RO TR", "North America": "US CA MX", "South America": "AR BR CL PE CO UY",
		"Africa": "EG MA TN SN GH NG KE TZ RW ZA", "Asia": "AE KW OM QA JO IN LK KZ TH SG MY ID VN JP KR TW HK CN", "Oceania": "AU NZ PF",
	} {
		for c := range strings.FieldsSeq(countries) {
			continents[c] = name
		}
	}
}

func TestCatalogue_isValidAndSpansTheWorld(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	rows := readAll(t, now)
	if len(rows) < 100 {
		t.Errorf("%d events, want at least 100", len(rows))
	}
	count, currencies, free, shared := map[string]int{}, map[string]bool{}, 0, 0
	for _, r := range rows {
		e := r.Event
		continent, ok := continents[e.Venue.Country]
		if !ok {
			t.Errorf("%s: country %s is on no continent here", r.SourceID, e.Venue.Country)
		}
		count[continent]++
		if strings.Contains("JP KR TW HK CN", e.Venue.Country) {
			count["East Asia"]++
		}
		currencies[e.Currency] = true
		if e.Source.Shifted || len(r.Notes) > 0 {
			t.Errorf("%s: %v, shifted %v: the own catalogue assumes nothing", r.SourceID, r.Notes, e.Source.Shifted)
		}
		if e.StartsAt.Year() < 2026 || e.EndsAt == nil {
			t.Errorf("%s: %s to %v", r.SourceID, e.StartsAt, e.EndsAt)
		}
		uses := map[string]int{}
		for _, tt := range e.TicketTypes {
			if tt.Price.Amount == 0 {
				free++
			}
			for _, q := range tt.Quotas {
				uses[q]++
			}
		}
		var total int64
		drawsOnTwo := false
		for _, tt := range e.TicketTypes {
			drawsOnTwo = drawsOnTwo || len(tt.Quotas) > 1
		}
		for _, q := range e.Quotas {
			total += q.Size
			if uses[q.Name] == 0 {
				t.Errorf("%s: nobody draws on quota %s", r.SourceID, q.Name)
			}
		}
		if drawsOnTwo {
			shared++
		} else if e.Venue.Capacity > 0 && total > e.Venue.Capacity {
			t.Errorf("%s sells %d tickets for %d places", r.SourceID, total, e.Venue.Capacity)
		}
	}
	for what, least := range map[string]int{"Europe": 20, "North America": 10, "South America": 5, "Africa": 8, "Asia": 30, "East Asia": 15, "Oceania": 8} {
		if count[what] < least {
			t.Errorf("%d events in %s, want at least %d", count[what], what, least)
		}
	}
	if free < 3 || shared < 10 || len(currencies) < 30 {
		t.Errorf("%d free ticket types, %d events with shared quotas, %d currencies", free, shared, len(currencies))
	}
	for cur, want := range map[string]int{"JPY": 0, "KWD": 3, "TND": 3, "EUR": 2} {
		if exp, err := money.Exponent(cur); err != nil || exp != want || !currencies[cur] {
			t.Errorf("%s: exponent %d (%v), used %v", cur, exp, err, currencies[cur])
		}
	}
}

func TestCatalogue_venuesStandInTheirTimeZonesAndCountries(t *testing.T) {
	for _, r := range readAll(t, time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)) {
		v := r.Event.Venue
		at := geo.Point{Lat: v.Location.Lat, Lon: v.Location.Lon}
		near, ok := city.Nearest(at, v.Country, func(c city.City) bool { return c.Country == v.Country })
		if !ok || geo.DistanceKM(at, near.Location) > 500 {
			t.Errorf("%s: no city of %s within 500 km of %v", r.SourceID, v.Country, at)
			continue
		}
		// The offset, not the name: Hanoi is in Asia/Ho_Chi_Minh for us, in Asia/Bangkok for GeoNames.
		zone, err := time.LoadLocation(near.TimeZone)
		if err != nil {
			t.Fatal(err)
		}
		_, theirs := r.Event.StartsAt.In(zone).Zone()
		if _, ours := r.Event.StartsAt.Zone(); ours != theirs {
			t.Errorf("%s keeps %s, but %s nearby keeps %s", r.SourceID, r.Event.TimeZone, near.Name, near.TimeZone)
		}
	}
}

func TestCatalogue_hasSomethingToSellInLaterYears(t *testing.T) {
	for _, year := range []int{2027, 2028, 2031, 2040} {
		now := time.Date(year, 7, 1, 0, 0, 0, 0, time.UTC)
		for _, r := range readAll(t, now) {
			if s := r.Event.StartsAt; !s.After(now) || s.Sub(now) > 400*24*time.Hour {
				t.Errorf("in %d, %s is on %s", year, r.SourceID, s)
			}
		}
	}
}

func TestCatalogue_hasAHallWithReservedSeats(t *testing.T) {
	for _, r := range readAll(t, time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)) {
		if r.SourceID != "gb-wigmore" {
			if r.Event.Seating != nil {
				t.Errorf("%s has a seating plan", r.SourceID)
			}
			continue
		}
		if r.Event.Seating == nil {
			t.Fatal("no seating plan")
		}
		seats := map[string]int64{}
		for _, z := range r.Event.Seating.Plan.Zones {
			for _, row := range z.Rows {
				for _, s := range row.Seats {
					seats[s.Category]++
				}
			}
		}
		for _, q := range r.Event.Quotas {
			if seats[q.Name] != q.Size {
				t.Errorf("quota %s has %d, the plan %d seats", q.Name, q.Size, seats[q.Name])
			}
		}
		return
	}
	t.Error("the hall is not in the catalogue")
}

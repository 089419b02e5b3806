package catalog_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"guichet/cell/catalog"
	"guichet/cell/money"
)

// check reads strangers' bytes and holds every usable row to the rules that the
// cell will apply; what is unusable must be an error, not a panic.
func check(t *testing.T, format string, contents ...[]byte) {
	t.Helper()
	var files []catalog.File
	for _, c := range contents {
		files = append(files, catalog.File{Name: "f", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c)), nil }})
	}
	keys := map[string]bool{}
	rows := 0
	sum, _ := catalog.Read(t.Context(), format, files, catalog.Options{Now: now, Shift: true}, func(r catalog.Row) error {
		rows++
		if r.Err != nil {
			return nil //nolint:nilerr // refused rows are fine here
		}
		e := r.Event
		if keys[r.Key] {
			t.Errorf("key %s twice", r.Key)
		}
		keys[r.Key] = true
		if !e.StartsAt.After(now) || e.EndsAt != nil && !e.EndsAt.After(e.StartsAt) || e.Name == "" || e.Venue.City == "" || len(e.Venue.Country) != 2 || e.Venue.Location == nil {
			t.Errorf("not a usable event: %+v", e)
		}
		if _, err := time.LoadLocation(e.TimeZone); err != nil {
			t.Errorf("zone: %v", err)
		}
		for _, tt := range e.TicketTypes {
			if _, err := money.New(tt.Price.Amount, tt.Price.Currency); err != nil || tt.Price.Currency != e.Currency {
				t.Errorf("price %v of an event in %s: %v", tt.Price, e.Currency, err)
			}
		}
		if _, err := json.Marshal(e); err != nil {
			t.Errorf("marshal: %v", err)
		}
		return nil
	})
	if sum.Rows != rows || sum.Rows != sum.Good+sum.Bad {
		t.Errorf("summary %+v of %d rows", sum, rows)
	}
}

func seed(f *testing.F, name string) []byte {
	f.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	return b
}

func FuzzSchemaOrg(f *testing.F) {
	for _, name := range []string{"dirt.json", "lines.jsonl", "graph.json"} {
		f.Add(seed(f, name))
	}
	f.Add([]byte(`{"@type":"Event","@type":["Event"],"startDate":{"@value":["2027-01-01"]}}`))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, b []byte) { check(t, "schemaorg", b) })
}

func FuzzCSV(f *testing.F) {
	f.Add(seed(f, "events.csv"))
	f.Add([]byte("id,name,venue,city,country,lat,lon,starts_at\n1,a,b,c,FR,48,2,2027-01-01\n\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) { check(t, "csv", b) })
}

func FuzzHongKong(f *testing.F) {
	f.Add(seed(f, "hk_events.xml"), seed(f, "hk_venues.xml"), seed(f, "hk_dates.xml"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) { check(t, "hongkong", a, b, c) })
}

func FuzzOpenfootball(f *testing.F) {
	f.Add(seed(f, "of_matches.json"), seed(f, "of_stadiums.json"))
	f.Fuzz(func(t *testing.T, a, b []byte) { check(t, "openfootball", a, b) })
}

func FuzzICal(f *testing.F) {
	f.Add([]byte(vevent("X-WR-TIMEZONE:Europe/Vienna\n", "DTSTART;TZID=\"W. Europe Standard Time\":20270701T193000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20270702T173000Z\n")))
	f.Add([]byte(vevent("BEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nDTSTART:16010101T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0100\nRRULE:FREQ=YEARLY\nEND:STANDARD\nEND:VTIMEZONE\n", "DTSTART;TZID=X:20270701T193000\nDURATION:P1DT2H\n")))
	f.Fuzz(func(t *testing.T, b []byte) { check(t, "ical", b) })
}

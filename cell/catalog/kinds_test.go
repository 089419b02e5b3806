package catalog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"guichet/cell/catalog"
	"guichet/cell/client"
	"guichet/geo"
)

var vienna = geo.Point{Lat: 48.21, Lon: 16.37}

// bytesOf is a file of that content.
func bytesOf(content []byte) []catalog.File {
	return []catalog.File{{Name: "f", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}}
}

// evening is an event in Vienna that lacks nothing; more changes it, nil takes away.
func evening(more map[string]any) map[string]any {
	e := map[string]any{
		"@type": "MusicEvent", "name": "Abend", "startDate": "2028-06-02T20:15",
		"location": map[string]any{
			"@type": "Place", "name": "Saal", "address": map[string]any{"addressLocality": "Wien", "addressCountry": "AT"},
			"geo": map[string]any{"latitude": 48.2, "longitude": 16.37},
		},
		"offers": map[string]any{"@type": "Offer", "price": "31", "priceCurrency": "EUR"},
	}
	for k, v := range more {
		if e[k] = v; v == nil {
			delete(e, k)
		}
	}
	return e
}

// readOrg reads JSON-LD and gives the good events and the reasons of the bad ones.
func readOrg(t *testing.T, values ...map[string]any) (good []client.NewEvent, bad []string) {
	t.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	rows, refused, _ := read(t, "schemaorg", bytesOf(text), catalog.Options{})
	for _, r := range rows {
		good = append(good, r.Event)
	}
	for _, r := range refused {
		bad = append(bad, r.Err.Error())
	}
	return good, bad
}

// priced is an event's types: name, price, and whether any can be bought.
func priced(e client.NewEvent) string {
	var out []string
	for _, tt := range e.TicketTypes {
		text := fmt.Sprintf("%s %d", tt.Name, tt.Price.Amount)
		for _, q := range e.Quotas {
			if q.Name == tt.Quotas[0] && q.Size == 0 {
				text += " none"
			}
		}
		if tt.SalesStart != nil {
			text += " from " + tt.SalesStart.Format("01-02T15:04-07")
		}
		if tt.SalesEnd != nil {
			text += " until " + tt.SalesEnd.Format("01-02T15:04-07")
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func TestSchemaOrg_offersBecomeTypesWithStateAndWindow(t *testing.T) {
	type m = map[string]any
	eur := func(more m) m { more["priceCurrency"] = "EUR"; return more }
	for want, offers := range map[string]any{
		"Parkett 3100": eur(m{"@type": "AggregateOffer", "lowPrice": 31, "highPrice": 0, "offerCount": 1, "offers": []m{{"name": "Parkett", "price": 31}}}),
		"Ticket 14.00 EUR 1400, Ticket 29.50 EUR 2950": eur(m{"@type": "AggregateOffer", "lowPrice": "14", "highPrice": "29,50"}),
		"Standard 1400":      eur(m{"@type": "AggregateOffer", "lowPrice": 14, "highPrice": 9}),
		"Standard 1400 ":     eur(m{"priceSpecification": m{"minPrice": 14, "maxPrice": 0}}),
		"A 900 none, B 1500": []m{eur(m{"name": "A", "price": 9, "availability": "SoldOut"}), eur(m{"name": "B", "price": 15, "availability": m{"@id": "http://schema.org/InStock"}})},
		"A 900 none":         eur(m{"name": "A", "price": 9, "availability": []any{"https://schema.org/OutOfStock"}}),
		"A 900 none ":        eur(m{"name": "A", "price": 9, "inventoryLevel": m{"@type": "QuantitativeValue", "value": 0}}),
		"Früh 900 until 04-01T00:00+02, Spät 1500 from 04-01T09:00+02": []m{
			eur(m{"name": "Früh", "price": 9, "validThrough": "2028-03-31"}), eur(m{"name": "Spät", "price": 15, "validFrom": "2028-04-01T09:00"}),
		},
		"Saal 900, Saal 15.00 EUR 1500": []m{eur(m{"name": "Saal", "price": "9.00"}), eur(m{"name": "Saal", "price": 15})},

		"Kind 0, Saal 900": []m{eur(m{"name": "Kind", "price": "0"}), eur(m{"name": "Saal", "price": 9})},

		"Ticket 1200000.00 EUR 120000000, Ticket 2000.00 EUR 200000": eur(m{"price": []any{json.Number("1.2e6")}, "priceSpecification": []m{{"price": "2000"}}}),
	} {
		good, bad := readOrg(t, evening(m{"offers": offers}))
		if len(good) != 1 || priced(good[0]) != strings.TrimSpace(want) {
			t.Errorf("want %s, got %v %v", want, bad, good)
			if len(good) == 1 {
				t.Log(priced(good[0]))
			}
		}
	}
	for what, offers := range map[string]any{
		"ambiguous": eur(m{"price": "3.100"}), "less than nothing": eur(m{"price": -4}), "neither an amount": eur(m{"price": "tba"}),
		"ends before": eur(m{"price": 4, "validFrom": "2028-04-02", "validThrough": "2028-03-01"}), "validFrom": eur(m{"price": 4, "validFrom": "soon"}),
		"one currency": eur(m{"priceSpecification": m{"price": 4, "priceCurrency": "CHF"}}),
	} {
		if good, bad := readOrg(t, evening(m{"offers": offers})); len(bad) != 1 || !strings.Contains(bad[0], what) {
			t.Errorf("%v is %v, refused %q, want %q", offers, good, bad, what)
		}
	}
}

func TestSchemaOrg_aDateAsEndIsItsWholeDay(t *testing.T) {
	for _, c := range []struct{ start, end, want string }{
		{"2028-06-02", "2028-06-02", "06-02T10:00 to 06-03T00:00"},
		{"2028-06-02", "2028-06-04", "06-02T10:00 to 06-05T00:00"},
		{"2028-06-02T20:15", "2028-06-02", "06-02T20:15 to 06-03T00:00"},
		{"2028-06-02T20:15", "2028-06-04", "06-02T20:15 to 06-05T00:00"},
		{"2028-06-02T20:15", "2028-06-02T22:00", "06-02T20:15 to 06-02T22:00"},
		{"2028-06-02T20:15", "2028-06-01", "06-02T20:15"},
	} {
		good, bad := readOrg(t, evening(map[string]any{"startDate": c.start, "endDate": c.end}))
		if len(good) != 1 {
			t.Fatal(bad)
		}
		got := good[0].StartsAt.Format("01-02T15:04")
		if end := good[0].EndsAt; end != nil {
			got += " to " + end.Format("01-02T15:04")
		}
		if got != c.want {
			t.Errorf("%s to %s is %s, want %s", c.start, c.end, got, c.want)
		}
	}
	if good, _ := readOrg(t, evening(map[string]any{"duration": "PT1H30M"})); len(good) != 1 || good[0].EndsAt == nil || good[0].EndsAt.Sub(good[0].StartsAt) != 90*time.Minute {
		t.Errorf("a duration: %v", good)
	}
}

func TestSchemaOrg_statusIsReadInEverySpelling(t *testing.T) {
	type m = map[string]any
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"eventStatus", "http://schema.org/EventCancelled", "canceled"},
		{"eventStatus", "https://schema.org/EventCanceled/", "canceled"},
		{"eventStatus", "EVENTCANCELED", "canceled"},
		{"eventStatus", "canceled", "canceled"},
		{"eventStatus", "schema:EventCancelled", "canceled"},
		{"eventStatus", []any{m{"@id": "schema:EventScheduled"}, "Cancelled"}, "canceled"},
		{"eventStatus", m{"@type": "EventStatusType", "name": "EventCancelled"}, "canceled"},
		{"eventStatus", m{"@value": "Event Cancelled"}, "canceled"},
		{"eventStatus", "EventPostponed", "postponed"},
		{"eventStatus", []any{"https://schema.org/EventMovedOnline"}, "moved online"},
		{"eventAttendanceMode", "OnlineEventAttendanceMode", "online only"},
		{"eventAttendanceMode", m{"@id": "https://schema.org/OnlineEventAttendanceMode"}, "online only"},
		{"eventAttendanceMode", []any{"OnlineEventAttendanceMode", "OfflineEventAttendanceMode"}, ""},
		{"eventStatus", "https://schema.org/EventRescheduled", ""},
		{"eventAttendanceMode", "https://schema.org/MixedEventAttendanceMode", ""},
	} {
		good, bad := readOrg(t, evening(m{c.key: c.value}))
		if c.want == "" && len(good) != 1 || c.want != "" && (len(bad) != 1 || !strings.Contains(bad[0], c.want)) {
			t.Errorf("%s %v: %d good, %q; want %q", c.key, c.value, len(good), bad, c.want)
		}
	}
	for _, yes := range []any{true, "true", "TRUE", "http://schema.org/True", m{"@value": "true"}, []any{"https://schema.org/True"}} {
		for _, none := range []any{nil, []any{}} {
			e := evening(m{"isAccessibleForFree": yes})
			e["offers"] = none
			if good, bad := readOrg(t, e); len(good) != 1 || good[0].TicketTypes[0].Price.Amount != 0 {
				t.Errorf("free %v: %v %v", yes, good, bad)
			}
		}
	}
	e := evening(m{"isAccessibleForFree": "https://schema.org/False"})
	delete(e, "offers")
	if good, _ := readOrg(t, e); len(good) != 1 || good[0].TicketTypes[0].Price.Amount == 0 {
		t.Error("not free, and no price: it became free")
	}
}

func TestSchemaOrg_findsEventsInPlacesListsAndEvents(t *testing.T) {
	type m = map[string]any
	place := evening(nil)["location"].(m) //nolint:forcetypeassert // made above
	alone := func(name string) m { e := evening(m{"name": name}); delete(e, "location"); return e }
	place["event"] = []any{alone("in a place"), alone("in a place too")}
	festival := evening(m{"name": "Festival", "subEvent": []any{
		m{"@type": "Event", "name": "Eröffnung", "startDate": "2028-06-02T18:00"},
		evening(m{"name": "Konzert", "location": nil}),
		m{"@id": "https://example.org/elsewhere"},
	}})
	festival["offers"] = nil
	pass := evening(m{"name": "Pass", "subEvent": m{"@type": "Event", "name": "Tag 1", "startDate": "2028-06-02T12:00"}})
	off := evening(m{"name": "Off", "eventStatus": "EventCancelled", "offers": nil, "subEvent": alone("part of what is off")})
	good, bad := readOrg(t, place, festival, pass, off, m{"@type": "ItemList", "itemListElement": []any{m{"@type": "ListItem", "position": 1, "item": evening(m{"name": "in a list"})}}})
	var names []string
	for _, e := range good {
		names = append(names, e.Name+" at "+e.Venue.Name)
	}
	want := "in a place at Saal, in a place too at Saal, Eröffnung at Saal, Konzert at Saal, Pass at Saal, in a list at Saal"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := strings.Join(bad, "; "); !strings.Contains(got, `a part of "Pass"`) || !strings.Contains(got, "canceled") || len(bad) != 2 {
		t.Errorf("refused: %s", got)
	}
}

func TestRead_decodesWhatIsNotUTF8(t *testing.T) {
	text := "id;name;venue;city;country;lat;lon;starts_at;price\n1;Stück über „Süße“ – “so’ne” Ölfarbe;Café;Köln;DE;50,94;6,96;2028-05-01 19:30;18,50 €\n"
	windows, err := charmap.Windows1252.NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	little, _ := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes([]byte(text))
	big, _ := unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().Bytes([]byte(text))
	bare, _ := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().Bytes([]byte(text))
	for what, content := range map[string][]byte{"UTF-8": []byte(text), "UTF-8 with BOM": []byte("\ufeff" + text), "Windows-1252": windows, "UTF-16LE": little, "UTF-16BE": big, "UTF-16LE without BOM": bare} {
		good, bad, sum := read(t, "csv", bytesOf(content), catalog.Options{})
		if len(good) != 1 || good[0].Event.Name != "Stück über „Süße“ – “so’ne” Ölfarbe" || good[0].Event.Venue.City != "Köln" || good[0].Event.TicketTypes[0].Price.Amount != 1850 {
			t.Errorf("%s: %+v %+v", what, good, bad)
		}
		if (sum.Notes[catalog.NoteEncoding] == 1) != (what == "Windows-1252") {
			t.Errorf("%s: notes %v", what, sum.Notes)
		}
	}
	name, _ := charmap.ISO8859_1.NewEncoder().String("Fräulein Schößling")
	org := fmt.Appendf(nil, `[{"@type":"Event","name":"%s","startDate":"2028-05-01T19:30","location":{"name":"H","address":{"addressLocality":"Graz","addressCountry":"AT"},"geo":{"latitude":47.07,"longitude":15.44}}}]`, name)
	if good, bad, _ := read(t, "schemaorg", bytesOf(org), catalog.Options{}); len(good) != 1 || good[0].Event.Name != "Fräulein Schößling" {
		t.Errorf("JSON in ISO 8859-1: %v %v", good, bad)
	}
	sjis := []byte("id,name,venue,city,country,lat,lon,starts_at\n1,\x89\xb9\x8ay,Hall,Tokyo,JP,35.7,139.7,2028-05-01\n")
	if good, _, _ := read(t, "csv", bytesOf(sjis), catalog.Options{Encoding: "shift_jis"}); len(good) != 1 || good[0].Event.Name != "音楽" {
		t.Errorf("as the person says: %v", good)
	}
}

func TestRead_refusesBytesThatFitNoEncoding(t *testing.T) {
	head := "id,name,venue,city,country,lat,lon,starts_at\n1,first,Hall,Wien,AT,48.2,16.37,2028-05-01 20:00\n"
	for what, tail := range map[string]string{
		"UTF-8 and then not": "2,Süß \xfc,Hall,Wien,AT,48.2,16.37,2028-05-02 20:00\n3,third,Hall,Wien,AT,48.2,16.37,2028-05-03 20:00\n",
		"no letter of 1252":  "2,x\x81y\xfc,Hall,Wien,AT,48.2,16.37,2028-05-02 20:00\n",
	} {
		_, bad, sum := read(t, "csv", bytesOf([]byte(head+tail)), catalog.Options{})
		if sum.Torn != 1 || len(bad) == 0 || !strings.Contains(bad[len(bad)-1].Err.Error(), "--encoding") {
			t.Errorf("%s: %+v %v", what, sum, bad)
		}
	}
	if _, err := catalog.Read(t.Context(), "csv", bytesOf([]byte(head)), catalog.Options{Now: now, Encoding: "klingon"}, func(catalog.Row) error { return nil }); err == nil {
		t.Error("an unknown encoding is no error")
	}
}

func TestCSV_readsWhatSpreadsheetsWrite(t *testing.T) {
	rows := "id;name;venue;city;country;lat;lon;starts_at;ends_at\n1;\"one; more\";Hall;Wien;AT;48.2;16.37;2028-05-01 20:00;2028-05-03\n2;two;Hall;Wien;AT;48.2;16.37;2028-05-02 20:00;\n"
	for what, text := range map[string]string{
		"sep=": "sep=;\n" + rows, "CR": strings.ReplaceAll(rows, "\n", "\r"), "CR LF": strings.ReplaceAll("SEP=;\n"+rows, "\n", "\r\n"), "quoted sep": "\"sep=;\"\n" + rows,
	} {
		good, bad, _ := read(t, "csv", bytesOf([]byte(text)), catalog.Options{})
		if len(good) != 2 || good[0].Event.Name != "one; more" || good[0].Event.EndsAt.Format("02T15:04") != "04T00:00" {
			t.Errorf("%s: %v %v", what, good, bad)
		}
	}
	pipe := "sep=|\n" + strings.ReplaceAll(rows, ";", "|")
	if good, bad, _ := read(t, "csv", bytesOf([]byte(pipe)), catalog.Options{}); len(good) != 2 {
		t.Errorf("sep=|: %v", bad)
	}
}

// csvRows reads rows of id, name, venue, city, country, lat, lon, starts_at, price
// and gives for each its start and first price, or why it was refused.
func csvRows(t *testing.T, opts catalog.Options, rows ...string) []string {
	t.Helper()
	text := "id,name,venue,city,country,lat,lon,starts_at,price\n"
	for i, r := range rows {
		text += fmt.Sprintf("%d,Name,Hall,%s\n", i, r)
	}
	out := make([]string, 0, len(rows))
	opts.Now = now
	_, err := catalog.Read(t.Context(), "csv", bytesOf([]byte(text)), opts, func(r catalog.Row) error {
		var line string
		if r.Err == nil {
			v := r.Event.Venue
			line = fmt.Sprintf("%s %s %v,%v", r.Event.StartsAt.Format("01-02T15:04-07"), v.Country, v.Location.Lat, v.Location.Lon)
		} else {
			line = r.Err.Error()
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCSV_refusesAnHourThatTheClockSkipsAndTakesTheFirstOfTwo(t *testing.T) {
	got := csvRows(t, catalog.Options{},
		"Madrid,ES,40.42,-3.70,2028-03-26 02:15,9", "Chicago,US,41.88,-87.63,2028-03-12 02:45,9", "Madrid,ES,40.42,-3.70,2028-10-29 02:15,9", "Chicago,US,41.88,-87.63,2028-11-05 01:45,9")
	for i, want := range []string{"the clock skips it", "the clock skips it", "10-29T02:15+02", "11-05T01:45-05"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("%s, want %s", got[i], want)
		}
	}
}

func TestCSV_coordinatesThatAreUnknownOrSwapped(t *testing.T) {
	rows := []string{
		"Wien,AT,0,0,2028-05-01 20:00,9", "Wien,AT,0.0,\"0,0\",2028-05-01 20:00,9", "Wien,AT,,,2028-05-01 20:00,9",
		"Wien,AT,16.37,48.2,2028-05-01 20:00,9", "Sydney,AU,151.2,-33.87,2028-05-01 20:00,9", "Sydney,,151.2,-33.87,2028-05-01 20:00,9", "Accra,GH,5.6,-0.19,2028-05-01 20:00,9",
		"Alert,CA,82.5,-62.3,2028-05-01 20:00,9", "Wien,AT,48.2,north,2028-05-01 20:00,9",
	}
	for i, got := range csvRows(t, catalog.Options{}, rows...) {
		want := []string{"no coordinates", "no coordinates", "no coordinates", "swapped?", "swapped?", "swapped?", "GH 5.6,-0.19", "CA 82.5", "not degrees"}[i]
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", rows[i], got, want)
		}
	}
	got := csvRows(t, catalog.Options{Fallback: &vienna}, rows[:3]...)
	for _, g := range got {
		if !strings.Contains(g, "AT 48.21,16.37") {
			t.Errorf("with a fallback: %s", g)
		}
	}
}

func TestCSV_readsCountriesByCodeAndName(t *testing.T) {
	rows := []string{"Wien,aut,48.2,16.37,2028-05-01 20:00,9", "Wien,Österreich,48.2,16.37,2028-05-01 20:00,9", "Wien,,48.2,16.37,2028-05-01 20:00,9", "Wien,Kakanien,48.2,16.37,2028-05-01 20:00,9", "Wien,XX,48.2,16.37,2028-05-01 20:00,9"}
	for i, got := range csvRows(t, catalog.Options{}, rows...) {
		if want := []string{" AT ", " AT ", " AT ", "no country", "no country"}[i]; !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", rows[i], got, want)
		}
	}
}

func TestRead_tellsALineInTheMiddleOfWhichAFileBreaks(t *testing.T) {
	one := func(name, about string) string {
		return fmt.Sprintf(`{"@type":"Event","name":%q,"description":"%s","startDate":"2028-05-01T19:30","location":{"name":"H","geo":{"latitude":48.2,"longitude":16.37}}}`, name, about)
	}
	text := "[\n" + one("a", "x") + ",\n" + one("b", "broken\nhere") + ",\n" + one("c", "x") + "\n]\n"
	good, bad, sum := read(t, "schemaorg", bytesOf([]byte(text)), catalog.Options{})
	if len(good) != 1 || len(bad) != 1 || sum.Torn != 1 || bad[0].Line != 3 {
		t.Errorf("%d good, %+v, %+v: the break is in line 3", len(good), bad, sum)
	}
}

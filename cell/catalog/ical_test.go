package catalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"guichet/cell/catalog"
	"guichet/cell/ticket/ical"
)

// readCalendar reads a calendar; its lines end as the standard wants.
func readCalendar(t *testing.T, text string, opts catalog.Options) (good, bad []catalog.Row, sum catalog.Summary) {
	t.Helper()
	return read(t, "ical", bytesOf([]byte(strings.ReplaceAll(text, "\n", "\r\n"))), opts)
}

// vevent is an event in Vienna inside a calendar with that head.
func vevent(head, lines string) string {
	return "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//y//EN\n" + head + "BEGIN:VEVENT\nUID:u1\nDTSTAMP:20270101T000000Z\nSUMMARY:Probe\nLOCATION:Musikverein\\, Bösendorferstraße 12\\, 1010 Wien\nGEO:48.2006;16.3727\n" +
		lines + "END:VEVENT\nEND:VCALENDAR\n"
}

// whens are the starts and ends of rows.
func whens(rows []catalog.Row) string {
	var out []string
	for _, r := range rows {
		text := r.Event.StartsAt.Format("2006-01-02T15:04Z07")
		if r.Event.EndsAt != nil {
			text += "/" + r.Event.EndsAt.Format("02T15:04")
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestICal_readsBackTheFilesThatWeWrite(t *testing.T) {
	start := time.Date(2027, 6, 12, 17, 30, 0, 0, time.UTC)
	end := start.Add(100 * time.Minute)
	e := ical.Entry{
		UID: "tkt_x@guichet", Version: 2, Stamp: start.AddDate(0, -1, 0), StartsAt: start, EndsAt: &end, Summary: "Abend; mit, Komma\\ und einem Namen, der länger ist als eine Zeile sein darf: 第九交響曲",
		Location: "Großer Saal, Wien", Description: "Order ABC\nFloor", URL: "https://example.org/a?b=1,2;3", Lat: 48.2006, Lon: 16.3727, Located: true,
	}
	good, bad, _ := read(t, "ical", bytesOf(ical.File(e)), catalog.Options{})
	if len(good) != 1 {
		t.Fatal(bad)
	}
	got := good[0].Event
	if got.Name != e.Summary || got.Summary != "Order ABC Floor" || got.Venue.Name != "Großer Saal" || got.Venue.City != "Wien" && got.Venue.City != "Vienna" || got.Source.URL != e.URL ||
		!got.StartsAt.Equal(start) || !got.EndsAt.Equal(end) || got.TimeZone != "Europe/Vienna" || got.Venue.Location.Lat != 48.2006 || good[0].SourceID != e.UID {
		t.Errorf("%+v %+v", got, got.Venue)
	}
	if _, bad, _ := readCalendar(t, vevent("METHOD:CANCEL\n", "DTSTART:20270701T193000Z\n"), catalog.Options{}); len(bad) != 1 || !strings.Contains(bad[0].Err.Error(), "canceled") {
		t.Errorf("METHOD:CANCEL: %v", bad)
	}
	e.Canceled = true
	if _, bad, _ := read(t, "ical", bytesOf(ical.File(e)), catalog.Options{}); len(bad) != 1 || !strings.Contains(bad[0].Err.Error(), "canceled") {
		t.Errorf("canceled: %v", bad)
	}
}

func TestICal_timesInEveryForm(t *testing.T) {
	for _, c := range []struct{ head, lines, want, zone string }{
		{"", "DTSTART:20270301T183000Z\nDTEND:20270301T200000Z\n", "2027-03-01T19:30+01/01T21:00", "Europe/Vienna"},
		{"", "DTSTART;TZID=Europe/London:20270301T183000\nDURATION:PT1H30M\n", "2027-03-01T18:30Z/01T20:00", "Europe/London"},
		{"", "DTSTART;TZID=\"W. Europe Standard Time\":20270701T193000\nDTEND;TZID=\"W. Europe Standard Time\":20270701T210000\n", "2027-07-01T19:30+02/01T21:00", "Europe/Berlin"},
		{"", "DTSTART;TZID=/freeassociation.sourceforge.net/Europe/Prague:20270701T193000\n", "2027-07-01T19:30+02", "Europe/Prague"},
		{"", "DTSTART;TZID=/softwarestudio.org/Olson_20011030_5/America/Argentina/Ushuaia:20270701T193000\n", "2027-07-01T19:30-03", "America/Argentina/Ushuaia"},
		{"X-WR-TIMEZONE:Europe/Lisbon\n", "DTSTART:20270701T193000\n", "2027-07-01T19:30+01", "Europe/Lisbon"}, // floating
		{"X-WR-TIMEZONE:UTC\n", "DTSTART:20270701T193000\n", "2027-07-01T19:30+02", "Europe/Vienna"},
		{"X-WR-TIMEZONE:Europe/Lisbon\n", "DTSTART:20270701T193000Z\n", "2027-07-01T20:30+01", "Europe/Lisbon"},
		{"", "DTSTART;VALUE=DATE:20270701\nDTEND;VALUE=DATE:20270704\n", "2027-07-01T10:00+02/04T00:00", "Europe/Vienna"},
		{"", "DTSTART;VALUE=DATE:20270701\n", "2027-07-01T10:00+02/02T00:00", "Europe/Vienna"},
		{"", "DTSTART;VALUE=DATE:20270701\nDURATION:P2D\n", "2027-07-01T10:00+02/03T00:00", "Europe/Vienna"},
		{"", "DTSTART:20270701T193000\nDTEND:20270701T180000\n", "2027-07-01T19:30+02", "Europe/Vienna"},
		{"", "DTSTART;TZID=Europe/Vienna:20271031T023000\n", "2027-10-31T02:30+02", "Europe/Vienna"}, // the first of two
	} {
		good, bad, _ := readCalendar(t, vevent(c.head, c.lines), catalog.Options{})
		if whens(good) != c.want || len(good) == 1 && good[0].Event.TimeZone != c.zone {
			t.Errorf("%s%s: %s %v, want %s in %s", c.head, c.lines, whens(good), bad, c.want, c.zone)
		}
	}
	for lines, want := range map[string]string{
		"DTSTART;TZID=Europe/Vienna:20270328T023000\n": "skips", "DTSTART;TZID=Nowhere:20270328T123000\n": "none that we know", "DTSTART:20270230T120000\n": "DTSTART",
		"SUMMARY:x\n": "no start", "DTSTART:20270701T193000\nSTATUS:TENTATIVE\n": "tentative", "DTSTART:20270701T193000\nCLASS:PRIVATE\n": "private",
		"DTSTART:20260701T193000\n": "past", "DTSTART:20270701T193000\nDURATION:soon\n": "duration", "DTSTART:20270701T193000\nX broken line\n": "line 11",
	} {
		if good, bad, _ := readCalendar(t, vevent("", lines), catalog.Options{}); len(bad) != 1 || !strings.Contains(bad[0].Err.Error(), want) {
			t.Errorf("%s: %s %v, want %s", lines, whens(good), bad, want)
		}
	}
}

// A zone by a name of the program's own is the one whose clock it describes.
func TestICal_aZoneOfTheCalendarsOwnIsTheOneThatKeepsItsClock(t *testing.T) {
	describe := func(name, standard, daylight string) string {
		return fmt.Sprintf(`BEGIN:VTIMEZONE
TZID:%s
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:%s
TZOFFSETTO:%s
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:%s
TZOFFSETTO:%s
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
`, name, daylight, standard, standard, daylight)
	}
	name := "(UTC+01:00) Amsterdam, Berlin, Bern, Rom, Stockholm, Wien"
	lines := "DTSTART;TZID=\"" + name + "\":20270701T193000\nDTEND;TZID=\"" + name + "\":20270701T213000\n"
	good, bad, _ := readCalendar(t, vevent(describe(name, "+0100", "+0200")+"X-WR-TIMEZONE:Europe/Vienna\n", lines), catalog.Options{})
	if whens(good) != "2027-07-01T19:30+02/01T21:30" || good[0].Event.TimeZone != "Europe/Vienna" {
		t.Errorf("%s %v", whens(good), bad)
	}
	good, bad, _ = readCalendar(t, vevent(describe("Customized Time Zone", "+0200", "+0300"), "DTSTART;TZID=Customized Time Zone:20270701T193000\n"), catalog.Options{})
	if len(good) != 1 || good[0].Event.StartsAt.Format(time.RFC3339) != "2027-07-01T19:30:00+03:00" {
		t.Errorf("%s %v", whens(good), bad)
	}
	if good, bad, _ := readCalendar(t, vevent(describe("Odd", "+0117", "+0217"), "DTSTART;TZID=Odd:20270701T193000\n"), catalog.Options{}); len(bad) != 1 {
		t.Errorf("a clock that nobody keeps: %s", whens(good))
	}
	own := strings.Replace(describe("Mine", "-0500", "-0400"), "TZID:Mine\n", "TZID:Mine\nX-LIC-LOCATION:America/Havana\n", 1)
	if good, bad, _ := readCalendar(t, vevent(own, "DTSTART;TZID=Mine:20270701T193000\n"), catalog.Options{}); len(good) != 1 || good[0].Event.TimeZone != "America/Havana" {
		t.Errorf("X-LIC-LOCATION: %v", bad)
	}
}

func TestICal_recurrenceKeepsTheClockAndItsExceptions(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"DTSTART;TZID=Europe/Vienna:20271024T193000\nDTEND;TZID=Europe/Vienna:20271024T210000\nRRULE:FREQ=WEEKLY;COUNT=3\n", "2027-10-24T19:30+02/24T21:00 2027-10-31T19:30+01/31T21:00 2027-11-07T19:30+01/07T21:00"},
		{"DTSTART;TZID=Europe/Vienna:20270327T023000\nRRULE:FREQ=DAILY;COUNT=3\n", "2027-03-27T02:30+01 2027-03-29T02:30+02 2027-03-30T02:30+02"},
		{"DTSTART;TZID=Europe/Vienna:20270301T193000\nRRULE:FREQ=DAILY;UNTIL=20270303T183000Z\nEXDATE;TZID=Europe/Vienna:20270302T193000\n", "2027-03-01T19:30+01 2027-03-03T19:30+01"},
		{"DTSTART;TZID=Europe/Vienna:20270301T193000\nRRULE:FREQ=DAILY;COUNT=4\nEXDATE:20270302T183000Z,20270303T183000Z\n", "2027-03-01T19:30+01 2027-03-04T19:30+01"},
		{"DTSTART;TZID=Europe/Vienna:20270301T193000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20270302\n", "2027-03-01T19:30+01 2027-03-03T19:30+01"},
		{"DTSTART;VALUE=DATE:20270301\nRRULE:FREQ=MONTHLY;BYDAY=1MO;COUNT=2\nEXDATE;VALUE=DATE:20270301\n", "2027-04-05T10:00+02/06T00:00"},
		{"DTSTART;TZID=Europe/Vienna:20270301T193000\nRDATE;TZID=Europe/Vienna:20270305T200000,20270306T200000\n", "2027-03-01T19:30+01 2027-03-05T20:00+01 2027-03-06T20:00+01"},
		{"DTSTART;TZID=Europe/Vienna:20250301T193000\nRRULE:FREQ=YEARLY\n", "2027-03-01T19:30+01"}, // the next that lies ahead; the one after is beyond a year
		{"DTSTART:20270701T193000Z\nRRULE:FREQ=DAILY;COUNT=2\n", "2027-07-01T21:30+02 2027-07-02T21:30+02"},
	} {
		good, bad, _ := readCalendar(t, vevent("", c.lines), catalog.Options{})
		if whens(good) != c.want {
			t.Errorf("%s: %s %v, want %s", c.lines, whens(good), bad, c.want)
		}
	}
	for lines, want := range map[string]string{
		"DTSTART:20270701T193000Z\nRRULE:FREQ=HOURLY\n": "by the day", "DTSTART:20270701T193000Z\nRRULE:FREQ=DAILY;COUNT=1\nEXDATE:20270701T193000Z\n": "taken out",
		"DTSTART:20200701T193000Z\nRRULE:FREQ=DAILY;COUNT=9\n": "past", "DTSTART:20270701T193000Z\nRRULE:nonsense\n": "by the day", "DTSTART:20270701T193000Z\nRRULE:FREQ=DAILY\nEXDATE:soon\n": "EXDATE",
	} {
		if good, bad, _ := readCalendar(t, vevent("", lines), catalog.Options{}); len(bad) != 1 || !strings.Contains(bad[0].Err.Error(), want) {
			t.Errorf("%s: %s %v, want %s", lines, whens(good), bad, want)
		}
	}
	good, _, sum := readCalendar(t, vevent("", "DTSTART:20270101T193000Z\nRRULE:FREQ=DAILY\n"), catalog.Options{})
	if len(good) < 300 || len(good) > 400 || sum.Notes[catalog.NoteDates] != len(good) || good[0].Key == good[1].Key {
		t.Errorf("a rule without an end gives %d dates, noted %v", len(good), sum.Notes)
	}
}

func TestICal_aDateThatWasMovedOrCanceledIsThatDate(t *testing.T) {
	text := strings.Replace(vevent("", "DTSTART;TZID=Europe/Vienna:20270301T193000\nRRULE:FREQ=DAILY;COUNT=4\n"), "END:VCALENDAR\n", `BEGIN:VEVENT
UID:u1
RECURRENCE-ID;TZID=Europe/Vienna:20270302T193000
SUMMARY:Probe\, später
GEO:48.2006;16.3727
DTSTART;TZID=Europe/Vienna:20270302T213000
END:VEVENT
BEGIN:VEVENT
UID:u1
RECURRENCE-ID:20270303T183000Z
SUMMARY:Probe
STATUS:CANCELLED
DTSTART;TZID=Europe/Vienna:20270303T193000
END:VEVENT
END:VCALENDAR
`, 1)
	good, bad, _ := readCalendar(t, text, catalog.Options{})
	if whens(good) != "2027-03-01T19:30+01 2027-03-02T21:30+01 2027-03-04T19:30+01" || good[1].Event.Name != "Probe, später" || len(bad) != 1 {
		t.Errorf("%s %v", whens(good), bad)
	}
}

func TestICal_textsFoldsAndEncodings(t *testing.T) {
	folded := strings.ReplaceAll(vevent("", "DTSTART:20270701T193000Z\n"), "SUMMARY:Probe", "SUMMARY;LANGUAGE=de:Gr\xc3\n \xbc\xc3\x9fe\\, Teil 1\\; oder: \"zwei\"\\nund\n\t drei, vier\\\\")
	good, bad, _ := readCalendar(t, folded, catalog.Options{})
	if len(good) != 1 || good[0].Event.Name != `Grüße, Teil 1; oder: "zwei" und drei, vier\` {
		t.Errorf("folded inside of a letter: %+v %v", good, bad)
	}
	latin := strings.NewReplacer("ö", "\xf6", "ß", "\xdf").Replace(vevent("", "DTSTART:20270701T193000Z\n"))
	if good, bad, sum := read(t, "ical", bytesOf([]byte(latin)), catalog.Options{}); len(good) != 1 || !strings.HasPrefix(good[0].Event.Venue.Address, "Bösendorferstraße") || sum.Notes[catalog.NoteEncoding] != 1 {
		t.Errorf("Windows-1252: %+v %v %v", good, bad, sum)
	}
	cr := strings.ReplaceAll(vevent("", "DTSTART:20270701T193000Z\n"), "\n", "\r")
	if good, bad, _ := read(t, "ical", bytesOf([]byte(cr)), catalog.Options{}); len(good) != 1 {
		t.Errorf("CR: %v", bad)
	}
}

func TestICal_thePlaceIsWhatTheCalendarNames(t *testing.T) {
	for location, want := range map[string]string{
		"LOCATION:Volksoper\\, Währinger Straße 78\\, 1090 Vienna\\, Austria\n": "Volksoper|Vienna|AT|48.2",
		"LOCATION:Club\\nParis\n":                "Club|Paris|FR|48.8",
		"LOCATION:Teatro\\, Valencia\\, Spain\n": "Teatro|Valencia|ES|39.4",
		"LOCATION:Somewhere\n":                   "no coordinates",
		"":                                       "no coordinates",
		"LOCATION:Hall\nGEO:0;0\n":               "no coordinates",
		"LOCATION:Saal\\, Wien\nGEO:16.37;48.2\n":                                                                 "", // nobody says which country, so nobody can say that they are swapped
		"LOCATION:Saal\\, Austria\nGEO:16.37;48.2\n":                                                              "swapped",
		"X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-APPLE-RADIUS=70;X-TITLE=\"Berghain: Bar\":geo:52.5111,13.4430\n": "Berghain: Bar|Berlin|DE|52.5",
	} {
		if want == "" {
			continue
		}
		text := strings.NewReplacer("LOCATION:Musikverein\\, Bösendorferstraße 12\\, 1010 Wien\n", location, "GEO:48.2006;16.3727\n", "").Replace(vevent("", "DTSTART:20270701T193000Z\n"))
		good, bad, _ := readCalendar(t, text, catalog.Options{})
		var got string
		if len(good) == 1 {
			v := good[0].Event.Venue
			got = fmt.Sprintf("%s|%s|%s|%v", v.Name, v.City, v.Country, v.Location.Lat)
		} else {
			got = bad[0].Err.Error()
		}
		if !strings.HasPrefix(got, want) && !(len(bad) == 1 && strings.Contains(got, want)) {
			t.Errorf("%s is %s, want %s", location, got, want)
		}
	}
}

func TestICal_aFileThatEndsInTheMiddleIsTorn(t *testing.T) {
	whole := vevent("", "DTSTART:20270701T193000Z\n")
	for what, text := range map[string]string{
		"cut off":         strings.TrimSuffix(whole, "END:VCALENDAR\n") + "BEGIN:VEVENT\nUID:u2\nDTSTART:20270702T193000Z\n",
		"ends otherwise":  strings.TrimSuffix(whole, "END:VCALENDAR\n") + "BEGIN:VEVENT\nUID:u2\nEND:VTODO\n",
		"without its end": strings.TrimSuffix(whole, "END:VCALENDAR\n"),
	} {
		good, bad, sum := readCalendar(t, text, catalog.Options{})
		if len(good) != 1 || sum.Torn != 1 || !bad[len(bad)-1].Torn || bad[len(bad)-1].Line == 0 {
			t.Errorf("%s: %d good, %v %+v", what, len(good), bad, sum)
		}
	}
	for _, text := range []string{"", "no calendar", "BEGIN:VCARD\nEND:VCARD\n"} {
		if _, err := catalog.Read(t.Context(), "ical", bytesOf([]byte(text)), catalog.Options{Now: now}, func(catalog.Row) error { return nil }); err == nil {
			t.Errorf("%q is a calendar", text)
		}
	}
}

func TestRead_aPriceThatIsSaidStandsForThoseThatAreNot(t *testing.T) {
	for said, want := range map[string]int64{"18,50": 1850, "free": 0, "": 2500} {
		good, bad, sum := readCalendar(t, vevent("", "DTSTART:20270701T193000Z\n"), catalog.Options{Price: said})
		if len(good) != 1 || good[0].Event.TicketTypes[0].Price.Amount != want || sum.Notes[catalog.NotePrice] != 1 {
			t.Errorf("%q: %v %v", said, good, bad)
		}
	}
}

package ical_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"guichet/cell/ticket/ical"
)

func entry() ical.Entry {
	return ical.Entry{
		UID: "tkt_euw3_x@guichet", Version: 3, Stamp: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
		StartsAt: time.Date(2026, 10, 25, 1, 30, 0, 0, time.FixedZone("", 2*3600)), Summary: "Nuit; de la, Musique\\",
		Location: "Salle Pleyel, Paris", Description: "Order ABC\nFloor", URL: "https://example.org/a?b=1,2;3", Lat: 48.8771, Lon: 2.3009, Located: true,
	}
}

func TestFile_isWhatTheStandardShows(t *testing.T) {
	t.Parallel()
	want := strings.Join([]string{
		"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Guichet//Tickets//EN", "CALSCALE:GREGORIAN", "METHOD:PUBLISH",
		"BEGIN:VEVENT", "UID:tkt_euw3_x@guichet", "DTSTAMP:20260501T100000Z", "SEQUENCE:3", "DTSTART:20261024T233000Z", "DTEND:20261025T013000Z",
		`SUMMARY:Nuit\; de la\, Musique\\`, `LOCATION:Salle Pleyel\, Paris`, `DESCRIPTION:Order ABC\nFloor`, "URL:https://example.org/a?b=1,2;3",
		"GEO:48.877100;2.300900", "STATUS:CONFIRMED", "END:VEVENT", "END:VCALENDAR", "",
	}, "\r\n")
	if got := string(ical.File(entry())); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFile_ofACanceledTicketSaysSo(t *testing.T) {
	t.Parallel()
	e := entry()
	e.Canceled = true
	if got := string(ical.File(e)); !strings.Contains(got, "STATUS:CANCELLED\r\n") {
		t.Error(got)
	}
}

// unfold undoes folding as a reader does.
func unfold(file string) string { return strings.ReplaceAll(file, "\r\n ", "") }

func TestFile_foldsLongLinesBetweenCharacters(t *testing.T) {
	t.Parallel()
	e := entry()
	e.Summary = strings.Repeat("第九交響曲", 40)
	file := string(ical.File(e))
	check(t, file)
	if !strings.Contains(unfold(file), "SUMMARY:"+e.Summary+"\r\n") {
		t.Error("unfolding does not give the title back")
	}
}

// check holds a file to what every reader relies on.
func check(t *testing.T, file string) {
	t.Helper()
	if !utf8.ValidString(file) {
		t.Error("not UTF-8")
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(file, "\r\n"), "\r\n") {
		if len(line) > 75 {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n") {
			t.Errorf("a broken line: %q", line)
		}
	}
	if n := strings.Count("\r\n"+unfold(file), "\r\nBEGIN:"); n != 2 {
		t.Errorf("%d components begin, not 2", n)
	}
	if n := strings.Count("\r\n"+unfold(file), "\r\nDTSTART:"); n != 1 {
		t.Errorf("%d starts, not 1", n)
	}
}

func FuzzFile_cannotBeBrokenOutOf(f *testing.F) {
	f.Add("a\r\nBEGIN:VEVENT\r\nDTSTART:1", "b\nEND:VEVENT", "https://x/\r\nBEGIN:VALARM")
	f.Add("\u2028BEGIN:VEVENT", strings.Repeat("é", 200), "\xff\xfe\r")
	f.Fuzz(func(t *testing.T, summary, location, url string) {
		e := entry()
		e.Summary, e.Location, e.URL = summary, location, url
		check(t, string(ical.File(e)))
	})
}

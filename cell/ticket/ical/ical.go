// Package ical writes a ticket's date as an iCalendar file (RFC 5545). Times are
// in UTC: they say the same everywhere, and no calendar has to know the venue's
// zone by the name we know it by.
package ical

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Media is the file's type.
const Media = "text/calendar; charset=utf-8; method=PUBLISH"

// Limits of a calendar entry.
const (
	maxLine = 75   // octets of a content line, RFC 5545 section 3.1
	maxText = 1000 // characters of a value
)

// Entry is one date.
type Entry struct {
	UID         string // globally unique and stable: the same ticket replaces its entry
	Version     int64  // of the event; a calendar takes the higher one
	Stamp       time.Time
	StartsAt    time.Time
	EndsAt      *time.Time // nil when unsaid; then two hours are blocked
	Summary     string
	Location    string
	Description string
	URL         string
	Lat, Lon    float64
	Located     bool
	Canceled    bool
}

// unsaid is how long an event blocks the calendar whose end nobody said.
const unsaid = 2 * time.Hour

// File is a calendar with the one entry.
func File(e Entry) []byte {
	var b strings.Builder
	put := func(name, value string) { fold(&b, name+":"+value) }
	put("BEGIN", "VCALENDAR")
	put("VERSION", "2.0")
	put("PRODID", "-//Guichet//Tickets//EN")
	put("CALSCALE", "GREGORIAN")
	put("METHOD", "PUBLISH")
	put("BEGIN", "VEVENT")
	put("UID", escape(e.UID))
	put("DTSTAMP", stamp(e.Stamp))
	put("SEQUENCE", strconv.FormatInt(max(e.Version, 0), 10))
	put("DTSTART", stamp(e.StartsAt))
	end := e.StartsAt.Add(unsaid)
	if e.EndsAt != nil && e.EndsAt.After(e.StartsAt) {
		end = *e.EndsAt
	}
	put("DTEND", stamp(end))
	for _, text := range []struct{ name, value string }{{"SUMMARY", e.Summary}, {"LOCATION", e.Location}, {"DESCRIPTION", e.Description}} {
		if text.value != "" {
			put(text.name, escape(text.value))
		}
	}
	if e.URL != "" {
		put("URL", strings.Map(visible, e.URL)) // a URI is not escaped
	}
	if e.Located {
		put("GEO", coordinate(e.Lat)+";"+coordinate(e.Lon))
	}
	if e.Canceled {
		put("STATUS", "CANCELLED") // the standard's spelling
	} else {
		put("STATUS", "CONFIRMED")
	}
	put("END", "VEVENT")
	put("END", "VCALENDAR")
	return []byte(b.String())
}

func stamp(t time.Time) string { return t.UTC().Format("20060102T150405Z") }

func coordinate(degrees float64) string { return strconv.FormatFloat(degrees, 'f', 6, 64) }

func visible(r rune) rune {
	if r <= ' ' || unicode.IsControl(r) || r == utf8.RuneError {
		return -1
	}
	return r
}

var escaper = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`)

// escape writes a TEXT value (section 3.3.11). Of the control characters only the
// line break may stand in one.
func escape(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\r', r == '\u2028', r == '\u2029', r == '\u0085':
			return '\n'
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText-1]) + "…"
	}
	return escaper.Replace(s)
}

// fold writes a content line in pieces of at most maxLine octets, never inside a
// character.
func fold(b *strings.Builder, line string) {
	room := maxLine
	for len(line) > room {
		cut := room
		for cut > 0 && !utf8.RuneStart(line[cut]) {
			cut--
		}
		b.WriteString(line[:cut])
		b.WriteString("\r\n ")
		line, room = line[cut:], maxLine-1 // the space counts
	}
	b.WriteString(line)
	b.WriteString("\r\n")
}

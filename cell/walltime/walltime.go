// Package walltime turns what a clock on a wall shows into an instant, in one
// place. It checks the way back: an hour that the clock skips is no instant, and
// of an hour that comes twice the first is meant (RFC 5545 section 3.3.5). It
// knows which names of zones are IANA's; it has no state and touches no machine
// but the zone database.
package walltime

import (
	"time"

	"guichet/internal/kind"
)

// Errors of this package.
var (
	ErrSkipped = kind.Invalid.New("skipped_time")
	ErrNoTime  = kind.Invalid.New("invalid_time")
	ErrZone    = kind.Invalid.New("invalid_time_zone")
)

// reach is further than any zone changes its offset at once (Samoa skipped a day).
const reach = 26 * time.Hour

// In is the instant at which a clock in loc shows what naive shows; naive's own
// zone does not matter.
func In(naive time.Time, loc *time.Location) (time.Time, error) {
	wall := time.Date(naive.Year(), naive.Month(), naive.Day(), naive.Hour(), naive.Minute(), naive.Second(), naive.Nanosecond(), time.UTC)
	var first time.Time
	for _, around := range [...]time.Duration{-reach, 0, reach} {
		_, east := wall.Add(around).In(loc).Zone()
		at := wall.Add(-time.Duration(east) * time.Second).In(loc)
		if _, there := at.Zone(); there == east && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if first.IsZero() {
		return time.Time{}, ErrSkipped.With("%s does not exist in %s: the clock skips it", wall.Format("2006-01-02 15:04"), loc)
	}
	return first, nil
}

// Parse reads a text by a layout of package time. A text with an offset of its
// own is an instant already; any other is what the clock in loc shows. The
// result is in loc.
func Parse(layout, text string, loc *time.Location) (time.Time, error) {
	const here, there = "here", "there"
	t, err := time.ParseInLocation(layout, text, time.FixedZone(here, 0))
	if err != nil {
		return time.Time{}, ErrNoTime.With("%.40q is not like %s", text, layout)
	}
	other, err := time.ParseInLocation(layout, text, time.FixedZone(there, 3600))
	if err != nil || t.Equal(other) { // loc had no say in it
		return t.In(loc), err
	}
	return In(t, loc)
}

// On is the instant on day's date, in day's zone, at which the clock shows so
// much after midnight; 24 hours and more are the dates after it.
func On(day time.Time, clock time.Duration) (time.Time, error) {
	naive := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, time.UTC).Add(clock)
	return In(naive, day.Location())
}

// StartOfDay is the first instant of day's date in its zone: midnight, or what
// the clock shows when midnight is skipped.
func StartOfDay(day time.Time) time.Time { return startOf(day, day.Location()) }

// EndOfDay is the first instant of the date after day's.
func EndOfDay(day time.Time) time.Time { return startOf(day.AddDate(0, 0, 1), day.Location()) }

func startOf(date time.Time, loc *time.Location) time.Time {
	naive := time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, time.UTC)
	for step := range 48 * 4 { // a skipped midnight is followed by minutes, in Samoa by a day
		if at, err := In(naive.Add(time.Duration(step)*15*time.Minute), loc); err == nil {
			return at
		}
	}
	return time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, loc)
}

// Days moves t by whole dates; the clock on the wall stays.
func Days(t time.Time, days int) (time.Time, error) {
	naive := Naive(t)
	return In(naive.AddDate(0, 0, days), t.Location())
}

// Naive is what the clock of t's zone shows, as if it were UTC.
func Naive(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// Precision is what the databases keep of a time.
const Precision = time.Microsecond

// Kept says whether a database keeps all of t.
func Kept(t time.Time) bool { return t.Nanosecond()%int(Precision) == 0 }

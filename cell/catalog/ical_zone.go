package catalog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"guichet/cell/catalog/city"
	"guichet/cell/walltime"
)

// calendar is what one VCALENDAR says of all its events.
type calendar struct {
	in      *input
	file    string
	zone    string                // X-WR-TIMEZONE, or the person's; "" is unsaid
	own     map[string]*component // VTIMEZONE by TZID
	known   map[string]*time.Location
	cancels bool // METHOD:CANCEL
}

// zoneNamed finds the IANA zone that a TZID means: its own name, that name behind a
// program's prefix, what Windows calls it, what the VTIMEZONE says it is, or the zone
// that keeps the clock which the VTIMEZONE describes.
func (c *calendar) zoneNamed(tzid string, year int) (*time.Location, error) {
	tzid = strings.TrimSpace(tzid)
	key := tzid + "\x00" + strconv.Itoa(year)
	if loc, ok := c.known[key]; ok {
		return loc, nil
	}
	own := c.own[tzid]
	names := []string{tzid, windowsZones[tzid]}
	for i := range tzid {
		if tzid[i] == '/' {
			names = append(names, tzid[i+1:])
		}
	}
	if own != nil {
		names = append(names, own.text("X-LIC-LOCATION"))
	}
	for _, name := range names {
		if loc, err := walltime.Zone(name); err == nil {
			c.known[key] = loc
			return loc, nil
		}
	}
	if own == nil {
		return nil, fmt.Errorf("time zone %.60q is none that we know, and the calendar does not describe it", tzid)
	}
	loc, err := likeClock(own, c.zone, year)
	if err != nil {
		return nil, fmt.Errorf("time zone %.60q: %w", tzid, err)
	}
	c.known[key] = loc
	return loc, nil
}

// likeClock is the zone that shows what a VTIMEZONE describes in a year and the next,
// twice a month: the first one given if it does, else that of the biggest city.
func likeClock(own *component, likely string, year int) (*time.Location, error) {
	var walls []time.Time
	var offsets []int
	for month := range 24 {
		for _, day := range []int{1, 15} {
			wall := time.Date(year, time.Month(month+1), day, 12, 0, 0, 0, time.UTC)
			offset, err := offsetAt(own, wall)
			if err != nil {
				return nil, err
			}
			walls, offsets = append(walls, wall), append(offsets, offset)
		}
	}
	keeps := func(loc *time.Location) bool {
		for i, wall := range walls {
			if _, east := wall.Add(-time.Duration(offsets[i]) * time.Second).In(loc).Zone(); east != offsets[i] {
				return false
			}
		}
		return true
	}
	tried := map[string]bool{}
	try := func(name string) *time.Location {
		if tried[name] {
			return nil
		}
		tried[name] = true
		if loc, err := walltime.Zone(name); err == nil && keeps(loc) {
			return loc
		}
		return nil
	}
	if loc := try(likely); loc != nil {
		return loc, nil
	}
	for _, c := range city.All() {
		if loc := try(c.TimeZone); loc != nil {
			return loc, nil
		}
	}
	return nil, errors.New("no zone keeps the clock that the calendar describes")
}

const maxObservances = 200 // of one VTIMEZONE; some list every year

// offsetAt is the offset in seconds that a VTIMEZONE gives to a time on its wall.
func offsetAt(own *component, wall time.Time) (int, error) {
	var latest time.Time
	offset, found := 0, false
	for n, o := range own.children {
		if n == maxObservances {
			return 0, errors.New("too many observances")
		}
		if o.name != "STANDARD" && o.name != "DAYLIGHT" {
			continue
		}
		to, err := utcOffset(o.first("TZOFFSETTO").value)
		if err != nil {
			return 0, err
		}
		first, err := time.Parse(icalTime, o.first("DTSTART").value)
		if err != nil || first.Year() < 1 {
			return 0, errors.New("an observance has no start")
		}
		onsets := []time.Time{first}
		for _, p := range o.props["RDATE"] {
			for text := range strings.SplitSeq(p.value, ",") {
				if at, err := time.Parse(icalTime, text); err == nil {
					onsets = append(onsets, at)
				}
			}
		}
		if rule := o.first("RRULE").value; rule != "" && first.Before(wall) {
			start := first
			if back := wall.Year() - 8; start.Year() < back && strings.Contains(rule, "FREQ=YEARLY") && !strings.Contains(rule, "COUNT") && !strings.Contains(rule, "INTERVAL") {
				start = time.Date(back, start.Month(), start.Day(), start.Hour(), start.Minute(), start.Second(), 0, time.UTC) // the rule has no memory
			}
			if err := walltime.Dates(rule, start, wall, func(at time.Time) bool {
				if !at.Equal(start) {
					onsets = append(onsets, at)
				}
				return true
			}); err != nil {
				return 0, err
			}
		}
		for _, at := range onsets {
			if !at.After(wall) && (!found || at.After(latest)) {
				latest, offset, found = at, to, true
			}
		}
	}
	if found {
		return offset, nil
	}
	for _, o := range own.children { // before the first onset
		if from := o.first("TZOFFSETFROM").value; from != "" {
			return utcOffset(from)
		}
	}
	return 0, errors.New("it describes no clock")
}

// utcOffset reads +0100 or -033000.
func utcOffset(text string) (int, error) {
	for _, layout := range []string{"-0700", "-070000"} {
		if t, err := time.Parse(layout, text); err == nil {
			_, east := t.Zone()
			return east, nil
		}
	}
	return 0, fmt.Errorf("%.20q is no offset from UTC", text)
}

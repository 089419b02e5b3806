package catalog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"guichet/cell/walltime"
)

// The forms of section 3.3.4 and 3.3.5.
const (
	icalDate = "20060102"
	icalTime = "20060102T150405"
)

// icalMoment is a date or an instant.
type icalMoment struct {
	at       time.Time
	dateOnly bool
}

// moment reads DATE or DATE-TIME: in UTC, in the zone it names, or by the clock of
// the zone given. The result is in that zone.
func (c *calendar) moment(p property, zone *time.Location) (icalMoment, error) {
	text := strings.TrimSpace(p.value)
	if len(text) == len(icalDate) {
		day, err := time.Parse(icalDate, text)
		if err != nil {
			return icalMoment{}, fmt.Errorf("%.30q is no date", text)
		}
		noon, err := walltime.In(day.Add(12*time.Hour), zone)
		return icalMoment{walltime.StartOfDay(noon), true}, err
	}
	if text, utc := strings.CutSuffix(text, "Z"); utc {
		at, err := walltime.Parse(icalTime, text, time.UTC)
		return icalMoment{at: at.In(zone)}, err
	}
	loc := zone
	if tzid := p.params["TZID"]; tzid != "" {
		var err error
		if loc, err = c.zoneNamed(tzid, yearOf(text)); err != nil {
			return icalMoment{}, err
		}
	}
	at, err := walltime.Parse(icalTime, text, loc)
	return icalMoment{at: at.In(zone)}, err
}

// span is when an event begins and how long it lasts.
type span struct {
	zone     *time.Location
	from     time.Time // of the first date, in the zone in which the rule is reckoned
	wholeDay bool
	days     int           // of a whole-day event
	length   time.Duration // of any other; 0 is unsaid
	endFirst bool          // the end came before the start
}

func (c *calendar) span(e *component, zone *time.Location) (span, error) {
	start, err := c.moment(e.first("DTSTART"), zone)
	if err != nil {
		return span{}, fmt.Errorf("DTSTART: %w", err)
	}
	if start.at.Year() < 1900 {
		return span{}, errAncient
	}
	s := span{zone: zone, from: start.at, wholeDay: start.dateOnly, days: 1}
	if tzid := e.first("DTSTART").params["TZID"]; isUTC(tzid) || strings.HasSuffix(e.first("DTSTART").value, "Z") {
		s.from = start.at.UTC() // its rule is reckoned there too
	}
	end, length := e.first("DTEND"), strings.TrimSpace(e.first("DURATION").value)
	switch {
	case end.value != "":
		till, err := c.moment(end, zone)
		if err != nil {
			return span{}, fmt.Errorf("DTEND: %w", err)
		}
		if till.dateOnly != start.dateOnly {
			return span{}, errors.New("one of DTSTART and DTEND is a date, the other a time")
		}
		s.length = till.at.Sub(start.at)
		s.endFirst = s.length < 0
		s.days = max(int(s.length.Round(24*time.Hour)/(24*time.Hour)), 1)
	case length != "":
		if s.length, err = isoDuration(length); err != nil {
			return span{}, err
		}
		s.days = max(int(s.length/(24*time.Hour)), 1)
	}
	return s, nil
}

// put makes a draft begin at a date of the event.
func (s span) put(d *draft, start time.Time) {
	d.starts, d.end, d.length = []time.Time{start.In(s.zone)}, time.Time{}, 0
	switch {
	case s.wholeDay:
		at, err := walltime.On(start.In(s.zone), DefaultHour*time.Hour)
		if err != nil {
			d.err = err
			return
		}
		d.starts[0] = at
		d.end = walltime.EndOfDay(at.AddDate(0, 0, s.days-1))
		d.note(NoteHour)
	case s.endFirst:
		d.note(NoteEnd)
	default:
		d.length = max(s.length, 0)
	}
}

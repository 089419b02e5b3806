package catalog

import (
	"errors"
	"time"

	"guichet/cell/walltime"
)

// Errors of a row's dates.
var (
	errPast    = errors.New("starts in the past (--shift would move it ahead)")
	errNoStart = errors.New("no start date")
	errFarAway = errors.New("starts more than ten years from now")
	errAncient = errors.New("starts before 1850")
)

// shiftDays is 52 weeks: the weekday, the season and the spread of a catalogue
// stay as they were, where single weeks would crowd all of it into the next seven days.
const shiftDays = 52 * 7

// ahead moves t by blocks of 52 weeks to the first such date after now. The clock
// on the wall stays: 20:00 is 20:00 on either side of a change to summer time.
func ahead(t, now time.Time) (moved time.Time, days int, err error) {
	moved = t
	for !moved.After(now) {
		days += shiftDays
		if moved, err = walltime.Days(t, days); err != nil {
			return t, 0, err
		}
	}
	return moved, days, nil
}

// schedule picks the start: the first that lies ahead, else, if allowed, the
// first of all shifted. It returns the start if the clock had a say in it.
func (d *draft) schedule(opts Options) (chosen time.Time, err error) {
	if len(d.starts) == 0 {
		return time.Time{}, errNoStart
	}
	if d.starts[0].Year() < 1850 {
		return time.Time{}, errAncient
	}
	start, found := d.starts[0], false
	for _, t := range d.starts {
		if t.After(opts.Now) {
			start, found = t, true
			break
		}
	}
	if len(d.starts) > 1 {
		chosen = start
	}
	if !found {
		if !opts.Shift {
			return time.Time{}, errPast
		}
		var days int
		if start, days, err = ahead(start, opts.Now); err != nil {
			return time.Time{}, err
		}
		if !d.end.IsZero() {
			if d.end, err = walltime.Days(d.end, days); err != nil {
				return time.Time{}, err
			}
		}
		chosen = start
		d.event.Source.Shifted = true
		d.note(NoteShifted)
	}
	if start.After(opts.Now.AddDate(maxYearsAway, 0, 0)) {
		return time.Time{}, errFarAway
	}
	d.event.StartsAt = start
	if d.event.EndsAt = nil; d.length > 0 {
		end := start.Add(d.length)
		d.event.EndsAt = &end
	}
	if !d.end.IsZero() {
		d.event.EndsAt = &d.end
	}
	if d.event.Source.Shifted { // when they were sold has nothing to do with the new date
		for i := range d.event.TicketTypes {
			d.event.TicketTypes[i].SalesStart, d.event.TicketTypes[i].SalesEnd = nil, nil
		}
	}
	if !d.onSale.IsZero() && !d.event.Source.Shifted {
		for i := range d.event.TicketTypes {
			sale := d.onSale
			d.event.TicketTypes[i].SalesStart = &sale
		}
	}
	return chosen, nil
}

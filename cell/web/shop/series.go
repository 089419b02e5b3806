package shop

import (
	"net/url"
	"time"

	"guichet/cell/client"
)

const (
	// maxDates bounds the dates of one month that a page shows.
	maxDates    = 400
	monthLayout = "2006-01"
)

// seriesView is the calendar of a series: one month of its dates.
type seriesView struct {
	meta      meta
	series    client.Series
	month     time.Time // its first day
	weeks     [][]calendarDay
	prev      string // months with a date before and after, for links; "" for none
	next      string
	firstName []string // weekdays from the language's first
	empty     bool
	cut       bool // there are more dates in the month than the page shows
}

// calendarDay is a day of the month; 0 is a gap before the first or after the last.
type calendarDay struct {
	day   int
	at    time.Time
	dates []client.Occurrence
}

// seriesPage shows a month of a series, by default the one of its next date.
func (v *visit) seriesPage() (answer, error) {
	id := v.r.PathValue("series")
	series, _, err := v.api("").Series(v.ctx(), id)
	if err != nil {
		return answer{}, err
	}
	s := seriesView{meta: v.meta(series.Name), series: series}
	s.meta.path = "/series/" + id
	s.meta.description = v.l.T("series_description", series.Name)
	month, err := time.Parse(monthLayout, v.query().Get("month"))
	if err != nil {
		if month, err = v.nextMonth(id, v.now()); err != nil {
			return answer{}, err
		}
	} else {
		s.meta.noindex = true
	}
	s.month = month
	end := month.AddDate(0, 1, 0)
	var dates []client.Occurrence
	for cursor := ""; ; {
		query := url.Values{"from": {month.Format(time.DateOnly)}, "to": {end.AddDate(0, 0, -1).Format(time.DateOnly)}, "limit": {"100"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		items, next, _, err := v.api("").Occurrences(v.ctx(), id, query)
		if err != nil {
			return answer{}, err
		}
		dates = append(dates, items...)
		if cursor = next; cursor == "" || len(dates) >= maxDates {
			s.cut = cursor != ""
			break
		}
	}
	s.fill(dates)
	if s.prev, s.next, err = v.around(id, month, end); err != nil {
		return answer{}, err
	}
	return answer{page: seriesPage(s)}, nil
}

// nextMonth is the month of the next date at or after a moment, else this month.
func (v *visit) nextMonth(id string, from time.Time) (time.Time, error) {
	items, _, _, err := v.api("").Occurrences(v.ctx(), id, url.Values{"from": {from.UTC().Format(time.RFC3339)}, "limit": {"1"}})
	if err != nil {
		return time.Time{}, err
	}
	at := from
	if len(items) > 0 {
		at = items[0].StartsAt
	}
	return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC), nil
}

// around are the months before and after, as far as there are dates to come.
func (v *visit) around(id string, month, end time.Time) (prev, next string, err error) {
	items, _, _, err := v.api("").Occurrences(v.ctx(), id, url.Values{"from": {end.Format(time.DateOnly)}, "limit": {"1"}})
	if err != nil {
		return "", "", err
	}
	if len(items) > 0 {
		next = items[0].StartsAt.Format(monthLayout)
	}
	now := v.now().UTC()
	if month.After(now) {
		prev = month.AddDate(0, -1, 0).Format(monthLayout)
	}
	return prev, next, nil
}

// fill lays the month out in weeks that begin as the language's do.
func (s *seriesView) fill(dates []client.Occurrence) {
	l := s.meta.l
	for i := range 7 {
		s.firstName = append(s.firstName, l.Days[(l.FirstDay+i)%7])
	}
	byDay := map[int][]client.Occurrence{}
	for _, d := range dates {
		if d.State == "published" || d.State == "canceled" {
			byDay[d.StartsAt.Day()] = append(byDay[d.StartsAt.Day()], d)
		}
	}
	s.empty = len(byDay) == 0
	gap := (int(s.month.Weekday()) - l.FirstDay + 7) % 7
	week := make([]calendarDay, gap, 7)
	for day := s.month; day.Month() == s.month.Month(); day = day.AddDate(0, 0, 1) {
		week = append(week, calendarDay{day.Day(), day, byDay[day.Day()]})
		if len(week) == 7 {
			s.weeks, week = append(s.weeks, week), make([]calendarDay, 0, 7)
		}
	}
	if len(week) > 0 {
		s.weeks = append(s.weeks, append(week, make([]calendarDay, 7-len(week))...))
	}
}

// dateLabel is a date of the calendar for people: its time, or its slot.
func dateLabel(o client.Occurrence) string {
	text := o.StartsAt.Format("15:04")
	if o.Slot != "" {
		text += " · " + o.Slot
	}
	return text
}

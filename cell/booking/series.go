package booking

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"guichet/cell/id"
	"guichet/cell/walltime"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Limits of a series.
const (
	MaxOccurrences = 5000    // events of a series
	MaxSlots       = 50      // time slots of a day
	maxSlotMinutes = 24 * 60 // of one time slot
	// MaxSeriesParts is how many quotas, ticket types and seats all occurrences may have together.
	MaxSeriesParts = 100_000
	// seriesRows is about how many rows one batch of a series writes.
	seriesRows = 1000
)

// SeriesState is where a series stands.
type SeriesState string

// The states of a series. While it is making or publishing, any process of the
// cell may go on with it.
const (
	SeriesMaking     SeriesState = "making"
	SeriesDraft      SeriesState = "draft"
	SeriesPublishing SeriesState = "publishing"
	SeriesPublished  SeriesState = "published"
)

// Series is a container of occurrences: events, each with its own quotas and
// ticket types, made from one template. All are born at the cell of the series.
type Series struct {
	ID        id.Series
	Organizer id.Organizer
	Name      string
	State     SeriesState
	Publish   bool  // make the occurrences published
	Total     int64 // occurrences it will have
	Made      int64 // occurrences it has
	Draft     DraftSeries
	Told      Place // publishing: the last occurrence that was looked at
	CreatedAt time.Time
}

// Place is a place in the list of occurrences, which is in order of start and id.
type Place struct {
	At    time.Time
	Event string // "" is before every event of that time
}

// DraftSeries is what an organizer says of a new series: Dates, or a Rule that is
// expanded from the template's start. With slots each date is a day.
type DraftSeries struct {
	Name     string
	Template Draft
	Dates    []time.Time
	Rule     string // RFC 5545, see ruleParts
	Slots    []Slot
	Publish  bool
}

// Slot is a time of each day of the series.
type Slot struct {
	Name    string
	At      string // HH:MM on the wall
	Minutes int64  // 0: as long as the template
	Sizes   []DraftQuota
}

// Occurrence is when an event of a series takes place.
type Occurrence struct {
	StartsAt time.Time
	EndsAt   *time.Time
	Slot     *Slot // nil without time slots
}

// Series checks the draft and makes the series, at cell, with its occurrences
// still to be made.
func (d DraftSeries) Series(cell topology.CellID, org id.Organizer, now time.Time) (Series, []Occurrence, error) {
	if err := textOf(ErrInvalidSeries, "/name", d.Name, 1, MaxName, false); err != nil {
		return Series{}, nil, err
	}
	plan, err := d.Plan(now)
	if err != nil {
		return Series{}, nil, err
	}
	s := Series{ID: id.NewSeries(cell), Organizer: org, Name: d.Name, State: SeriesMaking, Publish: d.Publish, Total: int64(len(plan)), Draft: d}
	if parts := len(plan) * d.parts(); parts > MaxSeriesParts {
		return Series{}, nil, ErrSeriesTooLong.With("%d quotas, ticket types and seats in all; at most %d", parts, MaxSeriesParts).Field("limit", int64(MaxSeriesParts))
	}
	if _, err := s.Occurrence(cell, plan[0], now); err != nil {
		return Series{}, nil, InTemplate(err)
	}
	return s, plan, nil
}

// InTemplate lets an error about an event point into the body of a series.
func InTemplate(err error) error {
	e := kind.As(err)
	if e == nil {
		return err
	}
	if faults, ok := e.Fields["errors"].([]kind.Fault); ok && len(faults) == 1 {
		return e.At("/template"+faults[0].Pointer, "%s", faults[0].Detail)
	}
	return err
}

// Plan are the occurrences in the order of their starts.
func (d DraftSeries) Plan(now time.Time) ([]Occurrence, error) {
	zone, err := walltime.Zone(d.Template.TimeZone)
	if err != nil {
		return nil, ErrInvalidEvent.At("/template/time_zone", "must be an IANA name like Europe/Paris")
	}
	dates, at, err := d.dates(zone, now)
	if err != nil {
		return nil, err
	}
	if err := d.checkSlots(); err != nil {
		return nil, err
	}
	if n := len(dates) * max(1, len(d.Slots)); n > MaxOccurrences {
		return nil, ErrSeriesTooLong.At(at, "%d occurrences; a series has at most %d", n, MaxOccurrences).Field("limit", int64(MaxOccurrences))
	}
	plan := make([]Occurrence, 0, len(dates)*max(1, len(d.Slots)))
	for _, date := range dates {
		if len(d.Slots) == 0 {
			plan = append(plan, d.lasting(date, nil))
		}
		for i := range d.Slots {
			start, err := d.Slots[i].on(date)
			if errors.Is(err, walltime.ErrSkipped) {
				continue // RFC 5545 section 3.3.10: this day has no such hour
			}
			if err != nil {
				return nil, err
			}
			plan = append(plan, d.lasting(start, &d.Slots[i]))
		}
	}
	if len(plan) == 0 {
		return nil, ErrInvalidSeries.At(at, "gives no date: the clock skips its hours")
	}
	slices.SortStableFunc(plan, func(a, b Occurrence) int { return a.StartsAt.Compare(b.StartsAt) })
	for i := 1; i < len(plan); i++ {
		if plan[i].same(plan[i-1]) {
			return nil, ErrInvalidSeries.At(at, "%s is there twice", plan[i].StartsAt.Format(time.RFC3339))
		}
	}
	return plan, nil
}

// dates are the days or starts, and where in the body they are said.
func (d DraftSeries) dates(zone *time.Location, now time.Time) (dates []time.Time, at string, err error) {
	first := d.Template.StartsAt
	switch {
	case d.Template.EndsAt != nil && first.IsZero():
		return nil, "", ErrInvalidEvent.At("/template/starts_at", "must be given when ends_at is: together they say how long an occurrence lasts")
	case d.Template.EndsAt != nil && !d.Template.EndsAt.After(first):
		return nil, "", ErrInvalidEvent.At("/template/ends_at", "must be after starts_at")
	case d.Template.Source != nil:
		return nil, "", ErrInvalidSeries.At("/template/source", "an event of a foreign catalogue exists once")
	case (d.Rule == "") == (len(d.Dates) == 0):
		return nil, "", ErrInvalidSeries.At("", "must have either occurrences or a rule")
	case len(d.Dates) > MaxOccurrences:
		return nil, "", ErrSeriesTooLong.At("/occurrences", "at most %d", MaxOccurrences).Field("limit", int64(MaxOccurrences))
	case d.Rule != "" && first.IsZero():
		return nil, "", ErrInvalidEvent.At("/template/starts_at", "must be the date from which the rule is reckoned")
	case d.Rule == "":
		dates, at = make([]time.Time, len(d.Dates)), "/occurrences"
		for i := range d.Dates {
			dates[i] = d.Dates[i].In(zone)
		}
	default:
		if err := startInBounds("/template/starts_at", first, now); err != nil {
			return nil, "", err
		}
		if dates, err = datesOf(d.Rule, first.In(zone)); err != nil {
			return nil, "", err
		}
		at = rulePointer
	}
	for i, date := range dates {
		where := at
		if d.Rule == "" {
			where += "/" + strconv.Itoa(i)
		}
		if err := startInBounds(where, date, now); err != nil {
			return nil, "", err
		}
	}
	return dates, at, nil
}

// startInBounds is what Validate asks of an event's start.
func startInBounds(at string, t, now time.Time) error {
	if t.IsZero() || t.After(now.Add(maxLead)) {
		return ErrInvalidSeries.At(at, "must lie within ten years")
	}
	return inBounds(at, &t)
}

var wallTime = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

func (d DraftSeries) checkSlots() error {
	if len(d.Slots) > MaxSlots {
		return ErrInvalidSeries.At("/time_slots", "at most %d", MaxSlots)
	}
	for i, slot := range d.Slots {
		at := "/time_slots/" + strconv.Itoa(i)
		if err := textOf(ErrInvalidSeries, at+"/name", slot.Name, 1, MaxName, false); err != nil {
			return err
		}
		switch {
		case slices.ContainsFunc(d.Slots[:i], func(o Slot) bool { return o.Name == slot.Name }):
			return ErrInvalidSeries.At(at+"/name", "another time slot has this name")
		case !wallTime.MatchString(slot.At):
			return ErrInvalidSeries.At(at+"/at", "must be a time on the wall like 09:30")
		case slot.Minutes < 0 || slot.Minutes > maxSlotMinutes:
			return ErrInvalidSeries.At(at+"/minutes", "must be 1 to %d, or 0 for as long as the template", maxSlotMinutes)
		}
		for j, q := range slot.Sizes {
			here := fmt.Sprintf("%s/quotas/%d", at, j)
			if !slices.ContainsFunc(d.Template.Quotas, func(o DraftQuota) bool { return o.Name == q.Name }) {
				return ErrInvalidSeries.At(here+"/name", "the template has no quota of this name")
			}
			if q.Size < 0 || q.Size > MaxQuotaSize {
				return ErrInvalidSeries.At(here+"/size", "must be 0 to %d", MaxQuotaSize)
			}
		}
	}
	return nil
}

// on is the slot's start on a day, by the clock on the wall.
func (s *Slot) on(day time.Time) (time.Time, error) {
	hour, _ := strconv.Atoi(s.At[:2])
	minute, _ := strconv.Atoi(s.At[3:])
	return walltime.On(day, time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute)
}

// lasting is the occurrence with its end.
func (d DraftSeries) lasting(start time.Time, slot *Slot) Occurrence {
	o := Occurrence{StartsAt: start, Slot: slot}
	var length time.Duration
	if d.Template.EndsAt != nil {
		length = d.Template.EndsAt.Sub(d.Template.StartsAt)
	}
	if slot != nil && slot.Minutes > 0 {
		length = time.Duration(slot.Minutes) * time.Minute
	}
	if length != 0 {
		end := start.Add(length)
		o.EndsAt = &end
	}
	return o
}

// same: two slots may begin at the same time, the same one may not.
func (o Occurrence) same(p Occurrence) bool {
	return o.StartsAt.Equal(p.StartsAt) && (o.Slot == nil || p.Slot == nil || o.Slot.Name == p.Slot.Name)
}

// Occurrence makes an event of the series. One that is over already stays a draft
// when the others are published.
func (s *Series) Occurrence(cell topology.CellID, o Occurrence, now time.Time) (Event, error) {
	d := s.Draft.Template
	if d.Name == "" {
		d.Name = s.Name
	}
	d.StartsAt, d.EndsAt = o.StartsAt, o.EndsAt
	if o.Slot != nil {
		d.Quotas = slices.Clone(d.Quotas)
		for _, sized := range o.Slot.Sizes {
			i := slices.IndexFunc(d.Quotas, func(q DraftQuota) bool { return q.Name == sized.Name })
			d.Quotas[i].Size = sized.Size // checkSlots has found it
		}
	}
	e, err := d.Event(cell, s.Organizer, now)
	if err != nil {
		return Event{}, err
	}
	if e.Series = s.ID; o.Slot != nil {
		e.Slot = o.Slot.Name
	}
	if s.Publish {
		_ = e.Publish(now) // refused for one that is over: it stays a draft
	}
	return e, nil
}

// BatchSize is how many occurrences one transaction makes or publishes.
func (s *Series) BatchSize() int {
	return min(max(seriesRows/(3+s.Draft.parts()), 1), 100)
}

// parts is how many quotas, ticket types and seats each occurrence has.
func (d *DraftSeries) parts() int {
	n := len(d.Template.Quotas) + len(d.Template.Types)
	if d.Template.Seating == nil {
		return n
	}
	for _, zone := range d.Template.Seating.Plan.Zones {
		for _, row := range zone.Rows {
			n += len(row.Seats)
		}
	}
	return n
}

package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/cell/country"
	"guichet/cell/walltime"
)

// readSchemaOrg reads schema.org Event in JSON-LD (schema.org/Event and subtypes).
func readSchemaOrg(ctx context.Context, in *input) error {
	for _, f := range in.files {
		if err := in.schemaOrgFile(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func (in *input) schemaOrgFile(ctx context.Context, f File) error {
	rc, r, err := in.openText(f)
	if err != nil {
		return err
	}
	defer rc.Close()
	return elements(ctx, r, func(e element) error {
		for _, node := range eventNodes(e.value) {
			d := &draft{file: f.Name, line: e.line, index: e.index, err: e.err}
			if d.err == nil {
				d.err = in.schemaOrgEvent(d, node)
			}
			if err := in.take(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

func (in *input) schemaOrgEvent(d *draft, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return errors.New("not an object")
	}
	if !isEvent(types(m)) {
		return fmt.Errorf("@type %.60q is not an Event", strings.Join(types(m), " "))
	}
	if whole := str(m[soldAs]); whole != "" {
		return fmt.Errorf("a part of %.60q, which is sold as a whole", whole)
	}
	if err := schemaOrgStatus(m); err != nil {
		return err
	}
	e := &d.event
	e.Name, e.Summary = str(m["name"]), str(m["description"])
	e.Category = categoryOf(types(m), m["keywords"])
	place, err := schemaOrgVenue(e, m)
	if err != nil {
		return err
	}
	in.fallback(d)
	loc, err := d.locate(cmp.Or(str(place["timeZone"]), str(obj(m["eventSchedule"])["scheduleTimezone"]), in.zoneFor(d.file)))
	if err != nil {
		return err
	}
	if err := schemaOrgTimes(d, m, loc); err != nil {
		return err
	}
	url := str(m["url"])
	e.Source = &client.Source{URL: url}
	d.id = digest(str(m["@id"]), url, e.Name, d.starts[0].UTC().Format(time.RFC3339), e.Venue.Name)
	return in.schemaOrgStock(d, m, loc)
}

func isEvent(types []string) bool {
	for _, t := range types {
		if strings.HasSuffix(t, "Event") || t == "Festival" || t == "CourseInstance" || t == "Hackathon" || t == "EventSeries" {
			return true
		}
	}
	return false
}

// schemaOrgStatus refuses what cannot be sold at its place and date.
func schemaOrgStatus(m map[string]any) error {
	for _, s := range vocabulary(m["eventStatus"]) {
		switch strings.TrimPrefix(s, "event") {
		case "cancelled", "canceled":
			return errors.New("canceled at the source")
		case "postponed":
			return errors.New("postponed at the source: its date is not known")
		case "movedonline":
			return errors.New("moved online at the source")
		}
	}
	modes := vocabulary(m["eventAttendanceMode"])
	for _, s := range modes {
		if s != "onlineeventattendancemode" && s != "online" {
			return nil
		}
	}
	if len(modes) > 0 {
		return errors.New("online only")
	}
	return nil
}

// schemaOrgVenue reads location: an object, a text, or an array of either; the
// first place that is not virtual counts.
func schemaOrgVenue(e *client.NewEvent, m map[string]any) (place map[string]any, err error) {
	virtual := false
	for _, v := range list(m["location"]) {
		if s, ok := v.(string); ok && e.Venue.Name == "" {
			e.Venue.Name = s
			continue
		}
		p := obj(v)
		if len(types(p)) > 0 && types(p)[0] == "VirtualLocation" {
			virtual = true
			continue
		}
		if p != nil {
			place = p
			break
		}
	}
	if place == nil && e.Venue.Name == "" {
		if virtual {
			return nil, errors.New("online only")
		}
		return nil, errors.New("no location")
	}
	if place == nil {
		return nil, nil
	}
	e.Venue.Name = cmp.Or(str(place["name"]), e.Venue.Name)
	e.Venue.Capacity = min(count(place["maximumAttendeeCapacity"]), maxCapacity)
	if a := obj(place["address"]); a != nil {
		e.Venue.Address = str(a["streetAddress"])
		e.Venue.City = str(a["addressLocality"])
		if e.Venue.Country, err = countryOf(str(a["addressCountry"])); err != nil {
			return nil, err
		}
	} else {
		e.Venue.Address = str(place["address"])
	}
	g := obj(place["geo"])
	if g == nil {
		g = place
	}
	e.Venue.Location = location(g["latitude"], g["longitude"])
	return place, nil
}

// countryOf reads a country's code or name; nothing is none.
func countryOf(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	code, ok := country.Parse(plain(text))
	if !ok {
		return "", fmt.Errorf("%.40q is no country", text)
	}
	return code, nil
}

// location is a point, or nil when there is none. Zero and zero is how sources
// write that they do not know; the sea off Africa has no venues.
func location(latitude, longitude any) *client.Location {
	lat, okLat := number(latitude)
	lon, okLon := number(longitude)
	if !okLat || !okLon || lat == 0 && lon == 0 {
		return nil
	}
	return &client.Location{Lat: lat, Lon: lon}
}

func schemaOrgTimes(d *draft, m map[string]any, loc *time.Location) error {
	text := str(m["startDate"])
	if text == "" {
		return errNoStart
	}
	start, dateOnly, err := moment(text, loc)
	if err != nil {
		return fmt.Errorf("startDate %.60q: %w", text, err)
	}
	if dateOnly {
		if start, err = walltime.On(start, DefaultHour*time.Hour); err != nil {
			return err
		}
		d.note(NoteHour)
	}
	d.starts = []time.Time{start}
	if text = str(m["endDate"]); text != "" {
		end, endsWithDay, err := moment(text, loc)
		switch {
		case err != nil:
			return fmt.Errorf("endDate %.60q: %w", text, err)
		case endsWithDay:
			end = walltime.EndOfDay(end)
		}
		if d.end = end; !end.After(start) {
			d.end = time.Time{}
			d.note(NoteEnd)
		}
		return nil
	}
	if text = str(m["duration"]); text != "" {
		if d.length, err = isoDuration(text); err != nil {
			return err
		}
	}
	return nil
}

// moments are the spellings of ISO 8601 that occur; those without a zone are local.
var moments = []string{
	time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05.999Z0700", "2006-01-02T15:04Z0700",
	"2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04",
}

var errNoMoment = errors.New("not a date, or not like 2027-03-14T19:30")

// moment reads an instant or a date in loc; the result is in loc. Of a date it is
// the first instant.
func moment(s string, loc *time.Location) (t time.Time, dateOnly bool, err error) {
	for _, layout := range moments {
		if t, err := walltime.Parse(layout, s, loc); !errors.Is(err, walltime.ErrNoTime) {
			return t, false, err
		}
	}
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, false, errNoMoment
	}
	noon := time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, loc) // no clock skips noon, but that of a day that was left out
	if noon.Day() != day.Day() {
		return time.Time{}, true, walltime.ErrSkipped.With("%s did not exist in %s", s, loc)
	}
	return walltime.StartOfDay(noon), true, nil
}

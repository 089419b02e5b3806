package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
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
	rc, r, err := open(f)
	if err != nil {
		return err
	}
	defer rc.Close()
	return elements(ctx, r, func(e element) error {
		d := &draft{file: f.Name, line: e.line, index: e.index, err: e.err}
		if d.err == nil {
			d.err = in.schemaOrgEvent(d, e.value)
		}
		return in.take(ctx, d)
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
	if s := str(m["eventStatus"]); strings.HasSuffix(s, "EventCancelled") {
		return errors.New("canceled at the source")
	}
	e := &d.event
	e.Name, e.Summary = str(m["name"]), str(m["description"])
	e.Category = categoryOf(types(m), m["keywords"])
	place, err := schemaOrgVenue(e, m)
	if err != nil {
		return err
	}
	if e.Venue.Location == nil && in.opts.Fallback != nil {
		e.Venue.Location = &client.Location{Lat: in.opts.Fallback.Lat, Lon: in.opts.Fallback.Lon}
		d.note(NoteLocation)
	}
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
	return in.schemaOrgStock(d, m)
}

func isEvent(types []string) bool {
	for _, t := range types {
		if strings.HasSuffix(t, "Event") || t == "Festival" || t == "CourseInstance" || t == "Hackathon" {
			return true
		}
	}
	return false
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
		if c := strings.ToUpper(str(a["addressCountry"])); len(c) == 2 {
			e.Venue.Country = c
		}
	} else {
		e.Venue.Address = str(place["address"])
	}
	g := obj(place["geo"])
	if g == nil {
		g = place
	}
	lat, okLat := number(g["latitude"])
	lon, okLon := number(g["longitude"])
	if okLat && okLon {
		e.Venue.Location = &client.Location{Lat: lat, Lon: lon}
	}
	return place, nil
}

func schemaOrgTimes(d *draft, m map[string]any, loc *time.Location) error {
	text := str(m["startDate"])
	if text == "" {
		return errNoStart
	}
	start, dateOnly, ok := moment(text, loc)
	if !ok {
		return fmt.Errorf("startDate %.60q is not a date", text)
	}
	if dateOnly {
		start = start.Add(DefaultHour * time.Hour)
		d.note(NoteHour)
	}
	d.starts = []time.Time{start}
	if end, _, ok := moment(str(m["endDate"]), loc); ok {
		if d.length = end.Sub(start); d.length <= 0 && !dateOnly {
			d.length = 0
			d.note(NoteEnd)
		}
	}
	return nil
}

// moments are the spellings of ISO 8601 that occur; those without a zone are local.
var moments = []string{
	time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05.999Z0700", "2006-01-02T15:04Z0700",
	"2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04",
}

// moment reads an instant or a date in loc; the result is in loc.
func moment(s string, loc *time.Location) (t time.Time, dateOnly, ok bool) {
	for _, layout := range moments {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return t.In(loc), false, true
		}
	}
	if t, err := time.ParseInLocation("2006-01-02", s, loc); err == nil {
		return t, true, true
	}
	return time.Time{}, false, false
}

// schemaOrgStock reads offers into ticket types. Without a price: free if the
// event says so, else the default.
func (in *input) schemaOrgStock(d *draft, m map[string]any) error {
	e := &d.event
	var offers []map[string]any
	for _, v := range list(m["offers"]) {
		if o := obj(v); o != nil {
			offers = append(offers, o)
			for _, inner := range list(o["offers"]) { // of an AggregateOffer
				if io := obj(inner); io != nil {
					offers = append(offers, io)
				}
			}
		}
	}
	for _, o := range offers {
		spec := obj(o["priceSpecification"])
		if e.Currency = strings.ToUpper(cmp.Or(str(o["priceCurrency"]), str(spec["priceCurrency"]))); e.Currency != "" {
			break
		}
	}
	e.Currency = cmp.Or(e.Currency, in.currencyFor(d.file), currencyOf(e.Venue.Country))
	if e.Currency == "" {
		return errors.New("no currency")
	}
	tiers, err := offerTiers(offers, e.Currency)
	if err != nil {
		return err
	}
	if len(tiers) == 0 {
		if free, _ := m["isAccessibleForFree"].(bool); free {
			tiers = []tier{{"Free admission", money.Money{Currency: e.Currency}}}
		} else if tiers, err = assumedPrice(d); err != nil {
			return err
		}
	}
	capacity := cmp.Or(count(m["maximumAttendeeCapacity"]), inventory(offers), e.Venue.Capacity)
	if capacity == 0 {
		capacity = DefaultCapacity
		d.note(NoteCapacity)
	}
	generalAdmission(e, min(capacity, maxCapacity), tiers)
	return nil
}

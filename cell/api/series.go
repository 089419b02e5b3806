package api

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/walltime"
	"guichet/internal/httpd"
)

// seriesPatience is how long a request goes on with the occurrences of a series.
// The cell makes the rest by itself.
const seriesPatience = 6 * time.Second

func (s *Server) createSeries(c *gin.Context) error {
	org, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	if err := s.inRegionOf(org, c.Query("home_region")); err != nil {
		return err
	}
	var in client.NewSeries
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	draft, err := seriesOf(in)
	if err != nil {
		return err
	}
	key, leave, err := s.claim(c, true, org.String(), body)
	if err != nil {
		return err
	}
	defer leave()
	audit.Of(c.Request.Context()).Changed(nil, object{"name": in.Name, "rule": in.Rule, "occurrences": len(in.Occurrences), "publish": in.Publish})
	ctx, cancel := context.WithTimeout(c.Request.Context(), seriesPatience)
	defer cancel()
	made, replayed, err := s.Booking.CreateSeries(ctx, org, draft, *key)
	if err != nil {
		return err
	}
	if replayed {
		c.Header(httpd.HeaderReplayed, "true")
	}
	c.JSON(201, s.seriesView(made))
	return nil
}

func seriesOf(in client.NewSeries) (booking.DraftSeries, error) {
	if in.Template.Publish {
		return booking.DraftSeries{}, booking.ErrInvalidSeries.At("/template/publish", "is said of the series")
	}
	template, err := draftOf(in.Template)
	if err != nil {
		return booking.DraftSeries{}, booking.InTemplate(err)
	}
	d := booking.DraftSeries{Name: in.Name, Template: template, Dates: in.Occurrences, Rule: in.Rule, Publish: in.Publish}
	for _, slot := range in.TimeSlots {
		made := booking.Slot{Name: slot.Name, At: slot.At, Minutes: slot.Minutes}
		for _, q := range slot.Quotas {
			made.Sizes = append(made.Sizes, booking.DraftQuota{Name: q.Name, Size: q.Size})
		}
		d.Slots = append(d.Slots, made)
	}
	return d, nil
}

func (s *Server) seriesView(v booking.Series) client.Series {
	return client.Series{
		ID: v.ID.String(), OrganizerID: v.Organizer.String(), Name: v.Name, State: string(v.State), Total: v.Total, Made: v.Made,
		Home: client.Home{Cell: s.Cell.String(), Region: s.Region}, CreatedAt: v.CreatedAt.UTC(),
	}
}

// shownSeries is the series in the path, and whether its organizer asks. A series
// that was never published is his alone.
func (s *Server) shownSeries(c *gin.Context) (series booking.Series, own bool, err error) {
	sid, err := id.ParseSeries(c.Param("series_id"))
	if err != nil {
		return series, false, err
	}
	if series, err = s.Booking.Store.Series(c.Request.Context(), sid); err != nil {
		return series, false, err
	}
	own = callerOf(c).owns(series.Organizer)
	public := series.Publish || series.State == booking.SeriesPublishing || series.State == booking.SeriesPublished
	if !own && !public {
		return series, false, booking.ErrSeriesNotFound
	}
	return series, own, nil
}

func (s *Server) getSeries(c *gin.Context) error {
	series, _, err := s.shownSeries(c)
	if err != nil {
		return err
	}
	return show(c, s.seriesView(series))
}

func (s *Server) publishSeries(c *gin.Context) error {
	sid, err := id.ParseSeries(c.Param("series_id"))
	if err != nil {
		return err
	}
	org := callerOf(c).organizer
	ctx, cancel := context.WithTimeout(c.Request.Context(), seriesPatience)
	defer cancel()
	series, err := s.Booking.PublishSeries(ctx, org, sid)
	if err != nil {
		return err
	}
	c.JSON(200, s.seriesView(series))
	return nil
}

// endOfTime is after every occurrence (booking.Validate).
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *Server) listOccurrences(c *gin.Context) error {
	series, own, err := s.shownSeries(c)
	if err != nil {
		return err
	}
	limit, err := pageLimit(c)
	if err != nil {
		return err
	}
	zone := series.Draft.Template.TimeZone
	from, err := timeParam(c, "from", zone, time.Unix(0, 0).UTC())
	if err != nil {
		return err
	}
	to, err := timeParam(c, "to", zone, endOfTime)
	if err != nil {
		return err
	}
	after := booking.Place{At: from}
	if text := c.Query("cursor"); text != "" {
		if after, err = readPlace(text); err != nil || after.At.Before(from) {
			return errCursor.With("the cursor is not from this list")
		}
	}
	events, err := s.Booking.Store.Occurrences(c.Request.Context(), series.ID, after, to, own, limit+1)
	if err != nil {
		return err
	}
	page := Page[client.Occurrence]{Items: []client.Occurrence{}}
	if len(events) > limit {
		events = events[:limit]
		next := placeText(booking.Place{At: events[limit-1].StartsAt, Event: events[limit-1].ID.String()})
		page.NextCursor = &next
	}
	for i := range events {
		page.Items = append(page.Items, occurrenceView(&events[i]))
	}
	return show(c, page)
}

func occurrenceView(e *booking.Event) client.Occurrence {
	v := client.Occurrence{
		ID: e.ID.String(), Name: e.Name, StartsAt: inZone(e.StartsAt, e.TimeZone), Slot: e.Slot, State: e.ShownState(),
		PriceFrom: e.PriceFrom(), Availability: client.None,
	}
	if e.EndsAt != nil {
		end := inZone(*e.EndsAt, e.TimeZone)
		v.EndsAt = &end
	}
	if e.State == booking.Published {
		v.Availability = client.Availability(e.OverallAvailability())
	}
	return v
}

// timeParam reads a date, which begins at midnight in the zone, or a time.
func timeParam(c *gin.Context, name, zone string, unsaid time.Time) (time.Time, error) {
	text := c.Query(name)
	if text == "" {
		return unsaid, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil && at.UTC().Year() >= 1 && at.UTC().Year() <= 9999 {
		return at, nil
	}
	if loc, err := time.LoadLocation(zone); err == nil { // it is in a database, perhaps by older rules
		if at, err := time.ParseInLocation(time.DateOnly, text, loc); err == nil && at.Year() >= 1 {
			return walltime.StartOfDay(at.Add(12 * time.Hour)), nil // noon is on that date, also when its midnight is skipped
		}
	}
	return unsaid, errParameter.With("%s must be a date or an RFC 3339 time", name).Field("parameter", name)
}

// placeText and readPlace are the cursor of a list of occurrences.
func placeText(p booking.Place) string {
	return base64.RawURLEncoding.EncodeToString([]byte(p.At.UTC().Format(time.RFC3339Nano) + " " + p.Event))
}

func readPlace(text string) (p booking.Place, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return p, err
	}
	at, event, _ := strings.Cut(string(raw), " ")
	if p.At, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return p, err
	}
	e, err := id.ParseEvent(event)
	p.Event = e.String()
	return p, err
}

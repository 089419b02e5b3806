package api

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/httpd"
)

// putSeating lays a seating plan out for a draft. It has a limit of its own: a
// real house's plan is larger than any other body.
func (s *Server) putSeating(c *gin.Context) error {
	var in client.Seating
	return s.revise(c, revision{in: &in, needVersion: true, decode: httpd.DecodePlan, act: func(e *booking.Event, _ time.Time) error {
		d, err := seatingOf("", in)
		if err != nil {
			return err
		}
		return e.LaySeats("", *d)
	}})
}

// seatingOf is a plan in the domain's words. at is where it stands in the body.
func seatingOf(at string, in client.Seating) (*booking.DraftSeating, error) {
	d := &booking.DraftSeating{
		Plan: booking.DraftPlan{Name: in.Plan.Name}, Accessible: seatIDs(in.Accessible), House: seatIDs(in.House),
		AllowGaps: in.AllowGaps, TellApart: in.TellApart,
	}
	if in.Plan.Size != nil {
		d.Plan.Size = booking.Point{X: in.Plan.Size.Width, Y: in.Plan.Size.Height}
	}
	if in.Focus != nil {
		d.Focus = new(pointOf(*in.Focus))
	}
	for _, c := range in.Categories {
		d.Categories = append(d.Categories, booking.DraftSeatCategory{Category: c.Category, Types: c.TicketTypes})
	}
	for _, c := range in.Companions {
		d.Companions = append(d.Companions, booking.DraftCompanion{Seat: booking.SeatID(c.SeatID), With: booking.SeatID(c.With)})
	}
	for _, c := range in.Plan.Categories {
		d.Plan.Categories = append(d.Plan.Categories, booking.PlanCategory{Name: c.Name, Color: c.Color})
	}
	var drawn []client.PlanArea
	for i, z := range in.Plan.Zones {
		d.Plan.Zones = append(d.Plan.Zones, zoneOf(z))
		for j, a := range z.Areas {
			if err := drawable(fmt.Sprintf("%s/plan/zones/%d/areas/%d", at, i, j), a); err != nil {
				return nil, err
			}
			a.Position.X, a.Position.Y = a.Position.X+z.Position.X, a.Position.Y+z.Position.Y
			drawn = append(drawn, a)
		}
	}
	if len(drawn) == 0 {
		return d, nil
	}
	text, err := json.Marshal(drawn)
	if err != nil {
		return nil, booking.ErrInvalidEvent.At(at+"/plan/zones", "the areas cannot be drawn")
	}
	d.Plan.Drawing = text
	return d, nil
}

func zoneOf(z client.PlanZone) booking.PlanZone {
	out := booking.PlanZone{Name: z.Name, At: pointOf(z.Position)}
	for _, r := range z.Rows {
		row := booking.PlanRow{Name: r.Number, At: pointOf(r.Position)}
		for _, s := range r.Seats {
			row.Seats = append(row.Seats, booking.PlanSeat{ID: booking.SeatID(s.GUID), Number: s.Number, At: pointOf(s.Position), Category: s.Category})
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// drawable keeps what a page writes into its style and its text small and plain.
func drawable(at string, a client.PlanArea) error {
	for _, c := range []string{a.Color, a.BorderColor} {
		if !booking.Colour(c) {
			return booking.ErrInvalidEvent.At(at, "colours must be like #F44336")
		}
	}
	if a.Text != nil && (!booking.Colour(a.Text.Color) || len(a.Text.Text) > 4*booking.MaxSeatText) {
		return booking.ErrInvalidEvent.At(at+"/text", "must be a label of at most %d bytes with a colour like #F44336", 4*booking.MaxSeatText)
	}
	return nil
}

func pointOf(p client.PlanPoint) booking.Point { return booking.Point{X: p.X, Y: p.Y} }

func seatIDs(texts []string) []booking.SeatID {
	if len(texts) == 0 {
		return nil
	}
	out := make([]booking.SeatID, len(texts))
	for i, t := range texts {
		out[i] = booking.SeatID(t)
	}
	return out
}

func seatTexts(seats []booking.HeldSeat) (ids []string, views []client.Seat) {
	for _, s := range seats {
		ids = append(ids, string(s.ID))
		views = append(views, seatView(s))
	}
	return ids, views
}

func seatView(s booking.HeldSeat) client.Seat {
	return client.Seat{ID: string(s.ID), Section: s.Section, Row: s.Row, Number: s.Number}
}

func (s *Server) killSeats(c *gin.Context) error {
	var in client.KillSeats
	return s.staffSeats(c, &in, func() booking.SeatOrder { return booking.Kill(seatIDs(in.SeatIDs), in.Killed) })
}

func (s *Server) houseSeats(c *gin.Context) error {
	var in client.HouseSeats
	return s.staffSeats(c, &in, func() booking.SeatOrder { return booking.KeepForHouse(seatIDs(in.SeatIDs), in.Held) })
}

// staffSeats does at the event's desk what an organizer's staff want with seats.
func (s *Server) staffSeats(c *gin.Context, in any, order func() booking.SeatOrder) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	org := callerOf(c).organizer
	body, err := httpd.DecodeJSON(c, in)
	if err != nil {
		return err
	}
	key, leave, err := s.claim(c, false, org.String(), body)
	if err != nil {
		return err
	}
	defer leave()
	audit.Of(c.Request.Context()).Changed(nil, in)
	op, err := s.Booking.StaffOnce(c.Request.Context(), event, org, order(), key, func(changed int64) (int, []byte, error) {
		answer, err := json.Marshal(client.SeatsChanged{Changed: changed})
		return http.StatusOK, answer, err
	})
	if err != nil {
		return err
	}
	sendOp(c, op)
	return nil
}

// getSeats answers the plan with where each seat stands. One that was made less
// than seatMapAge ago is sent again, with its Age; If-None-Match saves the body.
func (s *Server) getSeats(c *gin.Context) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	e, whole, err := s.visible(c, event)
	if err != nil {
		return err
	}
	if !e.Seated {
		return booking.ErrNoSeating.With("the event has no seating plan")
	}
	m, age, err := s.maps.get(seatMapKey{e.ID, e.Version, whole}, s.Now(), func() (seatMap, error) {
		read, err := s.SeatMaps.SeatMap(c.Request.Context(), e.ID)
		if err != nil {
			return seatMap{}, err
		}
		return renderSeats(e, read, whole)
	})
	if err != nil {
		return err
	}
	c.Header("ETag", m.etag)
	c.Header("Age", strconv.Itoa(int(age.Seconds())))
	mayKeep(c)
	if known := httpd.NoneMatch(c.Request, m.etag); known != "" {
		c.Header("ETag", known)
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return nil
	}
	c.Data(http.StatusOK, "application/json", m.body)
	return nil
}

// renderSeats writes the map once for all who ask within its life. Who keeps a
// seat back, and what hidden types sell it, is the organizer's business.
func renderSeats(e booking.Event, m booking.SeatMap, whole bool) (seatMap, error) {
	v := client.SeatMap{
		EventID: e.ID.String(), Name: m.Plan.Name, AsOf: m.At, AllowGaps: e.AllowGaps,
		Categories: []client.SeatMapCategory{}, Sections: []client.SeatMapSection{},
	}
	if m.Plan.Size != (booking.Point{}) {
		v.Size = &client.PlanSize{Width: m.Plan.Size.X, Height: m.Plan.Size.Y}
	}
	if len(m.Plan.Drawing) > 0 {
		if err := json.Unmarshal(m.Plan.Drawing, &v.Areas); err != nil {
			return seatMap{}, fmt.Errorf("read drawing: %s", err.Error()) // our own row
		}
	}
	index := map[string]int64{}
	for i, c := range m.Plan.Categories {
		index[c.Name] = int64(i)
		view := client.SeatMapCategory{Name: c.Name, Color: c.Color, TicketTypeIDs: []string{}}
		for i := range e.Types {
			if t := &e.Types[i]; slices.Contains(t.Categories, c.Name) && shown(t, whole, nil) {
				view.TicketTypeIDs = append(view.TicketTypeIDs, t.ID.String())
			}
		}
		v.Categories = append(v.Categories, view)
	}
	rowNo := int64(0)
	for i := range m.Plan.Seats {
		seat := &m.Plan.Seats[i]
		if n := len(v.Sections); n == 0 || v.Sections[n-1].Name != seat.Section {
			v.Sections = append(v.Sections, client.SeatMapSection{Name: seat.Section})
		}
		section := &v.Sections[len(v.Sections)-1]
		if len(section.Rows) == 0 || rowNo != seat.RowNo {
			section.Rows, rowNo = append(section.Rows, client.SeatMapRow{Row: seat.Row}), seat.RowNo
		}
		addSeat(&section.Rows[len(section.Rows)-1], seat, index[seat.Category], whole)
	}
	body, err := json.Marshal(v)
	if err != nil {
		return seatMap{}, fmt.Errorf("write seats: %w", err)
	}
	return seatMap{body: body, etag: fmt.Sprintf(`"%d-%d-%t"`, m.Version, m.Stock, whole)}, nil
}

// kindLetters are those of client.SeatMapRow.
var kindLetters = map[booking.SeatKind]string{booking.SeatStandard: "s", booking.SeatAccessible: "a", booking.SeatCompanion: "c"}

func addSeat(r *client.SeatMapRow, seat *booking.Seat, category int64, whole bool) {
	r.SeatIDs, r.Numbers = append(r.SeatIDs, string(seat.ID)), append(r.Numbers, seat.Number)
	r.X, r.Y = append(r.X, hundredths(seat.X)), append(r.Y, hundredths(seat.Y))
	r.Categories = append(r.Categories, category)
	r.Kinds += kindLetters[seat.Kind]
	r.Status += statusLetter(seat.State, whole)
	if seat.With != "" {
		if r.With == nil {
			r.With = map[string]string{}
		}
		r.With[string(seat.ID)] = string(seat.With)
	}
}

func statusLetter(state booking.SeatState, whole bool) string {
	switch state {
	case booking.SeatFree:
		return "f"
	case booking.SeatHeld:
		return "h"
	case booking.SeatSold:
		return "s"
	case booking.SeatHouse:
		if whole {
			return "r"
		}
	case booking.SeatKilled:
	}
	return "k"
}

// hundredths is as fine as anybody draws.
func hundredths(x float64) float64 { return math.Round(x*100) / 100 }

// Limits of the maps that are kept.
const (
	seatMapAge = time.Second
	maxMaps    = 64
)

type seatMapKey struct {
	event   id.Event
	version int64
	whole   bool
}

// seatMap is a map as it is sent.
type seatMap struct {
	body []byte
	etag string
}

// seatMaps keeps each event's map for seatMapAge: on an on-sale morning thousands
// ask for the same one, and one of them reads it.
type seatMaps struct {
	mu   sync.Mutex
	made map[seatMapKey]*madeMap
}

type madeMap struct {
	at    time.Time
	ready sync.Once
	seatMap
	err error
}

// get answers the map that is kept, or has it made while the others wait.
func (m *seatMaps) get(key seatMapKey, now time.Time, read func() (seatMap, error)) (seatMap, time.Duration, error) {
	m.mu.Lock()
	if m.made == nil || len(m.made) >= maxMaps {
		m.made = map[seatMapKey]*madeMap{}
	}
	k := m.made[key]
	if k == nil || now.Sub(k.at) >= seatMapAge {
		k = &madeMap{at: now}
		m.made[key] = k
	}
	m.mu.Unlock()
	k.ready.Do(func() { k.seatMap, k.err = read() })
	if k.err != nil {
		m.forget(key, k)
	}
	return k.seatMap, max(0, now.Sub(k.at)), k.err
}

// forget drops a map that could not be made, so that the next one tries again.
func (m *seatMaps) forget(key seatMapKey, k *madeMap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made[key] == k {
		delete(m.made, key)
	}
}

// seatLine adds what a line of a hold says of seats.
func seatLine(at string, item newHoldItem, line booking.Line) (booking.Line, error) {
	line.Seats, line.Section, line.Accessible = seatIDs(item.SeatIDs), item.Section, item.Accessible
	if len(line.Seats) > 0 {
		if item.Quantity != 0 && item.Quantity != int64(len(line.Seats)) {
			return line, booking.ErrQuantity.At(at+"/quantity", "does not fit the %d seats", len(line.Seats))
		}
		line.Quantity = int64(len(line.Seats))
	}
	return line, nil
}

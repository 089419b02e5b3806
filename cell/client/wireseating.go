package client

import (
	"bytes"
	"encoding/json"
	"time"
)

// Seat is a seat as a ticket names it.
type Seat struct {
	ID      string `json:"seat_id"`
	Section string `json:"section,omitempty"`
	Row     string `json:"row,omitempty"`
	Number  string `json:"number,omitempty"`
}

// Seating is a seating plan with what a sale needs to know of it.
type Seating struct {
	Plan       SeatingPlan    `json:"plan"` // in the layout of pretix's seating plans
	Categories []SeatCategory `json:"categories"`
	Accessible []string       `json:"accessible,omitempty"` // ids of wheelchair places
	Companions []Companion    `json:"companions,omitempty"`
	House      []string       `json:"house,omitempty"` // ids of seats set aside from the start
	AllowGaps  bool           `json:"allow_gaps,omitempty"`
	TellApart  bool           `json:"tell_apart,omitempty"` // number rows and seats that bear the same name or id
	Focus      *PlanPoint     `json:"focus,omitempty"`      // what people look at
}

// SeatCategory says which ticket types, by name or id, sell a category's seats.
type SeatCategory struct {
	Category    string   `json:"category"`
	TicketTypes []string `json:"ticket_types"`
}

// Companion is the seat beside a wheelchair place.
type Companion struct {
	SeatID string `json:"seat_id"`
	With   string `json:"with"`
}

// PlanPoint is a place on a plan, or relative to what it is in.
type PlanPoint struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// PlanSize of a plan.
type PlanSize struct {
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// SeatingPlan is the plan of a place.
type SeatingPlan struct {
	Name       string         `json:"name"`
	Categories []PlanCategory `json:"categories"`
	Zones      []PlanZone     `json:"zones"`
	Size       *PlanSize      `json:"size,omitempty"`
}

// PlanCategory is a sort of seats.
type PlanCategory struct {
	Name  string `json:"name"`
	Color string `json:"color,omitempty"`
}

// PlanZone is a section.
type PlanZone struct {
	Name      string     `json:"name,omitempty"`
	ZoneID    string     `json:"zone_id,omitempty"`
	UUID      string     `json:"uuid,omitempty"`
	Displayed *bool      `json:"displayed,omitempty"`
	Position  PlanPoint  `json:"position"`
	Rows      []PlanRow  `json:"rows"`
	Areas     []PlanArea `json:"areas,omitempty"`
}

// PlanRow is a row; its seats come in their order.
type PlanRow struct {
	Number         string     `json:"row_number"`
	NumberPosition *string    `json:"row_number_position,omitempty"`
	Label          *string    `json:"row_label,omitempty"`
	UUID           string     `json:"uuid,omitempty"`
	Position       PlanPoint  `json:"position"`
	Seats          []PlanSeat `json:"seats"`
	SeatCount      *int64     `json:"number_of_seats,omitempty"`
	Spacing        *float64   `json:"seats_spacing,omitempty"`
}

// PlanSeat is a seat.
type PlanSeat struct {
	Number   string    `json:"seat_number"`
	Label    *string   `json:"seat_label,omitempty"`
	GUID     string    `json:"seat_guid"`
	UUID     string    `json:"uuid,omitempty"`
	Position PlanPoint `json:"position"`
	Category string    `json:"category"`
	Radius   *float64  `json:"radius,omitempty"`
}

// PlanArea is drawn beside the seats: a stage, a door, a label.
type PlanArea struct {
	Shape       string      `json:"shape,omitempty"`
	Color       string      `json:"color,omitempty"`
	BorderColor string      `json:"border_color,omitempty"`
	Rotation    float64     `json:"rotation,omitempty"`
	UUID        string      `json:"uuid,omitempty"`
	Position    PlanPoint   `json:"position"`
	Width       float64     `json:"width,omitempty"`
	Height      float64     `json:"height,omitempty"`
	Rectangle   *PlanSize   `json:"rectangle,omitempty"`
	Circle      *PlanCircle `json:"circle,omitempty"`
	Ellipse     *PlanRadii  `json:"ellipse,omitempty"`
	Polygon     *PlanShape  `json:"polygon,omitempty"`
	Text        *PlanText   `json:"text,omitempty"`
}

// PlanCircle by its radius.
type PlanCircle struct {
	Radius float64 `json:"radius"`
}

// PlanRadii of an ellipse.
type PlanRadii struct {
	Radius PlanPoint `json:"radius"`
}

// PlanShape by its corners.
type PlanShape struct {
	Points []PlanPoint `json:"points"`
}

// PlanText is a label. Older plans give the text alone.
type PlanText struct {
	Position PlanPoint `json:"position" in:"optional"`
	Color    string    `json:"color,omitempty"`
	Size     float64   `json:"size,omitempty"`
	Text     string    `json:"text"`
}

// FromText is the older form.
func (t *PlanText) FromText(text string) { *t = PlanText{Text: text} }

// UnmarshalJSON reads a label in either form.
func (t *PlanText) UnmarshalJSON(b []byte) error {
	*t = PlanText{}
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &t.Text)
	}
	type plain PlanText
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(t))
}

// SeatMap is an event's plan with where each seat stands. Seats come row by row,
// each of a row's lists in the order of its seats.
type SeatMap struct {
	EventID    string            `json:"event_id"`
	Name       string            `json:"name,omitempty"`
	Size       *PlanSize         `json:"size,omitempty"`
	AsOf       time.Time         `json:"as_of"` // by the database's clock
	AllowGaps  bool              `json:"allow_gaps"`
	Categories []SeatMapCategory `json:"categories"`
	Sections   []SeatMapSection  `json:"sections"`
	Areas      []PlanArea        `json:"areas,omitempty"`
}

// SeatMapCategory is a sort of seats and what sells it.
type SeatMapCategory struct {
	Name          string   `json:"name"`
	Color         string   `json:"color,omitempty"`
	TicketTypeIDs []string `json:"ticket_type_ids"`
}

// SeatMapSection is a section of the plan.
type SeatMapSection struct {
	Name string       `json:"name"`
	Rows []SeatMapRow `json:"rows"`
}

// SeatMapRow is a row. Kinds and Status have one letter a seat. Kinds: s standard,
// a accessible, c companion. Status: f free, h held, s sold, k not for sale; the
// organizer sees r for the seats of those that the house keeps.
type SeatMapRow struct {
	Row        string            `json:"row"`
	SeatIDs    []string          `json:"seat_ids"`
	Numbers    []string          `json:"numbers"`
	X          []float64         `json:"x"`
	Y          []float64         `json:"y"`
	Categories []int64           `json:"categories"` // places in the map's categories
	Kinds      string            `json:"kinds"`
	Status     string            `json:"status"`
	With       map[string]string `json:"with,omitempty"` // a companion's seat → its accessible seat
}

// KillSeats takes seats out of the sale, or brings them back.
type KillSeats struct {
	SeatIDs []string `json:"seat_ids"`
	Killed  bool     `json:"killed"`
}

// HouseSeats sets seats aside for the house, or releases them.
type HouseSeats struct {
	SeatIDs []string `json:"seat_ids"`
	Held    bool     `json:"held"`
}

// SeatsChanged answers both.
type SeatsChanged struct {
	Changed int64 `json:"changed"` // seats that were not so before
}

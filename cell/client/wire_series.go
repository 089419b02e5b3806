package client

import (
	"time"

	"guichet/cell/money"
)

// NewSeries makes events from one template. Say either occurrences or a rule. With
// time slots each of their dates, by the template's time zone, has all slots.
type NewSeries struct {
	Name string `json:"name"`
	// Template is each occurrence but for its times. starts_at is where a rule begins;
	// together with ends_at it says how long an occurrence lasts. Without a name it is the series'.
	Template    NewEvent    `json:"template" in:"spare=name+starts_at"`
	Occurrences []time.Time `json:"occurrences,omitempty"`
	// Rule is an RRULE of RFC 5545 with FREQ (DAILY to YEARLY), INTERVAL, COUNT or UNTIL, BYDAY, BYMONTHDAY, BYMONTH, WKST.
	Rule      string     `json:"rule,omitempty"`
	TimeSlots []TimeSlot `json:"time_slots,omitempty"`
	Publish   bool       `json:"publish,omitempty"` // publish at once
}

// TimeSlot is a short occurrence of each day.
type TimeSlot struct {
	Name    string     `json:"name"`
	At      string     `json:"at"`                // HH:MM on the wall
	Minutes int64      `json:"minutes,omitempty"` // default: as long as the template
	Quotas  []NewQuota `json:"quotas,omitempty"`  // other sizes than the template's, by name
}

// Series is a container of occurrences.
type Series struct {
	ID          string    `json:"id"`
	OrganizerID string    `json:"organizer_id"`
	Name        string    `json:"name"`
	State       string    `json:"state"` // making, draft, publishing or published
	Total       int64     `json:"total"` // occurrences it will have
	Made        int64     `json:"made"`  // occurrences it has
	Home        Home      `json:"home"`
	CreatedAt   time.Time `json:"created_at"`
}

// Occurrence is one event of a series; GET /v1/events/{id} says the rest.
type Occurrence struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	StartsAt     time.Time    `json:"starts_at"`
	EndsAt       *time.Time   `json:"ends_at"`
	Slot         string       `json:"slot,omitempty"`
	State        string       `json:"state"`
	PriceFrom    *money.Money `json:"price_from"`
	Availability Availability `json:"availability"`
}

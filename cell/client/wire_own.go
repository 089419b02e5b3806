package client

import "time"

// OwnEvent is an event as its organizer sees it in a list.
type OwnEvent struct {
	Event
	UpdatedAt time.Time `json:"updated_at"` // of its description, its parts or its state; not of what is sold
}

// OwnEvents is a page of an organizer's events, of all cells that could be asked.
type OwnEvents struct {
	Items       []OwnEvent `json:"items"`
	NextCursor  *string    `json:"next_cursor"`
	Cells       []string   `json:"cells"`       // that were asked
	Unreachable []string   `json:"unreachable"` // cells that could not be asked: what they have is not known
}

// OwnSeries is a series as its organizer sees it in a list.
type OwnSeries struct {
	Series
	UpdatedAt time.Time `json:"updated_at"`
}

// OwnSeriesList is a page of an organizer's series, as OwnEvents.
type OwnSeriesList struct {
	Items       []OwnSeries `json:"items"`
	NextCursor  *string     `json:"next_cursor"`
	Cells       []string    `json:"cells"`
	Unreachable []string    `json:"unreachable"`
}

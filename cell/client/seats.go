package client

import (
	"context"
	"net/http"
)

// Seats is the event's seating plan with where each seat stands.
func (c *Client) Seats(ctx context.Context, eventID string) (SeatMap, Meta, error) {
	var out SeatMap
	m, err := c.do(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/seats"}, &out)
	return out, m, err
}

// LaySeats lays a seating plan out for a draft; ifMatch is its ETag.
func (c *Client) LaySeats(ctx context.Context, eventID, ifMatch string, plan Seating) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodPut, path: eventPath(eventID) + "/seating", body: plan, ifMatch: ifMatch}, &out)
	return out, m, err
}

// KillSeats takes seats out of the sale, or brings them back.
func (c *Client) KillSeats(ctx context.Context, eventID string, seats KillSeats, idempotencyKey string) (SeatsChanged, Meta, error) {
	var out SeatsChanged
	m, err := c.do(ctx, call{method: http.MethodPost, path: eventPath(eventID) + "/seats/kills", body: seats, key: idempotencyKey}, &out)
	return out, m, err
}

// KeepSeats sets seats aside for the house, or releases them.
func (c *Client) KeepSeats(ctx context.Context, eventID string, seats HouseSeats, idempotencyKey string) (SeatsChanged, Meta, error) {
	var out SeatsChanged
	m, err := c.do(ctx, call{method: http.MethodPost, path: eventPath(eventID) + "/seats/house", body: seats, key: idempotencyKey}, &out)
	return out, m, err
}

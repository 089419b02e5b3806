package client

import (
	"context"
	"net/http"
	"net/url"
)

func allocationPath(eventID, allocationID string) string {
	return eventPath(eventID) + "/allocations/" + url.PathEscape(allocationID)
}

// Allocate sets stock of a quota aside.
func (c *Client) Allocate(ctx context.Context, eventID string, a NewAllocation, idempotencyKey string) (Allocation, Meta, error) {
	var out Allocation
	m, err := c.do(ctx, call{method: http.MethodPost, path: eventPath(eventID) + "/allocations", body: a, key: idempotencyKey}, &out)
	return out, m, err
}

// Allocation is one allocation with the holds made from it.
func (c *Client) Allocation(ctx context.Context, eventID, allocationID string) (AllocationDetail, Meta, error) {
	var out AllocationDetail
	m, err := c.do(ctx, call{method: http.MethodGet, path: allocationPath(eventID, allocationID)}, &out)
	return out, m, err
}

// ReleaseAllocation gives part of an allocation back to the public.
func (c *Client) ReleaseAllocation(ctx context.Context, eventID, allocationID string, quantity int64, idempotencyKey string) (Allocation, Meta, error) {
	var out Allocation
	body := ReleaseAllocation{Quantity: quantity}
	m, err := c.do(ctx, call{method: http.MethodPost, path: allocationPath(eventID, allocationID) + "/release", body: body, key: idempotencyKey}, &out)
	return out, m, err
}

// CloseAllocation gives the rest of an allocation back, for good.
func (c *Client) CloseAllocation(ctx context.Context, eventID, allocationID string) (Meta, error) {
	return c.do(ctx, call{method: http.MethodDelete, path: allocationPath(eventID, allocationID)}, nil)
}

// HoldAllocated turns part of an allocation into a hold for a named buyer.
func (c *Client) HoldAllocated(ctx context.Context, eventID, allocationID string, h NewNamedHold, idempotencyKey string) (NamedHold, Meta, error) {
	var out NamedHold
	m, err := c.do(ctx, call{method: http.MethodPost, path: allocationPath(eventID, allocationID) + "/holds", body: h, key: idempotencyKey}, &out)
	return out, m, err
}

// CreateSeries makes a series of events; call it again with the same key until
// the state is not making, or let the cell go on by itself.
func (c *Client) CreateSeries(ctx context.Context, organizerID, homeRegion string, series NewSeries, idempotencyKey string) (Series, Meta, error) {
	var out Series
	path := "/v1/organizers/" + url.PathEscape(organizerID) + "/series"
	m, err := c.do(ctx, call{method: http.MethodPost, path: path, query: regionQuery(homeRegion), body: series, key: idempotencyKey}, &out)
	return out, m, err
}

// Series is a series with how far it is.
func (c *Client) Series(ctx context.Context, seriesID string) (Series, Meta, error) {
	var out Series
	m, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/series/" + url.PathEscape(seriesID)}, &out)
	return out, m, err
}

// PublishSeries puts all occurrences before the public.
func (c *Client) PublishSeries(ctx context.Context, seriesID string) (Series, Meta, error) {
	var out Series
	m, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/series/" + url.PathEscape(seriesID) + "/publish"}, &out)
	return out, m, err
}

// Occurrences is a page of a series' occurrences; query is from, to, cursor and limit.
func (c *Client) Occurrences(ctx context.Context, seriesID string, query url.Values) (items []Occurrence, next string, m Meta, err error) {
	var out struct {
		Items      []Occurrence `json:"items"`
		NextCursor *string      `json:"next_cursor"`
	}
	m, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/series/" + url.PathEscape(seriesID) + "/occurrences", query: query}, &out)
	if out.NextCursor != nil {
		next = *out.NextCursor
	}
	return out.Items, next, m, err
}

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

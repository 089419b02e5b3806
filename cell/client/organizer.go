package client

import (
	"context"
	"net/http"
	"net/url"

	"guichet/cell/money"
	"guichet/control-plane/topology"
)

// NewRefund asks for money back; without an amount all that there is. A buyer's amount
// is what he was shown that all of it is.
type NewRefund struct {
	Amount *money.Money `json:"amount,omitempty"`
	Items  []RefundItem `json:"items,omitempty"` // single tickets at their price, instead of an amount
	Reason string       `json:"reason,omitempty"`
}

// RefundList is a page of an order's refunds.
type RefundList struct {
	Items      []Refund `json:"items"`
	NextCursor *string  `json:"next_cursor"`
}

// Refunds lists what of an order was given back, oldest first.
func (c *Client) Refunds(ctx context.Context, orderID string) (RefundList, Meta, error) {
	var out RefundList
	m, err := c.do(ctx, call{method: http.MethodGet, path: orderPath(orderID) + "/refunds"}, &out)
	return out, m, err
}

// CreateOrganizer makes an account at a cell of the region. Operators only.
func (c *Client) CreateOrganizer(ctx context.Context, homeRegion, name, idempotencyKey string) (Organizer, Meta, error) {
	var out Organizer
	body := map[string]string{"name": name}
	m, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/organizers", query: regionQuery(homeRegion), body: body, key: idempotencyKey}, &out)
	return out, m, err
}

// CreateEvent drafts an event (or publishes it at once, see NewEvent.Publish) at
// a cell of homeRegion; "" means the organizer's own region.
func (c *Client) CreateEvent(ctx context.Context, organizerID, homeRegion string, event NewEvent, idempotencyKey string) (Event, Meta, error) {
	var out Event
	path := "/v1/organizers/" + url.PathEscape(organizerID) + "/events"
	m, err := c.do(ctx, call{method: http.MethodPost, path: path, query: regionQuery(homeRegion), body: event, key: idempotencyKey}, &out)
	return out, m, err
}

// PublishEvent puts a draft before the public; ifMatch is the draft's ETag.
func (c *Client) PublishEvent(ctx context.Context, eventID, ifMatch, idempotencyKey string) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodPost, path: eventPath(eventID) + "/publish", key: idempotencyKey, ifMatch: ifMatch}, &out)
	return out, m, err
}

// PatchEvent changes a draft or published event; ifMatch is its ETag.
func (c *Client) PatchEvent(ctx context.Context, eventID, ifMatch string, change PatchEvent) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodPatch, path: eventPath(eventID), body: change, ifMatch: ifMatch}, &out)
	return out, m, err
}

// CancelEvent cancels an event; ifMatch is its ETag.
func (c *Client) CancelEvent(ctx context.Context, eventID, ifMatch, idempotencyKey string) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodPost, path: eventPath(eventID) + "/cancel", key: idempotencyKey, ifMatch: ifMatch}, &out)
	return out, m, err
}

// PutCode makes a promo or access code, or changes one.
func (c *Client) PutCode(ctx context.Context, eventID, code string, as NewCode) (Code, Meta, error) {
	var out Code
	m, err := c.do(ctx, call{method: http.MethodPut, path: eventPath(eventID) + "/codes/" + url.PathEscape(code), body: as}, &out)
	return out, m, err
}

// Codes is one page of an event's codes; cursor is "" for the first.
func (c *Client) Codes(ctx context.Context, eventID, cursor string) (codes []Code, next string, m Meta, err error) {
	var out struct {
		Items      []Code  `json:"items"`
		NextCursor *string `json:"next_cursor"`
	}
	var query url.Values
	if cursor != "" {
		query = url.Values{"cursor": {cursor}}
	}
	m, err = c.do(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/codes", query: query}, &out)
	if out.NextCursor != nil {
		next = *out.NextCursor
	}
	return out.Items, next, m, err
}

// Stats are the counters of an event.
func (c *Client) Stats(ctx context.Context, eventID string) (Stats, Meta, error) {
	var out Stats
	m, err := c.do(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/stats"}, &out)
	return out, m, err
}

// AttendeesCSV is the list of attendees.
func (c *Client) AttendeesCSV(ctx context.Context, eventID string) ([]byte, Meta, error) {
	return c.raw(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/attendees.csv"})
}

// Ledger is the event's inventory ledger, one JSON document a line.
func (c *Client) Ledger(ctx context.Context, eventID string) ([]byte, Meta, error) {
	return c.raw(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/ledger"})
}

// RefundOrder gives money back.
func (c *Client) RefundOrder(ctx context.Context, orderID string, refund NewRefund, idempotencyKey string) (Order, Meta, error) {
	var out Order
	m, err := c.do(ctx, call{method: http.MethodPost, path: orderPath(orderID) + "/refunds", body: refund, key: idempotencyKey}, &out)
	return out, m, err
}

// Regions are the places an organizer can choose as home.
func (c *Client) Regions(ctx context.Context) ([]Region, Meta, error) {
	var out struct {
		Items []Region `json:"items"`
	}
	m, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/regions"}, &out)
	return out.Items, m, err
}

// Topology is the snapshot a router or cell works with.
func (c *Client) Topology(ctx context.Context) (*topology.Snapshot, Meta, error) {
	var out topology.Snapshot
	m, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/topology"}, &out)
	return &out, m, err
}

func regionQuery(region string) url.Values {
	if region == "" {
		return nil
	}
	return url.Values{"home_region": {region}}
}

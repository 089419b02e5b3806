package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Query is a search. Zero values are not sent.
type Query struct {
	Text     string
	Near     *Location
	RadiusKM float64
	From, To time.Time
	Category string
	Country  string // ISO 3166-1 alpha-2
	City     string
	PriceMax int64    // minor units of Currency, which it needs
	Currency string   // ISO 4217
	Sort     string   // relevance, date or distance
	Facets   []string // category, city
	Cursor   string
	Limit    int

	Occurrences bool // each event of a series by itself; otherwise the soonest stands for it
}

func (q Query) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("q", q.Text)
	if q.Near != nil {
		set("near", near(q.Near.Lat, q.Near.Lon))
	}
	if q.RadiusKM > 0 {
		set("radius_km", strconv.FormatFloat(q.RadiusKM, 'f', -1, 64))
	}
	if !q.From.IsZero() {
		set("from", q.From.Format(time.RFC3339))
	}
	if !q.To.IsZero() {
		set("to", q.To.Format(time.RFC3339))
	}
	set("category", q.Category)
	set("country", q.Country)
	set("city", q.City)
	if q.PriceMax > 0 {
		set("price_max", strconv.FormatInt(q.PriceMax, 10))
	}
	set("currency", q.Currency)
	if q.Occurrences {
		set("occurrences", "true")
	}
	set("sort", q.Sort)
	set("facets", strings.Join(q.Facets, ","))
	set("cursor", q.Cursor)
	if q.Limit > 0 {
		set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// Search finds published events of the whole world at the nearest cell.
func (c *Client) Search(ctx context.Context, q Query) (Listings, Meta, error) {
	var out Listings
	m, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/events", query: q.values()}, &out)
	return out, m, err
}

// Suggest completes what was typed.
func (c *Client) Suggest(ctx context.Context, text string) (Suggestions, Meta, error) {
	var out Suggestions
	m, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/events/suggest", query: url.Values{"q": {text}}}, &out)
	return out, m, err
}

// Event is one event with what can be bought; Meta.ETag is its version.
func (c *Client) Event(ctx context.Context, eventID string) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodGet, path: eventPath(eventID)}, &out)
	return out, m, err
}

// EventOpened is Event with the hidden ticket types that an access code opens.
func (c *Client) EventOpened(ctx context.Context, eventID, accessCode string) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodGet, path: eventPath(eventID), query: url.Values{"access_code": {accessCode}}}, &out)
	return out, m, err
}

// CreateHold keeps tickets aside at the event's home.
func (c *Client) CreateHold(ctx context.Context, eventID string, want NewHold, idempotencyKey string) (Hold, Meta, error) {
	var out Hold
	m, err := c.do(ctx, call{method: http.MethodPost, path: eventPath(eventID) + "/holds", body: want, key: idempotencyKey}, &out)
	c.keepHold(out)
	return out, m, err
}

// GetHold reads a hold.
func (c *Client) GetHold(ctx context.Context, holdID string) (Hold, Meta, error) {
	var out Hold
	m, err := c.do(ctx, call{method: http.MethodGet, path: holdPath(holdID)}, &out)
	return out, m, err
}

// ExtendHold asks for more time, which is capped.
func (c *Client) ExtendHold(ctx context.Context, holdID, idempotencyKey string) (Hold, Meta, error) {
	var out Hold
	m, err := c.do(ctx, call{method: http.MethodPost, path: holdPath(holdID) + "/extend", key: idempotencyKey}, &out)
	return out, m, err
}

// ReleaseHold gives the stock back; repeating it is harmless.
func (c *Client) ReleaseHold(ctx context.Context, holdID string) (Meta, error) {
	return c.do(ctx, call{method: http.MethodDelete, path: holdPath(holdID)}, nil)
}

// CreateOrder turns a hold into an order, with what the buyer's browser needs to pay.
func (c *Client) CreateOrder(ctx context.Context, order NewOrder, idempotencyKey string) (Order, Meta, error) {
	var out Order
	m, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/orders", body: order, key: idempotencyKey}, &out)
	c.keepOrder(out)
	return out, m, err
}

// GetOrder reads an order.
func (c *Client) GetOrder(ctx context.Context, orderID string) (Order, Meta, error) {
	var out Order
	m, err := c.do(ctx, call{method: http.MethodGet, path: orderPath(orderID)}, &out)
	c.keepOrder(out)
	return out, m, err
}

// CancelOrder cancels an order.
func (c *Client) CancelOrder(ctx context.Context, orderID, idempotencyKey string) (Order, Meta, error) {
	var out Order
	m, err := c.do(ctx, call{method: http.MethodPost, path: orderPath(orderID) + "/cancel", key: idempotencyKey}, &out)
	return out, m, err
}

// Tickets are the tickets of an order.
func (c *Client) Tickets(ctx context.Context, orderID string) ([]Ticket, Meta, error) {
	var out struct {
		Items []Ticket `json:"items"`
	}
	m, err := c.do(ctx, call{method: http.MethodGet, path: orderPath(orderID) + "/tickets"}, &out)
	c.keepTickets(out.Items)
	return out.Items, m, err
}

// Ticket reads one ticket.
func (c *Client) Ticket(ctx context.Context, ticketID string) (Ticket, Meta, error) {
	var out Ticket
	m, err := c.do(ctx, call{method: http.MethodGet, path: ticketPath(ticketID)}, &out)
	return out, m, err
}

// TicketPDF is the ticket as a page to print.
func (c *Client) TicketPDF(ctx context.Context, ticketID string) ([]byte, Meta, error) {
	return c.raw(ctx, call{method: http.MethodGet, path: ticketPath(ticketID) + ".pdf"})
}

// TicketPNG is the ticket's barcode as a picture.
func (c *Client) TicketPNG(ctx context.Context, ticketID string) ([]byte, Meta, error) {
	return c.raw(ctx, call{method: http.MethodGet, path: ticketPath(ticketID) + ".png"})
}

// TicketKeys are the public keys with which a gate verifies barcodes offline.
func (c *Client) TicketKeys(ctx context.Context) (JWKSet, Meta, error) {
	var out JWKSet
	m, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/keys/tickets"}, &out)
	return out, m, err
}

// Revocations is the page of an event's revoked barcodes behind a cursor, "" for
// the first.
func (c *Client) Revocations(ctx context.Context, eventID, cursor string) (Revocations, Meta, error) {
	var out Revocations
	path := eventPath(eventID) + "/revocations"
	if cursor != "" {
		path += "?cursor=" + url.QueryEscape(cursor)
	}
	m, err := c.do(ctx, call{method: http.MethodGet, path: path}, &out)
	return out, m, err
}

func eventPath(id string) string  { return "/v1/events/" + url.PathEscape(id) }
func holdPath(id string) string   { return "/v1/holds/" + url.PathEscape(id) }
func orderPath(id string) string  { return "/v1/orders/" + url.PathEscape(id) }
func ticketPath(id string) string { return "/v1/tickets/" + url.PathEscape(id) }

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// OwnQuery chooses what an organizer has. Zero values are not sent.
type OwnQuery struct {
	Text         string    // a part of the name
	State        string    // draft, published, canceled or rescheduled; of a series making, draft, publishing or published
	From, To     time.Time // of the start, of a series of its making; To is not included
	UpdatedSince time.Time // changed then or later, in the order of changes
	Cursor       string
	Limit        int
	Here         bool // only what is at home in the cell that answers
}

func (q OwnQuery) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("q", q.Text)
	set("state", q.State)
	for name, at := range map[string]time.Time{"from": q.From, "to": q.To, "updated_since": q.UpdatedSince} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	set("cursor", q.Cursor)
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Here {
		v.Set("here", "true")
	}
	return v
}

// OwnEvents is a page of an organizer's events, drafts included, of all cells.
func (c *Client) OwnEvents(ctx context.Context, organizerID string, q OwnQuery) (OwnEvents, Meta, error) {
	var out OwnEvents
	m, err := c.do(ctx, call{method: http.MethodGet, path: organizerPath(organizerID) + "/events", query: q.values()}, &out)
	return out, m, err
}

// OwnSeries is a page of an organizer's series of all cells.
func (c *Client) OwnSeries(ctx context.Context, organizerID string, q OwnQuery) (OwnSeriesList, Meta, error) {
	var out OwnSeriesList
	m, err := c.do(ctx, call{method: http.MethodGet, path: organizerPath(organizerID) + "/series", query: q.values()}, &out)
	return out, m, err
}

// OrderQuery chooses orders of an event. Zero values are not sent.
type OrderQuery struct {
	Find         string // an order's code, or the mail address of its buyer
	State        string // pending, paid, expired or canceled
	UpdatedSince time.Time
	Cursor       string
	Limit        int
}

// Orders is a page of an event's orders, newest first; next is "" after the last. With a
// filter a page may be short, or empty, and not be the last.
func (c *Client) Orders(ctx context.Context, eventID string, q OrderQuery) (orders []Order, next string, m Meta, err error) {
	var out struct {
		Items      []Order `json:"items"`
		NextCursor *string `json:"next_cursor"`
	}
	query := OwnQuery{Text: q.Find, State: q.State, UpdatedSince: q.UpdatedSince, Cursor: q.Cursor, Limit: q.Limit}.values()
	m, err = c.do(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/orders", query: query}, &out)
	if out.NextCursor != nil {
		next = *out.NextCursor
	}
	return out.Items, next, m, err
}

// AddQuota gives an event another quota, its last; ifMatch is its ETag, or "" for any version.
func (c *Client) AddQuota(ctx context.Context, eventID, ifMatch string, quota NewQuota, idempotencyKey string) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodPost, path: eventPath(eventID) + "/quotas", body: quota, ifMatch: ifMatch, key: idempotencyKey}, &out)
	return out, m, err
}

// AddTicketType gives an event another ticket type, its last.
func (c *Client) AddTicketType(ctx context.Context, eventID, ifMatch string, as NewTicketType, idempotencyKey string) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodPost, path: eventPath(eventID) + "/ticket_types", body: as, ifMatch: ifMatch, key: idempotencyKey}, &out)
	return out, m, err
}

// RemoveQuota takes away a quota that is not in use.
func (c *Client) RemoveQuota(ctx context.Context, eventID, quotaID, ifMatch string) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodDelete, path: eventPath(eventID) + "/quotas/" + url.PathEscape(quotaID), ifMatch: ifMatch}, &out)
	return out, m, err
}

// RemoveTicketType takes away a ticket type that was never ordered.
func (c *Client) RemoveTicketType(ctx context.Context, eventID, ticketTypeID, ifMatch string) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodDelete, path: eventPath(eventID) + "/ticket_types/" + url.PathEscape(ticketTypeID), ifMatch: ifMatch}, &out)
	return out, m, err
}

// RemoveCode takes away a code with which no ticket is held or sold.
func (c *Client) RemoveCode(ctx context.Context, eventID, code string) (Meta, error) {
	return c.do(ctx, call{method: http.MethodDelete, path: eventPath(eventID) + "/codes/" + url.PathEscape(code)}, nil)
}

// UnpublishEvent makes an event a draft again of which nothing was ordered or is held.
func (c *Client) UnpublishEvent(ctx context.Context, eventID, ifMatch, idempotencyKey string) (Event, Meta, error) {
	var out Event
	m, err := c.do(ctx, call{method: http.MethodPost, path: eventPath(eventID) + "/unpublish", ifMatch: ifMatch, key: idempotencyKey}, &out)
	return out, m, err
}

// WriteAttendees writes the list of attendees, of any size. With an error what was
// written is not the whole list. Only ctx bounds how long it takes.
func (c *Client) WriteAttendees(ctx context.Context, eventID string, to io.Writer) (Meta, error) {
	return c.write(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/attendees.csv"}, to)
}

// WriteLedger writes the event's inventory ledger, as WriteAttendees.
func (c *Client) WriteLedger(ctx context.Context, eventID string, to io.Writer) (Meta, error) {
	return c.write(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/ledger"}, to)
}

// write sends the call and writes a 2xx body as it comes.
func (c *Client) write(ctx context.Context, k call, to io.Writer) (Meta, error) {
	if c.baseErr != nil {
		return Meta{}, c.baseErr
	}
	req, err := c.request(ctx, k)
	if err != nil {
		return Meta{}, err
	}
	start := time.Now() //nolint:forbidigo // how long a call took is measured here; nothing is decided by it
	resp, err := c.http.Do(req)
	if err != nil {
		return Meta{Elapsed: time.Since(start)}, fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		data, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer))
		meta := metaOf(resp, time.Since(start))
		return meta, errors.Join(problemOf(k, resp, data, meta), err)
	}
	_, err = io.Copy(to, resp.Body)
	meta := metaOf(resp, time.Since(start))
	if err != nil {
		return meta, fmt.Errorf("%s %s: the answer broke off: %w", k.method, k.path, err)
	}
	return meta, nil
}

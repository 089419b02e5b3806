package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AuditQuery chooses entries of the audit log; empty means any.
type AuditQuery struct {
	Cell                        string // whose log, for operators; default: the nearest
	OrganizerID, EventID, Actor string
	From, To                    time.Time
	Cursor                      string
	Limit                       int
}

// AuditPage is a page of the audit log, newest first.
type AuditPage struct {
	Items      []AuditEntry `json:"items"`
	NextCursor *string      `json:"next_cursor"`
}

// Audit reads the audit log: an organizer's own, which needs audit:read, or without an
// organizer all of a cell's, for operators.
func (c *Client) Audit(ctx context.Context, own bool, q AuditQuery) (AuditPage, Meta, error) {
	query := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	path := "/v1/audit"
	if own {
		path = "/v1/organizers/" + url.PathEscape(q.OrganizerID) + "/audit"
	} else {
		set("organizer_id", q.OrganizerID)
		set("cell", q.Cell)
	}
	set("event_id", q.EventID)
	set("actor", q.Actor)
	set("cursor", q.Cursor)
	for name, at := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339))
		}
	}
	var out AuditPage
	m, err := c.do(ctx, call{method: http.MethodGet, path: path, query: query}, &out)
	return out, m, err
}

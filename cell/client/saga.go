package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Saga is one run of a flow.
type Saga struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Version   string     `json:"version"`
	EventID   string     `json:"event_id"`
	Status    string     `json:"status"` // running, succeeded, failed
	State     string     `json:"state"`  // where it stands
	Error     string     `json:"error"`  // the last one's name, "" when there was none since
	Cause     string     `json:"cause"`
	StartedAt time.Time  `json:"started_at"`
	WakeAt    *time.Time `json:"wake_at"`
	EndedAt   *time.Time `json:"ended_at"`
}

// SagaDetail is a saga with its log.
type SagaDetail struct {
	Saga
	Steps []SagaStep `json:"steps"`
}

// SagaStep is something that was asked of the outside.
type SagaStep struct {
	Key        string     `json:"key"`
	State      string     `json:"state"`
	Tries      int64      `json:"tries"`
	Result     string     `json:"result"` // JSON as it is kept, "" until there is one
	Error      string     `json:"error"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// SagaPage is a page of sagas, newest first.
type SagaPage struct {
	Items      []Saga  `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

// Sagas lists sagas of a cell, "" for the one that is asked or nearest; empty filters
// are any. Operators only.
func (c *Client) Sagas(ctx context.Context, cell, status, name, event, cursor string, limit int) (SagaPage, Meta, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	for key, value := range map[string]string{"cell": cell, "status": status, "name": name, "event_id": event, "cursor": cursor} {
		if value != "" {
			q.Set(key, value)
		}
	}
	var out SagaPage
	m, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/sagas", query: q}, &out)
	return out, m, err
}

// Saga reads one with its log, at a cell or, with "", where its id leads. Operators only.
func (c *Client) Saga(ctx context.Context, cell, id string) (SagaDetail, Meta, error) {
	var out SagaDetail
	m, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/sagas/" + url.PathEscape(id), query: atCell(cell)}, &out)
	return out, m, err
}

// RetrySaga lets one that failed go on. Operators only.
func (c *Client) RetrySaga(ctx context.Context, cell, id string) (SagaDetail, Meta, error) {
	var out SagaDetail
	m, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/sagas/" + url.PathEscape(id) + "/retry", query: atCell(cell)}, &out)
	return out, m, err
}

// atCell names a cell to the router, if it is said.
func atCell(cell string) url.Values {
	if cell == "" {
		return nil
	}
	return url.Values{"cell": {cell}}
}

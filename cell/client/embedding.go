package client

import (
	"context"
	"net/http"
)

// Embedding is on whose pages the shop of an organizer's events may be shown in a frame.
// Origins are like https://www.example.org, 20 at most; none allows none.
type Embedding struct {
	Origins []string `json:"origins"`
}

// Embedding reads an organizer's origins at his home cell, or at a cell of homeRegion.
func (c *Client) Embedding(ctx context.Context, organizerID, homeRegion string) (Embedding, Meta, error) {
	var out Embedding
	m, err := c.do(ctx, call{method: http.MethodGet, path: organizerPath(organizerID) + "/embedding", query: regionQuery(homeRegion)}, &out)
	return out, m, err
}

// PutEmbedding replaces them for his events with their homes there. A wrong one is refused
// with invalid_origin, and then nothing changes.
func (c *Client) PutEmbedding(ctx context.Context, organizerID, homeRegion string, e Embedding) (Embedding, Meta, error) {
	var out Embedding
	m, err := c.do(ctx, call{method: http.MethodPut, path: organizerPath(organizerID) + "/embedding", query: regionQuery(homeRegion), body: e}, &out)
	return out, m, err
}

// EventEmbedding reads on whose pages an event's shop may be shown, at the event's home.
func (c *Client) EventEmbedding(ctx context.Context, eventID string) (Embedding, Meta, error) {
	var out Embedding
	m, err := c.do(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/embedding"}, &out)
	return out, m, err
}

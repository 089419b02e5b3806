package client

import (
	"context"
	"net/http"
)

// TransferTicket gives a ticket to another person. Its id and barcode die.
func (c *Client) TransferTicket(ctx context.Context, ticketID string, transfer NewTransfer, idempotencyKey string) (Transfer, Meta, error) {
	var out Transfer
	m, err := c.do(ctx, call{method: http.MethodPost, path: ticketPath(ticketID) + "/transfer", body: transfer, key: idempotencyKey}, &out)
	return out, m, err
}

// TransferPolicy reads whether tickets of an event may be given on.
func (c *Client) TransferPolicy(ctx context.Context, eventID string) (TransferPolicy, Meta, error) {
	var out TransferPolicy
	m, err := c.do(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/transfer_policy"}, &out)
	return out, m, err
}

// PutTransferPolicy says whether tickets of an event may be given on.
func (c *Client) PutTransferPolicy(ctx context.Context, eventID string, policy TransferPolicy) (TransferPolicy, Meta, error) {
	var out TransferPolicy
	m, err := c.do(ctx, call{method: http.MethodPut, path: eventPath(eventID) + "/transfer_policy", body: policy}, &out)
	return out, m, err
}

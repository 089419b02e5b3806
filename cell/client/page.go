package client

import (
	"context"
	"net/http"
)

// OrderForm is what an event asks of its buyers, and who sells.
func (c *Client) OrderForm(ctx context.Context, eventID string) (OrderForm, Meta, error) {
	var out OrderForm
	m, err := c.do(ctx, call{method: http.MethodGet, path: eventPath(eventID) + "/order_form"}, &out)
	return out, m, err
}

// FindTickets asks the cell that answers to mail an address a link to its tickets.
func (c *Client) FindTickets(ctx context.Context, want FindTickets) (Meta, error) {
	return c.do(ctx, call{method: http.MethodPost, path: "/v1/tickets/find", body: want}, nil)
}

// FoundTickets are the orders that the bearer, the token of a mailed search, opens.
func (c *Client) FoundTickets(ctx context.Context) (Found, Meta, error) {
	var out Found
	m, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/tickets/found"}, &out)
	return out, m, err
}

// TicketICS is the ticket's date for a calendar.
func (c *Client) TicketICS(ctx context.Context, ticketID string) ([]byte, Meta, error) {
	return c.raw(ctx, call{method: http.MethodGet, path: ticketPath(ticketID) + ".ics"})
}

// TicketPass is the ticket for Apple's wallet, where keys are configured.
func (c *Client) TicketPass(ctx context.Context, ticketID string) ([]byte, Meta, error) {
	return c.raw(ctx, call{method: http.MethodGet, path: ticketPath(ticketID) + ".pkpass"})
}

// InvoicePDF is the invoice of a paid order.
func (c *Client) InvoicePDF(ctx context.Context, orderID string) ([]byte, Meta, error) {
	return c.raw(ctx, call{method: http.MethodGet, path: orderPath(orderID) + "/invoice.pdf"})
}

// ResendOrder mails the order's tickets to its buyer again.
func (c *Client) ResendOrder(ctx context.Context, orderID string) (Meta, error) {
	return c.do(ctx, call{method: http.MethodPost, path: orderPath(orderID) + "/resend"}, nil)
}

package client

import (
	"context"
	"net/http"
	"net/url"
)

// Payouts is an organizer's statement at his home cell, or at a cell of homeRegion.
func (c *Client) Payouts(ctx context.Context, organizerID, homeRegion string) (Payouts, Meta, error) {
	var out Payouts
	m, err := c.do(ctx, call{method: http.MethodGet, path: organizerPath(organizerID) + "/payouts", query: regionQuery(homeRegion)}, &out)
	return out, m, err
}

// SetPaymentAccount says where an organizer's share goes at that cell.
func (c *Client) SetPaymentAccount(ctx context.Context, organizerID, homeRegion, stripeAccount string) (PaymentAccount, Meta, error) {
	var out PaymentAccount
	body := NewPaymentAccount{StripeAccount: &stripeAccount}
	m, err := c.do(ctx, call{method: http.MethodPut, path: organizerPath(organizerID) + "/payment_account", query: regionQuery(homeRegion), body: body}, &out)
	return out, m, err
}

// ReplayNotices lets stored notices of the payment provider have their effect again,
// at the cell. Operators only. The second value is the cursor of the next call, "" at
// the end.
func (c *Client) ReplayNotices(ctx context.Context, cell string, what NewReplay) ([]Replayed, string, Meta, error) {
	var out struct {
		Items []Replayed `json:"items"`
		Next  *string    `json:"next_cursor"`
	}
	m, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/payments/notices/replay", query: url.Values{"cell": {cell}}, body: what}, &out)
	if out.Next == nil {
		return out.Items, "", m, err
	}
	return out.Items, *out.Next, m, err
}

func organizerPath(id string) string { return "/v1/organizers/" + url.PathEscape(id) }

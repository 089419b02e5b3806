package client

import (
	"context"
	"net/http"
	"net/url"
)

// SignInPlace says where people sign in.
func (c *Client) SignInPlace(ctx context.Context) (p SignInPlace, meta Meta, err error) {
	meta, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/sign_in"}, &p)
	return p, meta, err
}

// OpenSession turns an ID token of the device flow into a Person token.
func (c *Client) OpenSession(ctx context.Context, idToken string) (s Session, meta Meta, err error) {
	meta, err = c.do(ctx, call{method: http.MethodPost, path: "/v1/sessions", body: NewSession{IDToken: idToken}}, &s)
	return s, meta, err
}

// CloseSession ends the session of the Person token that the client carries.
func (c *Client) CloseSession(ctx context.Context) (Meta, error) {
	return c.do(ctx, call{method: http.MethodDelete, path: "/v1/sessions"}, nil)
}

// Me is who the client's Person token names.
func (c *Client) Me(ctx context.Context) (p Person, meta Meta, err error) {
	meta, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/me"}, &p)
	return p, meta, err
}

// MyTickets are those of the person whose token the client carries; here asks the one
// cell alone that answers.
func (c *Client) MyTickets(ctx context.Context, here bool) (out MyTickets, meta Meta, err error) {
	k := call{method: http.MethodGet, path: "/v1/me/tickets"}
	if here {
		k.query = url.Values{"here": {"true"}}
	}
	meta, err = c.do(ctx, k, &out)
	return out, meta, err
}

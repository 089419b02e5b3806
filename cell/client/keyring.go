package client

import (
	"strings"
	"sync"
)

// MaxTokens is how many access tokens a keyring remembers; the oldest go first.
const MaxTokens = 10_000

// Keyring remembers the access tokens that answers brought, by the id that each admits
// to, so that who made a hold can extend it and order from it without carrying its
// token by hand. It is
// shared by the copies of a client, and by clients that are made with the same one.
type Keyring struct {
	mu     sync.Mutex
	tokens map[string]string
	order  []string // ids, oldest first
}

func (k *Keyring) put(id, token string) {
	if id == "" || token == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tokens == nil {
		k.tokens = map[string]string{}
	}
	if _, known := k.tokens[id]; !known {
		if len(k.order) == MaxTokens {
			delete(k.tokens, k.order[0])
			k.order = k.order[1:]
		}
		k.order = append(k.order, id)
	}
	k.tokens[id] = token
}

func (k *Keyring) get(id string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tokens[id]
}

// WithKeyring shares what another client remembers.
func WithKeyring(k *Keyring) Option { return func(c *Client) { c.keys = k } }

// Token is what admits to an id, "" when no answer brought it.
func (k *Keyring) Token(id string) string { return k.get(id) }

// Admit gives the client a token that came another way, by a mail for example.
func (c *Client) Admit(id, accessToken string) { c.keys.put(id, accessToken) }

// Token is the access token that the client remembers for an id, "" for none.
func (c *Client) Token(id string) string { return c.keys.get(id) }

// keepHold, keepOrder and keepTickets remember what an answer brought.
func (c *Client) keepHold(h Hold) { c.keys.put(h.ID, h.AccessToken) }

func (c *Client) keepOrder(o Order) {
	c.keys.put(o.ID, o.AccessToken)
	c.keepTickets(o.Tickets)
}

func (c *Client) keepTickets(tickets []Ticket) {
	for _, t := range tickets {
		c.keys.put(t.ID, t.AccessToken)
	}
}

// tokenFor is the remembered token for what a call is about: the id in its path, or the
// hold that a new order names.
func (c *Client) tokenFor(k call) string {
	if order, ok := k.body.(NewOrder); ok {
		return c.keys.get(order.HoldID)
	}
	for _, kind := range []string{"/v1/holds/", "/v1/orders/", "/v1/tickets/"} {
		if rest, ok := strings.CutPrefix(k.path, kind); ok {
			id, _, _ := strings.Cut(rest, "/")
			id, _, _ = strings.Cut(id, ".")
			return c.keys.get(id)
		}
	}
	return ""
}

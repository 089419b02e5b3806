package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of the client: no answer and no wait is unbounded.
const (
	MaxAnswer      = 8 << 20          // bytes of a body that are read
	DefaultTimeout = 15 * time.Second // of one call, when the context has no earlier deadline
	maxIdlePerHost = 64               // so that a parallel import reuses its connections
)

// Headers of the contract.
const (
	HeaderIdempotencyKey = "Idempotency-Key"
	HeaderReplayed       = "Idempotent-Replayed"
	HeaderNear           = "X-Guichet-Near"
	HeaderCell           = "X-Guichet-Cell"
	HeaderRoute          = "X-Guichet-Route"
	HeaderRequestID      = "X-Request-Id"
)

// ErrAnswerTooLarge is returned for a body over MaxAnswer.
var ErrAnswerTooLarge = errors.New("the answer is larger than this client reads")

// Client calls a router or a cell. It is safe for concurrent use; As and At
// give changed copies, so that one connection pool serves many identities.
type Client struct {
	base    string
	baseErr error
	http    *http.Client
	bearer  string
	staff   bool // the bearer is meant for everything
	near    string
	timeout time.Duration
	keys    *Keyring
}

// Option changes a client while it is made.
type Option func(*Client)

// WithBearer sends the credential of an organizer or operator with every call.
func WithBearer(token string) Option { return func(c *Client) { c.bearer = token } }

// WithNear says where the caller is, for routers that trust it (towns, tests).
func WithNear(lat, lon float64) Option { return func(c *Client) { c.near = near(lat, lon) } }

// WithHTTP uses another HTTP client, whose own timeout then applies as well.
func WithHTTP(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithTimeout bounds each call; zero leaves that to the contexts.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// New makes a client for a base URL such as "http://localhost:8080". A base
// that is no URL is reported by the first call.
func New(baseURL string, opts ...Option) *Client {
	c := &Client{base: strings.TrimRight(baseURL, "/"), timeout: DefaultTimeout, keys: &Keyring{}}
	if u, err := url.Parse(baseURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		c.baseErr = fmt.Errorf("%.100q is not an http or https URL", baseURL)
	}
	for _, opt := range opts {
		opt(c)
	}
	if c.http == nil {
		t := &http.Transport{}
		if d, ok := http.DefaultTransport.(*http.Transport); ok { // it may have been replaced
			t = d.Clone()
		}
		t.MaxIdleConnsPerHost = maxIdlePerHost
		c.http = &http.Client{Transport: t}
	}
	return c
}

// As is the same client with another bearer, which it sends with every call: what the
// client remembers of holds and orders is not used.
func (c *Client) As(bearer string) *Client {
	other := *c
	other.bearer, other.staff = bearer, bearer != ""
	return &other
}

// At is the same client at another place.
func (c *Client) At(lat, lon float64) *Client {
	other := *c
	other.near = near(lat, lon)
	return &other
}

func near(lat, lon float64) string {
	return strconv.FormatFloat(lat, 'f', -1, 64) + "," + strconv.FormatFloat(lon, 'f', -1, 64)
}

// Meta is what an answer says about itself: who gave it, why, how fast.
type Meta struct {
	Status    int
	Cell      string // X-Guichet-Cell
	Route     string // X-Guichet-Route: nearest, home, moved or forced
	RequestID string
	ETag      string // as sent, for If-Match
	Replayed  bool   // the answer to an earlier request with the same key
	Elapsed   time.Duration
}

// call is one request on its way.
type call struct {
	method  string
	path    string
	query   url.Values
	body    any
	key     string
	ifMatch string
}

// do sends the call and decodes a 2xx body into out (nil discards it).
func (c *Client) do(ctx context.Context, k call, out any) (Meta, error) {
	data, meta, err := c.raw(ctx, k)
	if err != nil || out == nil || len(data) == 0 {
		return meta, err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return meta, fmt.Errorf("%s %s: the answer is not the JSON expected: %w", k.method, k.path, err)
	}
	return meta, nil
}

// raw sends the call and gives the bytes of a 2xx body; anything else is a
// *ProblemError.
func (c *Client) raw(ctx context.Context, k call) ([]byte, Meta, error) {
	if c.baseErr != nil {
		return nil, Meta{}, c.baseErr
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	req, err := c.request(ctx, k)
	if err != nil {
		return nil, Meta{}, err
	}
	start := time.Now() //nolint:forbidigo // how long a call took is measured here; nothing is decided by it
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, Meta{Elapsed: time.Since(start)}, fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	meta := metaOf(resp, time.Since(start))
	if err != nil {
		return nil, meta, fmt.Errorf("%s %s: read the answer: %w", k.method, k.path, err)
	}
	if len(data) > MaxAnswer {
		return nil, meta, fmt.Errorf("%s %s: %w", k.method, k.path, ErrAnswerTooLarge)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, meta, problemOf(k, resp, data, meta)
	}
	return data, meta, nil
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	target := c.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	var body io.Reader
	if k.body != nil {
		b, err := json.Marshal(k.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: encode the body: %w", k.method, k.path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if k.body != nil {
		set("Content-Type", "application/json")
	}
	if token := c.tokenFor(k); token != "" && !c.staff {
		set("Authorization", "Bearer "+token)
	} else if c.bearer != "" {
		set("Authorization", "Bearer "+c.bearer)
	}
	set(HeaderNear, c.near)
	set(HeaderIdempotencyKey, k.key)
	set("If-Match", k.ifMatch)
	return req, nil
}

func metaOf(resp *http.Response, elapsed time.Duration) Meta {
	h := resp.Header
	return Meta{
		Status:    resp.StatusCode,
		Cell:      h.Get(HeaderCell),
		Route:     h.Get(HeaderRoute),
		RequestID: h.Get(HeaderRequestID),
		ETag:      h.Get("ETag"),
		Replayed:  h.Get(HeaderReplayed) == "true",
		Elapsed:   elapsed,
	}
}

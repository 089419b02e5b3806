// Package oidc is the relying party of OpenID Connect: the adapter between
// identity.Issuer and one issuer on the network. It finds the issuer by discovery,
// keeps its metadata and keys while the issuer is away, and asks for them again in the
// background.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"guichet/cell/identity"
)

const (
	callDeadline  = 5 * time.Second // of one call to the issuer
	refreshEvery  = 10 * time.Minute
	firstRetry    = time.Second
	lastRetry     = 30 * time.Second
	comeBack      = 5 * time.Second
	maxAnswer     = 1 << 20 // bytes
	maxRedeeming  = 64      // codes being redeemed at once
	discoverEvery = time.Second
	discoverBurst = 3
)

// algorithms are those that a public key verifies. "none" and HMAC, which anybody could
// compute from a public key, are not among them, whatever the issuer announces.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// Config says which issuer, and who we are there.
type Config struct {
	Issuer       string // as it stands in the tokens
	ClientID     string
	ClientSecret string
	CLI          string // the client of the device flow
	RolesClaim   string // with dots for what lies inside: realm_access.roles
	SiteURL      string // where browsers reach our pages
	Now          func() time.Time
	Transport    http.RoundTripper // nil is the default
}

// Party is the relying party.
type Party struct {
	cfg      Config
	client   *http.Client
	keys     *keySet
	cell     *gooidc.IDTokenVerifier
	cli      *gooidc.IDTokenVerifier
	flight   singleflight.Group
	rate     *rate.Limiter
	redeemer chan struct{}

	mu   sync.RWMutex
	meta *metadata // nil until the issuer was reached once
}

var _ identity.Issuer = (*Party)(nil)

// metadata is what discovery says that we need.
type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	JWKS          string `json:"jwks_uri"`
	EndSession    string `json:"end_session_endpoint"`
}

// New makes a relying party. It asks nobody yet.
func New(cfg Config) *Party {
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport
	}
	p := &Party{
		cfg:      cfg,
		client:   &http.Client{Transport: bounded{cfg.Transport}, Timeout: callDeadline, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		rate:     rate.NewLimiter(rate.Every(discoverEvery), discoverBurst),
		redeemer: make(chan struct{}, maxRedeeming),
	}
	p.keys = newKeySet(p.fetchKeys)
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	verifier := func(client string) *gooidc.IDTokenVerifier {
		return gooidc.NewVerifier(cfg.Issuer, p.keys, &gooidc.Config{ClientID: client, SupportedSigningAlgs: names, Now: cfg.Now})
	}
	p.cell, p.cli = verifier(cfg.ClientID), verifier(cfg.CLI)
	return p
}

// Run keeps metadata and keys fresh until ctx ends.
func (p *Party) Run(ctx context.Context, report func(error)) {
	wait := firstRetry
	for {
		next := refreshEvery
		if err := p.discover(ctx); err != nil && ctx.Err() == nil {
			report(fmt.Errorf("ask the issuer: %w", err))
			next, wait = wait, min(2*wait, lastRetry)
		} else {
			wait = firstRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}

// Reached says whether the issuer was reached since the start.
func (p *Party) Reached() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.meta != nil
}

// ready is the issuer's metadata; when there is none yet, it asks, seldom.
func (p *Party) ready(ctx context.Context) (*metadata, error) {
	p.mu.RLock()
	m := p.meta
	p.mu.RUnlock()
	if m != nil {
		return m, nil
	}
	away := identity.ErrIssuerAway.With("the issuer at which people sign in cannot be reached; who is signed in stays signed in").After(comeBack)
	if !p.rate.Allow() {
		return nil, away
	}
	if err := p.discover(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", away, err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.meta, nil
}

// discover fetches metadata and keys. Whoever comes meanwhile waits for the same answer.
func (p *Party) discover(ctx context.Context) error {
	done := p.flight.DoChan("discover", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*callDeadline) // the others wait for it too
		defer cancel()
		provider, err := gooidc.NewProvider(gooidc.ClientContext(ctx, p.client), p.cfg.Issuer) // refuses another issuer's metadata
		if err != nil {
			return nil, err
		}
		var m metadata
		if err := provider.Claims(&m); err != nil {
			return nil, err
		}
		if m.Authorization == "" || m.Token == "" || m.JWKS == "" {
			return nil, errors.New("the issuer's metadata names no place to sign in")
		}
		keys, err := p.keysAt(ctx, m.JWKS)
		if err != nil {
			return nil, err
		}
		p.keys.mu.Lock()
		p.keys.keys = keys
		p.keys.mu.Unlock()
		p.mu.Lock()
		p.meta = &m
		p.mu.Unlock()
		return nil, nil //nolint:nilnil // there is nothing to answer
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-done:
		return got.Err
	}
}

// fetchKeys is called for a key that is not known.
func (p *Party) fetchKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	m, err := p.ready(ctx)
	if err != nil {
		return nil, err
	}
	return p.keysAt(ctx, m.JWKS)
}

func (p *Party) keysAt(ctx context.Context, where string) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer's keys: %s", resp.Status)
	}
	keys, err := parseKeys(body)
	if err == nil && len(keys) == 0 {
		err = errors.New("the issuer publishes no usable key")
	}
	return keys, err
}

func (p *Party) oauth(m *metadata) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, RedirectURL: p.cfg.SiteURL + "/account/callback", Scopes: []string{gooidc.ScopeOpenID, "email", "profile"},
		Endpoint: oauth2.Endpoint{AuthURL: m.Authorization, TokenURL: m.Token, AuthStyle: oauth2.AuthStyleInHeader},
	}
}

// SignInURL is identity.Issuer's.
func (p *Party) SignInURL(ctx context.Context, a identity.Attempt, acr string) (string, error) {
	m, err := p.ready(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{gooidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	if acr != "" {
		options = append(options, oauth2.SetAuthURLParam("acr_values", acr))
	}
	return p.oauth(m).AuthCodeURL(a.State, options...), nil
}

// SignOutURL is identity.Issuer's.
func (p *Party) SignOutURL(idToken string) string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.meta == nil || p.meta.EndSession == "" {
		return ""
	}
	u, err := url.Parse(p.meta.EndSession)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("client_id", p.cfg.ClientID)
	q.Set("post_logout_redirect_uri", p.cfg.SiteURL+"/account")
	if idToken != "" {
		q.Set("id_token_hint", idToken)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Accepts is identity.Issuer's.
func (p *Party) Accepts(issuer string) bool { return issuer == p.cfg.Issuer }

// bounded cuts off answers that are too long.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// away says whether an error means that the issuer could not be asked, rather than that
// it refused.
func away(err error) bool {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return refused.Response == nil || refused.Response.StatusCode >= http.StatusInternalServerError
	}
	_, network := errors.AsType[*url.Error](err)
	return network || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "server response missing access_token")
}

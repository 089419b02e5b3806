// Package issuer is the town's own small OpenID issuer: whoever asks to sign in chooses
// one of some demo people from a page, without a password. It is for towns on one
// machine and for tests, keeps everything in memory, and no program that serves knows
// it. Clients are guichet-cell (code and PKCE, back-channel logout) and guichet-cli
// (device flow).
package issuer

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

// The clients.
const (
	Cell = "guichet-cell"
	CLI  = "guichet-cli"
)

// Limits: what nobody finishes is forgotten, and a crowd of it pushes the oldest out.
const (
	requestLife    = 10 * time.Minute
	sessionLife    = 12 * time.Hour
	tokenLife      = 5 * time.Minute
	maxKept        = 10_000
	logoutPatience = 5 * time.Second
	keyBits        = 2048
)

// Config says whom the issuer serves.
type Config struct {
	URL          string // the issuer, where browsers and cells reach it
	SiteURL      string // of the client guichet-cell
	ClientSecret string // of the client guichet-cell
	People       []Person
	Now          func() time.Time
	PollInterval time.Duration // of the device flow; default 5 s, as in RFC 8628
}

// Issuer is the issuer.
type Issuer struct {
	cfg      Config
	provider *op.Provider
	client   *http.Client

	mu       sync.Mutex
	keys     []*key // the last one signs
	requests map[string]*request
	codes    map[string]string // code → id of the request
	devices  map[string]*device
	sessions map[string]session // by sid
	tokens   map[string]token   // access tokens
}

type session struct {
	subject string
	client  string
	until   time.Time
}

// New makes an issuer.
func New(cfg Config) (*Issuer, error) {
	if cfg.PollInterval == 0 {
		cfg.PollInterval = 5 * time.Second
	}
	if cfg.People == nil {
		cfg.People = Demo()
	}
	i := &Issuer{
		cfg: cfg, client: &http.Client{Timeout: logoutPatience},
		requests: map[string]*request{}, codes: map[string]string{}, devices: map[string]*device{}, sessions: map[string]session{}, tokens: map[string]token{},
	}
	if err := i.Rotate(); err != nil {
		return nil, err
	}
	config := &op.Config{
		DefaultLogoutRedirectURI: "/signed-out", CodeMethodS256: true, AuthMethodPost: true, SupportedUILocales: []language.Tag{language.English},
		SupportedClaims:            append([]string{"sid", "roles"}, op.DefaultSupportedClaims...),
		DeviceAuthorization:        op.DeviceAuthorizationConfig{Lifetime: requestLife, PollInterval: cfg.PollInterval, UserFormPath: "/device", UserCode: op.UserCodeBase20},
		BackChannelLogoutSupported: true, BackChannelLogoutSessionSupported: true,
	}
	_, _ = rand.Read(config.CryptoKey[:]) // never fails
	var err error
	if i.provider, err = op.NewProvider(config, storage{i}, op.StaticIssuer(cfg.URL), op.WithAllowInsecure()); err != nil {
		return nil, fmt.Errorf("make an issuer: %w", err)
	}
	return i, nil
}

// Handler serves the protocol and the pages.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", i.loginPage)
	mux.HandleFunc("POST /login", i.login)
	mux.HandleFunc("GET /device", i.devicePage)
	mux.HandleFunc("POST /device", i.allowDevice)
	mux.HandleFunc("GET /signed-out", func(w http.ResponseWriter, _ *http.Request) {
		show(w, http.StatusOK, page{Title: "You are signed out"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("/", i.provider)
	return http.NewCrossOriginProtection().Handler(mux)
}

// Rotate signs with a new key from now on. Only the new one is published, so that
// whoever keeps keys must ask again.
func (i *Issuer) Rotate() error {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys[:0:0], &key{id: rand.Text(), private: private})
	return nil
}

// Sign signs any claims with the present key: tests make tokens of it that the
// protocol would never give out.
func (i *Issuer) Sign(typ string, claims map[string]any) (string, error) {
	i.mu.Lock()
	k := i.keys[len(i.keys)-1]
	i.mu.Unlock()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.private, KeyID: k.id}}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(body)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// Public is the present key's public half and its id.
func (i *Issuer) Public() (*rsa.PublicKey, string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	k := i.keys[len(i.keys)-1]
	return &k.private.PublicKey, k.id
}

// LogOut ends all sessions of the person with an e-mail address and tells the client
// over the back channel.
func (i *Issuer) LogOut(ctx context.Context, email string) error {
	person, ok := i.person(func(p Person) bool { return p.Email == email })
	if !ok {
		return fmt.Errorf("nobody here has the address %s", email)
	}
	i.mu.Lock()
	var ended []string
	for sid, s := range i.sessions {
		if s.subject == person.Subject {
			ended = append(ended, sid)
		}
	}
	i.mu.Unlock()
	var faults []error
	for _, sid := range ended {
		faults = append(faults, i.end(ctx, sid))
	}
	return errors.Join(faults...)
}

// LogoutToken is the token that tells a client that a session has ended.
func (i *Issuer) LogoutToken(subject, sid string) (string, error) {
	now := i.cfg.Now()
	return i.Sign("logout+jwt", map[string]any{
		"iss": i.cfg.URL, "aud": Cell, "sub": subject, "sid": sid, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
}

// end ends a session and tells its client.
func (i *Issuer) end(ctx context.Context, sid string) error {
	i.mu.Lock()
	s, known := i.sessions[sid]
	delete(i.sessions, sid)
	i.mu.Unlock()
	if !known || s.client != Cell {
		return nil
	}
	token, err := i.LogoutToken(s.subject, sid)
	if err != nil {
		return err
	}
	body := url.Values{"logout_token": {token}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.cfg.SiteURL+"/account/backchannel-logout", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := i.client.Do(req)
	if err != nil {
		return fmt.Errorf("tell %s of a logout: %w", Cell, err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(said)))
	}
	return err
}

// person finds one of the people.
func (i *Issuer) person(is func(Person) bool) (Person, bool) {
	for _, p := range i.cfg.People {
		if is(p) {
			return p, true
		}
	}
	return Person{}, false
}

// begin notes a session of a person at a client. The caller holds the lock.
func (i *Issuer) begin(subject, client string) (sid string) {
	sid = rand.Text()
	bound(i.sessions, func(s session) bool { return i.cfg.Now().After(s.until) })
	i.sessions[sid] = session{subject: subject, client: client, until: i.cfg.Now().Add(sessionLife)}
	return sid
}

// bound takes out what is over, and anything when there is too much.
func bound[V any](kept map[string]V, over func(V) bool) {
	for k, v := range kept {
		if over(v) || len(kept) >= maxKept {
			delete(kept, k)
		}
	}
}

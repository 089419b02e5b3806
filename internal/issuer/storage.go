package issuer

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// storage is what the protocol's library asks for; it is its interface that makes it
// wide.
type storage struct{ *Issuer }

var (
	_ op.Storage                        = storage{}
	_ op.DeviceAuthorizationStorage     = storage{}
	_ op.CanSetUserinfoFromRequest      = storage{}
	_ op.CanTerminateSessionFromRequest = storage{}
)

var errUnknown = errors.New("unknown or over")

type key struct {
	id      string
	private *rsa.PrivateKey
}

func (k *key) ID() string                                  { return k.id }
func (k *key) Key() any                                    { return k.private }
func (k *key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

type publicKey struct{ *key }

func (k publicKey) Key() any                           { return &k.private.PublicKey }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }

// token is an access token, which nothing here is protected by.
type token struct {
	subject string
	until   time.Time
}

func (s storage) CreateAuthRequest(_ context.Context, in *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if slices.Contains(in.Prompt, oidc.PromptNone) {
		return nil, oidc.ErrLoginRequired()
	}
	if in.CodeChallenge == "" || in.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("code_challenge with S256 is required")
	}
	q := &request{
		id: rand.Text(), clientID: in.ClientID, redirect: in.RedirectURI, state: in.State, nonce: in.Nonce, scopes: in.Scopes,
		responseType: in.ResponseType, challenge: in.CodeChallenge, until: s.cfg.Now().Add(requestLife),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bound(s.requests, func(q *request) bool { return s.cfg.Now().After(q.until) })
	s.requests[q.id] = q
	return q, nil
}

// waiting is a request that a person has not answered yet.
func (i *Issuer) waiting(id string) (*request, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	q, ok := i.requests[id]
	return q, ok && !q.done && i.cfg.Now().Before(q.until)
}

func (s storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q, ok := s.requests[id]; ok {
		return q, nil
	}
	return nil, errUnknown
}

func (s storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id := s.codes[code]
	s.mu.Unlock()
	return s.AuthRequestByID(ctx, id)
}

func (s storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	bound(s.codes, func(id string) bool { return s.requests[id] == nil })
	s.codes[code] = id
	return nil
}

// DeleteAuthRequest is called once a code is redeemed: it is good for one time.
func (s storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

func (s storage) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bound(s.tokens, func(t token) bool { return s.cfg.Now().After(t.until) })
	id, until := rand.Text(), s.cfg.Now().Add(tokenLife)
	s.tokens[id] = token{subject: r.GetSubject(), until: until}
	return id, until, nil
}

func (storage) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, oidc.ErrUnsupportedGrantType()
}

func (storage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, oidc.ErrUnsupportedGrantType()
}

func (storage) TerminateSession(context.Context, string, string) error { return nil }

// TerminateSessionFromRequest ends the session of the ID token that the client hints
// at. A client that does not hear of it has ended the session itself.
func (s storage) TerminateSessionFromRequest(ctx context.Context, r *op.EndSessionRequest) (string, error) {
	if r.IDTokenHintClaims != nil {
		sid, _ := r.IDTokenHintClaims.Claims["sid"].(string)
		_ = s.end(ctx, sid)
	}
	return r.RedirectURI, nil
}

func (s storage) RevokeToken(_ context.Context, tokenID, _, _ string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, tokenID)
	return nil
}

func (storage) GetRefreshTokenInfo(context.Context, string, string) (userID, tokenID string, err error) {
	return "", "", op.ErrInvalidRefreshToken
}

func (s storage) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1], nil
}

func (storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

func (s storage) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []op.Key
	for _, k := range s.keys {
		out = append(out, publicKey{k})
	}
	return out, nil
}

func (s storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	switch id {
	case Cell:
		return client{id: Cell, site: s.cfg.SiteURL}, nil
	case CLI:
		return client{id: CLI}, nil
	}
	return nil, errUnknown
}

func (s storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != Cell || subtle.ConstantTimeCompare([]byte(secret), []byte(s.cfg.ClientSecret)) != 1 {
		return errUnknown
	}
	return nil
}

func (storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest fills an ID token.
func (s storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, scopes []string) error {
	if err := s.describe(info, r.GetSubject(), scopes); err != nil {
		return err
	}
	switch q := r.(type) {
	case *request:
		info.AppendClaims("sid", q.sid)
	case *op.DeviceAuthorizationState:
		s.mu.Lock()
		info.AppendClaims("sid", s.begin(q.Subject, CLI))
		s.mu.Unlock()
	}
	return nil
}

func (s storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, tokenID, _, _ string) error {
	s.mu.Lock()
	t, ok := s.tokens[tokenID]
	s.mu.Unlock()
	if !ok || s.cfg.Now().After(t.until) {
		return errUnknown
	}
	return s.describe(info, t.subject, []string{oidc.ScopeProfile, oidc.ScopeEmail})
}

func (s storage) describe(info *oidc.UserInfo, subject string, scopes []string) error {
	p, ok := s.person(func(p Person) bool { return p.Subject == subject })
	if !ok {
		return errUnknown
	}
	info.Subject = p.Subject
	if slices.Contains(scopes, oidc.ScopeProfile) {
		info.Name = p.Name
		info.GivenName, info.FamilyName, _ = strings.Cut(p.Name, " ")
	}
	if slices.Contains(scopes, oidc.ScopeEmail) {
		info.Email, info.EmailVerified = p.Email, oidc.Bool(p.Verified)
	}
	if len(p.Roles) > 0 {
		info.AppendClaims("roles", p.Roles)
	}
	return nil
}

func (storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errUnknown
}

func (storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return map[string]any{}, nil
}

func (storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errUnknown
}

func (storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errUnknown
}

func (storage) Health(context.Context) error { return nil }

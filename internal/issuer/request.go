package issuer

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// request is a sign-in that a client asked for.
type request struct {
	id, clientID, redirect, state, nonce, challenge string
	scopes                                          []string
	responseType                                    oidc.ResponseType
	until                                           time.Time

	subject, sid, acr string
	at                time.Time
	done              bool
}

func (q *request) GetID() string          { return q.id }
func (q *request) GetACR() string         { return q.acr }
func (q *request) GetAMR() []string       { return nil }
func (q *request) GetAudience() []string  { return []string{q.clientID} }
func (q *request) GetAuthTime() time.Time { return q.at }
func (q *request) GetClientID() string    { return q.clientID }
func (q *request) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: q.challenge, Method: oidc.CodeChallengeMethodS256}
}
func (q *request) GetNonce() string                   { return q.nonce }
func (q *request) GetRedirectURI() string             { return q.redirect }
func (q *request) GetResponseType() oidc.ResponseType { return q.responseType }
func (q *request) GetResponseMode() oidc.ResponseMode { return "" }
func (q *request) GetScopes() []string                { return q.scopes }
func (q *request) GetState() string                   { return q.state }
func (q *request) GetSubject() string                 { return q.subject }
func (q *request) Done() bool                         { return q.done }

// device is a program that asks to act for somebody (RFC 8628).
type device struct {
	code string
	user string
	op.DeviceAuthorizationState
}

func (s storage) StoreDeviceAuthorization(_ context.Context, clientID, deviceCode, userCode string, expires time.Time, scopes []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	bound(s.devices, func(d *device) bool { return s.cfg.Now().After(d.Expires) })
	for _, d := range s.devices {
		if d.user == userCode {
			return op.ErrDuplicateUserCode
		}
	}
	s.devices[deviceCode] = &device{code: deviceCode, user: userCode, DeviceAuthorizationState: op.DeviceAuthorizationState{ClientID: clientID, Scopes: scopes, Expires: expires}}
	return nil
}

func (s storage) GetDeviceAuthorizatonState(_ context.Context, clientID, deviceCode string) (*op.DeviceAuthorizationState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[deviceCode]
	if !ok || d.ClientID != clientID {
		return nil, errUnknown
	}
	state := d.DeviceAuthorizationState
	if state.Done {
		delete(s.devices, deviceCode) // good for one time
	}
	return &state, nil
}

// asked says whether a program waits with this code.
func (i *Issuer) asked(userCode string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.byUserCode(userCode) != nil
}

func (i *Issuer) byUserCode(userCode string) *device {
	for _, d := range i.devices {
		if strings.EqualFold(d.user, strings.TrimSpace(userCode)) && !d.Done && i.cfg.Now().Before(d.Expires) {
			return d
		}
	}
	return nil
}

func (i *Issuer) allow(userCode, subject string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	d := i.byUserCode(userCode)
	if d == nil {
		return false
	}
	d.Subject, d.AuthTime, d.Done = subject, i.cfg.Now(), true
	return true
}

// client is one of the two clients.
type client struct{ id, site string }

func (c client) GetID() string { return c.id }
func (c client) RedirectURIs() []string {
	if c.site == "" {
		return nil
	}
	return []string{c.site + "/account/callback"}
}

func (c client) PostLogoutRedirectURIs() []string {
	if c.site == "" {
		return nil
	}
	return []string{c.site + "/account"}
}

func (c client) ApplicationType() op.ApplicationType {
	if c.id == CLI {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

func (c client) AuthMethod() oidc.AuthMethod {
	if c.id == CLI {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c client) GrantTypes() []oidc.GrantType {
	if c.id == CLI {
		return []oidc.GrantType{oidc.GrantTypeDeviceCode}
	}
	return []oidc.GrantType{oidc.GrantTypeCode}
}

func (c client) LoginURL(id string) string           { return "/login?" + url.Values{"id": {id}}.Encode() }
func (c client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (c client) IDTokenLifetime() time.Duration      { return tokenLife }
func (c client) DevMode() bool                       { return true } // http on this machine
func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string { //nolint:revive,staticcheck // the library's name
	return func(s []string) []string { return s }
}

func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(s []string) []string { return s }
}
func (c client) IsScopeAllowed(string) bool           { return false }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c client) ClockSkew() time.Duration             { return 0 }

package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"guichet/cell/identity"
)

const (
	clockSkew = time.Minute
	// logoutAge is how old a logout token may be: as long as it is remembered.
	logoutAge = 5 * time.Minute
	maxToken  = 16 << 10 // bytes
	maxRoles  = 100

	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// Redeem is identity.Issuer's.
func (p *Party) Redeem(ctx context.Context, code string, a identity.Attempt) (identity.Claims, error) {
	m, err := p.ready(ctx)
	if err != nil {
		return identity.Claims{}, err
	}
	select {
	case p.redeemer <- struct{}{}:
		defer func() { <-p.redeemer }()
	default:
		return identity.Claims{}, identity.ErrBusy.With("too many people sign in at once; try again shortly").After(comeBack)
	}
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	got, err := p.oauth(m).Exchange(context.WithValue(ctx, oauth2.HTTPClient, p.client), code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		if away(err) {
			return identity.Claims{}, fmt.Errorf("%w: %w", identity.ErrIssuerAway.With("the issuer cannot be asked now; sign in again shortly").After(comeBack), err)
		}
		return identity.Claims{}, fmt.Errorf("%w: %w", identity.ErrRefused.With("the issuer does not accept this sign-in; begin again"), err)
	}
	raw, _ := got.Extra("id_token").(string)
	claims, err := p.verify(ctx, p.cell, p.cfg.ClientID, raw, func(t *gooidc.IDToken) error {
		if subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(a.Nonce)) != 1 {
			return errors.New("the nonce is another sign-in's")
		}
		if t.AccessTokenHash != "" {
			return t.VerifyAccessToken(got.AccessToken)
		}
		return nil
	})
	claims.IDToken = raw
	return claims, err
}

// Device is identity.Issuer's.
func (p *Party) Device(ctx context.Context, idToken string) (identity.Claims, error) {
	if _, err := p.ready(ctx); err != nil {
		return identity.Claims{}, err
	}
	return p.verify(ctx, p.cli, p.cfg.CLI, idToken, func(*gooidc.IDToken) error { return nil })
}

// tokenClaims are the claims that are read besides those that go-oidc checks.
type tokenClaims struct {
	Email    string          `json:"email"`
	Verified json.RawMessage `json:"email_verified"`
	Name     string          `json:"name"`
	ACR      string          `json:"acr"`
	SID      string          `json:"sid"`
	AZP      string          `json:"azp"`
	Type     string          `json:"typ"` // Keycloak's: ID, Bearer, Refresh, Logout
	Events   json.RawMessage `json:"events"`
}

// verify checks an ID token in full: signature, algorithm, issuer, audience and expiry
// by go-oidc, then what it leaves to us.
func (p *Party) verify(ctx context.Context, v *gooidc.IDTokenVerifier, client, raw string, also func(*gooidc.IDToken) error) (identity.Claims, error) {
	if len(raw) > maxToken {
		return identity.Claims{}, identity.ErrRefused.With("the ID token is too long")
	}
	t, err := v.Verify(ctx, raw)
	if err != nil {
		return identity.Claims{}, refusal(err)
	}
	var c tokenClaims
	if err := t.Claims(&c); err != nil {
		return identity.Claims{}, refusal(err)
	}
	switch {
	case len(c.Events) > 0 || c.Type != "" && c.Type != "ID" || !plain(raw):
		err = errors.New("this is no ID token")
	case c.AZP != "" && c.AZP != client || c.AZP == "" && len(t.Audience) > 1:
		err = errors.New("the token was made for another client")
	case t.IssuedAt.After(p.cfg.Now().Add(clockSkew)):
		err = errors.New("the token comes from the future")
	default:
		err = also(t)
	}
	if err != nil {
		return identity.Claims{}, refusal(err)
	}
	roles, err := p.roles(t)
	if err != nil {
		return identity.Claims{}, refusal(err)
	}
	return identity.Claims{
		Issuer: p.cfg.Issuer, Subject: t.Subject, Email: c.Email, EmailVerified: string(c.Verified) == "true" || string(c.Verified) == `"true"`,
		Name: c.Name, ACR: c.ACR, Session: c.SID, Roles: roles,
	}, nil
}

// plain says whether a token's header leaves it an ID token: access tokens (RFC 9068)
// and logout tokens name their type.
func plain(raw string) bool {
	head, _, _ := strings.Cut(raw, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	var h struct {
		Type string `json:"typ"`
	}
	return err == nil && json.Unmarshal(b, &h) == nil && (h.Type == "" || strings.EqualFold(h.Type, "JWT"))
}

// roles reads the claim of the roles, which may lie inside others.
func (p *Party) roles(t *gooidc.IDToken) ([]string, error) {
	var all map[string]json.RawMessage
	if err := t.Claims(&all); err != nil {
		return nil, err
	}
	var found json.RawMessage
	parts := strings.Split(p.cfg.RolesClaim, ".")
	for i, name := range parts {
		found = all[name]
		if i < len(parts)-1 {
			all = nil
			if json.Unmarshal(found, &all) != nil {
				return nil, nil //nolint:nilerr // not there: nobody's roles
			}
		}
	}
	var roles []string
	if len(found) == 0 || json.Unmarshal(found, &roles) != nil || len(roles) > maxRoles {
		return nil, nil //nolint:nilerr // a claim of another shape gives no role
	}
	return roles, nil
}

// Logout is identity.Issuer's. It asks all of OpenID Connect Back-Channel Logout 1.0,
// section 2.6, but for the replay, which is the caller's.
func (p *Party) Logout(ctx context.Context, token string) (identity.Logout, error) {
	refuse := func(err error) (identity.Logout, error) {
		if keysAway(err) {
			return identity.Logout{}, refusal(err)
		}
		return identity.Logout{}, fmt.Errorf("%w: %w", identity.ErrLogout.With("the logout token does not hold"), err)
	}
	if len(token) > maxToken {
		return refuse(errors.New("it is too long"))
	}
	if _, err := p.ready(ctx); err != nil {
		return identity.Logout{}, err
	}
	t, err := p.cell.VerifyLogout(ctx, token)
	if err != nil {
		return refuse(err)
	}
	var c struct {
		Events map[string]json.RawMessage `json:"events"` // Keycloak's hold others too
	}
	var object map[string]any
	if err := t.Claims(&c); err != nil || json.Unmarshal(c.Events[logoutEvent], &object) != nil || object == nil {
		return refuse(errors.New("its event is no object"))
	}
	now := p.cfg.Now()
	if t.IssuedAt.After(now.Add(clockSkew)) || t.IssuedAt.Before(now.Add(-logoutAge)) {
		return refuse(errors.New("it was issued too long ago, or in the future"))
	}
	return identity.Logout{Issuer: p.cfg.Issuer, Subject: t.Subject, Session: t.SessionID, ID: t.TokenID, Until: t.IssuedAt.Add(logoutAge + clockSkew)}, nil
}

// refusal keeps an issuer that is away apart from a token that does not hold.
func refusal(err error) error {
	if keysAway(err) {
		return fmt.Errorf("%w: %w", identity.ErrIssuerAway.With("the issuer's keys cannot be fetched now; sign in again shortly").After(comeBack), err)
	}
	return fmt.Errorf("%w: %w", identity.ErrRefused.With("the ID token does not hold"), err)
}

// keysAway: go-oidc passes a key set's error on as text.
func keysAway(err error) bool { return strings.Contains(err.Error(), identity.ErrIssuerAway.Code) }

package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"guichet/cell/identity"
)

// Anybody can send a token that names a key nobody knows, so how often the issuer is
// asked for its keys is limited.
const (
	refetchEvery = 10 * time.Second
	refetchBurst = 3
)

// keySet are the issuer's public keys. It keeps what it has while the issuer is away.
type keySet struct {
	fetch func(ctx context.Context) ([]jose.JSONWebKey, error)
	rate  *rate.Limiter

	mu   sync.RWMutex
	keys []jose.JSONWebKey
}

func newKeySet(fetch func(ctx context.Context) ([]jose.JSONWebKey, error)) *keySet {
	return &keySet{fetch: fetch, rate: rate.NewLimiter(rate.Every(refetchEvery), refetchBurst)}
}

var errSignature = errors.New("no key of the issuer made this signature")

// VerifySignature is go-oidc's KeySet. A key that is not known is looked for at the
// issuer: that is how keys rotate.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, err
	}
	if len(jws.Signatures) != 1 {
		return nil, errors.New("a token with one signature is wanted")
	}
	kid := jws.Signatures[0].Header.KeyID
	payload, known := k.try(jws, kid)
	if payload != nil {
		return payload, nil
	}
	if known || !k.rate.Allow() {
		return nil, errSignature
	}
	if err := k.refresh(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", identity.ErrIssuerAway.With("the issuer's keys cannot be fetched").After(comeBack), err)
	}
	if payload, _ := k.try(jws, kid); payload != nil {
		return payload, nil
	}
	return nil, errSignature
}

// try looks for the key that made a signature, and says whether there is one of its id.
func (k *keySet) try(jws *jose.JSONWebSignature, kid string) (payload []byte, known bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for i := range k.keys {
		if kid != "" && k.keys[i].KeyID != kid {
			continue
		}
		known = kid != ""
		if payload, err := jws.Verify(&k.keys[i]); err == nil {
			return payload, true
		}
	}
	return nil, known
}

func (k *keySet) refresh(ctx context.Context) error {
	keys, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return errors.New("the issuer publishes no usable key")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
	return nil
}

// parseKeys reads a JWK set and leaves out what does not verify signatures with a
// public key.
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("the issuer's keys cannot be read: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.IsPublic() && key.Valid() && (key.Use == "" || key.Use == "sig") {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

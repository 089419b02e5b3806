package ticket

import (
	"crypto/ed25519"
	"encoding/base64"

	"guichet/cell/client"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// ErrJWK is returned for a key set that cannot be used.
var ErrJWK = kind.Invalid.New("invalid_jwk_set")

// MaxKeys is the most keys a set may have.
const MaxKeys = 1000

// The members of an Ed25519 key in a JWK set (RFC 8037 section 2).
const (
	jwkType  = "OKP"
	jwkCurve = "Ed25519"
)

// JWKSet publishes keys in the form that gates and libraries read.
func JWKSet(keys []topology.Key) client.JWKSet {
	set := client.JWKSet{Keys: make([]client.JWK, 0, len(keys))}
	for _, k := range keys {
		set.Keys = append(set.Keys, client.JWK{
			KeyType: jwkType, Curve: jwkCurve, Use: "sig", Alg: "EdDSA", KeyID: k.ID, X: k.X,
		})
	}
	return set
}

// ParseJWKSet reads a published set back. Keys of other kinds are skipped, as
// RFC 7517 section 5 asks; a broken or doubled key of ours, or a set without any, is refused.
func ParseJWKSet(set client.JWKSet) ([]topology.Key, error) {
	if len(set.Keys) > MaxKeys {
		return nil, ErrJWK.With("%d keys are more than %d", len(set.Keys), MaxKeys)
	}
	seen := map[string]bool{}
	var keys []topology.Key
	for _, j := range set.Keys {
		if j.KeyType != jwkType || j.Curve != jwkCurve || j.Use != "" && j.Use != "sig" {
			continue
		}
		key := topology.Key{ID: j.KeyID, X: j.X}
		if _, ok := publicKey(key); !ok {
			return nil, ErrJWK.With("key %.40q is damaged", j.KeyID)
		}
		if seen[key.ID] {
			return nil, ErrJWK.With("key %s appears twice", key.ID)
		}
		seen[key.ID] = true
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, ErrJWK.With("no Ed25519 key in the set")
	}
	return keys, nil
}

// KeysOf looks keys up in a list; keys that are damaged are as good as unknown.
func KeysOf(list []topology.Key) Keys {
	byID := make(map[string]ed25519.PublicKey, len(list))
	for _, k := range list {
		if public, ok := publicKey(k); ok {
			byID[k.ID] = public
		}
	}
	return func(kid string) (ed25519.PublicKey, bool) {
		public, ok := byID[kid]
		return public, ok
	}
}

// KeysIn looks keys up among all cells of a snapshot; nil knows none.
func KeysIn(s *topology.Snapshot) Keys {
	return func(kid string) (ed25519.PublicKey, bool) {
		key, err := s.Key(kid)
		if err != nil {
			return nil, false
		}
		return publicKey(key)
	}
}

func publicKey(k topology.Key) (ed25519.PublicKey, bool) {
	if !kidPattern.MatchString(k.ID) {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
	if err != nil || len(raw) != ed25519.PublicKeySize || base64.RawURLEncoding.EncodeToString(raw) != k.X {
		return nil, false
	}
	return raw, true
}

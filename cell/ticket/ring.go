package ticket

import (
	"encoding/base64"
	"strings"

	"guichet/control-plane/topology"
)

// MaxPrevious is the most retired keys a cell publishes: with the one that signs
// they are what the registry takes of a cell.
const MaxPrevious = 7

// WithPrevious is the signer with the public halves of the cell's retired keys:
// what they signed stays valid and they are published, but they sign nothing any
// more, so their private halves can be destroyed.
func (s *Signer) WithPrevious(keys ...topology.Key) (*Signer, error) {
	if len(keys) > MaxPrevious {
		return nil, ErrKey.With("%d retired keys are more than %d", len(keys), MaxPrevious)
	}
	seen := map[string]bool{s.kid: true}
	for _, k := range keys {
		if _, ok := publicKey(k); !ok || cellOf(k.ID) != cellOf(s.kid) {
			return nil, ErrKey.With("%.40q is not a public key of this cell", k.ID)
		}
		if seen[k.ID] {
			return nil, ErrKey.With("the key %s is there twice", k.ID)
		}
		seen[k.ID] = true
	}
	out := *s
	out.previous = append([]topology.Key(nil), keys...)
	return &out, nil
}

// Published are the cell's public keys: the one that signs first, then those
// that signed before.
func (s *Signer) Published() []topology.Key {
	return append([]topology.Key{s.Public()}, s.previous...)
}

// Keys finds the cell's own public keys, present and retired.
func (s *Signer) Keys() Keys { return KeysOf(s.Published()) }

// ParsePrevious reads retired keys as "euw3-1=base64url,euw3-2=base64url"; empty
// means none.
func ParsePrevious(text string) ([]topology.Key, error) {
	var keys []topology.Key
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		kid, x, _ := strings.Cut(part, "=")
		key := topology.Key{ID: kid, X: x}
		if _, ok := publicKey(key); !ok {
			return nil, ErrKey.With("%.60q is not a key like euw3-1=%s", part, base64.RawURLEncoding.EncodeToString([]byte("public key")))
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Package seal is the town's map as it travels: the exact bytes that were signed
// with the control plane's key, and the signature. Whoever pins the public half
// believes a map from anybody, be it a cell, a bucket or a file, and no other map,
// whatever version it claims. Only a map whose signature was verified, or made here,
// is a Map.
//
// Over HTTP the bytes are the body and the signature is the header
// X-Guichet-Signature; in a bucket or a file the signature is the first line and the
// bytes follow.
package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/signed"
)

// Purpose of the signature; what is signed is the SHA-256 of the bytes.
const Purpose = "map1"

// Header carries the signature over HTTP.
const Header = "X-Guichet-Signature"

// MaxPinned is how many public keys may be pinned at once: the one in use, and the
// next or the one before while the control plane changes its key.
const MaxPinned = 2

// ErrUnsigned is returned for a map that no pinned key vouches for.
var ErrUnsigned = kind.Forbidden.New("topology_unsigned")

// Map is a map that is to be believed.
type Map struct {
	snapshot  *topology.Snapshot
	text      []byte
	signature string
}

// Sign makes the map that the key's holder vouches for.
func Sign(key *signed.Key, s *topology.Snapshot) (*Map, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the map: %w", err)
	}
	digest := sha256.Sum256(text)
	return &Map{snapshot: s, text: text, signature: key.Sign(Purpose, digest[:])}, nil
}

// Open checks the signature of a map with the pinned keys, and only then reads it.
func Open(text []byte, signature string, pinned []ed25519.PublicKey) (*Map, error) {
	if len(pinned) == 0 {
		return nil, ErrUnsigned.With("no public key of a control plane is pinned here")
	}
	if signature == "" {
		return nil, ErrUnsigned.With("it is not signed")
	}
	digest := sha256.Sum256(text)
	var failed error
	for _, public := range pinned {
		said, _, err := signed.Open(Purpose, signature, func(string) (ed25519.PublicKey, bool) { return public, true })
		if err == nil && bytes.Equal(said, digest[:]) {
			s := new(topology.Snapshot)
			if err := json.Unmarshal(text, s); err != nil {
				return nil, fmt.Errorf("read the map: %w", err)
			}
			return &Map{snapshot: s, text: text, signature: signature}, nil
		}
		if failed = err; err == nil {
			return nil, ErrUnsigned.With("the signature is that of another map")
		}
	}
	return nil, ErrUnsigned.With("no pinned key signed it: %s", failed)
}

// Parse opens what Bytes made.
func Parse(file []byte, pinned []ed25519.PublicKey) (*Map, error) {
	signature, text, found := bytes.Cut(file, []byte("\n"))
	if !found || len(signature) > signed.MaxLength {
		return nil, ErrUnsigned.With("it is not signed")
	}
	return Open(text, string(signature), pinned)
}

// Snapshot is what the map says; it must not be changed.
func (m *Map) Snapshot() *topology.Snapshot {
	if m == nil {
		return nil
	}
	return m.snapshot
}

// Text is the exact bytes that were signed: JSON.
func (m *Map) Text() []byte { return m.text }

// Signature vouches for Text.
func (m *Map) Signature() string { return m.signature }

// Bytes is the map with its signature, for a bucket or a file.
func (m *Map) Bytes() []byte {
	b := make([]byte, 0, len(m.signature)+1+len(m.text))
	return append(append(append(b, m.signature...), '\n'), m.text...)
}

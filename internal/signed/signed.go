// Package signed makes and opens signed statements: a short text that says something,
// names the Ed25519 key that vouches for it, and carries that key's signature. What a
// statement means is its caller's business; this package knows only that the holder of
// the key once said exactly this, for exactly this purpose.
//
//	purpose . base64url(payload) . key id . base64url(signature)
//
// The purpose is part of what is signed, so a statement that was made for one purpose
// never passes for another. A statement has one spelling: whatever decodes to the same
// payload but is written otherwise is refused.
package signed

import (
	"crypto/ed25519"
	"encoding/base64"
	"regexp"
	"strings"

	"guichet/internal/kind"
)

// Answers of Open. They are refusals of the caller, never faults of ours.
var (
	ErrMalformed    = kind.Unauthorized.New("token_malformed")
	ErrUnknownKey   = kind.Unauthorized.New("token_unknown_key")
	ErrBadSignature = kind.Unauthorized.New("token_bad_signature")
	// ErrKey is returned for a key that cannot sign.
	ErrKey = kind.Internal.New("signing_key_unusable")
)

const (
	// MaxLength is the length in bytes of the longest statement that can be right.
	MaxLength = 2048
	// SeedSize is the length of a key's seed in bytes.
	SeedSize = ed25519.SeedSize
)

var (
	purposePattern = regexp.MustCompile(`^[a-z]{2,12}[0-9]$`)
	keyPattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	encoding       = base64.RawURLEncoding.Strict()
)

// Keys finds the public key with a key id.
type Keys = func(kid string) (ed25519.PublicKey, bool)

// Key signs statements.
type Key struct {
	id      string
	private ed25519.PrivateKey
}

// NewKey makes the key named id from a seed of SeedSize bytes.
func NewKey(id string, seed []byte) (*Key, error) {
	if !keyPattern.MatchString(id) {
		return nil, ErrKey.With("%.40q is not a key id", id)
	}
	if len(seed) != SeedSize {
		return nil, ErrKey.With("the seed of %s has %d bytes, not %d", id, len(seed), SeedSize)
	}
	return &Key{id: id, private: ed25519.NewKeyFromSeed(seed)}, nil
}

// ID is the name under which the public half is published.
func (k *Key) ID() string { return k.id }

// Public is the public half.
func (k *Key) Public() ed25519.PublicKey {
	return ed25519.PublicKey(k.private[ed25519.SeedSize:])
}

// Sign makes a statement. The same purpose and payload give the same text. It panics on
// a purpose that is none, because only our own code names purposes.
func (k *Key) Sign(purpose string, payload []byte) string {
	if !purposePattern.MatchString(purpose) {
		panic("signed: " + purpose + " is not a purpose like cap1")
	}
	signature := ed25519.Sign(k.private, message(purpose, k.id, payload))
	return purpose + "." + encoding.EncodeToString(payload) + "." + k.id + "." + encoding.EncodeToString(signature)
}

// Open checks a statement that was made for the purpose, and says what it states and
// which key vouches for it.
func Open(purpose, text string, keys Keys) (payload []byte, kid string, err error) {
	payload, kid, signature, err := parse(purpose, text)
	if err != nil {
		return nil, "", err
	}
	public, known := keys(kid)
	if !known || len(public) != ed25519.PublicKeySize {
		return nil, "", ErrUnknownKey.With("no public key %s is at hand", kid)
	}
	if !ed25519.Verify(public, message(purpose, kid, payload), signature) {
		return nil, "", ErrBadSignature.With("%s did not sign this", kid)
	}
	return payload, kid, nil
}

// Peek reads a statement without checking its signature.
func Peek(purpose, text string) (payload []byte, ok bool) {
	payload, _, _, err := parse(purpose, text)
	return payload, err == nil
}

// For reports whether a text claims to be a statement for the purpose.
func For(purpose, text string) bool { return strings.HasPrefix(text, purpose+".") }

func parse(purpose, text string) (payload []byte, kid string, signature []byte, err error) {
	parts := strings.Split(text, ".")
	if len(text) > MaxLength || len(parts) != 4 || parts[0] != purpose || !keyPattern.MatchString(parts[2]) {
		return nil, "", nil, ErrMalformed.With("this is not a token of the kind that is needed here")
	}
	payload, err = encoding.DecodeString(parts[1])
	if err == nil {
		signature, err = encoding.DecodeString(parts[3])
	}
	// Strict decoding still skips line breaks; encoding it again finds them.
	if err != nil || len(signature) != ed25519.SignatureSize ||
		encoding.EncodeToString(payload) != parts[1] || encoding.EncodeToString(signature) != parts[3] {
		return nil, "", nil, ErrMalformed.With("the token is damaged")
	}
	return payload, parts[2], signature, nil
}

func message(purpose, kid string, payload []byte) []byte {
	m := make([]byte, 0, len(payload)+64)
	m = append(append(append(m, "guichet statement "...), purpose...), 0)
	m = append(append(m, kid...), 0)
	return append(m, payload...)
}

// PublicText spells a public key: base64url without padding.
func PublicText(public ed25519.PublicKey) string { return encoding.EncodeToString(public) }

// ParsePublic reads a public key that PublicText spelled.
func ParsePublic(text string) (ed25519.PublicKey, bool) {
	raw, err := encoding.DecodeString(text)
	if err != nil || len(raw) != ed25519.PublicKeySize || encoding.EncodeToString(raw) != text {
		return nil, false
	}
	return raw, true
}

package ticket

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"

	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Answers of VerifyCredential. They say no more to a caller than they must.
var (
	ErrCredentialMalformed    = kind.Unauthorized.New("api_key_malformed")
	ErrCredentialUnknownKey   = kind.Unauthorized.New("api_key_unknown_key")
	ErrCredentialBadSignature = kind.Unauthorized.New("api_key_bad_signature")
)

// Parts of an API key: gk_<birth cell>_<organizer>_<secret>_<kid>_<signature>.
const (
	CredentialPrefix = "gk_"
	SecretLen        = 26 // characters of 5 bits: 130 bits
	MaxCredential    = 200
)

// base32Text spells signatures in the alphabet of the ids, so a key has no
// character that a shell, a URL or a double click would stumble over.
var base32Text = base32.NewEncoding(topology.Alphabet).WithPadding(base32.NoPadding)

// Credential is an organizer's API key taken apart.
type Credential struct {
	Organizer id.Organizer
	Secret    string // SecretLen characters; never to be logged or stored
	KeyID     string // which cell's key vouches for it
	signature []byte
}

// String names the key without giving it away.
func (c Credential) String() string {
	return CredentialPrefix + c.Organizer.Key().String() + "_…_" + c.KeyID
}

// GoString is String, so that %#v keeps the secret too.
func (c Credential) GoString() string { return c.String() }

// Hash is what the organizer's home stores and compares: hex SHA-256 of the
// secret under its own domain. 130 random bits need no slow hash.
func (c Credential) Hash() string { return HashSecret(c.Secret) }

// HashSecret is Credential.Hash for a secret that was just made.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte("guichet organizer secret v1\x00" + secret))
	return hex.EncodeToString(sum[:])
}

// NewSecret makes the secret of a new API key.
func NewSecret() string {
	b := make([]byte, SecretLen)
	_, _ = rand.Read(b) // never fails since Go 1.24
	for i := range b {
		b[i] = topology.Alphabet[b[i]&31]
	}
	return string(b)
}

// Credential signs an organizer's API key. The organizer must have been born at
// the signer's cell and the secret must come from NewSecret; it panics otherwise.
func (s *Signer) Credential(org id.Organizer, secret string) string {
	if org.IsZero() || org.Birth() != cellOf(s.kid) || !isSecret(secret) {
		panic("ticket: " + s.kid + " cannot vouch for organizer " + org.String())
	}
	text := credentialText(org, secret, s.kid)
	return text + "_" + base32Text.EncodeToString(s.sign(credentialDomain, []byte(text)))
}

// ParseCredential takes an API key apart without believing it.
func ParseCredential(key string) (Credential, error) {
	body, ok := strings.CutPrefix(key, CredentialPrefix)
	parts := strings.Split(body, "_")
	if !ok || len(key) > MaxCredential || len(parts) != 5 {
		return Credential{}, ErrCredentialMalformed.With("this is not an API key of an organizer")
	}
	org, err := id.ParseOrganizer("org_" + parts[0] + "_" + parts[1])
	if err != nil || !isSecret(parts[2]) || !kidPattern.MatchString(parts[3]) {
		return Credential{}, ErrCredentialMalformed.With("this is not an API key of an organizer")
	}
	signature, err := base32Text.DecodeString(parts[4])
	// Decoding forgives line breaks and loose last bits; writing it again does not.
	if err != nil || len(signature) != ed25519.SignatureSize || base32Text.EncodeToString(signature) != parts[4] {
		return Credential{}, ErrCredentialMalformed.With("this is not an API key of an organizer")
	}
	return Credential{Organizer: org, Secret: parts[2], KeyID: parts[3], signature: signature}, nil
}

// VerifyCredential checks an API key with public keys alone, so any cell can
// tell an organizer of another cell from a stranger (ADR 003). Only the cell
// where the organizer was born can vouch for him: a key stolen from one cell
// opens no door to another's organizers (P7). Revocation is the home's to check.
func VerifyCredential(key string, keys Keys) (Credential, error) {
	c, err := ParseCredential(key)
	if err != nil {
		return Credential{}, err
	}
	public, ok := keys(c.KeyID)
	if !ok || len(public) != ed25519.PublicKeySize {
		return Credential{}, ErrCredentialUnknownKey.With("no public key %s at hand", c.KeyID)
	}
	signed := []byte(credentialDomain + credentialText(c.Organizer, c.Secret, c.KeyID))
	if c.Organizer.Birth() != cellOf(c.KeyID) || !ed25519.Verify(public, signed, c.signature) {
		return Credential{}, ErrCredentialBadSignature.With("the API key was not signed by the organizer's cell")
	}
	return c, nil
}

func credentialText(org id.Organizer, secret, kid string) string {
	return CredentialPrefix + org.Key().String() + "_" + secret + "_" + kid
}

func isSecret(s string) bool {
	return len(s) == SecretLen && strings.Trim(s, topology.Alphabet) == ""
}

// Package ticket makes and checks what can be proved without asking anybody:
// the barcode on a ticket and an organizer's API key. Both are signed with the
// Ed25519 key of the cell that issued them, and the public halves travel in the
// topology snapshot, so a gate in a cellar and a cell on the other side of a cut
// cable decide alone (P6, P8).
//
// The package knows no stock and no states: whether a ticket was canceled, or a
// key revoked, is the home cell's to say. A signature says only that a cell of
// the town once issued this very text.
package ticket

import (
	"crypto/ed25519"
	"encoding/base64"
	"regexp"
	"strings"
	"time"

	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Answers of Verify. An unknown key is kept apart from a bad signature because
// it may only mean that the list of keys at hand is old (P9).
var (
	ErrMalformed    = kind.Invalid.New("barcode_malformed")
	ErrUnknownKey   = kind.Unprocessable.New("barcode_unknown_key")
	ErrBadSignature = kind.Unprocessable.New("barcode_bad_signature")
	// ErrKey is returned for a key that cannot sign or verify.
	ErrKey = kind.Internal.New("signing_key_unusable")
)

// SeedSize is the length of a signing key's seed in bytes.
const SeedSize = ed25519.SeedSize

// What is signed begins with what it is for, so that no text signed for one
// purpose can ever pass for the other.
const barcodeDomain = "guichet ticket barcode v1\x00"

// Claims are what a barcode says. There is no name in it: a barcode is
// photographed, forwarded and read by strangers, and a transfer issues a new one.
type Claims struct {
	Ticket   id.Ticket
	Type     id.TicketType // of the same event
	IssuedAt time.Time     // whole seconds, UTC
	KeyID    string        // whose key signed it; set by the signer
}

// Event is the event the ticket admits to.
func (c Claims) Event() id.Event { return c.Ticket.Event() }

// Keys finds the public key with a key id.
type Keys = func(kid string) (ed25519.PublicKey, bool)

// kidPattern is a cell's name and the key's number there: "euw3-1".
var kidPattern = regexp.MustCompile(`^[a-z]{2,4}[0-9][a-z]?-[1-9][0-9]{0,4}$`)

// Signer is a cell's signing key.
type Signer struct {
	kid      string
	private  ed25519.PrivateKey
	previous []topology.Key // retired, public halves
}

// NewSigner makes the signer named kid ("euw3-1") from a seed of SeedSize bytes.
func NewSigner(kid string, seed []byte) (*Signer, error) {
	if !kidPattern.MatchString(kid) {
		return nil, ErrKey.With("%.40q is not a key id like euw3-1", kid)
	}
	if len(seed) != SeedSize {
		return nil, ErrKey.With("the seed of %s has %d bytes, not %d", kid, len(seed), SeedSize)
	}
	return &Signer{kid: kid, private: ed25519.NewKeyFromSeed(seed)}, nil
}

// KeyID is the name under which the public half is published.
func (s *Signer) KeyID() string { return s.kid }

// Public is the public half, as the topology carries it.
func (s *Signer) Public() topology.Key {
	return topology.Key{ID: s.kid, X: base64.RawURLEncoding.EncodeToString(s.publicKey())}
}

func (s *Signer) publicKey() ed25519.PublicKey {
	return ed25519.PublicKey(s.private[ed25519.SeedSize:])
}

func (s *Signer) sign(domain string, text []byte) []byte {
	return ed25519.Sign(s.private, append([]byte(domain), text...))
}

// Barcode signs the claims; their KeyID is replaced by the signer's. The same
// claims give the same barcode. It panics on claims that name no ticket, or a
// type of another event, or a time before 1970: only our own code makes claims.
func (s *Signer) Barcode(c Claims) string {
	c.KeyID = s.kid
	payload := encode(c)
	return spell(payload, s.sign(barcodeDomain, payload))
}

// Verify checks a barcode with public keys alone and says what it claims.
func Verify(barcode string, keys Keys) (Claims, error) {
	claims, payload, signature, err := parse(barcode)
	if err != nil {
		return Claims{}, err
	}
	public, ok := keys(claims.KeyID)
	if !ok || len(public) != ed25519.PublicKeySize {
		return Claims{}, ErrUnknownKey.With("no public key %s at hand", claims.KeyID)
	}
	if !ed25519.Verify(public, append([]byte(barcodeDomain), payload...), signature) {
		return Claims{}, ErrBadSignature.With("the barcode was not signed by %s", claims.KeyID)
	}
	return claims, nil
}

// Peek reads a barcode without checking its signature, to say which event and
// which key it is about. Nobody may be let in on what it says.
func Peek(barcode string) (Claims, error) {
	claims, _, _, err := parse(barcode)
	return claims, err
}

// cellOf is the cell that a key id names.
func cellOf(kid string) topology.CellID {
	cell, _, _ := strings.Cut(kid, "-")
	return topology.CellID(cell)
}

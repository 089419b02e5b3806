// Package access decides what a token admits to. An id names an object and gives
// nobody anything; a token says that its holder may see or do something, until a time.
//
//   - A capability admits to one hold, order, ticket or event, without naming a person.
//   - A person statement says who signed in, and a membership says what that person is
//     at an organizer.
//
// All but a hold's are statements signed with the access key of the cell that made
// them, so any cell verifies them with the public keys on the map, also after a move
// and also alone (P6, P8). A hold's token is a message authentication code under the
// same seed, because signing each hold would cost a fifth of the holds a cell can make
// (ADR 011). The access key is not the key that signs barcodes.
//
// The package knows no HTTP and no database. Whether a token was withdrawn is told by
// the generation in the object's row, which the caller compares.
package access

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/signed"
)

// Answers about tokens. They do not tell whether the object exists.
var (
	ErrExpired   = kind.Unauthorized.New("token_expired")
	ErrWithdrawn = kind.Unauthorized.New("token_withdrawn")
	// ErrKey is returned for a key that cannot be used.
	ErrKey = signed.ErrKey
)

// Scope is the kind of object that a capability admits to.
type Scope string

// The scopes.
const (
	Hold   Scope = "hold"   // see, extend and release it, and order from it
	Order  Scope = "order"  // see, cancel, refund by policy; its tickets
	Ticket Scope = "ticket" // see this ticket and its files, give it on
	Admit  Scope = "admit"  // hold tickets of one event, once the waiting room let its holder in
)

// OrderLife is how long an order's token and its tickets' are good: a year's advance
// sale and the time to settle what comes after the event. New mails bring new ones.
const OrderLife = 730 * 24 * time.Hour

const (
	purposeCapability = "cap1"
	prefixHold        = "hold1."
	holdMAC           = 18 // bytes of the code, 144 bits
	holdDomain        = "guichet hold token v1\x00"
	sessionDomain     = "guichet session cookies v1\x00"
)

// Capability is what a token admits to.
type Capability struct {
	Scope      Scope
	Object     string // the id of a hold, an order, a ticket or an event
	Generation int64  // equal to the object's, or the token was withdrawn
	Expires    time.Time
}

var kidPattern = regexp.MustCompile(`^[a-z]{2,4}[0-9][a-z]?-a[1-9][0-9]{0,4}$`)

// Signer is a cell's access key.
type Signer struct {
	key      *signed.Key
	seed     []byte
	old      []byte         // the seed before, nil for none
	previous []topology.Key // public halves of retired keys
}

// NewSigner is the access key number n of a cell.
func NewSigner(cell topology.CellID, n int, seed []byte) (*Signer, error) {
	kid := fmt.Sprintf("%s-a%d", cell, n)
	if !kidPattern.MatchString(kid) {
		return nil, ErrKey.With("%.40q is not a key id like euw3-a1", kid)
	}
	key, err := signed.NewKey(kid, seed)
	if err != nil {
		return nil, err
	}
	return &Signer{key: key, seed: seed}, nil
}

// WithPrevious is the signer that also knows the cell's retired keys: statements that
// they signed stay valid, and with the seed of the last of them so do the tokens of
// holds that were made under it. They sign nothing any more.
func (s *Signer) WithPrevious(seed []byte, keys ...topology.Key) (*Signer, error) {
	if len(seed) != 0 && len(seed) != signed.SeedSize {
		return nil, ErrKey.With("the previous seed has %d bytes, not %d", len(seed), signed.SeedSize)
	}
	for _, k := range keys {
		if !kidPattern.MatchString(k.ID) || cellOf(k.ID) != cellOf(s.key.ID()) || k.ID == s.key.ID() {
			return nil, ErrKey.With("%.40q is not a retired access key of this cell", k.ID)
		}
		if _, ok := signed.ParsePublic(k.X); !ok {
			return nil, ErrKey.With("the key %.40q is damaged", k.ID)
		}
	}
	out := *s
	out.old, out.previous = seed, nil
	for _, k := range keys {
		out.previous = append(out.previous, topology.Key{ID: k.ID, X: k.X, Use: topology.UseAccess})
	}
	return &out, nil
}

// ParsePrevious reads retired keys as "euw3-a1=base64url,euw3-a2=base64url"; empty
// means none.
func ParsePrevious(text string) ([]topology.Key, error) {
	var keys []topology.Key
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		kid, x, _ := strings.Cut(part, "=")
		if _, ok := signed.ParsePublic(x); !ok || !kidPattern.MatchString(kid) {
			return nil, ErrKey.With("%.60q is not a key like euw3-a1=BASE64URL", part)
		}
		keys = append(keys, topology.Key{ID: kid, X: x, Use: topology.UseAccess})
	}
	return keys, nil
}

// Key signs; join proves with it that the cell is who it was.
func (s *Signer) Key() *signed.Key { return s.key }

// Published are the cell's public access keys, the one that signs first.
func (s *Signer) Published() []topology.Key {
	return append([]topology.Key{{ID: s.key.ID(), X: signed.PublicText(s.key.Public()), Use: topology.UseAccess}}, s.previous...)
}

// Keys finds our own public keys, and the other cells' in a snapshot, which may be nil.
func (s *Signer) Keys(snap *topology.Snapshot) signed.Keys {
	return func(kid string) (ed25519.PublicKey, bool) {
		if kid == s.key.ID() {
			return s.key.Public(), true
		}
		for _, k := range s.previous {
			if k.ID == kid {
				return signed.ParsePublic(k.X)
			}
		}
		return KeysIn(snap)(kid)
	}
}

// KeysIn finds access keys in a snapshot. A key that names another cell than the one it
// stands under is as good as unknown: a cell vouches for itself alone (P7).
func KeysIn(snap *topology.Snapshot) signed.Keys {
	return func(kid string) (ed25519.PublicKey, bool) {
		cell, known := snap.Cell(cellOf(kid))
		if !known || !kidPattern.MatchString(kid) {
			return nil, false
		}
		for _, k := range cell.Keys {
			if k.ID == kid && k.Use == topology.UseAccess {
				return signed.ParsePublic(k.X)
			}
		}
		return nil, false
	}
}

func cellOf(kid string) topology.CellID {
	cell, _, _ := strings.Cut(kid, "-")
	return topology.CellID(cell)
}

// Issue signs a capability. The same capability gives the same token. Expires is
// written in whole seconds.
func (s *Signer) Issue(c Capability) string {
	return s.key.Sign(purposeCapability, []byte(string(c.Scope)+" "+c.Object+" "+
		strconv.FormatInt(c.Generation, 10)+" "+strconv.FormatInt(c.Expires.Unix(), 10)))
}

// Verify says what a capability token admits to, if one of the keys signed it and it
// has not ended.
func Verify(token string, keys signed.Keys, now time.Time) (Capability, error) {
	payload, _, err := signed.Open(purposeCapability, token, keys)
	if err != nil {
		return Capability{}, err
	}
	parts := strings.Split(string(payload), " ")
	if len(parts) != 4 {
		return Capability{}, signed.ErrMalformed.With("the token is damaged")
	}
	generation, err1 := strconv.ParseInt(parts[2], 10, 64)
	expires, err2 := strconv.ParseInt(parts[3], 10, 64)
	if err1 != nil || err2 != nil {
		return Capability{}, signed.ErrMalformed.With("the token is damaged")
	}
	c := Capability{Scope: Scope(parts[0]), Object: parts[1], Generation: generation, Expires: time.Unix(expires, 0).UTC()}
	if !now.Before(c.Expires) {
		return Capability{}, ErrExpired.With("the token ended at %s; ask for a new link", c.Expires.Format(time.RFC3339))
	}
	return c, nil
}

// IsCapability says that a bearer claims to be a capability, by its first characters.
func IsCapability(token string) bool {
	return signed.For(purposeCapability, token) || strings.HasPrefix(token, prefixHold)
}

// HoldToken admits to a hold. It follows from the cell's seed, so that repeating the
// request that made the hold shows it again while no database holds it.
func (s *Signer) HoldToken(hold id.Hold) string { return holdToken(s.seed, hold) }

// VerifyHold says whether a token is that of the hold, under our seed or the one before.
func (s *Signer) VerifyHold(hold id.Hold, token string) bool {
	if !strings.HasPrefix(token, prefixHold) {
		return false
	}
	given := []byte(token)
	return hmac.Equal(given, []byte(holdToken(s.seed, hold))) ||
		len(s.old) > 0 && hmac.Equal(given, []byte(holdToken(s.old, hold)))
}

func holdToken(seed []byte, hold id.Hold) string {
	code := hmac.New(sha256.New, seed)
	code.Write([]byte(holdDomain))
	code.Write([]byte(hold.String()))
	var sum [sha256.Size]byte
	out := make([]byte, len(prefixHold), len(prefixHold)+base64.RawURLEncoding.EncodedLen(holdMAC))
	copy(out, prefixHold)
	return string(base64.RawURLEncoding.AppendEncode(out, code.Sum(sum[:0])[:holdMAC]))
}

// SessionKeys are the keys for session cookies, of 32 bytes: the one to encrypt with
// first, then the one before while the access key changes.
func (s *Signer) SessionKeys() [][]byte {
	keys := [][]byte{derive(s.seed, sessionDomain)}
	if len(s.old) > 0 {
		keys = append(keys, derive(s.old, sessionDomain))
	}
	return keys
}

// derive makes a key of its own for one purpose.
func derive(seed []byte, domain string) []byte {
	code := hmac.New(sha256.New, seed)
	code.Write([]byte(domain))
	return code.Sum(nil)
}

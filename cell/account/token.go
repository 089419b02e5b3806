package account

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"guichet/cell/access"
	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/signed"
)

// ErrKeyExpired refuses an API key whose time is over.
var ErrKeyExpired = kind.Unauthorized.New("api_key_expired")

// Purposes of this room's statements.
const (
	purposeKey        = "key1"
	purposeInvitation = "inv1"
)

// Claims are what an API key says of itself. Whether it was revoked is the caller's to ask.
type Claims struct {
	ID      id.APIKey
	Scope   Scope
	Expires time.Time
}

// Organizer is whose key it is.
func (c Claims) Organizer() id.Organizer { return id.OrganizerOf(c.ID) }

// keyPayload is what is signed: short names, as it travels with every call.
type keyPayload struct {
	ID          id.APIKey           `json:"k"`
	Role        access.Role         `json:"r,omitempty"`
	Permissions []access.Permission `json:"p,omitempty"`
	Expires     int64               `json:"e"`
}

// IsKey reports whether a bearer's text claims to be an API key.
func IsKey(text string) bool { return signed.For(purposeKey, text) }

// Text is the key as its owner has it: a statement of the cell where the organizer was
// born. It is kept nowhere, and follows from the row and the cell's access key, so that
// repeating the request that made it shows it again.
func (k *Key) Text(by *signed.Key) string {
	payload, _ := json.Marshal(keyPayload{k.ID, k.Scope.Role, k.Scope.Permissions, k.ExpiresAt.Unix()}) // has no value that cannot be written
	return by.Sign(purposeKey, payload)
}

// VerifyKey checks an API key with public keys alone, so any cell can tell an organizer of
// another cell from a stranger (ADR 003). Only the cell where the organizer was born
// vouches for its keys: an access key stolen from one cell opens no door to another's
// organizers (P7).
func VerifyKey(text string, keys signed.Keys, now time.Time) (Claims, error) {
	payload, kid, err := signed.Open(purposeKey, text, keys)
	if err != nil {
		return Claims{}, err
	}
	var p keyPayload
	if json.Unmarshal(payload, &p) != nil || p.ID.IsZero() || (p.Role == "") == (len(p.Permissions) == 0) {
		return Claims{}, signed.ErrMalformed.With("the API key is damaged")
	}
	c := Claims{ID: p.ID, Scope: Scope{Role: p.Role, Permissions: p.Permissions}, Expires: time.Unix(p.Expires, 0).UTC()}
	if c.Organizer().Birth() != cellOf(kid) {
		return Claims{}, signed.ErrBadSignature.With("the API key was not signed by the organizer's cell")
	}
	if !now.Before(c.Expires) {
		return Claims{}, ErrKeyExpired.With("the API key ended at %s", c.Expires.Format(time.RFC3339))
	}
	return c, nil
}

func cellOf(kid string) topology.CellID {
	cell, _, _ := strings.Cut(kid, "-")
	return topology.CellID(cell)
}

// HashText is what is kept of a key's or an invitation's text: hex SHA-256 under its own
// domain. An Ed25519 signature is in it, so it needs no slow hash.
func HashText(text string) string {
	sum := sha256.Sum256([]byte("guichet account text v1\x00" + text))
	return hex.EncodeToString(sum[:])
}

// Token is the invitation as its mail carries it.
func (i *Invitation) Token(by *signed.Key) string {
	return by.Sign(purposeInvitation, []byte(i.ID.String()))
}

// OpenInvitation says which invitation a token is of. It may be another cell's.
func OpenInvitation(token string, keys signed.Keys) (id.Invitation, error) {
	payload, kid, err := signed.Open(purposeInvitation, token, keys)
	if err != nil {
		return id.Invitation{}, ErrInvitationNotFound.With("this invitation cannot be accepted")
	}
	of, err := id.ParseInvitation(string(payload))
	if err != nil || of.Key().Birth != cellOf(kid) {
		return id.Invitation{}, ErrInvitationNotFound.With("this invitation cannot be accepted")
	}
	return of, nil
}

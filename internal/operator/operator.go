// Package operator is who may operate the town: a named token that expires, signed with
// the control plane's key. Cells, routers and the control plane check it with the public
// half that they pin, so operators are known also while the control plane is away (P8).
package operator

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"

	"guichet/internal/kind"
	"guichet/internal/signed"
)

// Purpose of the statements.
const Purpose = "op1"

// KeyID names the control plane's key in statements.
const KeyID = "control"

// Roles of operators.
const (
	Operate = "operator" // everything that operators may do
	Drill   = "drill"    // what drills need: weights, forced routes, readings
)

// Limits of a token.
const (
	MaxName = 80                   // bytes
	MaxLife = 400 * 24 * time.Hour // a token for everything that never ends does not exist
)

// Answers of Issue and Verify.
var (
	ErrExpired = kind.Unauthorized.New("token_expired")
	ErrInvalid = kind.Invalid.New("invalid_operator")
)

// Operator is who a token names.
type Operator struct {
	ID      string    `json:"id"` // of the token, for revocation and the audit log
	Name    string    `json:"name"`
	Roles   []string  `json:"roles"`
	Expires time.Time `json:"expires"`
}

// May reports whether the operator has a role; whoever operates may drill.
func (o Operator) May(role string) bool {
	return slices.Contains(o.Roles, role) || slices.Contains(o.Roles, Operate)
}

// RevocationID is how the token is named on a list of revocations.
func (o Operator) RevocationID() string { return "op:" + o.ID }

// NewKey is the control plane's key.
func NewKey(seed []byte) (*signed.Key, error) { return signed.NewKey(KeyID, seed) }

// Issue makes a token of an operator with these roles that ends after life.
func Issue(key *signed.Key, name string, roles []string, now time.Time, life time.Duration) (string, Operator, error) {
	switch {
	case name == "" || len(name) > MaxName:
		return "", Operator{}, ErrInvalid.At("/name", "must be 1 to %d bytes", MaxName)
	case life <= 0 || life > MaxLife:
		return "", Operator{}, ErrInvalid.At("/ttl", "must be at most %s", MaxLife)
	case len(roles) == 0:
		return "", Operator{}, ErrInvalid.At("/roles", "at least one of %s and %s is needed", Operate, Drill)
	}
	for _, r := range roles {
		if r != Operate && r != Drill {
			return "", Operator{}, ErrInvalid.At("/roles", "%.20q is neither %s nor %s", r, Operate, Drill)
		}
	}
	o := Operator{ID: rand.Text(), Name: name, Roles: roles, Expires: now.Add(life).UTC().Truncate(time.Second)}
	payload, err := json.Marshal(o)
	if err != nil {
		return "", Operator{}, err
	}
	return key.Sign(Purpose, payload), o, nil
}

// Verify checks a token with the pinned public keys: one, or two while the control plane
// changes its key. Whether the token was revoked is the caller's to ask.
func Verify(token string, pinned []ed25519.PublicKey, now time.Time) (Operator, error) {
	var o Operator
	var failed error = signed.ErrUnknownKey.With("no public key of a control plane is pinned here")
	for _, public := range pinned {
		payload, _, err := signed.Open(Purpose, token, func(kid string) (ed25519.PublicKey, bool) { return public, kid == KeyID })
		if err != nil {
			failed = err
			continue
		}
		if json.Unmarshal(payload, &o) != nil {
			return Operator{}, signed.ErrMalformed.With("the token is damaged")
		}
		if !now.Before(o.Expires) {
			return Operator{}, ErrExpired.With("the token of %s ended at %s", o.Name, o.Expires.Format(time.RFC3339))
		}
		return o, nil
	}
	return Operator{}, failed
}

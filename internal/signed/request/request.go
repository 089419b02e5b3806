// Package request signs HTTP calls between machines: who holds the key asked exactly
// this of exactly that path at that time. It holds what a certificate cannot: that a
// change comes from the holder of a key which stays when certificates are renewed.
package request

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"guichet/internal/kind"
	"guichet/internal/signed"
)

// Purpose of the statements, and where they stand in a call.
const (
	Purpose = "req1"
	Header  = "X-Guichet-Statement"
)

// MaxSkew is how far the clocks of the two sides may be apart.
const MaxSkew = 2 * time.Minute

// Answers of Open, besides those of package signed.
var (
	ErrOther = kind.Unauthorized.New("statement_of_another_call")
	ErrStale = kind.Unauthorized.New("statement_stale")
)

type claim struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Digest string `json:"sha256"` // of the body
	At     int64  `json:"at"`     // Unix milliseconds, by the caller's clock
}

func claimOf(method, path string, body []byte, at time.Time) claim {
	digest := sha256.Sum256(body)
	return claim{Method: method, Path: path, Digest: base64.RawURLEncoding.EncodeToString(digest[:]), At: at.UnixMilli()}
}

// Sign is the statement that goes with a call.
func Sign(key *signed.Key, method, path string, body []byte, at time.Time) string {
	text, err := json.Marshal(claimOf(method, path, body, at))
	if err != nil {
		panic(err) // three strings and a number
	}
	return key.Sign(Purpose, text)
}

// Open checks the statement of a call. It answers which key vouches and when it was
// said; that nobody says it a second time is the caller's to see to.
func Open(statement, method, path string, body []byte, keys signed.Keys, now time.Time) (kid string, at time.Time, err error) {
	text, kid, err := signed.Open(Purpose, statement, keys)
	if err != nil {
		return "", time.Time{}, err
	}
	var said claim
	if json.Unmarshal(text, &said) != nil {
		return "", time.Time{}, signed.ErrMalformed.With("the statement is damaged")
	}
	at = time.UnixMilli(said.At)
	if said != claimOf(method, path, body, at) {
		return "", time.Time{}, ErrOther.With("%s signed another call than this", kid)
	}
	if now.Sub(at).Abs() > MaxSkew {
		return "", time.Time{}, ErrStale.With("it was signed at %s, and it is %s here", at.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return kid, at, nil
}

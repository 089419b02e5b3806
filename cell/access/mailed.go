package access

import (
	"encoding/json"
	"time"

	"guichet/internal/signed"
)

const purposeMailed = "sin1"

// MailedLife is how long a mailed link signs somebody in.
const MailedLife = 15 * time.Minute

// Mailed is what a link says that was mailed to an address, to sign its reader in.
type Mailed struct {
	Email   string    `json:"email"`
	Mark    string    `json:"mark"` // names the link; it is good for one time
	Expires time.Time `json:"exp"`
}

// MailedToken is what the link carries. It is mailed to that very address and nowhere
// else, and works in the browser alone that asked for it.
func (s *Signer) MailedToken(m Mailed) string {
	m.Expires = m.Expires.UTC().Truncate(time.Second)
	payload, _ := json.Marshal(m) // has no value that cannot be written
	return s.key.Sign(purposeMailed, payload)
}

// VerifyMailed says whom a mailed link signs in. keys must be the cell's own.
func VerifyMailed(token string, keys signed.Keys, now time.Time) (Mailed, error) {
	payload, _, err := signed.Open(purposeMailed, token, keys)
	var m Mailed
	if err != nil || json.Unmarshal(payload, &m) != nil || m.Email == "" || m.Mark == "" {
		return Mailed{}, ErrLink.With("the link is damaged or was not made by this cell; ask for a new one")
	}
	if !now.Before(m.Expires) {
		return Mailed{}, ErrLinkExpired.With("the link ended at %s; ask for a new one", m.Expires.UTC().Format(time.RFC3339))
	}
	return m, nil
}

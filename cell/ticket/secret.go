package ticket

import (
	"crypto/sha256"

	"guichet/cell/id"
	"guichet/control-plane/topology"
)

// secretDomain keeps these signatures apart from all others.
const secretDomain = "guichet organizer secret from the cell's key v1\x00"

// Secret is the secret of an organizer's first API key. It follows from the
// cell's own key, so it can be shown again to whoever repeats the request that
// opened the account, while the database holds its hash and nothing more.
func (s *Signer) Secret(org id.Organizer) string {
	sum := sha256.Sum256(s.sign(secretDomain, []byte(org.String())))
	b := make([]byte, SecretLen)
	for i := range b {
		b[i] = topology.Alphabet[sum[i]&31]
	}
	return string(b)
}

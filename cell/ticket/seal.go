package ticket

import (
	"crypto/ed25519"
	"encoding/base64"

	"guichet/internal/kind"
)

// sealDomain keeps a seal from being taken for a barcode or an API key.
const sealDomain = "guichet-ledger-v1\n"

// ErrSeal is returned for a seal that does not fit its text.
var ErrSeal = kind.Unprocessable.New("seal_broken")

// Seal signs the head of a ledger: who holds it can show that this cell said so.
func (s *Signer) Seal(text string) string {
	return base64.RawURLEncoding.EncodeToString(s.sign(sealDomain, []byte(text)))
}

// VerifySeal checks a seal with public keys alone.
func VerifySeal(text, seal, kid string, keys Keys) error {
	signature, err := base64.RawURLEncoding.DecodeString(seal)
	public, known := keys(kid)
	switch {
	case !known:
		return ErrUnknownKey.With("%.40q is not among the keys", kid)
	case err != nil || !ed25519.Verify(public, []byte(sealDomain+text), signature):
		return ErrSeal.With("the ledger was not sealed by %.40q", kid)
	}
	return nil
}

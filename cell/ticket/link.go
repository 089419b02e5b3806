package ticket

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"time"

	"guichet/internal/kind"
)

// Answers of VerifyLink.
var (
	ErrLink        = kind.Forbidden.New("link_invalid")
	ErrLinkExpired = kind.Forbidden.New("link_expired")
)

// linkDomain keeps these signatures apart from all others.
const linkDomain = "guichet ticket search link v1\x00"

// addressLen is the length of an address's hash in bytes.
const addressLen = 32

// MaxLink is the length of the longest link token that can be right.
const MaxLink = 200

// Link signs that whoever has it may see the tickets of the address with this
// hash (hex, 32 bytes) until a time. It goes to that very address and nowhere
// else. It panics on a hash of another form: only our own code makes them.
//
//	until 5 · hash 32 · len kid · kid · signature 64
func (s *Signer) Link(addressHash string, until time.Time) string {
	hash, err := hex.DecodeString(addressHash)
	if err != nil || len(hash) != addressLen {
		panic("ticket: a link for an address that is no hash")
	}
	payload := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))[8-timeLen:] //nolint:gosec // no link ends before 1970
	payload = append(append(payload, hash...), byte(len(s.kid)))                    //nolint:gosec // shorter than 16
	payload = append(payload, s.kid...)
	return base64.RawURLEncoding.EncodeToString(append(payload, s.sign(linkDomain, payload)...))
}

// VerifyLink checks a link with the cell's own public keys and says whose tickets
// it opens. Another cell's link opens nothing here (P7).
func VerifyLink(token string, keys Keys, now time.Time) (addressHash string, until time.Time, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(token) > MaxLink || len(raw) < timeLen+addressLen+1+ed25519.SignatureSize {
		return "", time.Time{}, ErrLink.With("the link is damaged; ask for a new one")
	}
	payload, signature := raw[:len(raw)-ed25519.SignatureSize], raw[len(raw)-ed25519.SignatureSize:]
	kid, rest, ok := cutText(payload[timeLen+addressLen:])
	if !ok || len(rest) > 0 {
		return "", time.Time{}, ErrLink.With("the link is damaged; ask for a new one")
	}
	public, ok := keys(kid)
	if !ok || !ed25519.Verify(public, append([]byte(linkDomain), payload...), signature) {
		return "", time.Time{}, ErrLink.With("the link was not made by this cell; ask for a new one")
	}
	var seconds [8]byte
	copy(seconds[8-timeLen:], payload)
	until = time.Unix(int64(binary.BigEndian.Uint64(seconds[:])), 0).UTC() //nolint:gosec // 40 bits fit
	if !now.Before(until) {
		return "", time.Time{}, ErrLinkExpired.With("the link ended at %s; ask for a new one", until.Format(time.RFC3339))
	}
	return hex.EncodeToString(payload[timeLen : timeLen+addressLen]), until, nil
}

package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"strings"
)

// box encrypts what a cookie holds, with AES-256-GCM under random nonces. The first
// key seals, every key opens.
type box struct{ keys []cipher.AEAD }

func newBox(keys [][]byte) (box, error) {
	var b box
	for _, k := range keys {
		block, err := aes.NewCipher(k)
		if err != nil {
			return b, fmt.Errorf("session key: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return b, fmt.Errorf("session key: %w", err)
		}
		b.keys = append(b.keys, aead)
	}
	return b, nil
}

// seal names the cell in the clear, for the router, and vouches for it: another cell's
// name in front does not open.
func (b box) seal(cell, purpose string, text []byte) string {
	sealed := b.keys[0].Seal(nil, nil, text, []byte(purpose+"\x00"+cell)) //nolint:gosec // G407: this cipher draws a nonce by itself
	return cell + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

func (b box) open(cell, purpose, sealed string) ([]byte, bool) {
	text, ours := strings.CutPrefix(sealed, cell+".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !ours || err != nil {
		return nil, false
	}
	for _, k := range b.keys {
		if out, err := k.Open(nil, nil, raw, []byte(purpose+"\x00"+cell)); err == nil {
			return out, true
		}
	}
	return nil, false
}

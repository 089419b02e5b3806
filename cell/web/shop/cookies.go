package shop

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"guichet/cell/access"
)

// The cookies. Each admits to one object, and goes with requests for that object's pages
// alone. Their names say nothing but what they are.
//
// A browser gives no list of its cookies by path, so forgetting a device could not take
// them all away. Therefore a token's cookie is encrypted with a key that the browser itself
// keeps in access.DeviceCookie: without that one cookie all others are noise.
const (
	tokenCookie   = "__Secure-guichet-token"   //nolint:gosec // G101: a name; it admits to what its path names
	orderedCookie = "__Secure-guichet-ordered" // the order that came from the hold in its path
	langCookie    = "guichet_lang"

	holdLife   = 2 * time.Hour
	orderLife  = 30 * 24 * time.Hour
	deviceLife = orderLife // it is set anew with each token
	langLife   = 365 * 24 * time.Hour
)

// keep sets a cookie for the pages under a path. A token is kept encrypted.
func (v *visit) keep(name, value, path string, life time.Duration) {
	if name == tokenCookie && value != "" {
		value = seal(v.deviceKey(), value)
	}
	v.set(name, value, path, life)
}

func (v *visit) set(name, value, path string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: path, MaxAge: int(life / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// deviceKey is the browser's key. It makes one where there is none, and keeps it as long as
// the token that is about to be kept.
func (v *visit) deviceKey() []byte {
	if v.device == nil {
		v.device = deviceKeyOf(v.cookie(access.DeviceCookie))
		if v.device == nil {
			v.device = make([]byte, deviceKeySize)
			_, _ = rand.Read(v.device) // it never fails
		}
		v.set(access.DeviceCookie, base64.RawURLEncoding.EncodeToString(v.device), "/", deviceLife)
	}
	return v.device
}

const deviceKeySize = 32 // bytes: AES-256

// deviceKeyOf reads a key, nil when there is none.
func deviceKeyOf(text string) []byte {
	key, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(key) != deviceKeySize {
		return nil
	}
	return key
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("shop: " + err.Error()) // the key has its size
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("shop: " + err.Error())
	}
	return aead
}

func seal(key []byte, text string) string {
	return base64.RawURLEncoding.EncodeToString(gcm(key).Seal(nil, nil, []byte(text), nil)) //nolint:gosec // G407: this AEAD makes its own random nonce
}

// unseal gives what seal took, "" for what another key sealed.
func unseal(key []byte, text string) string {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	plain, err := gcm(key).Open(nil, nil, sealed, nil)
	if err != nil {
		return ""
	}
	return string(plain)
}

// cookie is a cookie's value, "" when there is none.
func (v *visit) cookie(name string) string {
	c, err := v.r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// token is what admits to the object in this visit's path.
func (v *visit) token() (string, error) {
	key := deviceKeyOf(v.cookie(access.DeviceCookie))
	if key == nil {
		return "", errNoToken
	}
	if t := unseal(key, v.cookie(tokenCookie)); t != "" {
		return t, nil
	}
	return "", errNoToken
}

// speak remembers the language.
func (v *visit) speak(code string) {
	http.SetCookie(v.w, &http.Cookie{Name: langCookie, Value: code, Path: "/", MaxAge: int(langLife / time.Second), SameSite: http.SameSiteLaxMode, HttpOnly: true, Secure: true})
}

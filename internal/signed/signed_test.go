package signed_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"guichet/internal/kind"
	"guichet/internal/signed"
)

func key(t testing.TB, id string, seed byte) *signed.Key {
	t.Helper()
	k, err := signed.NewKey(id, bytes.Repeat([]byte{seed}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keysOf(list ...*signed.Key) signed.Keys {
	return func(kid string) (ed25519.PublicKey, bool) {
		for _, k := range list {
			if k.ID() == kid {
				return k.Public(), true
			}
		}
		return nil, false
	}
}

func TestOpen_givesBackWhatWasSigned(t *testing.T) {
	t.Parallel()
	k := key(t, "euw3-a1", 1)
	text := k.Sign("cap1", []byte("a payload"))
	payload, kid, err := signed.Open("cap1", text, keysOf(k))
	if err != nil || string(payload) != "a payload" || kid != "euw3-a1" {
		t.Errorf("got %q of %q, %v", payload, kid, err)
	}
	if text != k.Sign("cap1", []byte("a payload")) {
		t.Error("the same statement has two spellings")
	}
}

func TestOpen_refusesAnotherPurposeKeyAndSigner(t *testing.T) {
	t.Parallel()
	k, other := key(t, "euw3-a1", 1), key(t, "use1-a1", 2)
	text := k.Sign("cap1", []byte("x"))
	if _, _, err := signed.Open("per1", text, keysOf(k)); !errors.Is(err, signed.ErrMalformed) {
		t.Errorf("another purpose: %v", err)
	}
	renamed := "per1" + strings.TrimPrefix(text, "cap1")
	if _, _, err := signed.Open("per1", renamed, keysOf(k)); !errors.Is(err, signed.ErrBadSignature) {
		t.Errorf("a purpose that was written over: %v", err)
	}
	if _, _, err := signed.Open("cap1", text, keysOf(other)); !errors.Is(err, signed.ErrUnknownKey) {
		t.Errorf("an unknown key: %v", err)
	}
	as := strings.Replace(text, "euw3-a1", "use1-a1", 1)
	if _, _, err := signed.Open("cap1", as, keysOf(k, other)); !errors.Is(err, signed.ErrBadSignature) {
		t.Errorf("another signer's name: %v", err)
	}
}

func TestOpen_refusesEveryMutation(t *testing.T) {
	t.Parallel()
	k := key(t, "euw3-a1", 1)
	text := k.Sign("cap1", []byte("o ord_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v 0 1800000000"))
	keys := keysOf(k)
	refused := func(bad string) {
		if _, _, err := signed.Open("cap1", bad, keys); kind.Of(err) != kind.Unauthorized {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for i := range len(text) + 1 {
		for _, c := range "0AZaz_-.= \n\r\x00" {
			refused(text[:i] + string(c) + text[i:])
			if i < len(text) && rune(text[i]) != c {
				refused(text[:i] + string(c) + text[i+1:])
			}
		}
		if i < len(text) {
			refused(text[:i] + text[i+1:])
		}
	}
	refused("")
	refused("cap1." + strings.Repeat("A", signed.MaxLength))
}

func TestNewKey_refusesWhatCannotSign(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]func() (*signed.Key, error){
		"short seed": func() (*signed.Key, error) { return signed.NewKey("euw3-a1", []byte("short")) },
		"no seed":    func() (*signed.Key, error) { return signed.NewKey("euw3-a1", nil) },
		"bad name":   func() (*signed.Key, error) { return signed.NewKey("a.b", make([]byte, signed.SeedSize)) },
	} {
		if _, err := try(); !errors.Is(err, signed.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := key(f, "euw3-a1", 1)
	text := k.Sign("cap1", []byte("x"))
	f.Add(text)
	f.Add(text + "\n")
	f.Add("cap1...")
	f.Fuzz(func(t *testing.T, s string) {
		if _, _, err := signed.Open("cap1", s, keysOf(k)); (err == nil) != (s == text) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

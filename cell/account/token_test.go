package account_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/id"
	"guichet/internal/signed"
)

func accessKey(t testing.TB, kid string, seed byte) *signed.Key {
	t.Helper()
	k, err := signed.NewKey(kid, bytes.Repeat([]byte{seed}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keysOf(all ...*signed.Key) signed.Keys {
	return func(kid string) (ed25519.PublicKey, bool) {
		for _, k := range all {
			if k.ID() == kid {
				return k.Public(), true
			}
		}
		return nil, false
	}
}

func TestVerifyKey_believesTheOrganizersCellAlone(t *testing.T) {
	t.Parallel()
	home, other := accessKey(t, "euw3-a1", 1), accessKey(t, "use1-a1", 2)
	keys := keysOf(home, other)
	h := open(t)
	for _, scope := range []account.Scope{{Role: access.Owner}, {Permissions: access.Permissions}} {
		k := h.Keys[0]
		k.Scope = scope
		text := k.Text(home)
		if text != k.Text(home) || len(text) > signed.MaxLength || !account.IsKey(text) {
			t.Errorf("%s", text)
		}
		c, err := account.VerifyKey(text, keys, noon)
		if err != nil || c.ID != k.ID || c.Organizer() != h.Organizer || c.Scope.Role != scope.Role || !slices.Equal(c.Scope.Permissions, scope.Permissions) {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := account.VerifyKey(text, keys, k.ExpiresAt); !errors.Is(err, account.ErrKeyExpired) {
			t.Errorf("after its end: %v", err)
		}
		if _, err := account.VerifyKey(k.Text(other), keys, noon); !errors.Is(err, signed.ErrBadSignature) {
			t.Errorf("another cell vouches: %v", err)
		}
		if _, err := account.VerifyKey(k.Text(accessKey(t, "euw3-a1", 9)), keys, noon); !errors.Is(err, signed.ErrBadSignature) {
			t.Errorf("a forged one: %v", err)
		}
	}
	for _, payload := range []string{"", "{}", "null", `{"k":"","e":9999999999,"r":"owner"}`, `{"k":"` + h.Keys[0].ID.String() + `","e":9999999999}`, `{"k":"` + h.Keys[0].ID.String() + `","e":9999999999,"r":"owner","p":["door:scan"]}`} {
		if c, err := account.VerifyKey(home.Sign("key1", []byte(payload)), keys, noon); !errors.Is(err, signed.ErrMalformed) {
			t.Errorf("%s: %+v, %v", payload, c, err)
		}
	}
}

func TestOpenInvitation_believesItsCellAloneAndTellsNothing(t *testing.T) {
	t.Parallel()
	home, other := accessKey(t, "euw3-a1", 1), accessKey(t, "use1-a1", 2)
	keys := keysOf(home, other)
	inv := account.Invitation{ID: id.NewInvitation(id.NewOrganizer("euw3"))}
	if of, err := account.OpenInvitation(inv.Token(home), keys); err != nil || of != inv.ID {
		t.Errorf("%v, %v", of, err)
	}
	for name, token := range map[string]string{
		"another cell's": inv.Token(other), "forged": inv.Token(accessKey(t, "euw3-a1", 3)), "garbage": "x", "empty": "", "a key": (&account.Key{ID: id.NewAPIKey(id.NewOrganizer("euw3")), Scope: account.Scope{Role: access.Owner}}).Text(home),
		"no id": home.Sign("inv1", []byte("x")),
	} {
		if of, err := account.OpenInvitation(token, keys); !errors.Is(err, account.ErrInvitationNotFound) {
			t.Errorf("%s: %v, %v", name, of, err)
		}
	}
}

func FuzzClean_givesOneBoundedLine(f *testing.F) {
	f.Add("Ana")
	f.Add("\u202e\u2028<script>\x00")
	f.Fuzz(func(t *testing.T, name string) {
		got := account.Clean(name)
		if account.Clean(got) != got || strings.ContainsAny(got, "\r\n\x00\u2028\u202e") || len([]rune(got)) > account.MaxName {
			t.Errorf("%q becomes %q", name, got)
		}
	})
}

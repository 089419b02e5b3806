package ticket

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

func organizer(t testing.TB) id.Organizer {
	t.Helper()
	org, err := id.ParseOrganizer("org_euw3_k3v9x2m4q7rt")
	if err != nil {
		t.Fatal(err)
	}
	return org
}

const secret = "0123456789abcdefghjkmnpqrs"

func TestCredential_isCheckedWithPublicKeysAlone(t *testing.T) {
	t.Parallel()
	s := signer(t, "euw3-1")
	org, made := organizer(t), NewSecret()
	key := s.Credential(org, made)
	snapshot := &topology.Snapshot{Cells: []topology.Cell{{ID: "use1"}, {ID: "euw3", Keys: []topology.Key{s.Public()}}}}
	got, err := VerifyCredential(key, KeysIn(snapshot))
	if err != nil {
		t.Fatal(err)
	}
	if got.Organizer != org || got.Secret != made || got.KeyID != "euw3-1" || got.Hash() != HashSecret(made) {
		t.Errorf("got %#v", got)
	}
	if HashSecret(made) == HashSecret(NewSecret()) || len(HashSecret(made)) != 64 {
		t.Error("the hash does not tell secrets apart")
	}
	if len(key) > MaxCredential {
		t.Errorf("%d characters are more than MaxCredential", len(key))
	}
}

func TestCredential_isNotPrintedByAccident(t *testing.T) {
	t.Parallel()
	c, err := ParseCredential(signer(t, "euw3-1").Credential(organizer(t), secret))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(format, c); strings.Contains(out, secret) || !strings.Contains(out, "euw3_k3v9x2m4q7rt") {
			t.Errorf("%s prints %s", format, out)
		}
	}
}

func TestCredential_anyMutationIsRefused(t *testing.T) {
	t.Parallel()
	s := signer(t, "euw3-1")
	keys := KeysOf([]topology.Key{s.Public()})
	key := s.Credential(organizer(t), secret)
	refused := func(bad string) {
		if _, err := VerifyCredential(bad, keys); kind.Of(err) != kind.Unauthorized {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for i := range len(key) + 1 {
		for _, c := range "0123456789abcdefghijklmnopqrstuvwxyzAZ_-.= \n\r\x00" {
			refused(key[:i] + string(c) + key[i:])
			if i < len(key) && rune(key[i]) != c {
				refused(key[:i] + string(c) + key[i+1:])
			}
		}
		if i < len(key) {
			refused(key[:i] + key[i+1:])
		}
	}
	refused("")
	refused(CredentialPrefix)
	refused(CredentialPrefix + strings.Repeat("0", 1<<20))
}

func TestCredential_onlyTheBirthCellVouches(t *testing.T) {
	t.Parallel()
	home, other := signer(t, "euw3-1"), signer(t, "use1-1")
	keys := KeysOf([]topology.Key{home.Public(), other.Public()})
	org := organizer(t)

	// What use1 could write with its own key, did it not refuse: P7.
	text := credentialText(org, secret, other.KeyID())
	forged := text + "_" + base32Text.EncodeToString(other.sign(credentialDomain, []byte(text)))
	if _, err := VerifyCredential(forged, keys); !errors.Is(err, ErrCredentialBadSignature) {
		t.Errorf("use1 vouched for an organizer of euw3: %v", err)
	}
	if _, err := VerifyCredential(home.Credential(org, secret), KeysOf(nil)); !errors.Is(err, ErrCredentialUnknownKey) {
		t.Errorf("without keys: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("use1 signed for an organizer of euw3")
		}
	}()
	other.Credential(org, secret)
}

func TestSignatures_ofOnePurposeDoNotServeAnother(t *testing.T) {
	t.Parallel()
	s := signer(t, "euw3-1")
	keys := KeysOf([]topology.Key{s.Public()})
	text := credentialText(organizer(t), secret, "euw3-1")
	asBarcode := text + "_" + base32Text.EncodeToString(s.sign(barcodeDomain, []byte(text)))
	if _, err := VerifyCredential(asBarcode, keys); !errors.Is(err, ErrCredentialBadSignature) {
		t.Errorf("a barcode's signature passed for an API key's: %v", err)
	}
	payload := encode(Claims{Ticket: claims(t).Ticket, Type: claims(t).Type, IssuedAt: claims(t).IssuedAt, KeyID: "euw3-1"})
	asKey := spell(payload, s.sign(credentialDomain, payload))
	if _, err := Verify(asKey, keys); !errors.Is(err, ErrBadSignature) {
		t.Errorf("an API key's signature passed for a barcode's: %v", err)
	}
}

func FuzzVerifyCredential(f *testing.F) {
	s := signer(f, "euw3-1")
	keys := KeysOf([]topology.Key{s.Public()})
	key := s.Credential(organizer(f), secret)
	f.Add(key)
	f.Add(key + "\n")
	f.Add(strings.ToUpper(key))
	f.Add("gk_euw3_k3v9x2m4q7rt_" + secret + "_euw3-1_")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := VerifyCredential(text, keys); (err == nil) != (text == key) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

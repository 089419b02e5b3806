package account_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/id"
)

func TestMakeKey_refusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	h := open(t)
	role := account.Scope{Role: access.Reader}
	list := func(p ...access.Permission) account.Scope { return account.Scope{Permissions: p} }
	for name, want := range map[string]account.AskedKey{
		"no name": {Scope: role}, "spaces": {Name: " a ", Scope: role}, "lines": {Name: "a\nb", Scope: role}, "NUL": {Name: "a\x00", Scope: role}, "overrides": {Name: "a\u202eb", Scope: role},
		"bytes": {Name: "a\xff", Scope: role}, "endless": {Name: strings.Repeat("a", account.MaxName+1), Scope: role}, "no scope": {Name: "a"},
		"both": {Name: "a", Scope: account.Scope{Role: access.Reader, Permissions: []access.Permission{access.Scan}}}, "no role": {Name: "a", Scope: account.Scope{Role: "root"}},
		"no permission": {Name: "a", Scope: list("everything")}, "twice": {Name: "a", Scope: list(access.Scan, access.Scan)}, "of owners": {Name: "a", Scope: list("owner")},
		"past": {Name: "a", Scope: role, Expires: noon}, "for ever": {Name: "a", Scope: role, Expires: noon.Add(account.MaxKeyLife + time.Second)},
	} {
		if k, err := h.MakeKey(person(access.Owner), want, noon); !errors.Is(err, account.ErrInvalidKey) {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
	if k, err := h.MakeKey(person(access.Owner), account.AskedKey{Name: "Ωmega 鍵 '; DROP TABLE--", Scope: list(access.Scan), Expires: noon.Add(time.Hour)}, noon); err != nil || !k.ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v, %v", k, err)
	}
	if k, err := h.MakeKey(person(access.Owner), account.AskedKey{Name: "long", Scope: role}, noon); err != nil || !k.ExpiresAt.Equal(noon.Add(account.MaxKeyLife)) {
		t.Errorf("a key without an expiry: %+v, %v", k, err)
	}
}

func TestRotateKey_letsTheOldOneGoOnForItsGrace(t *testing.T) {
	t.Parallel()
	h := open(t)
	old := h.keys[access.Orders]
	for _, grace := range []time.Duration{-time.Second, account.MaxGrace + time.Second} {
		if _, _, err := h.RotateKey(person(access.Owner), old, grace, noon); !errors.Is(err, account.ErrInvalidKey) {
			t.Errorf("grace %s: %v", grace, err)
		}
	}
	fresh, replaced, err := h.RotateKey(person(access.Owner), old, time.Hour, noon)
	if err != nil || fresh.Scope.Role != access.Orders || fresh.Name != "orders" || fresh.ID == old || replaced.ReplacedBy != fresh.ID {
		t.Fatalf("%+v, %+v, %v", fresh, replaced, err)
	}
	if a, b := replaced.State(noon.Add(time.Hour-1)), replaced.State(noon.Add(time.Hour)); a != account.KeyReplaced || b != account.KeyExpired {
		t.Errorf("%s, then %s", a, b)
	}
	r := h.Changes.Revocations
	if len(r) != 1 || r[0].Subject != "key:"+old.String() || !r[0].From.Equal(noon.Add(time.Hour)) || !r[0].Until.Equal(replaced.ExpiresAt) {
		t.Errorf("%+v", r)
	}
	if _, _, err := h.RotateKey(person(access.Owner), old, time.Hour, noon); !errors.Is(err, account.ErrKeyEnded) {
		t.Errorf("once more: %v", err)
	}
	// A key that leaks in its grace is revoked at once.
	if k, err := h.RevokeKey(person(access.Owner), old, noon); err != nil || k.State(noon) != account.KeyRevoked || !k.EndsAt.Equal(noon) {
		t.Errorf("%+v, %v", k, err)
	}
	if _, _, err := h.RotateKey(person(access.Owner), id.NewAPIKey(h.Organizer), 0, noon); !errors.Is(err, account.ErrKeyNotFound) {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestDemand_isTheOwnersAndLocksNobodyOut(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, r := range access.Roles[1:] {
		if err := h.Demand(person(r), "urn:mfa", "urn:mfa", noon); !errors.Is(err, account.ErrForbidden) {
			t.Errorf("a %s: %v", r, err)
		}
	}
	owner := person(access.Owner)
	if err := h.Demand(h.key(access.Owner), "", "", noon); !errors.Is(err, account.ErrForbidden) {
		t.Errorf("a key: %v", err)
	}
	if err := h.Demand(owner, "urn:mfa", "urn:password", noon); !errors.Is(err, account.ErrSecondFactor) {
		t.Errorf("without it: %v", err)
	}
	for _, acr := range []string{"a b", "a\n", "\x00", "é", strings.Repeat("a", account.MaxACR+1)} {
		if err := h.Demand(owner, acr, acr, noon); !errors.Is(err, account.ErrInvalidSecurity) {
			t.Errorf("%q: %v", acr, err)
		}
	}
	if err := h.Demand(owner, "urn:mfa", "urn:mfa", noon); err != nil || !h.Changes.Security {
		t.Fatal(err)
	}
	for acr, want := range map[string]error{"": account.ErrSecondFactor, "urn:password": account.ErrSecondFactor, "urn:mfa": nil} {
		if _, err := h.Admit(who("reader"), acr); !errors.Is(err, want) {
			t.Errorf("signed in by %q: %v", acr, err)
		}
	}
	if _, err := h.Admit(who("stranger"), "urn:mfa"); !errors.Is(err, account.ErrNotMember) {
		t.Errorf("a stranger: %v", err)
	}
}

package operator_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"guichet/internal/operator"
	"guichet/internal/signed"
)

var noon = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)

func key(t *testing.T, seed byte) *signed.Key {
	t.Helper()
	k, err := operator.NewKey(bytes.Repeat([]byte{seed}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOperator_isKnownByThePinnedKeyUntilItEnds(t *testing.T) {
	t.Parallel()
	k := key(t, 1)
	token, issued, err := operator.Issue(k, "night shift", []string{operator.Drill}, noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	o, err := operator.Verify(token, []ed25519.PublicKey{key(t, 2).Public(), k.Public()}, noon.Add(59*time.Minute))
	if err != nil || o.Name != "night shift" || o.ID != issued.ID || o.May(operator.Operate) || !o.May(operator.Drill) {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := operator.Verify(token, []ed25519.PublicKey{k.Public()}, noon.Add(time.Hour)); !errors.Is(err, operator.ErrExpired) {
		t.Errorf("after its end: %v", err)
	}
	for name, pinned := range map[string][]ed25519.PublicKey{"nothing is pinned": nil, "another key": {key(t, 2).Public()}} {
		if o, err := operator.Verify(token, pinned, noon); err == nil || o.Name != "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestIssue_refusesTokensWithoutNameRoleOrEnd(t *testing.T) {
	t.Parallel()
	k := key(t, 1)
	for name, try := range map[string]struct {
		name  string
		roles []string
		life  time.Duration
	}{
		"no name": {"", []string{operator.Operate}, time.Hour}, "long name": {strings.Repeat("x", operator.MaxName+1), []string{operator.Operate}, time.Hour},
		"no role": {"x", nil, time.Hour}, "unknown role": {"x", []string{"root"}, time.Hour},
		"no end": {"x", []string{operator.Operate}, 0}, "for ever": {"x", []string{operator.Operate}, operator.MaxLife + 1},
	} {
		if _, _, err := operator.Issue(k, try.name, try.roles, noon, try.life); !errors.Is(err, operator.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package store_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"guichet/control-plane/registry"
	"guichet/control-plane/snapshot"
	"guichet/control-plane/topology"
)

func TestInvitation_isUsedOnceEvenByManyAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := &registry.Service{Book: s, Now: func() time.Time { return noon }}
	_, token, err := r.Invite(t.Context(), "euw3", "eu-west-3", "ann", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			c := cell("euw3", "eu-west-3")
			c.Keys = []topology.Key{{ID: "euw3-a1", X: string(rune('a' + i)), Use: topology.UseAccess}}
			_, errs[i] = r.Join(t.Context(), c, token, "euw3-a1", noon)
		})
	}
	wg.Wait()
	in := 0
	for _, err := range errs {
		if err == nil {
			in++
		} else if !errors.Is(err, registry.ErrTokenUsed) {
			t.Error(err)
		}
	}
	if in != 1 {
		t.Errorf("%d cells came in by one token", in)
	}
}

func TestInvitation_theNewestOfACellCounts(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := &registry.Service{Book: s, Now: func() time.Time { return noon }}
	_, first, err := r.Invite(t.Context(), "euw3", "eu-west-3", "ann", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := r.Invite(t.Context(), "euw3", "eu-west-3", "ann", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Join(t.Context(), cell("euw3", "eu-west-3"), first, "euw3-1", noon); !errors.Is(err, registry.ErrTokenUnknown) {
		t.Errorf("the first: %v", err)
	}
	late := &registry.Service{Book: s, Now: func() time.Time { return noon.Add(time.Hour) }}
	if _, err := late.Join(t.Context(), cell("euw3", "eu-west-3"), second, "euw3-1", noon); !errors.Is(err, registry.ErrTokenExpired) {
		t.Errorf("an hour later: %v", err)
	}
	if _, err := r.Join(t.Context(), cell("euw3", "eu-west-3"), second, "euw3-1", noon); err != nil {
		t.Errorf("the second: %v", err)
	}
}

func TestExpel_takesACellOffTheMapUntilItIsInvitedAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := register(t, s, noon)
	if _, err := r.Expel(t.Context(), "use1"); err != nil {
		t.Fatal(err)
	}
	onMap := func() []topology.CellID {
		t.Helper()
		f, err := s.Facts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ids []topology.CellID
		for _, c := range snapshot.Build(f, noon).Cells {
			ids = append(ids, c.ID)
		}
		return ids
	}
	if got := onMap(); !slices.Equal(got, []topology.CellID{"apn1", "euw3"}) {
		t.Errorf("on the map: %v", got)
	}
	if _, err := r.Keys(t.Context(), "use1"); !errors.Is(err, registry.ErrExpelled) {
		t.Errorf("its keys: %v", err)
	}
	if _, err := r.Announce(t.Context(), cell("use1", "us-east-1"), noon.Add(time.Second)); !errors.Is(err, registry.ErrExpelled) {
		t.Errorf("it says what it is: %v", err)
	}
	if err := r.Beat(t.Context(), "use1", []string{"http://use1"}, nil); !errors.Is(err, registry.ErrUnknownCell) {
		t.Errorf("it beats: %v", err)
	}
	if m, err := join(t, r, cell("use1", "us-east-1")); err != nil || m.Weight != 100 || len(onMap()) != 3 {
		t.Errorf("invited again: %+v, %v, on the map %v", m, err, onMap())
	}
}

func TestRevocations_areOnTheMapAsSoonAsTheyAreTold(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.Now = func() time.Time { return noon }
	r := register(t, s, noon)
	changes := 0
	r.Changed = func() { changes++ }
	tell := func(revoked ...string) {
		t.Helper()
		if err := r.Beat(t.Context(), "euw3", []string{"http://euw3"}, revoked); err != nil {
			t.Fatal(err)
		}
	}
	tell("key:abc", "sid:def")
	tell("key:abc", "sid:def") // the same again is no change
	if err := r.Revoke(t.Context(), "op:xyz", "ann", noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	f, err := s.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := snapshot.Build(f, noon)
	if !m.Revokes("key:abc") || !m.Revokes("sid:def") || !m.Revokes("op:xyz") || m.Revokes("key:other") || changes != 2 {
		t.Errorf("the map says %v and %v after %d changes", m.Cells, m.Revoked, changes)
	}
	tell()
	s.Now = func() time.Time { return noon.Add(2 * time.Hour) } // the operator's token has ended
	if f, err = s.Facts(t.Context()); err != nil || snapshot.Build(f, noon).Revokes("key:abc") || snapshot.Build(f, noon).Revokes("op:xyz") {
		t.Errorf("what is over is still told: %+v %v", f, err)
	}
	for _, bad := range []string{"op:xyz", "key:", "nonsense"} {
		if err := r.Beat(t.Context(), "euw3", []string{"http://euw3"}, []string{bad}); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("a cell revokes %q: %v", bad, err)
		}
	}
}

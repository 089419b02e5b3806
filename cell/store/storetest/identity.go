package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/store"
	"guichet/internal/txn"
)

var identityTests = map[string]func(t *testing.T, s *store.Store){
	"UsedLink_isUsedOnceWhoeverRaces": usedLinkOnce,
	"UsedLink_isForgottenAfterItsEnd": usedLinkForgotten,
}

func usedLinkOnce(t *testing.T, s *store.Store) {
	other := twin(t, s)
	var firsts atomic.Int64
	var racing sync.WaitGroup
	for n := range 20 {
		at := []*store.Store{s, other}[n%2]
		racing.Go(func() {
			first, err := at.UseLink(t.Context(), "a", clock(t, s).Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			if first {
				firsts.Add(1)
			}
		})
	}
	racing.Wait()
	if firsts.Load() != 1 {
		t.Errorf("a link was used for the first time %d times", firsts.Load())
	}
	if first, err := s.UseLink(t.Context(), "b", clock(t, s).Add(time.Hour)); err != nil || !first {
		t.Errorf("another link: %v %v", first, err)
	}
}

func usedLinkForgotten(t *testing.T, s *store.Store) {
	for mark, until := range map[string]time.Duration{"over": -time.Hour, "good": time.Hour} {
		if _, err := s.UseLink(t.Context(), mark, clock(t, s).Add(until)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.ForgetLinks(t.Context()); err != nil || n != 1 {
		t.Errorf("%d were forgotten: %v", n, err)
	}
	if first, err := s.UseLink(t.Context(), "good", clock(t, s).Add(time.Hour)); err != nil || first {
		t.Errorf("a link that is good was forgotten: %v", err)
	}
}

// clock is the database's.
func clock(t *testing.T, s *store.Store) time.Time {
	t.Helper()
	now, err := s.Clock(t.Context(), txn.None)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

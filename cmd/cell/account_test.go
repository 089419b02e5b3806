package main

import (
	"context"
	"errors"
	"slices"
	"testing"

	"guichet/cell/account"
)

// listStore answers what is revoked.
type listStore struct {
	account.Store
	list []string
	all  bool
	err  error
}

func (s *listStore) Revoked(context.Context, int) ([]string, bool, error) {
	return s.list, s.all, s.err
}

func TestRevocations_staysAsItWasWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	store := &listStore{list: []string{"key:a"}, all: true}
	var said []error
	ask := revocations(t.Context(), &account.Service{Store: store}, func(err error) { said = append(said, err) })
	if got := ask(); !slices.Equal(got, []string{"key:a"}) || len(said) != 0 {
		t.Errorf("%v, %v", got, said)
	}
	away := errors.New("away")
	store.list, store.err = nil, away
	if got := ask(); !slices.Equal(got, []string{"key:a"}) || len(said) != 1 || !errors.Is(said[0], away) {
		t.Errorf("%v, %v", got, said)
	}
	store.list, store.all, store.err = []string{"key:b"}, false, nil
	if got := ask(); !slices.Equal(got, []string{"key:b"}) || len(said) != 2 || !errors.Is(said[1], errRevokedTooMany) {
		t.Errorf("%v, %v", got, said)
	}
}

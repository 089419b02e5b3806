package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"testing"
	"time"

	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/internal/operator"
	"guichet/internal/signed"
)

func key(t *testing.T, name string, seed byte) *signed.Key {
	t.Helper()
	k, err := signed.NewKey(name, bytes.Repeat([]byte{seed}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, k *signed.Key, version int64) *seal.Map {
	t.Helper()
	m, err := seal.Sign(k, &topology.Snapshot{Version: version, Cells: []topology.Cell{{ID: "euw3"}}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMap_isBelievedWithAPinnedKeyOnly(t *testing.T) {
	t.Parallel()
	control, next, cell := key(t, operator.KeyID, 1), key(t, operator.KeyID, 2), key(t, "euw3-a1", 3)
	m := sign(t, control, 7)
	for name, pinned := range map[string][]ed25519.PublicKey{
		"the key": {control.Public()}, "the key before the next": {control.Public(), next.Public()}, "the next before the key": {next.Public(), control.Public()},
	} {
		got, err := seal.Parse(m.Bytes(), pinned)
		if err != nil || got.Snapshot().Version != 7 || !reflect.DeepEqual(got.Bytes(), m.Bytes()) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	pinned := []ed25519.PublicKey{control.Public()}
	huge := sign(t, cell, 1<<62)
	renamed := sign(t, key(t, operator.KeyID, 3), 1<<62) // a cell's key under the control plane's name
	token, _, err := operator.Issue(control, "ann", []string{operator.Operate}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() (*seal.Map, error){
		"a cell's key":          func() (*seal.Map, error) { return seal.Parse(huge.Bytes(), pinned) },
		"under a wrong name":    func() (*seal.Map, error) { return seal.Parse(renamed.Bytes(), pinned) },
		"the next key, early":   func() (*seal.Map, error) { return seal.Parse(sign(t, next, 9).Bytes(), pinned) },
		"nothing pinned":        func() (*seal.Map, error) { return seal.Parse(m.Bytes(), nil) },
		"no signature":          func() (*seal.Map, error) { return seal.Open(m.Text(), "", pinned) },
		"no first line":         func() (*seal.Map, error) { return seal.Parse(m.Text(), pinned) },
		"another map's":         func() (*seal.Map, error) { return seal.Open(sign(t, cell, 8).Text(), m.Signature(), pinned) },
		"one byte more":         func() (*seal.Map, error) { return seal.Open(append(m.Text(), ' '), m.Signature(), pinned) },
		"an operator's token":   func() (*seal.Map, error) { return seal.Open(m.Text(), token, pinned) },
		"an old file, unsigned": func() (*seal.Map, error) { return seal.Parse([]byte("{\"version\":9,\n\"cells\":[]}"), pinned) },
	} {
		if got, err := try(); !errors.Is(err, seal.ErrUnsigned) || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

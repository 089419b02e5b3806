package atlas_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/atlas"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/control-plane/topology/seal/sealtest"
	"guichet/internal/signed"
)

var issued = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)

func snap(version int64, placements ...topology.Placement) *topology.Snapshot {
	return &topology.Snapshot{Version: version, IssuedAt: issued, Cells: []topology.Cell{{ID: "euw3", URLs: []string{"http://a"}}, {ID: "use1"}}, Placements: placements}
}

func signedSnap(version int64, placements ...topology.Placement) *seal.Map {
	return sealtest.Sign(snap(version, placements...))
}

func placed(epoch topology.Epoch) topology.Placement {
	return topology.Placement{EventID: "evt_euw3_k3v9x2m4q7rt", Home: "use1", Epoch: epoch, State: topology.Serving}
}

func open(t *testing.T, dir string) *atlas.Atlas {
	t.Helper()
	a, err := atlas.Open(dir, sealtest.Pinned, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func offer(t *testing.T, a *atlas.Atlas, s *topology.Snapshot) {
	t.Helper()
	if err := a.Offer(sealtest.Sign(s)); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_startsColdFromDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	first := open(t, dir)
	if first.Current() != nil {
		t.Error("there is a map that nobody gave")
	}
	want := snap(3, placed(2))
	offer(t, first, want)
	if got := open(t, dir).Current(); !reflect.DeepEqual(got, want) {
		t.Errorf("after a restart the map is %+v, want %+v", got, want)
	}
	info, err := os.Stat(filepath.Join(dir, "topology.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v)", info, err)
	}
}

func TestOpen_takesADamagedFileForNone(t *testing.T) {
	whole := signedSnap(3).Bytes()
	unsigned := signedSnap(9).Text()
	for name, text := range map[string]string{
		"empty": "", "cut": string(whole[:len(whole)/2]), "noise": "\x00\xff\x00", "another shape": `[1,2]`, "no cells": `{"version":9,"cells":[]}`, "null": "null",
		"not signed": string(unsigned), "signed by a cell": string(forged(t).Bytes()), "signed, of no cells": string(sealtest.Sign(&topology.Snapshot{Version: 9}).Bytes()),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "topology.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a := open(t, dir)
		if a.Current() != nil {
			t.Errorf("%s: the map is %+v", name, a.Current())
		}
		offer(t, a, snap(1)) // version 9 of the damaged one must not stand in the way
		if got := open(t, dir).Current(); got == nil || got.Version != 1 {
			t.Errorf("%s: the file was not replaced: %+v", name, got)
		}
	}
}

func TestOpen_saysWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "topology.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := atlas.Open(dir, sealtest.Pinned, func(error) {}); err == nil {
		t.Error("a directory passes for the file")
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := atlas.Open(file, sealtest.Pinned, func(error) {}); err == nil {
		t.Error("a file passes for the directory")
	}
}

func TestOffer_refusesWhatWouldHarm(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	offer(t, a, snap(5, placed(3)))
	for name, next := range map[string]*topology.Snapshot{
		"nothing": nil, "no cells": {Version: 9}, "a lower epoch": snap(9, placed(2)),
	} {
		if err := a.Offer(sealtest.Sign(next)); !errors.Is(err, topology.ErrRefused) {
			t.Errorf("%s: %v, want refused", name, err)
		}
	}
	if err := a.Offer(signedSnap(4, placed(9))); err != nil {
		t.Errorf("an older map is no news and no error: %v", err)
	}
	for _, at := range []*atlas.Atlas{a, open(t, dir)} {
		if got := at.Current(); got.Version != 5 || got.Placements[0].Epoch != 3 {
			t.Errorf("the map became %+v", got)
		}
	}
	if err := open(t, t.TempDir()).Offer(nil); !errors.Is(err, topology.ErrRefused) {
		t.Errorf("nothing, at first: %v", err)
	}
}

func TestOffer_takesNewerBeatsOfTheSameVersionInMemory(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	offer(t, a, snap(5, placed(3)))
	later, harmful, older := snap(5, placed(3)), snap(5, placed(2)), snap(5, placed(3))
	later.IssuedAt, harmful.IssuedAt, older.IssuedAt = issued.Add(time.Second), issued.Add(time.Minute), issued.Add(-time.Second)
	for _, s := range []*topology.Snapshot{later, harmful, older} {
		offer(t, a, s)
	}
	if !a.Current().IssuedAt.Equal(later.IssuedAt) {
		t.Errorf("the map was issued at %s in epoch %d", a.Current().IssuedAt, a.Current().Placements[0].Epoch)
	}
	if got := open(t, dir).Current(); !got.IssuedAt.Equal(issued) {
		t.Error("a beat was written to the disk")
	}
}

func TestOffer_triesTheDiskAgainThatRefusedIt(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "state")
	a := open(t, dir)
	if err := os.Remove(dir); err != nil { // root may write everywhere: only a directory that is gone stops it
		t.Fatal(err)
	}
	if err := a.Offer(signedSnap(5)); err == nil {
		t.Fatal("a map that was not kept was not complained about")
	}
	if got := a.Current(); got == nil || got.Version != 5 {
		t.Errorf("in memory the map is %+v: a full disk must not blind the cell", got)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	offer(t, a, snap(5)) // the same version is told again every few seconds
	if got := open(t, dir).Current(); got == nil || got.Version != 5 {
		t.Errorf("on disk the map is %+v", got)
	}
}

func TestOffer_byManyAtOnceKeepsTheNewest(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	const last = 40
	var running sync.WaitGroup
	for start := range 4 {
		running.Go(func() {
			for i := range last {
				version := int64((i*7+start*11)%last + 1)
				if err := a.Offer(signedSnap(version, placed(topology.Epoch(version)))); err != nil {
					t.Error(err)
				}
			}
		})
		running.Go(func() {
			before := int64(0)
			for range 2000 {
				if s := a.Current(); s != nil {
					if s.Version < before {
						t.Errorf("the map went back from %d to %d", before, s.Version)
					}
					before = s.Version
				}
			}
		})
	}
	running.Wait()
	if got := open(t, dir).Current(); a.Current().Version != last || got.Version != last {
		t.Errorf("memory has version %d and disk %d, want %d", a.Current().Version, got.Version, last)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("%d files are left (%v), want one", len(names), err)
	}
}

func TestOffer_clearsUpAfterAProcessThatDiedWriting(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "topology.json.new"), []byte(`{"version":99,"cells":[{"id":"x"`+strings.Repeat(" ", 1<<16)), 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	if a.Current() != nil {
		t.Errorf("half a file became the map: %+v", a.Current())
	}
	offer(t, a, snap(1))
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%d files are left (%v), want one", len(names), err)
	}
	if got := open(t, dir).Current(); got == nil || got.Version != 1 {
		t.Errorf("the map is %+v", got)
	}
}

// forged is a map of the highest version that a cell signs with its own key, under the
// control plane's name.
func forged(t *testing.T) *seal.Map {
	t.Helper()
	k, err := signed.NewKey("control", make([]byte, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	m, err := seal.Sign(k, snap(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTake_believesThePinnedKeyWhateverTheVersion(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	offer(t, a, snap(5))
	if err := a.Take(forged(t).Bytes()); !errors.Is(err, seal.ErrUnsigned) || a.Current().Version != 5 || a.Refused() != 1 {
		t.Errorf("%v, version %d, %d refused", err, a.Current().Version, a.Refused())
	}
	if err := a.Take(signedSnap(6).Bytes()); err != nil || a.Current().Version != 6 || a.Sealed().Signature() == "" {
		t.Errorf("%v, version %d", err, a.Current().Version)
	}
	if err := os.WriteFile(filepath.Join(dir, "topology.json"), forged(t).Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var said error
	b, err := atlas.Open(dir, sealtest.Pinned, func(err error) { said = err })
	if err != nil || b.Current() != nil || !errors.Is(said, seal.ErrUnsigned) || b.Refused() != 1 {
		t.Errorf("a forged file: %v, %v, %+v", err, said, b.Current())
	}
}

package registry_test

import (
	"errors"
	"testing"
	"time"

	"guichet/control-plane/registry"
	"guichet/control-plane/topology"
)

func withKey(id topology.CellID, x string) topology.Cell {
	c := paris(id)
	c.Keys = []topology.Key{{ID: string(id) + "-a1", X: x, Use: topology.UseAccess}}
	return c
}

func TestAdmit_refusesEveryTokenThatIsNotThisCellsOpenOne(t *testing.T) {
	t.Parallel()
	inv, token, err := registry.Invite(nil, "euw3", "eu-west-3", "ann", noon, time.Hour)
	if err != nil || registry.HashToken(token) != inv.Hash || len(token) < 30 {
		t.Fatalf("%+v %q %v", inv, token, err)
	}
	used := inv
	used.UsedAt = noon
	frankfurt := withKey("euw3", "x")
	frankfurt.Region = "eu-central-1"
	in, err := registry.Admit(nil, inv, withKey("euw3", "x"), "euw3-a1", noon, noon)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		inv  registry.Invitation
		cell topology.Cell
		now  time.Time
		want error
	}{
		"nobody's":               {registry.Invitation{}, withKey("euw3", "x"), noon, registry.ErrTokenUnknown},
		"another cell's":         {inv, withKey("use1", "x"), noon, registry.ErrTokenOther},
		"over":                   {inv, withKey("euw3", "x"), noon.Add(time.Hour), registry.ErrTokenExpired},
		"used, with another key": {used, withKey("euw3", "other"), noon, registry.ErrTokenUsed},
		"for another region":     {inv, frankfurt, noon, registry.ErrOtherRegion},
	} {
		if _, err := registry.Admit([]registry.Member{in}, c.inv, c.cell, "euw3-a1", noon, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := registry.Admit([]registry.Member{in}, used, withKey("euw3", "x"), "euw3-a1", noon, noon); err != nil {
		t.Errorf("used, but by this very key, whose answer was lost: %v", err)
	}
}

func TestAnnounce_anOlderStatementChangesNothing(t *testing.T) {
	t.Parallel()
	all := joined(t, withKey("euw3", "x"))
	next := withKey("euw3", "x")
	next.Keys = append(next.Keys, topology.Key{ID: "euw3-a2", X: "y", Use: topology.UseAccess})
	m, err := registry.Announce(all, next, noon.Add(time.Second), noon)
	if err != nil || len(m.Keys) != 2 {
		t.Fatalf("%+v %v", m, err)
	}
	if _, err := registry.Announce([]registry.Member{m}, withKey("euw3", "x"), noon, noon); !errors.Is(err, registry.ErrReplayed) {
		t.Errorf("the keys of before: %v", err)
	}
	if _, err := registry.Announce([]registry.Member{m}, next, noon, noon); err != nil {
		t.Errorf("a sibling whose clock is behind says the same: %v", err)
	}
	stolen := withKey("euw3", "x")
	stolen.Keys = append(stolen.Keys, topology.Key{ID: "use1-a1", X: "y", Use: topology.UseAccess})
	if _, err := registry.Announce(all, stolen, noon.Add(time.Second), noon); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("a key under another cell's name: %v", err)
	}
}

func TestExpel_leavesTheTownACell(t *testing.T) {
	t.Parallel()
	all := joined(t, withKey("euw3", "x"), withKey("use1", "x"))
	m, err := registry.Expel(all, "use1", noon)
	if err != nil || m.Expelled.IsZero() || len(m.Keys)+len(m.Processes) != 0 {
		t.Fatalf("%+v %v", m, err)
	}
	all[1] = m
	if _, err := registry.Expel(all, "euw3", noon); !errors.Is(err, registry.ErrLastCell) {
		t.Errorf("the last: %v", err)
	}
	if _, err := registry.Expel(all, "sae1", noon); !errors.Is(err, registry.ErrUnknownCell) {
		t.Errorf("a stranger: %v", err)
	}
}

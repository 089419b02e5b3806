package topology_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"guichet/control-plane/topology"
)

func TestParseCell_acceptsOneSpelling(t *testing.T) {
	for s, good := range map[string]bool{
		"euw3": true, "use1": true, "apn1": true, "euw3b": true, "ab1": true, "abcd9z": true,
		"": false, "euw": false, "EUW3": false, "euw3B": false, "euw33": false, "e1": false, "abcde1": false, "euw3bb": false, "euw3\n": false, "\neuw3": false,
		" euw3": false, "euw3 ": false, "euw3_": false, "euẃ3": false, "euw３": false, "euw3\x00": false, "../x1": false,
	} {
		cell, err := topology.ParseCell(s)
		if (err == nil) != good || good && cell.String() != s || !good && (cell != "" || !errors.Is(err, topology.ErrBadCell)) {
			t.Errorf("%q gives %q, %v", s, cell, err)
		}
	}
}

func TestParseRef_takesIDsApart(t *testing.T) {
	key := topology.EventKey{Birth: "euw3", Rand: "k3v9x2m4q7rt"}
	for s, want := range map[string]topology.Ref{
		"evt_euw3_k3v9x2m4q7rt":                  {Kind: "evt", Key: key},
		"hld_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v": {Kind: "hld", Key: key, Own: "8h2kd0q1w5zz9c6v"},
		"zzz_abcd9z_000000000000":                {Kind: "zzz", Key: topology.EventKey{Birth: "abcd9z", Rand: "000000000000"}},
	} {
		if got, ok := topology.ParseRef(s); !ok || got != want || !strings.HasPrefix(s[4:], got.Key.String()) {
			t.Errorf("%s gives %+v, %t", s, got, ok)
		}
	}
	for _, s := range strange {
		if got, ok := topology.ParseRef(s); ok || got != (topology.Ref{}) {
			t.Errorf("%q passes for an id: %+v", s, got)
		}
	}
}

// strange is what must not pass for an id.
var strange = []string{
	"", "_", "__", "___", "evt", "evt_euw3", "evt_euw3_", "evt__k3v9x2m4q7rt", "_euw3_k3v9x2m4q7rt",
	"EVT_euw3_k3v9x2m4q7rt", "Evt_euw3_k3v9x2m4q7rt", "e t_euw3_k3v9x2m4q7rt", "ev_euw3_k3v9x2m4q7rt", "evtt_euw3_k3v9x2m4q7rt", "é1_euw3_k3v9x2m4q7rt", "\x00\x00\x00_euw3_k3v9x2m4q7rt", "../_euw3_k3v9x2m4q7rt",
	"evt_EUW3_k3v9x2m4q7rt", "evt_euw3_K3V9X2M4Q7RT", "evt_euw3_k3v9x2m4q7r", "evt_euw3_k3v9x2m4q7rtt", "evt_euw3_k3v9x2m4q7ro", "evt_euw3_k3v9x2m4q7ri", "evt_euw3_k3v9x2m4q7rl", "evt_euw3_k3v9x2m4q7ru",
	"evt_euw3_k3v9x2m4q7rt_", "evt_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6", "evt_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6vv", "hld_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v_", "hld_euw3_k3v9x2m4q7rt_8H2KD0Q1W5ZZ9C6V",
	" evt_euw3_k3v9x2m4q7rt", "evt_euw3_k3v9x2m4q7rt\n", "evt_euw3_k3v9x2m4q7rt\x00", "evt-euw3-k3v9x2m4q7rt", "evt_euw3_k3v9x2m4q7r\xff", strings.Repeat("evt_euw3_k3v9x2m4q7rt", 1000),
}

// An id has one spelling: what is taken apart can be put together to the same text.
func FuzzParseRef(f *testing.F) {
	for _, s := range append(strange, "evt_euw3_k3v9x2m4q7rt", "hld_euw3b_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, ok := topology.ParseRef(s)
		if !ok {
			if ref != (topology.Ref{}) {
				t.Fatalf("%q is refused and gives %+v", s, ref)
			}
			return
		}
		again := ref.Kind + "_" + ref.Key.String()
		if ref.Own != "" {
			again += "_" + ref.Own
		}
		if again != s {
			t.Fatalf("%q becomes %q", s, again)
		}
		if _, err := topology.ParseCell(ref.Key.Birth.String()); err != nil || strings.ToLower(s) != s {
			t.Fatalf("%q has parts that are none: %v", s, err)
		}
	})
}

func snap(version int64, placements ...topology.Placement) *topology.Snapshot {
	return &topology.Snapshot{Version: version, Cells: []topology.Cell{{ID: "euw3"}, {ID: "use1"}}, Placements: placements}
}

func TestReplace_takesOnlyWhatCannotHarm(t *testing.T) {
	at := func(event string, epoch topology.Epoch) topology.Placement {
		return topology.Placement{EventID: event, Home: "use1", Epoch: epoch, State: topology.Serving}
	}
	for _, c := range []struct {
		name      string
		now, next *topology.Snapshot
		taken     bool
	}{
		{"the first", nil, snap(1), true},
		{"nothing, at first", nil, nil, false},
		{"an empty one, at first", nil, &topology.Snapshot{Version: 1}, false},
		{"nothing", snap(1), nil, false},
		{"one that empties the table", snap(1), &topology.Snapshot{Version: 2, Placements: []topology.Placement{at("a", 2)}}, false},
		{"a newer one", snap(1), snap(2), true},
		{"the same version", snap(2), snap(2), true},
		{"an older one", snap(2), snap(1), false},
		{"a higher epoch", snap(1, at("a", 2)), snap(2, at("a", 3)), true},
		{"the same epoch", snap(1, at("a", 2)), snap(2, at("a", 2)), true},
		{"a lower epoch", snap(1, at("a", 3)), snap(2, at("a", 2)), false},
		{"a lower epoch of one among many", snap(1, at("a", 3), at("b", 5)), snap(9, at("a", 4), at("b", 4), at("c", 1)), false},
		{"an event that came home", snap(1, at("a", 3)), snap(2), true},
		{"an event that left", snap(1), snap(2, at("a", 2)), true},
	} {
		err := c.now.Replace(c.next)
		if (err == nil) != c.taken || err != nil && !errors.Is(err, topology.ErrRefused) {
			t.Errorf("%s: %v, want taken = %t", c.name, err, c.taken)
		}
	}
}

func TestSnapshot_findsCellsAndKeys(t *testing.T) {
	s := snap(1)
	s.Cells[1].Keys = []topology.Key{{ID: "use1-2", X: "new"}, {ID: "use1-1", X: "old"}}
	if c, ok := s.Cell("use1"); !ok || c.ID != "use1" {
		t.Errorf("got %+v, %t", c, ok)
	}
	if k, err := s.Key("use1-1"); err != nil || k.X != "old" {
		t.Errorf("got %+v, %v", k, err)
	}
	var none *topology.Snapshot
	for _, s := range []*topology.Snapshot{s, none} {
		if c, ok := s.Cell("apn1"); ok {
			t.Errorf("found %+v", c)
		}
		if k, err := s.Key("apn1-1"); err == nil {
			t.Errorf("found %+v", k)
		}
	}
}

func TestRevokes_aKeyByItsOwnCellsWordAlone(t *testing.T) {
	const key = "key:key_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v"
	s := snap(1)
	s.Cells[1].Revoked = []string{key, "sid:abc"}
	if s.Revokes(key) || !s.Revokes("sid:abc") {
		t.Error("another cell revokes a key, or a session is not revoked")
	}
	s.Cells[0].Revoked = []string{key}
	if !s.Revokes(key) {
		t.Error("its own cell cannot revoke a key")
	}
}

func TestSnapshot_survivesItsWireForm(t *testing.T) {
	want := snap(7, topology.Placement{EventID: "evt_euw3_k3v9x2m4q7rt", Home: "use1", Epoch: 2, State: topology.Moving})
	want.IssuedAt = time.Date(2027, 5, 1, 0, 0, 0, 0, time.UTC)
	want.Cells[0] = topology.Cell{
		ID: "euw3", Region: "eu-west-3", URLs: []string{"http://a", "http://b"}, Weight: 100, State: topology.CellServing, Residency: "France",
		Keys: []topology.Key{{ID: "euw3-1", X: "x"}}, LastBeat: want.IssuedAt,
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got topology.Snapshot
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(&got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, *want)
	}
	if strings.Count(string(text), "last_beat") != 1 { // only where it is known
		t.Errorf("a cell that never beat has a beat in %s", text)
	}
}

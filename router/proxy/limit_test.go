package proxy

import (
	"fmt"
	"testing"

	"guichet/control-plane/topology"
	"guichet/router/route"
)

// TestBulkhead_aNeighboursRequestsTakeAQuarterAtMost is P7: a read that another
// cell failed to answer may not push out a cell's own attendees.
func TestBulkhead_aNeighboursRequestsTakeAQuarterAtMost(t *testing.T) {
	b := bulkheads{limit: 8}
	var leaves []func()
	count := func(spill bool) (n int) {
		for {
			leave, ok := b.enter("euw3", spill)
			if !ok {
				return n
			}
			leaves = append(leaves, leave)
			n++
		}
	}
	if n := count(true); n != 2 {
		t.Errorf("%d of a neighbour's requests came in, want 2 of 8", n)
	}
	if n := count(false); n != 6 {
		t.Errorf("%d of its own came in beside them, want 6", n)
	}
	if _, ok := b.enter("use1", false); !ok {
		t.Error("a full cell keeps requests from another")
	}
	for _, leave := range leaves {
		leave()
	}
	if n := count(false); n != 8 {
		t.Errorf("after all left %d came in, want 8", n)
	}
}

func TestMoved_isBoundedAndOnlyGrowsNewer(t *testing.T) {
	town := route.NewMap(&topology.Snapshot{Cells: []topology.Cell{{ID: "euw3"}, {ID: "use1"}}})
	key := func(i int) topology.EventKey { return topology.EventKey{Birth: "euw3", Rand: fmt.Sprintf("%012d", i)} }
	var m moved
	m.learn(key(0), topology.Placement{Home: "use1", Epoch: 5})
	m.learn(key(0), topology.Placement{Home: "euw3", Epoch: 4})
	if p := m.about(key(0), town); p == nil || p.Home != "use1" || p.Epoch != 5 {
		t.Errorf("an older epoch was learned over a newer: %+v", p)
	}
	for i := range movedLimit + 10 {
		m.learn(key(i), topology.Placement{Home: "use1", Epoch: 9})
		if len(m.homes) > movedLimit {
			t.Fatalf("%d homes are remembered, the limit is %d", len(m.homes), movedLimit)
		}
	}
	if p := m.about(key(movedLimit+9), town); p == nil {
		t.Error("the newest was forgotten")
	}
}

package store

import (
	"testing"

	"guichet/cell/booking"
	"guichet/cell/id"
)

func TestDescriptions_areBounded(t *testing.T) {
	var d descriptions
	read := func(bytes int) *stockLoad {
		at := newStockLoad(id.NewEvent("euw3"), 0)
		at.locked, at.bytes = true, bytes
		return at
	}
	kept := func(at *stockLoad) bool {
		again := newStockLoad(at.stock.ID, 0)
		d.recall([]*stockLoad{again})
		return again.known != nil
	}
	large, small, aside := read(maxKeptBytes+1), read(maxKeptBytes), read(1)
	aside.locked = false
	d.keep([]*stockLoad{large, small, aside})
	if kept(large) || !kept(small) || kept(aside) {
		t.Errorf("kept: of %d bytes %t, of %d %t, not locked %t", large.bytes, kept(large), small.bytes, kept(small), kept(aside))
	}
	small.bytes = large.bytes // it has grown
	if d.keep([]*stockLoad{small}); kept(small) {
		t.Error("what has become too large is still kept")
	}
	for range maxDescribed + 1 {
		at := read(1)
		if d.keep([]*stockLoad{at}); !kept(at) {
			t.Fatal("the newest is not kept")
		}
	}
	if n := len(d.of); n > maxDescribed || n < maxDescribed/2 {
		t.Errorf("%d are kept, want at most %d and not much fewer", n, maxDescribed)
	}
}

func TestDescriptions_leaveTiersToEachBatch(t *testing.T) {
	types := []booking.TicketType{{}, {Terms: &booking.Terms{Tiers: []booking.Tier{{Quantity: 2}}}}}
	own := ownTypes(types)
	own[1].Terms.Tiers[0].Used++
	if types[1].Terms.Tiers[0].Used != 0 {
		t.Error("what a batch sells is counted in what is kept")
	}
}

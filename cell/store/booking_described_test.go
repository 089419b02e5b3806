package store

import (
	"testing"

	"guichet/cell/booking"
	"guichet/cell/id"
)

func TestDescriptions_areBounded(t *testing.T) {
	var d descriptions
	read := func(types int) *stockLoad {
		at := newStockLoad(id.NewEvent("euw3"), 0)
		at.locked, at.stock.Types = true, make([]booking.TicketType, types)
		return at
	}
	kept := func(at *stockLoad) bool {
		again := newStockLoad(at.stock.ID, 0)
		d.recall([]*stockLoad{again})
		return again.known != nil
	}
	large, small := read(maxKeptTypes+1), read(maxKeptTypes)
	d.keep([]*stockLoad{large, small})
	if kept(large) || !kept(small) {
		t.Errorf("of %d types kept: %t; of %d: %t", maxKeptTypes+1, kept(large), maxKeptTypes, kept(small))
	}
	small.stock.Types = large.stock.Types // it has grown
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

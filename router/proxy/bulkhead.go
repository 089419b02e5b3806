package proxy

import (
	"sync"
	"sync/atomic"

	"guichet/control-plane/topology"
)

// spillShare is the part of a cell's places that requests may take which another
// cell failed to answer: a cell's fault must not crowd out its neighbours' own
// attendees (P7).
const spillShare = 4

// bulkheads bounds how many requests are with each cell at once, so that one
// cell that answers slowly cannot take the router's memory and sockets from the
// others (P7).
type bulkheads struct {
	limit int64
	cells sync.Map // topology.CellID → *bulkhead; as many as the town ever had cells
}

type bulkhead struct{ inside, spilled atomic.Int64 }

// enter takes a place with a cell; call leave once if ok.
func (b *bulkheads) enter(cell topology.CellID, spill bool) (leave func(), ok bool) {
	h := b.of(cell)
	if h.inside.Add(1) > b.limit {
		h.inside.Add(-1)
		return nil, false
	}
	if !spill {
		return func() { h.inside.Add(-1) }, true
	}
	if h.spilled.Add(1) > max(1, b.limit/spillShare) {
		h.spilled.Add(-1)
		h.inside.Add(-1)
		return nil, false
	}
	return func() { h.spilled.Add(-1); h.inside.Add(-1) }, true
}

func (b *bulkheads) of(cell topology.CellID) *bulkhead {
	if h, ok := b.cells.Load(cell); ok {
		return h.(*bulkhead) //nolint:errcheck // filled below only
	}
	h, _ := b.cells.LoadOrStore(cell, new(bulkhead))
	return h.(*bulkhead) //nolint:errcheck // filled here only
}

// each tells how many requests are with each cell.
func (b *bulkheads) each(tell func(cell topology.CellID, inside int64)) {
	b.cells.Range(func(k, v any) bool {
		tell(k.(topology.CellID), v.(*bulkhead).inside.Load()) //nolint:errcheck // filled by of only
		return true
	})
}

package route

import (
	"strings"
	"time"

	"guichet/control-plane/topology"
	"guichet/geo"
)

// Map is a snapshot made ready for deciding. It never changes; a newer snapshot
// makes a new Map.
type Map struct {
	snapshot *topology.Snapshot
	cells    map[topology.CellID]topology.Cell
	homes    map[topology.EventKey]topology.Placement
}

// NewMap indexes a snapshot, which must not change afterwards.
func NewMap(s *topology.Snapshot) *Map {
	m := &Map{
		snapshot: s,
		cells:    make(map[topology.CellID]topology.Cell, len(s.Cells)),
		homes:    make(map[topology.EventKey]topology.Placement, len(s.Placements)),
	}
	for _, c := range s.Cells {
		m.cells[c.ID] = c
	}
	for _, p := range s.Placements {
		ref, ok := topology.ParseRef(p.EventID)
		if !ok || p.Epoch < m.homes[ref.Key].Epoch {
			continue // P1: of two placements the one with the higher epoch counts
		}
		m.homes[ref.Key] = p
	}
	return m
}

// Snapshot is what the map was made from; nil for no map. Read only.
func (m *Map) Snapshot() *topology.Snapshot {
	if m == nil {
		return nil
	}
	return m.snapshot
}

// Cell finds a cell by its id.
func (m *Map) Cell(id topology.CellID) (topology.Cell, bool) {
	if m == nil {
		return topology.Cell{}, false
	}
	c, ok := m.cells[id]
	return c, ok
}

// Home is where an event is at home as far as the map knows, and in which epoch:
// its placement's home, else the cell where it was born, in epoch 0, which any
// real epoch exceeds.
func (m *Map) Home(key topology.EventKey) (topology.CellID, topology.Epoch) {
	if m != nil {
		if p, ok := m.homes[key]; ok {
			return p.Home, p.Epoch
		}
	}
	return key.Birth, 0
}

// Vital is how a cell is doing. The zero value is "not known to be down": a
// router that has not looked yet must not refuse (P8).
type Vital struct {
	Down bool
	RTT  time.Duration // round trip from this router, 0 if not measured
}

// Health is how the cells are doing, by id; a missing cell is as the zero Vital.
type Health map[topology.CellID]Vital

func candidateOf(c topology.Cell) geo.Candidate {
	return geo.Candidate{Name: string(c.ID), Region: c.Region}
}

// regionsOf lists the regions that have cells, for people.
func (m *Map) regionsOf() string {
	seen := map[string]bool{}
	var names []string
	for _, c := range m.snapshot.Cells {
		if c.State != topology.CellLeft && !seen[c.Region] {
			seen[c.Region] = true
			names = append(names, c.Region)
		}
	}
	return strings.Join(names, ", ")
}

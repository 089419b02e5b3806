package proxy

import (
	"encoding/json"
	"sync"

	"guichet/control-plane/topology"
	"guichet/router/route"
)

// Limits of learning.
const (
	movedLimit  = 10_000   // homes remembered between two snapshots
	answerLimit = 64 << 10 // of a 421 that is read
)

// moved remembers the homes that cells told us about and the snapshot does not
// say yet. They are advice like everything else here: the cell decides. When
// full it forgets everything, which costs one extra hop per event.
type moved struct {
	mu    sync.Mutex
	homes map[topology.EventKey]topology.Placement
}

// about is what was told of an event and is newer than the map; nil if nothing.
func (m *moved) about(key topology.EventKey, town *route.Map) *topology.Placement {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.homes[key]
	if !ok {
		return nil
	}
	if _, epoch := town.Home(key); epoch >= p.Epoch {
		delete(m.homes, key) // the map has caught up
		return nil
	}
	return &p
}

// learn remembers a home unless something newer is known (P1).
func (m *moved) learn(key topology.EventKey, p topology.Placement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.Epoch <= m.homes[key].Epoch {
		return
	}
	if m.homes == nil || len(m.homes) >= movedLimit {
		m.homes = map[topology.EventKey]topology.Placement{}
	}
	m.homes[key] = p
}

// toldHome reads a cell's 421: where the event is at home now, and in which
// epoch. It counts only if it names another cell of the town in an epoch newer
// than all we know; anything else would send requests in circles.
func toldHome(body []byte, ref topology.Ref, from topology.CellID, known topology.Epoch, town *route.Map) (topology.Placement, bool) {
	var doc struct {
		Home  string         `json:"home_cell"`
		Epoch topology.Epoch `json:"epoch"`
	}
	if ref.Kind == "" || json.Unmarshal(body, &doc) != nil {
		return topology.Placement{}, false
	}
	home, err := topology.ParseCell(doc.Home)
	if _, inTown := town.Cell(home); err != nil || !inTown || home == from || doc.Epoch <= known {
		return topology.Placement{}, false
	}
	return topology.Placement{EventID: "evt_" + ref.Key.String(), Home: home, Epoch: doc.Epoch, State: topology.Serving}, true
}

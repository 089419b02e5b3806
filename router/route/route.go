// Package route decides which cell gets a request. It decides only: everything
// here is a pure function of the request's line, the map of the town and the
// health of its cells. It opens no connection, keeps no state and asks nobody;
// router/proxy acts on what it says.
package route

import (
	"slices"
	"time"

	"guichet/control-plane/topology"
	"guichet/geo"
	"guichet/internal/kind"
)

// What the router refuses by itself. Every refusal says when to come back (P9).
var (
	ErrNoMap             = kind.Unavailable.New("no_snapshot")
	ErrNoCell            = kind.Unavailable.New("no_cell_available")
	ErrHomeUnavailable   = kind.Unavailable.New("home_unavailable")
	ErrRegionUnavailable = kind.Unavailable.New("region_unavailable")
	ErrUnknownCell       = kind.NotFound.New("unknown_cell")
	ErrUnknownRegion     = kind.Invalid.New("unknown_region")
)

// comeBack is said with a refusal: a cell is back in the router within 5 s of
// being ready.
const comeBack = 5 * time.Second

// Why says why a cell was chosen; it is the text of X-Guichet-Route.
type Why string

// The reasons.
const (
	Nearest Why = "nearest"
	Home    Why = "home"
	Moved   Why = "moved" // home, as another cell has just told us
	Forced  Why = "forced"
)

// Request is all that a decision rests on besides the map and the health.
type Request struct {
	Target  Target
	At      geo.Point // where the attendee is, if Located
	Located bool
	Client  string              // who asks; weights and ties go by its hash, so they are stable
	Avoid   []topology.CellID   // cells that have just failed to answer this request
	Told    *topology.Placement // a home that a cell told us about, if any
	Force   topology.CellID     // a drill's wish, already checked to be allowed
	Default topology.CellID     // where attendees go whose place is unknown
	Last    topology.CellID     // the last choice for attendees whose place is unknown
	Now     time.Time
}

// Decision is a cell and the reason, or a refusal.
type Decision struct {
	Cell      topology.Cell
	Why       Why
	Affinity  string          // requests with the same text should meet in one process of the cell
	Copy      bool            // the home is away and this cell has a copy only
	Home      topology.CellID // with Copy: the home that is away
	Elsewhere bool            // another cell could answer too
	Err       error           // the refusal; nothing else is set then
}

// Away refuses because the home cannot be asked and nobody else may decide.
func Away(home topology.CellID) error {
	return ErrHomeUnavailable.With("the home, cell %s, cannot be asked at the moment", home).
		Field("home_cell", string(home)).After(comeBack)
}

// Decide chooses the cell for a request.
func Decide(req Request, m *Map, health Health) Decision {
	if m == nil {
		return Decision{Err: ErrNoMap.With("this router has no map of the town yet").After(time.Second)}
	}
	if req.Force != "" {
		return m.named(req.Force, Forced)
	}
	d := decider{req, m, health}
	switch req.Target.Want {
	case WantEvent, WantHome:
		return d.home()
	case WantRegion:
		return d.inRegion()
	case WantCell:
		if got := m.named(req.Target.Cell, Home); got.Err != nil || d.reachable(got.Cell) {
			return got
		}
		return Decision{Err: Away(req.Target.Cell)}
	case WantPreferred:
		return d.preferred()
	default:
		return d.nearest()
	}
}

func (m *Map) named(id topology.CellID, why Why) Decision {
	cell, ok := m.Cell(id)
	if !ok {
		return Decision{Err: ErrUnknownCell.With("there is no cell %s in this town", id)}
	}
	return Decision{Cell: cell, Why: why, Affinity: string(id)}
}

// decider is one decision in the making.
type decider struct {
	Request
	m      *Map
	health Health
}

// reachable: a draining cell still decides for its events.
func (d decider) reachable(c topology.Cell) bool {
	return c.State != topology.CellLeft && len(c.URLs) > 0 && !d.health[c.ID].Down && !slices.Contains(d.Avoid, c.ID)
}

// home sends to the one cell that decides for an event (P1): the placement's,
// else the birth cell. While it is away an event's page comes from the nearest
// copy; everything else is refused.
func (d decider) home() Decision {
	key := d.Target.Ref.Key
	home, epoch := key.Birth, topology.Epoch(0)
	if d.Target.Ref.Kind != "org" && d.Target.Ref.Kind != "ser" { // an organizer's account does not move, nor a series' list
		home, epoch = d.m.Home(key)
	}
	if d.Told != nil && d.Told.Epoch > epoch {
		home = d.Told.Home
	}
	got := d.m.named(home, Home)
	if got.Err != nil {
		return got
	}
	got.Affinity = key.String()
	got.Elsewhere = d.Target.Want == WantEvent
	if d.reachable(got.Cell) {
		return got
	}
	if d.Target.Want == WantEvent {
		d.Avoid = append(slices.Clone(d.Avoid), home)
		if near := d.nearest(); near.Err == nil {
			near.Copy, near.Home = true, home
			return near
		}
	}
	return Decision{Err: Away(home)}
}

// inRegion sends to a serving cell of a region: the organizer's own if it stands
// there, else the one its id (or the client) hashes to.
func (d decider) inRegion() Decision {
	var known bool
	var best topology.Cell
	var bestScore uint64
	seed := d.Client
	if d.Target.Ref.Kind != "" {
		seed = d.Target.Ref.Key.String()
	}
	for _, c := range d.m.snapshot.Cells {
		if c.Region != d.Target.Region || c.State == topology.CellLeft {
			continue
		}
		known = true
		if c.State != topology.CellServing || !d.reachable(c) {
			continue
		}
		score := Score(seed, string(c.ID))>>1 + 1
		if c.ID == d.Target.Ref.Key.Birth {
			score = 1 << 63
		}
		if score > bestScore {
			best, bestScore = c, score
		}
	}
	switch {
	case d.Target.Region == "":
		return Decision{Err: ErrUnknownRegion.With("say home_region in the query; this town has %s", d.m.regionsOf())}
	case !known:
		return Decision{Err: ErrUnknownRegion.With("no cell stands in %.40q; this town has %s", d.Target.Region, d.m.regionsOf())}
	case bestScore == 0:
		return Decision{Err: ErrRegionUnavailable.With("no cell of %s is taking new things at the moment", d.Target.Region).After(comeBack)}
	}
	return Decision{Cell: best, Why: Home, Affinity: seed}
}

// nearest sends to the nearest serving cell that takes the client: one with a
// weight of 30 takes the three clients in ten whose hash falls below it, always
// the same ones, and the others go on to the next nearest. When none takes the
// client the nearest with any weight does; a cell without weight, or draining,
// only when there is nothing else.
func (d decider) nearest() Decision {
	for _, willing := range []func(topology.Cell) bool{
		func(c topology.Cell) bool { return c.State == topology.CellServing && c.Weight > 0 },
		func(c topology.Cell) bool { return c.State == topology.CellServing },
		func(topology.Cell) bool { return true },
	} {
		near := d.byDistance(willing)
		if len(near) == 0 {
			continue
		}
		chosen := near[0]
		for _, c := range near {
			if Score(d.Client, string(c.ID))%100 < uint64(max(0, c.Weight)) {
				chosen = c
				break
			}
		}
		affinity := d.Client
		if d.Target.Ref.Kind != "" {
			affinity = d.Target.Ref.Key.String()
		}
		return Decision{Cell: chosen, Why: Nearest, Affinity: affinity, Elsewhere: true}
	}
	return Decision{Err: ErrNoCell.With("no cell can be asked at the moment").After(comeBack)}
}

// byDistance lists the reachable cells that are willing, nearest first.
func (d decider) byDistance(willing func(topology.Cell) bool) []topology.Cell {
	var left []geo.Candidate
	for _, c := range d.m.snapshot.Cells {
		if d.reachable(c) && willing(c) {
			left = append(left, candidateOf(c))
		}
	}
	facts := d.facts()
	near := make([]topology.Cell, 0, len(left))
	for len(left) > 0 {
		next := 0
		if best, ok := geo.Nearest(facts, left); ok {
			next = slices.IndexFunc(left, func(c geo.Candidate) bool { return c.Name == best.Candidate.Name })
		}
		near = append(near, d.m.cells[topology.CellID(left[next].Name)])
		left = slices.Delete(left, next, next+1)
	}
	return near
}

// facts is what is known about where the attendee is: its place, else the
// default cell's, else the round trips of this router, which is near whoever
// asks it.
func (d decider) facts() geo.Facts {
	if d.Located {
		return geo.Facts{At: d.At, Located: true}
	}
	if c, ok := d.m.Cell(d.Default); ok {
		if r, known := geo.RegionByCode(c.Region); known {
			return geo.Facts{At: r.Point, Located: true}
		}
	}
	f := geo.Facts{Now: d.Now, Last: string(d.Last), RTT: make(map[string]geo.Measured, len(d.health))}
	if d.Default != "" { // its region is not on the map, but it is still the default
		f.RTT[string(d.Default)] = geo.Measured{RTT: 1, At: d.Now}
	}
	for id, v := range d.health {
		if v.RTT > 0 && id != d.Default {
			f.RTT[string(id)] = geo.Measured{RTT: v.RTT, At: d.Now}
		}
	}
	return f
}

package booking

import (
	"cmp"
	"math"
	"slices"
)

// Limits of the search for seats.
const (
	maxAnchors    = 16 // runs that a split party is tried around
	maxAccessible = 64 // accessible seats that are compared
)

// BestSeats picks n seats out of the free ones, which come by rank and place, or
// nil when there are not that many. It prefers, in this order: one run of
// neighbours that leaves no single seat behind; one run that does; a party split
// over runs that lie close together, with nobody alone if it can be. Among equals
// the seats nearest to the best point win. It is a pure function of its arguments.
func BestSeats(free []*Seat, n int) []*Seat {
	if n < 1 || n > len(free) {
		return nil
	}
	if best := together(free, n); best != nil {
		return best
	}
	return apart(runs(free, func(*Seat) bool { return true }), n)
}

// window is n neighbours of a run.
type window struct {
	seats   []*Seat
	orphans int // single seats left at its sides
	cost    int64
}

func (w window) beats(o window) bool {
	if o.seats == nil || w.orphans != o.orphans {
		return o.seats == nil || w.orphans < o.orphans
	}
	return w.cost < o.cost // the rank breaks ties: runs come in its order
}

// bestWindow is the best n neighbours of a run, by what its seats cost.
func bestWindow(run []*Seat, n int, best window, cost func(*Seat) int64) window {
	var sum int64
	for i, seat := range run {
		sum += cost(seat)
		if i < n-1 {
			continue
		}
		w := window{seats: run[i-n+1 : i+1], cost: sum}
		if i == n {
			w.orphans++
		}
		if len(run)-1-i == 1 {
			w.orphans++
		}
		if w.beats(best) {
			best = w
		}
		sum -= cost(run[i-n+1])
	}
	return best
}

func quality(s *Seat) int64 { return s.Cost }

// together looks for one run. Rows come from best to worst: where even the best
// seat of a row is worse than those that were found, none behind it is better.
func together(free []*Seat, n int) []*Seat {
	var best window
	for from := 0; from < len(free); {
		if best.seats != nil && best.orphans == 0 && free[from].Floor*int64(n) >= best.cost {
			break
		}
		to := from + 1
		for to < len(free) && neighbours(free[to-1], free[to]) {
			to++
		}
		if to-from >= n {
			best = bestWindow(free[from:to], n, best, quality)
		}
		from = to
	}
	return slices.Clone(best.seats)
}

// part is the share of a party that sits in one run.
type part struct {
	run  []*Seat
	x, y float64 // its middle
	cost int64
}

func partOf(run []*Seat) part {
	p := part{run: run}
	for _, s := range run {
		p.x, p.y, p.cost = p.x+s.X/float64(len(run)), p.y+s.Y/float64(len(run)), p.cost+s.Cost/int64(len(run))
	}
	return p
}

// apart splits a party over runs that are close to each other. n is more than the
// longest run has and not more than all have.
func apart(all [][]*Seat, n int) []*Seat {
	parts := make([]part, len(all))
	for i, run := range all {
		parts[i] = partOf(run)
	}
	anchors := slices.Clone(parts)
	slices.SortStableFunc(anchors, func(a, b part) int {
		return cmp.Or(cmp.Compare(len(b.run), len(a.run)), cmp.Compare(a.cost, b.cost))
	})
	unit := spacing(all)
	var best []*Seat
	least := math.Inf(1)
	for _, anchor := range anchors[:min(maxAnchors, len(anchors))] {
		if seats, score := around(anchor, parts, n, unit); score < least {
			best, least = seats, score
		}
	}
	if best == nil {
		return cheapest(all, n)
	}
	return best
}

// around fills a party up from an anchor, nearest runs first, and scores the
// result: how far the parts are from the anchor and from the best point, how many
// they are, who sits alone, and what is left single.
func around(anchor part, parts []part, n int, unit float64) (seats []*Seat, score float64) {
	away := make([]float64, len(parts))
	for i, p := range parts {
		away[i] = math.Hypot(p.x-anchor.x, p.y-anchor.y)
	}
	for len(seats) < n {
		at := 0
		for i, d := range away {
			if d < away[at] {
				at = i
			}
		}
		if math.IsInf(away[at], 1) { // shares were kept small somewhere
			return nil, math.Inf(1)
		}
		p, k := parts[at], share(len(parts[at].run), n-len(seats))
		w := bestWindow(p.run, k, window{}, func(s *Seat) int64 { return int64(costUnit * math.Hypot(s.X-anchor.x, s.Y-anchor.y)) })
		seats = append(seats, w.seats...)
		score += away[at] + float64(p.cost)/costUnit + unit*float64(4+2*w.orphans)
		if k == 1 {
			score += 8 * unit
		}
		away[at] = math.Inf(1)
	}
	return seats, score
}

// share is how many of the party sit in a run of so many seats: all that fit, but
// one less when that saves somebody from sitting alone elsewhere.
func share(run, left int) int {
	k := min(run, left)
	if left-k == 1 && k > 2 {
		k--
	}
	return k
}

// cheapest are the n best seats, wherever they are.
func cheapest(all [][]*Seat, n int) []*Seat {
	seats := slices.Concat(all...)
	slices.SortStableFunc(seats, func(a, b *Seat) int { return cmp.Compare(a.Cost, b.Cost) })
	return seats[:n]
}

// spacing is the distance between two neighbours, 1 where there are none.
func spacing(all [][]*Seat) float64 {
	for _, run := range all {
		if len(run) > 1 {
			if d := math.Hypot(run[1].X-run[0].X, run[1].Y-run[0].Y); d > 0 {
				return d
			}
		}
	}
	return 1
}

// BestAccessible picks one accessible seat, the seats of its companions, and as
// many of the nearest ordinary seats as a party of n needs; nil when there is no
// accessible seat or too few around it.
func BestAccessible(free []*Seat, n int) []*Seat {
	anchors := accessible(free)
	slices.SortStableFunc(anchors, func(a, b *Seat) int { return cmp.Compare(a.Cost, b.Cost) })
	var best []*Seat
	least := math.Inf(1)
	for _, anchor := range anchors[:min(maxAccessible, len(anchors))] {
		if seats, score := beside(anchor, free, n); seats != nil && score < least {
			best, least = seats, score
		}
	}
	return best
}

// accessible picks the accessible seats out of others.
func accessible(seats []*Seat) (found []*Seat) {
	for _, seat := range seats {
		if seat.Kind == SeatAccessible {
			found = append(found, seat)
		}
	}
	return found
}

func beside(anchor *Seat, free []*Seat, n int) ([]*Seat, float64) {
	var others []*Seat
	for _, seat := range free {
		if seat.Kind == SeatStandard || seat.Kind == SeatCompanion && seat.With == anchor.ID {
			others = append(others, seat)
		}
	}
	if n < 1 || len(others) < n-1 {
		return nil, 0
	}
	distance := func(s *Seat) float64 {
		d := math.Hypot(s.X-anchor.X, s.Y-anchor.Y)
		if s.Rank == anchor.Rank { // where positions say nothing, the row does
			return d + math.Abs(float64(s.Place-anchor.Place))/1e6
		}
		return d + 1
	}
	companion := func(s *Seat) int {
		if s.Kind == SeatCompanion {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(others, func(a, b *Seat) int {
		return cmp.Or(cmp.Compare(companion(a), companion(b)), cmp.Compare(distance(a), distance(b)))
	})
	score := float64(anchor.Cost) / costUnit
	seats := []*Seat{anchor}
	for _, s := range others[:n-1] {
		score += distance(s)
		seats = append(seats, s)
	}
	return seats, score
}

package booking

import (
	"maps"
	"slices"
	"time"

	"guichet/cell/id"
)

// desk is one event's queue. All of it belongs to the mutex of the Desks.
type desk struct {
	event id.Event
	ops   []*Op
	turns int           // of the ops, shared or not
	busy  bool          // somebody works on what was taken from it
	alone bool          // its next batch is its own
	look  bool          // its next batch looks for the holds that it makes
	pace  time.Duration // smoothed time of a batch
}

// queue puts op in its event's queue. It is refused when the wait that is predicted
// is longer than patience: behind the event's own batches, or for a clerk.
func (d *Desks) queue(event id.Event, op *Op) (wait time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.desk(event)
	wait = max(k.wait(), time.Duration(d.backlog/(BatchSize*Clerks))*d.pace)
	if len(k.ops) >= MaxQueue || wait > d.Patience {
		return wait, false
	}
	if k.ops = append(k.ops, op); op.isTurn() {
		k.turns++
	}
	switch {
	case k.busy:
	case len(k.ops) == 1:
		d.idle--
		d.line(k)
		d.hire()
	default:
		d.backlog++
	}
	return 0, true
}

// desk finds the event's desk or opens one, which is idle.
func (d *Desks) desk(event id.Event) *desk {
	if k := d.desks[event]; k != nil {
		return k
	}
	if d.desks == nil {
		d.desks = map[id.Event]*desk{}
	}
	k := &desk{event: event}
	d.desks[event] = k
	d.idle++
	return k
}

// wait is how long the event's own batches will take.
func (k *desk) wait() time.Duration {
	ahead := max(len(k.ops)/BatchSize, k.turns/TurnsAtOnce)
	if k.busy {
		ahead++
	}
	return time.Duration(ahead) * k.pace
}

// line puts a desk where somebody waits into the line for a clerk. What must stand
// alone waits for none: it may take long, and nobody else waits for it.
func (d *Desks) line(k *desk) {
	if k.alone || k.turns > 0 {
		go d.serveAlone(k.take(BatchSize))
		return
	}
	d.ready = append(d.ready, k)
	d.backlog += len(k.ops)
}

// hire lets another clerk come when there is work for one.
func (d *Desks) hire() {
	if len(d.ready) > 0 && d.clerks < Clerks {
		d.clerks++
		go (&clerk{desks: d}).work()
	}
}

// take gives all that waits at the ready desks, the longest first and BatchSize ops
// at most.
func (d *Desks) take() []*Group {
	var groups []*Group
	room, line := BatchSize, d.ready
	for len(line) > 0 && room > 0 {
		k := line[0]
		line = line[1:]
		d.backlog -= len(k.ops)
		if k.turns > 0 { // since it came into the line
			d.line(k)
			continue
		}
		g := k.take(room)
		room -= len(g.Ops)
		groups = append(groups, g)
	}
	if d.ready = line; len(line) == 0 {
		d.ready = nil
	}
	return groups
}

// take gives up to n ops in their order. Nobody else takes any until they are back.
func (k *desk) take(n int) *Group {
	n = k.fit(min(n, len(k.ops)))
	g := &Group{Event: k.event, Ops: k.ops[:n:n], Look: k.look, desk: k}
	if k.ops = k.ops[n:]; len(k.ops) == 0 {
		k.ops = nil
	}
	for _, op := range g.Ops {
		if op.isTurn() {
			k.turns--
		}
	}
	k.busy, k.alone = true, false
	return g
}

// fit is how many of the first n ops a batch takes, for it takes few turns.
func (k *desk) fit(n int) int {
	turns := 0
	for i, op := range k.ops[:n] {
		if !op.isTurn() {
			continue
		}
		if turns++; turns > TurnsAtOnce {
			return i
		}
	}
	return n
}

// putBack makes the group's desk free again. An event that was left out of a batch
// keeps its place and is decided alone, where its lock can be waited for.
func (d *Desks) putBack(g *Group, took time.Duration) {
	k := g.desk
	k.busy = false
	if g.Elsewhere {
		k.ops, k.alone = slices.Concat(g.Ops, k.ops), true
	} else {
		k.pace += (took - k.pace) / smoothing
		k.look = slices.ContainsFunc(g.Ops, (*Op).LooksAgain)
	}
	if len(k.ops) > 0 {
		d.line(k)
		return
	}
	if d.idle++; d.idle > maxIdleDesks {
		maps.DeleteFunc(d.desks, func(_ id.Event, k *desk) bool { return !k.busy && len(k.ops) == 0 })
		d.idle = 0
	}
}

package booking

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"guichet/internal/kind"
	"guichet/internal/txn"
)

// clerk serves desks as long as somebody waits.
type clerk struct {
	desks    *Desks
	relieved bool // another has his place; guarded by the mutex of the Desks
}

func (c *clerk) work() {
	d := c.desks
	relief := time.AfterFunc(heldUp, c.relieve)
	defer relief.Stop()
	for {
		groups := c.next()
		if len(groups) == 0 {
			return
		}
		relief.Reset(heldUp)
		d.serve(groups, d.done)
		relief.Stop()
	}
}

// next is the clerk's next batch; none ends his work.
func (c *clerk) next() []*Group {
	d := c.desks
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.relieved {
		d.hire()
		return nil
	}
	groups := d.take()
	if len(groups) == 0 {
		c.relieved = true // his place is free: who comes to relieve him has come too late
		d.clerks--
		return nil
	}
	d.hire()
	return groups
}

// relieve gives the place of a clerk who is held up to another.
func (c *clerk) relieve() {
	d := c.desks
	d.mu.Lock()
	defer d.mu.Unlock()
	if !c.relieved {
		c.relieved = true
		d.clerks--
		d.hire()
	}
}

// done makes the desks of a batch free again.
func (d *Desks) done(groups []*Group, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pace += (min(took, heldUp) - d.pace) / smoothing
	for _, g := range groups {
		d.putBack(g, took)
	}
}

// serveAlone serves a desk that no clerk may wait for.
func (d *Desks) serveAlone(g *Group) {
	d.serve([]*Group{g}, func(groups []*Group, took time.Duration) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.putBack(g, took)
		d.hire()
	})
}

// serve answers every op of the groups, those aside that were left out. Ops whose
// callers have gone are not decided. The desks are freed before the last are answered:
// who comes again at once does not wait behind himself.
func (d *Desks) serve(groups []*Group, free func(groups []*Group, took time.Duration)) {
	began := d.Now()
	var batch []*Group
	for _, g := range groups {
		if g.Ops = d.present(g.Ops); len(g.Ops) > 0 {
			batch = append(batch, g)
		}
	}
	var last []*Op
	if len(batch) == 1 {
		last = d.inTurn(batch[0])
	} else if len(batch) > 1 {
		d.decide(batch)
		batch = here(batch)
		for _, g := range batch {
			last = append(last, g.Ops...)
		}
	}
	took := d.Now().Sub(began)
	free(groups, took)
	d.answerAll(last)
	if d.Watch != nil {
		d.report(batch, began, took)
	}
}

// report tells the watch of a batch.
func (d *Desks) report(groups []*Group, began time.Time, took time.Duration) {
	size := 0
	for _, g := range groups {
		size += len(g.Ops)
		for _, op := range g.Ops {
			d.Watch.Waited(began.Sub(op.at))
		}
	}
	d.Watch.Batch(size, took)
	tracer, ok := d.Watch.(DeskTracer)
	if !ok {
		return
	}
	for _, g := range groups {
		for _, op := range g.Ops {
			tracer.Decided(op.Context(), op.at, began, began.Add(took), size)
		}
	}
}

// present are the ops whose callers are still there; the others are told so.
func (d *Desks) present(ops []*Op) []*Op {
	there := ops[:0]
	for _, op := range ops {
		if op.Err = op.ctx.Err(); op.Err != nil {
			d.answer(op)
			continue
		}
		there = append(there, op)
	}
	return there
}

// inTurn serves one event. Turns of their own stand between the batches they came
// between. All but the last are answered; those are to be.
func (d *Desks) inTurn(g *Group) (last []*Op) {
	for rest := g.Ops; len(rest) > 0; {
		d.answerAll(last)
		n := 0
		for n < len(rest) && rest[n].ownTurn == nil {
			n++
		}
		if n == 0 {
			n = 1
			op := rest[0]
			op.Err = safely(func() error { return op.ownTurn(op.ctx, txn.None) })
		} else {
			d.decide([]*Group{{Event: g.Event, Ops: rest[:n], Look: g.Look}})
		}
		last, rest = rest[:n], rest[n:]
	}
	return last
}

// answerAll answers what was decided; then those turns that must be decided alone,
// by the row locks, have theirs.
func (d *Desks) answerAll(ops []*Op) {
	var apart []*Op
	for _, op := range ops {
		if op.Apart {
			apart = append(apart, op)
			continue
		}
		d.answer(op)
	}
	for _, op := range apart {
		op.Err = safely(func() error { return op.Turn(op.ctx, txn.None) })
		d.answer(op)
	}
}

// decide runs a batch. One that fails for a reason that will not go away is split
// until the guilty event, and then the guilty op, stands alone. When the answer of a
// commit was lost, the batch is run once more: behind the events' locks, the keys
// that were stored tell what had been committed (drill 10). Who cannot be decided once
// more is told that nobody knows, and not that nothing was done.
func (d *Desks) decide(groups []*Group) {
	ctx, cancel := context.WithTimeout(context.Background(), batchDeadline)
	defer cancel()
	batch := func() error { return d.Store.Batch(ctx, d.HoldTTL, groups) }
	err := safely(batch)
	if e := kind.As(err); e != nil && e.Code == outcomeUnknown {
		groups = here(groups)
		for op := range opsOf(groups) {
			op.lost = err
		}
		if len(groups) > 0 {
			err = safely(batch)
		}
	}
	if err == nil {
		return
	}
	switch groups = here(groups); {
	case everybodys(err) || len(groups) == 1 && (len(groups[0].Ops) == 1 || thisEvents(err)):
		for op := range opsOf(groups) {
			if op.Err = err; op.lost != nil && everybodys(err) {
				op.Err = op.lost
			}
		}
	case len(groups) > 1:
		d.decide(groups[:len(groups)/2])
		d.decide(groups[len(groups)/2:])
	case len(groups) == 1:
		event, ops, look := groups[0].Event, groups[0].Ops, groups[0].Look
		d.decide([]*Group{{Event: event, Ops: ops[:len(ops)/2], Look: look}})
		d.decide([]*Group{{Event: event, Ops: ops[len(ops)/2:], Look: look}})
	}
}

func opsOf(groups []*Group) iter.Seq[*Op] {
	return func(yield func(*Op) bool) {
		for _, g := range groups {
			for _, op := range g.Ops {
				if !yield(op) {
					return
				}
			}
		}
	}
}

// here are the groups that a batch was about: what befell it is nothing to those
// that it left out.
func here(groups []*Group) []*Group {
	return slices.DeleteFunc(slices.Clone(groups), func(g *Group) bool { return g.Elsewhere })
}

// safely turns a panic, which is our own bug, into an error of the ops concerned:
// a clerk answers for the whole process.
func safely(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the desk panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// outcomeUnknown is the code of a commit whose answer was lost.
const outcomeUnknown = "outcome_unknown"

// everybodys says that a batch failed for a reason that no part of it would escape.
func everybodys(err error) bool {
	switch kind.Of(err) {
	case kind.Unavailable, kind.Busy:
		return true
	default:
		return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	}
}

// thisEvents says that a batch of one event failed for a reason that none of its ops
// would escape.
func thisEvents(err error) bool {
	k := kind.Of(err)
	return k == kind.NotFound || k == kind.Moved
}

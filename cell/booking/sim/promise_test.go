package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/kind"
)

// commit makes what a transaction decided the truth, after holding it to the promises.
func (d *db) commit(parts []*part, answers map[string]booking.Answered) {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	d.commits++
	for _, t := range parts {
		if !t.left {
			t.commit(t.stock)
		}
	}
	maps.Copy(d.answers, answers)
}

func (t *table) commit(s *booking.Stock) {
	w, changed := t.db.w, false
	for i, q := range s.Quotas {
		changed = changed || q != t.event.Quotas[i]
		if q.Held < 0 || q.Sold < 0 || q.Held+q.Sold+q.Allocated > q.Size {
			w.broken("P2: quota %s would have held %d and sold %d of %d", q.Name, q.Held, q.Sold, q.Size)
		}
	}
	for _, hid := range slices.SortedFunc(maps.Keys(s.Holds), func(a, b id.Hold) int { return w.numbers[a] - w.numbers[b] }) {
		h := *s.Holds[hid]
		old, there := t.holds[hid]
		if there && old.State == h.State && old.ExpiresAt.Equal(h.ExpiresAt) && old.CreatedAt.Equal(h.CreatedAt) {
			continue
		}
		changed = true
		if there && !h.CreatedAt.Equal(old.CreatedAt) {
			w.broken("P5: hold %d was made twice", w.numbers[hid]) // the store's primary key would refuse it too
		} else if there {
			t.changed(old, h)
		}
		t.holds[hid] = h
	}
	if changed && t.sealed {
		w.broken("P1: stock changed behind the seal")
	}
	t.event.Quotas = slices.Clone(s.Quotas)
	t.recount()
	hall, gallery := t.event.Quotas[0], t.event.Quotas[1]
	w.tell("commit %d of event %d: hall %d %d of %d, gallery %d %d of %d", t.db.commits, slices.Index(t.db.tables, t),
		hall.Held, hall.Sold, hall.Size, gallery.Held, gallery.Sold, gallery.Size)
}

// changed is a hold that became another: only forward, and never before its time.
func (t *table) changed(old, h booking.Hold) {
	forward := map[booking.HoldState][]booking.HoldState{
		booking.HoldActive:   {booking.HoldActive, booking.HoldExpired, booking.HoldReleased, booking.HoldConverted},
		booking.HoldExpired:  {booking.HoldConverted},
		booking.HoldReleased: {booking.HoldConverted},
	}
	switch {
	case !slices.Contains(forward[old.State], h.State):
		t.db.w.broken("P3: a hold that was %s is %s", old.State, h.State)
	case h.State == booking.HoldExpired && t.db.clock().Before(old.ExpiresAt):
		t.db.w.broken("a hold expired %s before its time", old.ExpiresAt.Sub(t.db.clock()))
	case h.State == booking.HoldActive && h.ExpiresAt.Before(old.ExpiresAt):
		t.db.w.broken("a hold's life was made shorter")
	}
}

// recount adds the holds up: the counters must say the same.
func (t *table) recount() {
	held, sold := map[id.Quota]int64{}, map[id.Quota]int64{}
	for _, h := range t.holds {
		for _, item := range h.Items {
			for _, q := range t.event.Type(item.Type).Quotas {
				switch h.State {
				case booking.HoldActive:
					held[q] += item.Quantity
				case booking.HoldConverted:
					sold[q] += item.Quantity
				case booking.HoldExpired, booking.HoldReleased:
				}
			}
		}
	}
	for _, q := range t.event.Quotas {
		if q.Held != held[q.ID] || q.Sold != sold[q.ID] {
			t.db.w.broken("P2: quota %s counts held %d sold %d, its holds are %d and %d", q.Name, q.Held, q.Sold, held[q.ID], sold[q.ID])
		}
	}
}

// noteRefusal remembers whether "sold out" was true when it was decided (P9).
func (w *world) noteRefusal(op *booking.Op, s *booking.Stock) {
	if !errors.Is(op.Err, booking.ErrSoldOut) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	honest := true
	for _, h := range w.db.of[s.ID].holds {
		loaded := s.Holds[h.ID]
		if h.State == booking.HoldActive && !s.Now.Before(h.ExpiresAt) && (loaded == nil || loaded.State == booking.HoldActive) {
			honest = false // its tickets were there to be had
		}
	}
	w.honest[subject(op)] = honest
}

// noteRepeats holds refusals that stand to the holds that are there: who has one is told of it.
func (w *world) noteRepeats(t *table, ops []*booking.Op) {
	for _, op := range ops {
		if !op.New || op.Err == nil || errors.Is(op.Err, booking.ErrKeyReused) {
			continue
		}
		if _, there := t.holds[op.Holds[0]]; there {
			w.broken("P5: hold %d is there, and who asked again was told %v", w.numbers[op.Holds[0]], brief(op.Err))
		}
	}
}

// heldTo holds what a client was told about a hold to the database, at that very moment.
func (w *world) heldTo(c *call, at int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tell("client %s %s at %d: %s", c.name, c.what, at, brief(err))
	w.did[c.what+" "+brief(err)]++
	if c.key != nil && err == nil {
		if first, known := w.bodies[c.key.Key]; known && first != c.body {
			w.broken("P5: one key, two answers")
		}
		w.bodies[c.key.Key] = c.body
	}
	h, there := w.db.of[c.hold.Event()].holds[c.hold]
	switch {
	case err != nil:
		w.refused(c, err)
	case !there:
		w.broken("P3: %s of hold %d was acknowledged and there is none", c.what, w.numbers[c.hold])
	case c.what == "convert" && h.State != booking.HoldConverted:
		w.broken("P3: a sale was acknowledged and the hold is %s", h.State)
	case c.what == "release" && h.State == booking.HoldActive:
		w.broken("P3: a release was acknowledged and the hold is active")
	case c.what == "extend" && h.State == booking.HoldActive && h.ExpiresAt.Before(c.until):
		w.broken("P3: a longer life was acknowledged and it is shorter")
	case c.what == "hold":
		w.told[c.key.Key] = c.hold
		w.asking[c.hold] = false
	}
}

// refused holds a refusal to the promises.
func (w *world) refused(c *call, err error) {
	honest, soldOut := w.honest[c.about]
	if errors.Is(err, booking.ErrSoldOut) && soldOut && !honest && c.what == "hold" {
		w.broken("P9: sold out, with tickets of holds that were due")
	}
	if kind.Of(err) == kind.Internal && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) && !w.db.of[c.hold.Event()].poisoned {
		w.broken("the trouble of one event was passed on to another: %v", err)
	}
	if errors.Is(err, booking.ErrHoldNotFound) {
		w.broken("P3: hold %d was acknowledged and is not found", w.numbers[c.hold])
	}
	if e := kind.As(err); e != nil && e.Code == errUnknown.Code && c.what == "hold" && w.lost[c.about]-c.lostBefore < 2 && (!soldOut || honest) { // else it was the sweep's
		w.broken("an unknown outcome was passed on without asking once more")
	}
}

// atTheEnd is what must hold once everything has calmed down.
func (w *world) atTheEnd() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, hold := range w.told {
		if _, there := w.db.of[hold.Event()].holds[hold]; !there {
			w.broken("P3: the hold of key %s was acknowledged and is gone", key)
		}
	}
	for _, t := range w.db.tables {
		for _, h := range t.holds {
			if h.State == booking.HoldActive && !t.sealed && !t.poisoned && w.db.clock().Sub(h.ExpiresAt) > time.Minute {
				w.broken("a hold is still active %s after its end: nobody swept", w.db.clock().Sub(h.ExpiresAt))
			}
		}
	}
}

// broken notes a broken promise.
func (w *world) broken(format string, args ...any) {
	if len(w.faults) < 5 {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
	w.tell("BROKEN "+format, args...)
}

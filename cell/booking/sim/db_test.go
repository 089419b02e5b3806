package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// What the database can do to a transaction, as sqldb says it.
var (
	errUnavailable = kind.Unavailable.New("database_unavailable")
	errBusy        = kind.Busy.New("busy")
	errUnknown     = kind.Unavailable.New("outcome_unknown")
	errAborted     = errors.New("40001")
	errLook        = errors.New("a hold that is made may be there") // 23505, or refused before a look
	errPoisoned    = errors.New("a row cannot be read")
)

// Limits as sqldb and the store have them, save that a transaction sweeps only
// one hold, so that a schedule meets the limit.
const (
	lockWait    = 2 * time.Second
	idleInTx    = time.Second
	maxAttempts = 12
	dueHolds    = 1
)

// db is the one database: the committed rows of some events. It checks every commit
// against the promises.
type db struct {
	w       *world
	tables  []*table
	of      map[id.Event]*table
	answers map[string]booking.Answered
	commits int
}

// table is what the database has of one event, behind the event's lock.
type table struct {
	db       *db
	lock     chan struct{} // holds one token while nobody has the lock
	event    booking.Event
	holds    map[id.Hold]booking.Hold
	sealed   bool // and committed: nothing about stock may change any more
	poisoned bool // no transaction that reads it gets to its end
}

func newDB(w *world) *db {
	return &db{w: w, of: map[id.Event]*table{}, answers: map[string]booking.Answered{}}
}

func (d *db) add(e booking.Event) {
	t := &table{db: d, lock: make(chan struct{}, 1), event: e, holds: map[id.Hold]booking.Hold{}}
	t.lock <- struct{}{}
	d.tables, d.of[e.ID] = append(d.tables, t), t
}

// clock is the database's: the only one that counts.
func (d *db) clock() time.Time { return time.Now() }

// process is one process of the cell: it implements the ports of booking over
// the database, with the faults of its schedule and, in a mutant, without one of
// its defences.
type process struct {
	booking.Store // what a schedule does not call
	db            *db
	number        uint64
	skew          time.Duration
	calm          atomic.Bool // its faults are over
}

func (p *process) now() time.Time { return time.Now().Add(p.skew) }

// luck is what happens to one transaction. Several run at the same time, so each has
// its own: by when it began and what it is about.
type luck struct {
	p      *process
	random *rand.Rand
}

func (p *process) luckOf(parts []*part) *luck {
	h := fnv.New64a()
	for _, t := range parts {
		_, _ = fmt.Fprint(h, slices.Index(p.db.tables, t.table), " ")
	}
	_, _ = fmt.Fprint(h, time.Since(epoch), p.number)
	return &luck{p, rand.New(rand.NewPCG(p.db.w.seed, h.Sum64()))}
}

func (l *luck) chance(percent float64) bool {
	return l.random.Float64()*100 < percent && !l.p.calm.Load()
}

func (l *luck) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(l.random.Int64N(int64(hi-lo)))
}

// part is what a transaction does to one event.
type part struct {
	*table
	named []id.Hold
	do    func(s *booking.Stock, answers map[string]booking.Answered) error
	left  bool // somebody else has its lock
	stock *booking.Stock
}

// Batch implements booking.Batcher. As the store's, it looks for the holds that ops make
// when it must.
func (p *process) Batch(ctx context.Context, ttl time.Duration, groups []*booking.Group) error {
	look := slices.ContainsFunc(groups, func(g *booking.Group) bool { return g.Look })
	parts := p.parts(groups, look)
	err := p.inTx(ctx, ttl, parts)
	late := !look && errors.Is(err, errLook)
	if late {
		parts = p.parts(groups, true)
		err = p.inTx(ctx, ttl, parts)
	}
	p.db.w.mu.Lock()
	defer p.db.w.mu.Unlock()
	p.db.w.did["batch"]++
	if late {
		p.db.w.did["late look"]++
	}
	if len(groups) > 1 {
		p.db.w.did["batch of several"]++
	}
	for i, g := range groups {
		if err == nil && !parts[i].left {
			p.db.w.noteRepeats(parts[i].table, g.Ops)
		}
		if g.Elsewhere = parts[i].left && !p.db.w.without(leftOut); parts[i].left {
			p.db.w.did["left out"]++
		} else if err != nil {
			for _, op := range g.Ops {
				if was := p.db.w.lost[subject(op)]; errors.Is(err, errUnknown) || was > 0 { // asked once more, in vain
					p.db.w.lost[subject(op)]++
				}
			}
		}
	}
	return err
}

// parts are what a batch does to each event. look says whether the holds that ops make
// are read.
func (p *process) parts(groups []*booking.Group, look bool) []*part {
	parts := make([]*part, len(groups))
	for i, g := range groups {
		parts[i] = &part{table: p.db.of[g.Event], do: func(s *booking.Stock, answers map[string]booking.Answered) error {
			p.settle(g.Ops, s, answers)
			if !look && !p.db.w.without(lateLook) && slices.ContainsFunc(g.Ops, func(op *booking.Op) bool { return op.New && op.Err != nil }) {
				return errLook
			}
			return nil
		}}
		for _, op := range g.Ops {
			if look || !op.New {
				parts[i].named = append(parts[i].named, op.Holds...)
			}
		}
	}
	return parts
}

// taken says that a new hold's row is there already: the primary key refuses it.
func (p *process) taken(parts []*part) bool {
	p.db.w.mu.Lock()
	defer p.db.w.mu.Unlock()
	return slices.ContainsFunc(parts, func(t *part) bool {
		if t.left {
			return false
		}
		for hid, h := range t.stock.Holds {
			if old, there := t.holds[hid]; there && !old.CreatedAt.Equal(h.CreatedAt) {
				return true
			}
		}
		return false
	})
}

// subject is what an op is about: its key, or the hold it names.
func subject(op *booking.Op) string {
	switch {
	case op.Key != nil:
		return op.Key.Key
	case len(op.Holds) == 1:
		return op.Holds[0].String()
	}
	return ""
}

// settle is what the store's batch does with its ops.
func (p *process) settle(ops []*booking.Op, s *booking.Stock, answers map[string]booking.Answered) {
	for _, op := range ops {
		if op.Key == nil {
			op.Settle(s, nil)
			p.db.w.noteRefusal(op, s)
			continue
		}
		at := op.Key.Scope + " " + op.Key.Key
		var before *booking.Answered
		if a, there := answers[at]; there && !p.db.w.without(keys) {
			before = &a
		}
		fresh := op.Settle(s, before)
		p.db.w.noteRefusal(op, s)
		if fresh {
			answers[at] = booking.Answered{Fingerprint: op.Key.Fingerprint, Status: op.Status, Body: op.Body}
		}
	}
}

// turn is one operation in a transaction of its own, as orders have it.
func (p *process) turn(ctx context.Context, ttl time.Duration, named id.Hold, decide func(s *booking.Stock) error) error {
	return p.inTx(ctx, ttl, []*part{{
		table: p.db.of[named.Event()], named: []id.Hold{named},
		do: func(s *booking.Stock, _ map[string]booking.Answered) error { return decide(s) },
	}})
}

// inTx is sqldb's: aborted transactions run again, a session that was lost before
// its COMMIT was sent is replaced once.
func (p *process) inTx(ctx context.Context, ttl time.Duration, parts []*part) error {
	lost, l := 0, p.luckOf(parts)
	for attempt := 1; ; attempt++ {
		err := p.once(ctx, l, ttl, parts)
		switch {
		case errors.Is(err, errAborted) && attempt < maxAttempts:
			sleep(ctx, l.between(time.Millisecond, 5*time.Millisecond))
		case errors.Is(err, errUnavailable) && lost == 0:
			lost++
			sleep(ctx, 50*time.Millisecond)
		case errors.Is(err, errAborted):
			return errBusy
		default:
			return err
		}
		if ctx.Err() != nil {
			return errBusy
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// once is one transaction: lock, read, decide, write, commit, and at each step
// what can go wrong there.
func (p *process) once(ctx context.Context, l *luck, ttl time.Duration, parts []*part) error {
	sleep(ctx, l.between(50*time.Microsecond, 800*time.Microsecond)) // begin
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s := &session{db: p.db}
	if !s.takeAll(ctx, parts) {
		return errBusy
	}
	defer s.release()
	answers, err := p.loadAll(ttl, parts)
	if err != nil {
		return err
	}
	for _, t := range parts {
		if !t.left {
			if err := t.do(t.stock, answers); err != nil {
				return err
			}
		}
	}
	if l.chance(1.5) { // SIGSTOP in mid-batch, and CONT
		if s.idle(l.between(200*time.Millisecond, 15*time.Second)) && !p.db.w.without(cut) {
			return errUnavailable
		}
	}
	sleep(ctx, l.between(100*time.Microsecond, 4*time.Millisecond)) // write
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p.taken(parts) && !p.db.w.without(keys) {
		return errLook
	}
	return p.commit(l, s, parts, answers)
}

// commit sends the COMMIT.
func (p *process) commit(l *luck, s *session, parts []*part, answers map[string]booking.Answered) error {
	apply := func() { p.db.commit(parts, answers) }
	switch {
	case l.chance(4):
		return errAborted
	case l.chance(2): // the session was lost before
		return errUnavailable
	case l.chance(2): // the commit was lost
		return errUnknown
	case l.chance(3): // its answer was lost
		apply()
		return errUnknown
	case l.chance(2): // so it was, and the server takes its time
		s.linger(l.between(time.Millisecond, 3*time.Second), apply)
		return errUnknown
	}
	apply()
	return nil
}

// loadAll reads what a transaction needs, behind the locks.
func (p *process) loadAll(ttl time.Duration, parts []*part) (map[string]booking.Answered, error) {
	p.db.w.mu.Lock()
	defer p.db.w.mu.Unlock()
	for _, t := range parts {
		if t.left {
			continue
		}
		if t.poisoned {
			return nil, errPoisoned
		}
		t.stock = p.load(t.table, ttl, t.named)
	}
	return maps.Clone(p.db.answers), nil
}

func (p *process) load(t *table, ttl time.Duration, named []id.Hold) *booking.Stock {
	d := p.db
	stock := &booking.Stock{Event: t.event, Now: d.clock(), HoldTTL: ttl, Holds: map[id.Hold]*booking.Hold{}}
	if d.w.without(clock) {
		stock.Now = p.now()
	}
	stock.Quotas = slices.Clone(t.event.Quotas)
	if t.sealed && !d.w.without(fence) {
		stock.Placement = topology.Sealed
	}
	for _, hid := range named {
		if h, there := t.holds[hid]; there && !(d.w.without(keys) && d.w.asking[hid]) {
			stock.Holds[hid] = &h
		}
	}
	due := 0
	for _, hid := range t.byExpiry() {
		if h := t.holds[hid]; h.State == booking.HoldActive && !stock.Now.Before(h.ExpiresAt) && stock.Holds[hid] == nil {
			if due++; due > dueHolds {
				stock.DueLeft = !d.w.without(dueLeft)
				break
			}
			stock.Holds[hid] = &h
		}
	}
	return stock
}

// byExpiry are all holds, the one that is due first, first.
func (t *table) byExpiry() []id.Hold {
	return slices.SortedFunc(maps.Keys(t.holds), func(a, b id.Hold) int {
		return cmp.Or(t.holds[a].ExpiresAt.Compare(t.holds[b].ExpiresAt), cmp.Compare(t.db.w.numbers[a], t.db.w.numbers[b]))
	})
}

// HoldSecret implements booking.Store.
func (p *process) HoldSecret(context.Context, id.Event) ([]byte, error) { return []byte(secret), nil }

// EventsWithDueHolds implements booking.Store.
func (p *process) EventsWithDueHolds(context.Context, int) ([]id.Event, error) {
	d := p.db
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	var events []id.Event
	for _, t := range d.tables {
		if !t.sealed && slices.ContainsFunc(slices.Collect(maps.Values(t.holds)), func(h booking.Hold) bool {
			return h.State == booking.HoldActive && !d.clock().Before(h.ExpiresAt)
		}) {
			events = append(events, t.event.ID)
		}
	}
	return events, nil
}

// session has events' locks, until it gives them back or is cut.
type session struct {
	db   *db
	held []*table
}

// takeAll takes the locks that a transaction needs: of one event it waits for it, of
// several it leaves out those that are taken.
func (s *session) takeAll(ctx context.Context, parts []*part) bool {
	if len(parts) == 1 {
		return s.take(ctx, parts[0].table)
	}
	for _, t := range parts {
		if t.left = false; s.db.w.without(lock) {
			continue
		}
		select {
		case <-t.lock:
			s.held = append(s.held, t.table)
		default:
			t.left = true
		}
	}
	return true
}

func (s *session) take(ctx context.Context, t *table) bool {
	if s.db.w.without(lock) {
		return true
	}
	timer := time.NewTimer(lockWait)
	defer timer.Stop()
	select {
	case <-t.lock:
		s.held = append(s.held, t)
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (s *session) release() {
	for _, t := range s.held {
		t.lock <- struct{}{}
	}
	s.held = nil
}

// idle stands still in the transaction; it is true when the server did not wait
// for it and gave the locks to others.
func (s *session) idle(d time.Duration) (gone bool) {
	time.Sleep(min(d, idleInTx))
	if d <= idleInTx {
		return false
	}
	s.release()
	time.Sleep(d - idleInTx)
	return true
}

// linger lets the server finish alone, with the locks, when the client has gone.
func (s *session) linger(d time.Duration, then func()) {
	held := s.held
	s.held = nil
	s.db.w.servers.Go(func() {
		time.Sleep(d)
		then()
		(&session{db: s.db, held: held}).release()
	})
}

// poison spoils a row of the event: a disk, or a bug of ours.
func (t *table) poison() {
	t.db.w.mu.Lock()
	defer t.db.w.mu.Unlock()
	t.poisoned = true
}

// seal is the first step of a move: from here on nothing changes at this home.
func (t *table) seal(ctx context.Context) {
	s := &session{db: t.db}
	if s.take(ctx, t) || t.db.w.without(lock) {
		t.db.w.mu.Lock()
		t.sealed = true
		t.db.w.mu.Unlock()
		s.release()
	}
}

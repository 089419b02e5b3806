package sim

import (
	"cmp"
	"context"
	"errors"
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
)

// Limits as sqldb and the store have them, save that a transaction sweeps only
// one hold, so that a schedule meets the limit.
const (
	lockWait    = 2 * time.Second
	idleInTx    = time.Second
	maxAttempts = 12
	dueHolds    = 1
)

// db is the one database: an event's committed rows behind the event's lock. It
// checks every commit against the promises.
type db struct {
	w       *world
	lock    chan struct{} // holds one token while nobody has the lock
	event   booking.Event
	holds   map[id.Hold]booking.Hold
	answers map[string]booking.Answered
	sealed  bool // and committed: nothing about stock may change any more
	commits int
}

func newDB(w *world, e booking.Event) *db {
	d := &db{w: w, lock: make(chan struct{}, 1), event: e, holds: map[id.Hold]booking.Hold{}, answers: map[string]booking.Answered{}}
	d.lock <- struct{}{}
	return d
}

// clock is the database's: the only one that counts.
func (d *db) clock() time.Time { return time.Now() }

// process is one process of the cell: it implements the ports of booking over
// the database, with the faults of its schedule and, in a mutant, without one of
// its defences.
type process struct {
	booking.Store // what a schedule does not call
	db            *db
	random        *rand.Rand // used by the process's desk alone, one batch after another
	skew          time.Duration
	calm          atomic.Bool // its faults are over
}

func (p *process) now() time.Time { return time.Now().Add(p.skew) }

func (p *process) chance(percent float64) bool {
	return p.random.Float64()*100 < percent && !p.calm.Load()
}

func (p *process) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(p.random.Int64N(int64(hi-lo)))
}

// Batch implements booking.Batcher.
func (p *process) Batch(ctx context.Context, _ id.Event, ttl time.Duration, ops []*booking.Op) error {
	var named []id.Hold
	for _, op := range ops {
		named = append(named, op.Holds...)
	}
	err := p.inTx(ctx, ttl, named, func(s *booking.Stock, answers map[string]booking.Answered) error {
		p.settle(ops, s, answers)
		return nil
	})
	if errors.Is(err, errUnknown) {
		p.db.w.mu.Lock()
		defer p.db.w.mu.Unlock()
		for _, op := range ops {
			p.db.w.lost[subject(op)]++
		}
	}
	return err
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
	return p.inTx(ctx, ttl, []id.Hold{named}, func(s *booking.Stock, _ map[string]booking.Answered) error { return decide(s) })
}

// inTx is sqldb's: aborted transactions run again, a session that was lost before
// its COMMIT was sent is replaced once.
func (p *process) inTx(ctx context.Context, ttl time.Duration, named []id.Hold, do func(*booking.Stock, map[string]booking.Answered) error) error {
	lost := 0
	for attempt := 1; ; attempt++ {
		err := p.once(ctx, ttl, named, do)
		switch {
		case errors.Is(err, errAborted) && attempt < maxAttempts:
			sleep(ctx, p.between(time.Millisecond, 5*time.Millisecond))
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
func (p *process) once(ctx context.Context, ttl time.Duration, named []id.Hold, do func(*booking.Stock, map[string]booking.Answered) error) error {
	sleep(ctx, p.between(50*time.Microsecond, 800*time.Microsecond)) // begin
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s := &session{db: p.db}
	if !s.take(ctx) {
		return errBusy
	}
	defer s.release()
	stock, answers := p.load(ttl, named)
	if err := do(stock, answers); err != nil {
		return err
	}
	if p.chance(1.5) { // SIGSTOP in mid-batch, and CONT
		if s.idle(p.between(200*time.Millisecond, 15*time.Second)) && !p.db.w.without(cut) {
			return errUnavailable
		}
	}
	sleep(ctx, p.between(100*time.Microsecond, 4*time.Millisecond)) // write
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return p.commit(s, stock, answers)
}

// commit sends the COMMIT.
func (p *process) commit(s *session, stock *booking.Stock, answers map[string]booking.Answered) error {
	apply := func() { p.db.commit(stock, answers) }
	switch {
	case p.chance(4):
		return errAborted
	case p.chance(2): // the session was lost before
		return errUnavailable
	case p.chance(2): // the commit was lost
		return errUnknown
	case p.chance(3): // its answer was lost
		apply()
		return errUnknown
	case p.chance(2): // so it was, and the server takes its time
		s.linger(p.between(time.Millisecond, 3*time.Second), apply)
		return errUnknown
	}
	apply()
	return nil
}

// load reads the event's rows behind the lock.
func (p *process) load(ttl time.Duration, named []id.Hold) (*booking.Stock, map[string]booking.Answered) {
	d := p.db
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	stock := &booking.Stock{Event: d.event, Now: d.clock(), HoldTTL: ttl, Holds: map[id.Hold]*booking.Hold{}}
	if d.w.without(clock) {
		stock.Now = p.now()
	}
	stock.Quotas = slices.Clone(d.event.Quotas)
	if d.sealed && !d.w.without(fence) {
		stock.Placement = topology.Sealed
	}
	for _, hid := range named {
		if h, there := d.holds[hid]; there && !(d.w.without(keys) && d.w.asking[hid]) {
			stock.Holds[hid] = &h
		}
	}
	due := 0
	for _, hid := range d.byExpiry() {
		if h := d.holds[hid]; h.State == booking.HoldActive && !stock.Now.Before(h.ExpiresAt) && stock.Holds[hid] == nil {
			if due++; due > dueHolds {
				stock.DueLeft = !d.w.without(dueLeft)
				break
			}
			stock.Holds[hid] = &h
		}
	}
	return stock, maps.Clone(d.answers)
}

// byExpiry are all holds, the one that is due first, first.
func (d *db) byExpiry() []id.Hold {
	return slices.SortedFunc(maps.Keys(d.holds), func(a, b id.Hold) int {
		return cmp.Or(d.holds[a].ExpiresAt.Compare(d.holds[b].ExpiresAt), cmp.Compare(d.w.numbers[a], d.w.numbers[b]))
	})
}

// HoldSecret implements booking.Store.
func (p *process) HoldSecret(context.Context, id.Event) ([]byte, error) { return []byte(secret), nil }

// EventsWithDueHolds implements booking.Store.
func (p *process) EventsWithDueHolds(context.Context, int) ([]id.Event, error) {
	d := p.db
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	for _, h := range d.holds {
		if h.State == booking.HoldActive && !d.clock().Before(h.ExpiresAt) && !d.sealed {
			return []id.Event{d.event.ID}, nil
		}
	}
	return nil, nil
}

// session has the event's lock, until it gives it back or is cut.
type session struct {
	db   *db
	held bool
}

func (s *session) take(ctx context.Context) bool {
	if s.db.w.without(lock) {
		return true
	}
	timer := time.NewTimer(lockWait)
	defer timer.Stop()
	select {
	case <-s.db.lock:
		s.held = true
	case <-timer.C:
	case <-ctx.Done():
	}
	return s.held
}

func (s *session) release() {
	if s.held {
		s.held = false
		s.db.lock <- struct{}{}
	}
}

// idle stands still in the transaction; it is true when the server did not wait
// for it and gave the lock to others.
func (s *session) idle(d time.Duration) (gone bool) {
	time.Sleep(min(d, idleInTx))
	if d <= idleInTx {
		return false
	}
	s.release()
	time.Sleep(d - idleInTx)
	return true
}

// linger lets the server finish alone, with the lock, when the client has gone.
func (s *session) linger(d time.Duration, then func()) {
	held := s.held
	s.held = false
	s.db.w.servers.Go(func() {
		time.Sleep(d)
		then()
		if held {
			s.db.lock <- struct{}{}
		}
	})
}

// seal is the first step of a move: from here on nothing changes at this home.
func (d *db) seal(ctx context.Context) {
	s := &session{db: d}
	if s.take(ctx) || d.w.without(lock) {
		d.w.mu.Lock()
		d.sealed = true
		d.w.mu.Unlock()
		s.release()
	}
}

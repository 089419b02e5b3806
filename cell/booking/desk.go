package booking

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"guichet/cell/id"
	"guichet/internal/kind"
)

// Limits of desks.
const (
	// BatchSize is how many requests one transaction answers at most.
	BatchSize = 512
	// MaxQueue is how many requests may wait at one desk, whatever is predicted.
	MaxQueue = 8192
	// MaxWaiting is how many requests may wait at all desks of a process together:
	// what bounds its memory when many events are hot at once (docs/desk.md).
	MaxWaiting = 2 * MaxQueue
	// maxIdleDesks is how many desks a process keeps open in the hope of more work;
	// beyond it a desk closes as soon as it has none. Strangers may ask for events
	// that there are none of, each a desk.
	maxIdleDesks = 1024
	// DefaultPatience is the predicted wait beyond which a request is refused.
	DefaultPatience = 250 * time.Millisecond
	// deskIdle is how long a desk without work keeps its goroutine.
	deskIdle = 5 * time.Second
	// batchDeadline bounds one batch with its retries.
	batchDeadline = 10 * time.Second
	// smoothing of the batch time: a new one counts for 1/smoothing.
	smoothing = 8
)

// ErrBusy refuses a request that would have to wait too long.
var ErrBusy = kind.Busy.New("busy")

// Batcher runs the operations of one event in one transaction: it locks, loads,
// lets every op settle in order, writes and commits. After an error nothing of
// the batch is stored, unless the error's code is outcome_unknown.
type Batcher interface {
	Batch(ctx context.Context, event id.Event, ttl time.Duration, ops []*Op) error
}

// DeskWatch is told what happens at desks, for metrics.
type DeskWatch interface {
	Batch(size int, took time.Duration)
	Waited(d time.Duration)
	Refused()
}

// Desks are the desks of one process, one for each event that is asked for: a
// goroutine that takes all that waits, decides it in one transaction and answers
// everybody. The longer a commit takes, the larger the batch. A desk knows nothing
// that another process could contradict: P2 is kept by the row locks of the
// batch, a desk only lets many requests share them. Dying loses nothing that was
// answered.
type Desks struct {
	Store    Batcher
	HoldTTL  time.Duration
	Patience time.Duration
	Now      func() time.Time
	Watch    DeskWatch // may be nil

	waiting atomic.Int64

	mu    sync.Mutex
	desks map[id.Event]*desk
}

// desk is one event's queue. Its goroutine runs while open.
type desk struct {
	wake chan struct{} // holds one token when something was queued

	mu     sync.Mutex
	queue  []*Op
	closed bool
	busy   bool
	pace   time.Duration // smoothed time of a batch
}

// Do takes op to its event's desk and waits for the answer. When ctx ends first
// the op leaves the queue; if it is being decided, its outcome is unknown to the
// caller, who finds it out by repeating the request with the same key.
func (d *Desks) Do(ctx context.Context, event id.Event, op *Op) error {
	op.ctx, op.at, op.done = ctx, d.Now(), make(chan struct{})
	for {
		took, err := d.enter(event, op) //nolint:contextcheck // a desk serves many requests and outlives each
		if err != nil {
			if d.Watch != nil {
				d.Watch.Refused()
			}
			return err
		}
		if took {
			break
		}
	}
	select {
	case <-op.done:
		return op.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Waiting is how many requests wait at the desks or are being decided; those whose
// callers have gone count until their batch comes.
func (d *Desks) Waiting() int64 { return d.waiting.Load() }

// enter takes a place in the process and at the event's desk.
func (d *Desks) enter(event id.Event, op *Op) (bool, error) {
	if d.waiting.Add(1) > MaxWaiting {
		d.waiting.Add(-1)
		return false, ErrBusy.With("too many requests wait in this process").After(time.Second)
	}
	took, err := d.desk(event).enter(op, d.Patience)
	if !took {
		d.waiting.Add(-1)
	}
	return took, err
}

// answer ends an op's wait.
func (d *Desks) answer(op *Op) {
	close(op.done)
	d.waiting.Add(-1)
}

// Turn runs do when it is its turn at the event's desk, in a transaction of its
// own: for operations that write more than stock.
func (d *Desks) Turn(ctx context.Context, event id.Event, do func(ctx context.Context) error) error {
	return d.Do(ctx, event, &Op{turn: do})
}

// Share is Turn in a transaction that do shares with whatever else waits: what many
// ask of the database at once travels together. subject is what do is about: two of
// the same are done one after the other. holds are loaded before. do must not read
// stock but through the store's WithStock, and wait for nothing but the database.
func (d *Desks) Share(ctx context.Context, event id.Event, subject string, holds []id.Hold, do func(ctx context.Context) error) error {
	return d.Do(ctx, event, &Op{Turn: do, Subject: subject, Holds: holds})
}

// desk finds the event's desk or opens one.
func (d *Desks) desk(event id.Event) *desk {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.desks == nil {
		d.desks = map[id.Event]*desk{}
	}
	k, open := d.desks[event]
	if !open {
		k = &desk{wake: make(chan struct{}, 1)}
		d.desks[event] = k
		go d.serve(event, k)
	}
	return k
}

// enter queues op. It is false when the desk has just closed: then there is a
// new one to be opened.
func (k *desk) enter(op *Op, patience time.Duration) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false, nil
	}
	ahead := len(k.queue) / BatchSize
	if k.busy {
		ahead++
	}
	if wait := time.Duration(ahead) * k.pace; len(k.queue) >= MaxQueue || wait > patience {
		return false, ErrBusy.With("the queue for this event is too long").After(max(time.Second, wait))
	}
	k.queue = append(k.queue, op)
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return true, nil
}

// take answers up to BatchSize ops in their order; none means that the desk has
// closed because nobody came.
func (k *desk) take(idle *time.Timer, patience time.Duration) []*Op {
	for {
		k.mu.Lock()
		k.busy = false
		if n := min(len(k.queue), BatchSize); n > 0 {
			ops := k.queue[:n:n]
			k.queue = k.queue[n:]
			if len(k.queue) == 0 {
				k.queue = nil
			}
			k.busy = true
			k.mu.Unlock()
			return ops
		}
		k.mu.Unlock()
		idle.Reset(patience)
		select {
		case <-k.wake:
		case <-idle.C:
			k.mu.Lock()
			if len(k.queue) == 0 {
				k.closed = true
				k.mu.Unlock()
				return nil
			}
			k.mu.Unlock()
		}
	}
}

func (d *Desks) serve(event id.Event, k *desk) {
	idle := time.NewTimer(deskIdle)
	defer idle.Stop()
	for {
		ops := k.take(idle, d.idleness())
		if ops == nil {
			d.mu.Lock()
			if d.desks[event] == k {
				delete(d.desks, event)
			}
			d.mu.Unlock()
			return
		}
		began := d.Now()
		d.work(event, ops)
		k.measure(d.Now().Sub(began))
		if d.Watch != nil {
			d.Watch.Batch(len(ops), d.Now().Sub(began))
			for _, op := range ops {
				d.Watch.Waited(began.Sub(op.at))
			}
		}
	}
}

// idleness is how long a desk without work stays open.
func (d *Desks) idleness() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.desks) > maxIdleDesks {
		return 0
	}
	return deskIdle
}

func (k *desk) measure(took time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pace += (took - k.pace) / smoothing
}

// work answers every op. Those whose callers have gone are not decided; turns
// stand between the batches they came between.
func (d *Desks) work(event id.Event, ops []*Op) {
	var batch []*Op
	flush := func() {
		if len(batch) > 0 {
			d.decide(event, batch)
			d.answerAll(batch)
		}
		batch = nil
	}
	for _, op := range ops {
		switch {
		case op.ctx.Err() != nil:
			op.Err = op.ctx.Err()
			d.answer(op)
		case op.turn != nil:
			flush()
			op.Err = safely(func() error { return op.turn(op.ctx) })
			d.answer(op)
		default:
			batch = append(batch, op)
		}
	}
	flush()
}

// answerAll answers a batch that was decided; then those turns that must be decided
// alone have theirs.
func (d *Desks) answerAll(ops []*Op) {
	for _, op := range ops {
		if !op.Apart {
			d.answer(op)
		}
	}
	for _, op := range ops {
		if op.Apart {
			op.Err = safely(func() error { return op.Turn(op.ctx) })
			d.answer(op)
		}
	}
}

// decide runs a batch. One that fails for a reason that will not go away is split
// until the guilty op stands alone. When the answer of a commit was lost, the
// batch is run once more: behind the event's lock, the keys that were stored tell
// what had been committed (drill 10).
func (d *Desks) decide(event id.Event, ops []*Op) {
	ctx, cancel := context.WithTimeout(context.Background(), batchDeadline)
	defer cancel()
	batch := func() error { return d.Store.Batch(ctx, event, d.HoldTTL, ops) }
	err := safely(batch)
	if e := kind.As(err); e != nil && e.Code == outcomeUnknown {
		err = safely(batch)
	}
	switch {
	case err == nil:
	case len(ops) == 1 || everybodys(err):
		for _, op := range ops {
			op.Err = err
		}
	default:
		d.decide(event, ops[:len(ops)/2])
		d.decide(event, ops[len(ops)/2:])
	}
}

// safely turns a panic, which is our own bug, into an error of the ops concerned:
// the desk's goroutine answers for the whole process.
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
	case kind.NotFound, kind.Moved, kind.Unavailable, kind.Busy:
		return true
	default:
		return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	}
}

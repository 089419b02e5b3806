package booking

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"guichet/cell/id"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// Limits of desks.
const (
	// BatchSize is how many requests one transaction answers at most.
	BatchSize = 512
	// TurnsAtOnce is how many turns one transaction takes in at most: each is some
	// milliseconds that all of its batch wait for.
	TurnsAtOnce = 128
	// Clerks is how many transactions over several desks a process works on at the
	// same time, so that hot events and cold ones do not wait for each other.
	Clerks = 2
	// MaxQueue is how many requests may wait at one desk, whatever is predicted.
	MaxQueue = 8192
	// MaxWaiting is how many requests may wait at all desks of a process together:
	// what bounds its memory when many events are hot at once (docs/desk.md).
	MaxWaiting = 2 * MaxQueue
	// maxIdleDesks is how many desks without work a process remembers, with their
	// pace. Strangers may ask for events that there are none of, each a desk.
	maxIdleDesks = 1024
	// DefaultPatience is the predicted wait beyond which a request is refused.
	DefaultPatience = 250 * time.Millisecond
	// heldUp is how long a clerk may take before another takes his place: he waits
	// for another process's lock, or for a database that others need not wait for.
	heldUp = 50 * time.Millisecond
	// batchDeadline bounds one batch with its retries.
	batchDeadline = 10 * time.Second
	// smoothing of the batch time: a new one counts for 1/smoothing.
	smoothing = 8
)

// ErrBusy refuses a request that would have to wait too long.
var ErrBusy = kind.Busy.New("busy")

// Batcher runs the operations of some events in one transaction: it locks, loads,
// lets every op settle, those of an event in their order, writes and commits. After
// an error nothing of the batch is stored, unless the error's code is
// outcome_unknown. It waits for the lock of a single event; of several it leaves
// out those that it would have to wait for, and says so in their groups.
type Batcher interface {
	Batch(ctx context.Context, ttl time.Duration, groups []*Group) error
}

// Group is what is decided for one event.
type Group struct {
	Event id.Event
	Ops   []*Op
	// Look says that the holds that ops make may be there: of those in the event's batch
	// before some were, or were refused.
	Look bool
	// Elsewhere says that the event was left out of the batch: somebody else has it
	// locked, or there is no such event.
	Elsewhere bool

	desk *desk
}

// DeskWatch is told what happens at desks, for metrics.
type DeskWatch interface {
	Batch(size int, took time.Duration)
	Waited(d time.Duration)
	Refused()
}

// DeskTracer is a DeskWatch that is told of each request as well, for traces: when it
// came to the desk, when its batch began and ended, and how many were in it. ctx is the
// request's, which may be over by then.
type DeskTracer interface {
	Decided(ctx context.Context, came, began, ended time.Time, together int)
}

// Desks are the desks of one process, one for each event that is asked for, and
// the clerks who serve them: a clerk takes all that waits at the desks where nobody
// is, decides it in one transaction and answers everybody. The longer a commit
// takes, the larger the batch. A desk knows nothing that another process could
// contradict: P2 is kept by the row locks of the batch, a desk only lets many
// requests share them. Dying loses nothing that was answered.
type Desks struct {
	Store    Batcher
	HoldTTL  time.Duration
	Patience time.Duration
	Now      func() time.Time
	Watch    DeskWatch // may be nil

	waiting atomic.Int64

	mu      sync.Mutex
	desks   map[id.Event]*desk
	idle    int           // desks without work, at most
	ready   []*desk       // where somebody waits and no clerk is, the longest first
	backlog int           // ops at the ready desks
	clerks  int           // at work, those aside whose place was taken
	pace    time.Duration // smoothed time for which a batch takes a clerk's place
}

// Do takes op to its event's desk and waits for the answer. When ctx ends first
// the op leaves the queue; if it is being decided, its outcome is unknown to the
// caller, who finds it out by repeating the request with the same key.
func (d *Desks) Do(ctx context.Context, event id.Event, op *Op) error {
	op.ctx, op.at, op.done = ctx, d.Now(), make(chan struct{})
	if err := d.enter(event, op); err != nil { //nolint:contextcheck // a desk serves many requests and outlives each
		if d.Watch != nil {
			d.Watch.Refused()
		}
		return err
	}
	select {
	case <-op.done:
		return op.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Turn runs do when it is its turn at the event's desk, in a transaction of its
// own, which it begins: for operations that write more than stock. Its tx is txn.None.
func (d *Desks) Turn(ctx context.Context, event id.Event, do func(ctx context.Context, tx txn.Tx) error) error {
	return d.Do(ctx, event, &Op{ownTurn: do})
}

// Share is Turn in a transaction that do shares with whatever else waits: what many
// ask of the database at once travels together. subject is what do is about: two of
// the same are done one after the other. holds are loaded before. do must not read
// stock but through the store's WithStock, wait for nothing but the database, and do
// all in one txn.In: that is the shared transaction, and one of its own where do is decided alone.
func (d *Desks) Share(ctx context.Context, event id.Event, subject string, holds []id.Hold, do func(ctx context.Context, tx txn.Tx) error) error {
	return d.Do(ctx, event, &Op{Turn: do, Subject: subject, Holds: holds})
}

// Waiting is how many requests wait at the desks or are being decided; those whose
// callers have gone count until their batch comes.
func (d *Desks) Waiting() int64 { return d.waiting.Load() }

// enter takes a place in the process and at the event's desk.
func (d *Desks) enter(event id.Event, op *Op) error {
	if d.waiting.Add(1) > MaxWaiting {
		d.waiting.Add(-1)
		return ErrBusy.With("too many requests wait in this process").After(time.Second)
	}
	if wait, ok := d.queue(event, op); !ok {
		d.waiting.Add(-1)
		return ErrBusy.With("the queue for this event is too long").After(max(time.Second, wait))
	}
	return nil
}

// answer ends an op's wait.
func (d *Desks) answer(op *Op) {
	close(op.done)
	d.waiting.Add(-1)
}

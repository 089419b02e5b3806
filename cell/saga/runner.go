package saga

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"guichet/internal/kind"
	"guichet/internal/txn"
)

// Bounds of a runner.
const (
	// DefaultLease is how long a process may be silent before its runs are taken over.
	DefaultLease = 15 * time.Second
	// maxCall bounds one call to the outside, so that its lease does not run out.
	maxCall = 10 * time.Second
	// storePatience bounds what is stored after a caller has gone.
	storePatience = 5 * time.Second
	// DefaultWorkers is how many runs a process works on at once.
	DefaultWorkers = 32
	pollPeriod     = time.Second
	maxKicks       = 1024 // runs that wait for a worker; those beyond are found by the poll
	// passingPause is when a run is tried again that could not be worked on at all:
	// the database was away, the desk too busy, its event behind the fence.
	passingPause = 2 * time.Second
	keepRuns     = 30 * 24 * time.Hour
	forgetAtOnce = 200
)

// Runner runs sagas in one process. Register everything before Work.
type Runner struct {
	Store Store
	// Owner names this process in leases; it must differ from every peer's.
	Owner string
	// Desk runs do at the desk of a run's event; nil is just so. The event is "" until
	// the run was read.
	Desk func(ctx context.Context, run, event string, do func(ctx context.Context, tx txn.Tx) error) error
	// AtDesk says of a run, by its id, that all its transactions belong at the desk, not
	// only those with a handler that does; nil says so of none.
	AtDesk  func(run string) bool
	Watch   Watch // may be nil
	Lease   time.Duration
	Workers int
	// Moments hears of every moment of every Task, in the middle of it: drills end
	// the process there. Nil otherwise.
	Moments func(Moment)

	handlers map[string]Handler
	current  map[string]definition // by name: what new runs begin with

	mu    sync.Mutex // guards the fields below
	known map[string]*Machine
	kept  map[string]bool // definitions, by name and version, that the store has for sure
	// handed are calls to the outside by the run whose caller makes them
	handed map[string]*handed

	working   atomic.Int32 // how often Work is at it
	kicks     chan handed
	makeKicks sync.Once
}

// definition is a machine with its text.
type definition struct {
	machine *Machine
	version string
	text    []byte
}

// Handle registers what a Task's resource does.
func (r *Runner) Handle(name string, h Handler) {
	if r.handlers == nil {
		r.handlers = map[string]Handler{}
	}
	r.handlers[name] = h
}

// Define registers a state machine under a name: new runs begin with it, those
// that run finish with theirs. Its version is its text's hash. Every resource
// must have a handler, and the first state must be one that the caller does.
func (r *Runner) Define(name string, text []byte) error {
	m, err := Parse(text)
	if err != nil {
		return fmt.Errorf("define %s: %w", name, err)
	}
	if missing := r.missing(m); missing != "" {
		return fmt.Errorf("define %s: %w", name, ErrDefinition.With("there is no handler for %q", missing))
	}
	if first := m.States[m.StartAt]; first.Type != Task || !r.handlers[first.Handler()].Caller {
		return fmt.Errorf("define %s: %w", name, ErrDefinition.At("/StartAt", "must be a task of the caller"))
	}
	sum := sha256.Sum256(text)
	d := definition{m, hex.EncodeToString(sum[:6]), text}
	if r.current == nil {
		r.current = map[string]definition{}
	}
	r.current[name] = d
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]*Machine{}
	}
	r.known[name+"@"+d.version] = m
	return nil
}

// missing names a handler that the machine needs and that is not here.
func (r *Runner) missing(m *Machine) string {
	for _, name := range sortedStates(m.States) {
		s := m.States[name]
		if _, ok := r.handlers[s.Handler()]; s.Type == Task && !ok {
			return s.Handler()
		}
		for _, b := range s.Branches {
			if name := r.missing(b); name != "" {
				return name
			}
		}
	}
	return ""
}

// machine finds the definition that a run began with, in the store when it is of
// another binary.
func (r *Runner) machine(ctx context.Context, tx txn.Tx, name, version string) (*Machine, error) {
	r.mu.Lock()
	m := r.known[name+"@"+version]
	r.mu.Unlock()
	if m != nil {
		return m, nil
	}
	text, err := r.Store.Definition(ctx, tx, name, version)
	if err != nil {
		return nil, err
	}
	if m, err = Parse(text); err != nil {
		return nil, errors.Join(ErrNoDefinition.With("%s@%s cannot be read here", name, version), err)
	}
	if missing := r.missing(m); missing != "" {
		return nil, ErrNoDefinition.With("%s@%s needs %q, which this process cannot do", name, version, missing)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[name+"@"+version] = m
	return m, nil
}

func (r *Runner) lease() time.Duration {
	if r.Lease > 0 {
		return r.Lease
	}
	return DefaultLease
}

func (r *Runner) engine(m *Machine, run *Run, now time.Time) *engine {
	return &engine{machine: m, run: run, now: now, random: rand.Float64}
}

// New is a run that is to begin.
type New struct {
	ID    string // the key for once-only
	Name  string // of the definition
	Event string // whose row it is
	Input any
	// Result of the first state, which the caller has done in the transaction at hand.
	Result any
	// Soon says that the caller will Drive the run himself once he has committed;
	// others look after it only if he does not.
	Soon bool
}

// soon is how long a caller has to come back with Drive.
const soon = 2 * time.Second

// Start begins a run in the caller's transaction, at the desk if its handlers need
// it, and carries it on as far as that transaction goes: a fault of a handler is
// the caller's, and nothing is stored.
func (r *Runner) Start(ctx context.Context, tx txn.Tx, n New) (*Run, error) {
	d, ok := r.current[n.Name]
	if !ok {
		return nil, ErrNoDefinition.With("there is no %q", n.Name)
	}
	input, err := plain(n.Input)
	if err != nil {
		return nil, err
	}
	result, err := plain(n.Result)
	if err != nil {
		return nil, err
	}
	var run *Run
	err = txn.In(ctx, r.Store, tx, func(ctx context.Context, tx txn.Tx) error {
		now, err := r.Store.Clock(ctx, tx)
		if err != nil {
			return err
		}
		run = &Run{ID: n.ID, Event: n.Event, Name: n.Name, Version: d.version, Status: Running, StartedAt: now}
		if run.Input, err = jsonOf(input); err != nil {
			return err
		}
		if d.machine.Timeout > 0 {
			run.Deadline = now.Add(d.machine.Timeout)
		}
		e := r.engine(d.machine, run, now)
		e.begin(input)
		first := run.At.State
		r.moment(n.Name, first, Before)
		e.succeed(e.root(), result)
		call, err := r.chain(ctx, tx, e, &attempt{inline: true, hands: n.Soon || r.working.Load() > 0})
		if err != nil {
			return err
		}
		if n.Soon && run.WakeAt.Equal(now) {
			run.WakeAt = now.Add(soon)
		}
		if err := r.keep(ctx, tx, n.Name, d); err != nil {
			return err
		}
		r.lend(run, call)
		if err := r.Store.InsertRun(ctx, tx, run, leaseOf(call)); err != nil {
			return err
		}
		r.stored(tx, n.Name, first)
		if n.Soon && call != nil {
			r.remember(tx, run, call)
		} else {
			r.afterwards(tx, run, now, call)
		}
		r.moment(n.Name, first, After)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", n.ID, err)
	}
	return run, nil
}

// keep stores a definition for runs that outlive this binary; one whose storing
// this process has seen committed is not sent again with every run.
func (r *Runner) keep(ctx context.Context, tx txn.Tx, name string, d definition) error {
	key := name + "@" + d.version
	r.mu.Lock()
	kept := r.kept[key]
	r.mu.Unlock()
	if kept {
		return nil
	}
	if err := r.Store.InsertDefinition(ctx, tx, name, d.version, d.text); err != nil {
		return err
	}
	tx.After(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.kept == nil {
			r.kept = map[string]bool{}
		}
		r.kept[key] = true
	})
	return nil
}

// afterwards says, once it is true, what became of a run, and has it worked on if
// it is due, beginning with the call that it was lent for.
func (r *Runner) afterwards(tx txn.Tx, run *Run, now time.Time, call *outside) {
	k, name, status, due := handed{claim: Claim{ID: run.ID}, call: call}, run.Name, run.Status, run.WakeAt.Equal(now)
	if call != nil {
		k.claim.Taken = run.Taken
	}
	tx.After(func() {
		switch {
		case status != Running:
			if r.Watch != nil {
				r.Watch.Ended(name, status)
			}
		case due:
			r.kick(k)
		}
	})
}

// kick has a run worked on by this process without waiting for the poll.
func (r *Runner) kick(k handed) {
	select {
	case r.queue() <- k:
	default: // the poll finds it, when its lease has run out
	}
}

func (r *Runner) queue() chan handed {
	r.makeKicks.Do(func() { r.kicks = make(chan handed, maxKicks) })
	return r.kicks
}

// Signal wakes a task of a run, in the caller's transaction and carried on as far
// as that goes, like Start. When the task does not wait yet, the signal waits for
// it. ErrOver means that the run has ended.
func (r *Runner) Signal(ctx context.Context, tx txn.Tx, s Signal) error {
	err := txn.In(ctx, r.Store, tx, func(ctx context.Context, tx txn.Tx) error {
		at, err := r.Store.LockRun(ctx, tx, s.Run, s)
		if err != nil {
			return err
		}
		run, now := at.Run, at.Now
		switch {
		case run.Status != Running:
			return ErrOver
		case at.There: // it is heard once
			return nil
		case at.Waiting >= MaxSignals:
			return ErrTooManySignals.With("%d signals wait for this saga", MaxSignals).After(time.Second)
		}
		m, err := r.machine(ctx, tx, run.Name, run.Version)
		if err != nil {
			return err
		}
		e := r.engine(m, run, now)
		f := e.signaled(e.root(), s.Handler)
		atOnce := f != nil && !at.Leased && at.Waiting == 0
		if err := r.Store.InsertSignal(ctx, tx, s, run.Event, atOnce); err != nil {
			return err
		}
		if at.Leased || f == nil { // who holds the lease looks before he lets the run rest
			return nil
		}
		if !atOnce {
			err = r.take(ctx, tx, e, f, s.Handler)
		} else if result, bad := plain(s.Payload); bad == nil {
			r.hand(tx, e, f, result)
		} else {
			err = bad
		}
		if err != nil {
			return err
		}
		call, err := r.chain(ctx, tx, e, &attempt{inline: true, hands: r.working.Load() > 0})
		if err != nil {
			return err
		}
		r.lend(run, call)
		r.afterwards(tx, run, now, call)
		return r.Store.SaveRun(ctx, tx, run, leaseOf(call))
	})
	if err != nil {
		return fmt.Errorf("signal %s: %w", s.Run, err)
	}
	return nil
}

// take lets a position that waits hear the oldest signal, if there is one.
func (r *Runner) take(ctx context.Context, tx txn.Tx, e *engine, f *frame, handler string) error {
	payload, there, err := r.Store.TakeSignal(ctx, tx, e.run.ID, handler)
	if err != nil || !there {
		return err
	}
	result, err := decode(payload)
	if err != nil {
		return fmt.Errorf("read a signal: %w", err)
	}
	r.hand(tx, e, f, result)
	return nil
}

// hand gives a waiting position what it waited for.
func (r *Runner) hand(tx txn.Tx, e *engine, f *frame, result any) {
	state := f.at.State
	r.moment(e.run.Name, state, Before)
	f.at.Waiting, f.at.Until = ForNothing, nil
	e.succeed(f, result)
	r.stored(tx, e.run.Name, state)
	r.moment(e.run.Name, state, After)
}

// passing says that an error is about this moment, not about the run: it changes
// nothing there, the same is tried again.
func passing(err error) bool {
	switch kind.Of(err) {
	case kind.Unavailable, kind.Busy, kind.Moved:
		return true
	default:
		return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	}
}

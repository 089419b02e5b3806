// Package saga runs state machines in Amazon States Language durably: every
// checkpoint is stored in the transaction of the effect that it follows, a dead
// process's runs are taken over by its peers, and what is asked of the outside is
// written down before and after, under a key that stays the same (P5). It knows no
// domain: handlers are registered by name. Only Runner changes a run.
package saga

import (
	"context"
	"encoding/json"
	"time"

	"guichet/internal/kind"
	"guichet/internal/txn"
)

// What a runner can say.
var (
	ErrRunNotFound = kind.NotFound.New("saga_not_found")
	// ErrRunExists means that a run with this id was begun before.
	ErrRunExists = kind.Conflict.New("saga_exists")
	// ErrOver means that the run has ended: there is nobody to be told anything.
	ErrOver = kind.Conflict.New("saga_over")
	// ErrElsewhere means that somebody else works on the run right now.
	ErrElsewhere = kind.Busy.New("saga_elsewhere")
	// ErrNotFailed refuses to try a run again that has not failed.
	ErrNotFailed = kind.Conflict.New("saga_not_failed")
	// ErrTooManySignals refuses a signal to a run that does not hear those before.
	ErrTooManySignals = kind.Busy.New("saga_too_many_signals")
	// ErrNoDefinition means that a run's definition, or a handler that it needs, is
	// not known to this process.
	ErrNoDefinition = kind.Unavailable.New("saga_definition_unknown")
)

// MaxSignals bounds the signals that wait for one run.
const MaxSignals = 100

// Store keeps runs. Calls that are given the tx of InTx are one transaction, and what
// they lock stays locked until it ends. Leases go by the database's clock.
type Store interface {
	InTx(ctx context.Context, do func(ctx context.Context, tx txn.Tx) error) error

	// InsertDefinition keeps a definition's text for runs that outlive this binary.
	InsertDefinition(ctx context.Context, tx txn.Tx, name, version string, text []byte) error
	Definition(ctx context.Context, tx txn.Tx, name, version string) (text []byte, err error)

	// Clock is the database's.
	Clock(ctx context.Context, tx txn.Tx) (time.Time, error)
	// InsertRun is ErrRunExists when the id is taken. The lease is as with SaveRun.
	InsertRun(ctx context.Context, tx txn.Tx, r *Run, lease time.Duration) error
	// LockRun locks and reads a run, and what must be known behind the lock; about is
	// a signal that it is locked for, or none.
	LockRun(ctx context.Context, tx txn.Tx, id string, about Signal) (Locked, error)
	// SaveRun stores what the engine changed, and the lease: lease long for
	// Owner, or given up when Owner is empty. A zero WakeAt is never.
	SaveRun(ctx context.Context, tx txn.Tx, r *Run, lease time.Duration) error
	// ClaimRuns leases up to limit runs that are due and that nobody holds.
	ClaimRuns(ctx context.Context, owner string, lease time.Duration, limit int) ([]Claim, error)
	// ReleaseRun gives a lease up without a change, if it is still held; the run is
	// looked at again after the pause.
	ReleaseRun(ctx context.Context, c Claim, owner string, pause time.Duration) error

	// InsertStep writes down that something is about to be asked of the outside;
	// when that was written down before, one more try is counted.
	InsertStep(ctx context.Context, tx txn.Tx, s Step) error
	// FinishStep writes down what came of it.
	FinishStep(ctx context.Context, tx txn.Tx, s Step) error

	// InsertSignal keeps a signal, once; taken is one that is heard at once. The caller
	// holds the run's lock.
	InsertSignal(ctx context.Context, tx txn.Tx, s Signal, event string, taken bool) error
	// TakeSignal answers the oldest signal that was not taken yet; false is none.
	TakeSignal(ctx context.Context, tx txn.Tx, run, handler string) (payload json.RawMessage, there bool, err error)

	Runs(ctx context.Context, q Query) ([]Run, error)
	Run(ctx context.Context, tx txn.Tx, id string) (Run, []Step, error)
	// ForgetRuns deletes up to limit runs that ended before, with all their rows.
	ForgetRuns(ctx context.Context, age time.Duration, limit int) (int64, error)
}

// Locked is a run behind its lock.
type Locked struct {
	Run     *Run
	Leased  bool // somebody holds its lease
	Now     time.Time
	Waiting int64 // signals that were not taken yet
	There   bool  // so is the signal that was asked about, taken or not
}

// Claim is a lease on a run. Taken is the fence: who comes later has a higher one.
type Claim struct {
	ID    string
	Taken int64
	// Asked says that somebody asks for the run now: see Handler.Hurry.
	Asked bool
	// Late is how long the run had been due.
	Late time.Duration
}

// Step is a row of a run's log: something that was asked of the outside.
type Step struct {
	Run        string
	Key        string // within the run: state and visit
	Event      string
	State      string
	Tries      int64
	Result     json.RawMessage // nil until there is one
	Error      string
	StartedAt  time.Time
	FinishedAt *time.Time
}

// Signal wakes a task that waits. It may come before the task waits, and is then
// kept; the same ID is heard once.
type Signal struct {
	Run     string
	Handler string // the waiting task's
	ID      string // the sender's, for once-only
	Payload any    // the task's result
}

// Query asks for runs, newest first.
type Query struct {
	Status Status // "" is any
	Name   string // "" is any
	Event  string // "" is any
	Before string // started before the run with this id; "" is the newest
	Limit  int
}

// Watch is told what happens, for metrics.
type Watch interface {
	// Called is a call to the outside; fault is its error's name, "" when it succeeded.
	Called(state, fault string)
	// Ended is the end of a run.
	Ended(name string, as Status)
	// Claimed is a run that was due for so long.
	Claimed(late time.Duration)
}

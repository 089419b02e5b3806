package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"guichet/internal/kind"
	"guichet/internal/txn"
)

func jsonOf(v any) (json.RawMessage, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write data: %w", err)
	}
	if len(text) > MaxData {
		return nil, kind.TooLarge.New("saga_data").With("more than %d bytes of data", MaxData)
	}
	return text, nil
}

// attempt is one go at carrying a run on in one transaction.
type attempt struct {
	inline bool             // in somebody else's transaction: his is the fault
	hands  bool             // though inline, a call to the outside is made by this process
	desk   bool             // at the event's desk
	clean  bool             // nothing was moved yet
	faults map[int]*failure // handlers, by number, whose fault is known from the go before
	ran    int              // handlers so far
	event  string           // whose run it is
}

// outcome is what came of a call to the outside.
type outcome struct {
	call   Call
	key    string
	raw    any // as the handler said it
	result any // as the language knows it
	err    error
	late   bool
}

// outside is a call that is to be made after the commit.
type outside struct {
	call    Call
	saga    string
	key     string
	handler Handler
	timeout time.Duration
}

// errNeedsDesk stops a go that came to a handler which belongs at the desk.
var errNeedsDesk = errors.New("at the desk")

// faultError stops a go: handler n failed, and what it did must be undone first.
type faultError struct {
	n   int
	err error
}

func (h *faultError) Error() string { return h.err.Error() }
func (h *faultError) Unwrap() error { return h.err }

// chain carries a run on as far as one transaction goes: through everything that
// is decided or done within, up to a call to the outside, which is answered, or
// to where the run rests or ends. It sets when the run is to be looked at again.
func (r *Runner) chain(ctx context.Context, tx txn.Tx, e *engine, a *attempt) (*outside, error) {
	steps := e.run.Steps
	for range maxMoves {
		j := e.next()
		a.clean = !a.inline && a.ran == 0 && e.run.Steps == steps
		if j == nil {
			e.run.WakeAt = e.wake()
			return nil, nil
		}
		h := r.handlers[j.state.Handler()]
		c := Call{Run: e.run.ID, Event: e.run.Event, State: j.state.Name, Key: e.run.ID + ":" + j.key, Now: e.now, input: j.input}
		switch {
		case h.Await:
			e.await(j.frame, j.timeout)
			if e.run.Signals {
				if err := r.take(ctx, tx, e, j.frame, j.state.Handler()); err != nil {
					return nil, err
				}
			}
		case h.Outside != nil:
			e.run.WakeAt = e.now
			if a.inline && (!a.hands || !h.ready()) {
				return nil, nil
			}
			if h.Ready != nil {
				if err := h.Ready(); err != nil {
					e.fail(j.frame, failureOf(err, false))
					continue
				}
			}
			if !h.Ask {
				if err := r.Store.InsertStep(ctx, tx, Step{Run: c.Run, Key: j.key, Event: c.Event, State: c.State}); err != nil {
					return nil, err
				}
			}
			return &outside{c, e.run.Name, j.key, h, callTimeout(j.timeout)}, nil
		case h.Within != nil && h.Alone && !a.clean: // what was done so far is stored first
			e.run.WakeAt = e.now
			return nil, nil
		case h.Within != nil:
			if err := r.within(ctx, tx, e, a, j, h, c); err != nil {
				return nil, err
			}
		default:
			return nil, ErrNoDefinition.With("there is no handler for %s", j.state.Resource)
		}
	}
	e.run.WakeAt = e.now
	return nil, nil
}

// within does a handler's work in this transaction.
func (r *Runner) within(ctx context.Context, tx txn.Tx, e *engine, a *attempt, j *job, h Handler, c Call) error {
	if h.Desk && !a.desk && !a.inline {
		return errNeedsDesk
	}
	n := a.ran
	a.ran++
	if known := a.faults[n]; known != nil {
		e.fail(j.frame, known)
		return nil
	}
	var result any
	r.moment(e.run.Name, c.State, Before)
	err := safely(func() error {
		out, err := h.Within(ctx, tx, c)
		if err == nil {
			result, err = plain(out)
		}
		return err
	})
	switch {
	case err == nil:
		e.succeed(j.frame, result)
		r.stored(tx, e.run.Name, c.State)
		r.moment(e.run.Name, c.State, After)
		return nil
	case a.inline || passing(err):
		return err
	default:
		return &faultError{n, err}
	}
}

func callTimeout(said time.Duration) time.Duration {
	if said > 0 && said < maxCall {
		return said
	}
	return maxCall
}

// wake is when a resting run is due; zero is never.
func (e *engine) wake() time.Time {
	if e.run.Status != Running {
		return time.Time{}
	}
	at := rest(e.run.At)
	if at.IsZero() && e.ready(e.root()) != nil {
		at = e.now
	}
	if d := e.run.Deadline; !d.IsZero() && (at.IsZero() || d.Before(at)) {
		at = d
	}
	return at
}

// Drive works on one run now, in the caller's time, until it rests or ends. The
// pauses between tries are skipped, and waits that may be hurried (Handler.Hurry).
// The error joins what handlers said, whether or not the flow caught it: it is
// stored with the run and concerns nobody else. ErrElsewhere means that somebody is
// at it.
func (r *Runner) Drive(ctx context.Context, id string) error {
	if h := r.recall(id); h != nil {
		return r.advance(ctx, h.claim, h.call)
	}
	return r.advance(ctx, Claim{ID: id, Asked: true}, nil)
}

// advance works on a run. A claim without a fence is made good in the first
// transaction. call is what is to be asked first, nil when that is not known.
func (r *Runner) advance(ctx context.Context, c Claim, call *outside) error {
	var heard []error
	var done *outcome
	for {
		if call != nil {
			if done = r.call(ctx, call); done.err != nil {
				heard = append(heard, fmt.Errorf("%s at %s: %w", c.ID, call.call.State, done.err))
				if ctx.Err() != nil { // nobody knows what came of it; its key does
					r.postpone(ctx, c, ctx.Err())
					return errors.Join(heard...)
				}
			}
		}
		// What has happened outside is stored although the caller may have gone.
		store, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
		next, said, err := r.commit(store, &c, done)
		cancel()
		heard = append(heard, said...)
		if err != nil {
			r.postpone(ctx, c, err)
			return errors.Join(append(heard, err)...)
		}
		if call = next; call == nil {
			return errors.Join(heard...)
		}
	}
}

// call asks the outside.
func (r *Runner) call(ctx context.Context, o *outside) *outcome {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	done := &outcome{call: o.call, key: o.key}
	r.moment(o.saga, o.call.State, Before)
	done.err = safely(func() error {
		out, err := o.handler.Outside(ctx, o.call)
		if err == nil {
			done.raw = out
			done.result, err = plain(out)
		}
		return err
	})
	done.late = errors.Is(ctx.Err(), context.DeadlineExceeded)
	if r.Watch != nil {
		fault := ""
		if done.err != nil {
			fault = failureOf(done.err, done.late).name
		}
		r.Watch.Called(o.call.State, fault)
	}
	r.moment(o.saga, o.call.State, After)
	return done
}

// commit carries a run on in one transaction, beginning with what came of a call.
// A go that fails is undone and made once more with the fault known, so that what
// the flow says about it is stored with what was done before it.
func (r *Runner) commit(ctx context.Context, c *Claim, done *outcome) (next *outside, heard []error, err error) {
	a := &attempt{faults: map[int]*failure{}, desk: r.AtDesk != nil && r.AtDesk(c.ID)}
	for {
		var claim Claim
		once := func(ctx context.Context, tx txn.Tx) error {
			return txn.In(ctx, r.Store, tx, func(ctx context.Context, tx txn.Tx) (err error) {
				claim, a.ran = *c, 0
				next, err = r.goOn(ctx, tx, &claim, done, a)
				return err
			})
		}
		if a.desk && r.Desk != nil {
			err = r.Desk(ctx, c.ID, a.event, once)
		} else {
			err = once(ctx, txn.None)
		}
		var fault *faultError
		switch {
		case err == nil:
			*c = claim
			return next, heard, nil
		case errors.Is(err, errNeedsDesk):
			a.desk = true
		case errors.As(err, &fault):
			a.faults[fault.n] = failureOf(fault.err, false)
			heard = append(heard, fmt.Errorf("%s: %w", c.ID, fault.err))
		default:
			return nil, heard, err
		}
	}
}

// goOn is one go, in its transaction.
func (r *Runner) goOn(ctx context.Context, tx txn.Tx, c *Claim, done *outcome, a *attempt) (*outside, error) {
	at, err := r.Store.LockRun(ctx, tx, c.ID, Signal{})
	if err != nil {
		return nil, err
	}
	run, now := at.Run, at.Now
	a.event = run.Event
	asked := c.Asked && c.Taken == 0
	switch {
	case run.Status != Running:
		return nil, nil
	case c.Taken == 0 && at.Leased, c.Taken != 0 && (run.Taken != c.Taken || run.Owner != r.Owner):
		return nil, ErrElsewhere.With("%s is worked on by somebody else", c.ID).After(time.Second)
	case c.Taken == 0:
		run.Taken++
		run.Owner, c.Taken = r.Owner, run.Taken
		rush(run.At)
	}
	m, err := r.machine(ctx, tx, run.Name, run.Version)
	if err != nil {
		return nil, err
	}
	e := r.engine(m, run, now)
	if asked {
		e.hurry(e.root(), func(handler string) bool { return r.handlers[handler].Hurry })
	}
	if done != nil {
		if err := r.settle(ctx, tx, e, done, a); err != nil {
			return nil, err
		}
	}
	if run.Signals {
		if err := r.hear(ctx, tx, e, e.root()); err != nil {
			return nil, err
		}
	}
	next, err := r.chain(ctx, tx, e, a)
	if err != nil {
		return nil, err
	}
	if next == nil {
		run.Owner = ""
		r.afterwards(tx, run, now, nil)
	}
	return next, r.Store.SaveRun(ctx, tx, run, r.lease())
}

// settle stores what came of a call to the outside, with the checkpoint.
func (r *Runner) settle(ctx context.Context, tx txn.Tx, e *engine, done *outcome, a *attempt) error {
	f := e.find(e.root(), done.key)
	if f == nil { // the run's deadline has passed, or the branch was given up
		return nil
	}
	h := r.handlers[f.state().Handler()]
	step := Step{Run: e.run.ID, Key: done.key}
	err := done.err
	if err == nil {
		step.Result, err = jsonOf(done.result)
	}
	var why *failure
	if err != nil {
		why = failureOf(err, done.late)
		step.Error = why.name
	}
	if !h.Ask {
		if err := r.Store.FinishStep(ctx, tx, step); err != nil {
			return err
		}
	}
	if why == nil && h.Note != nil {
		n := a.ran
		a.ran++
		if why = a.faults[n]; why == nil {
			c := done.call
			c.Now = e.now
			if err := safely(func() error { return h.Note(ctx, tx, c, done.raw) }); passing(err) {
				return err
			} else if err != nil {
				return &faultError{n, err}
			}
		}
	}
	r.stored(tx, e.run.Name, f.at.State)
	if why != nil {
		e.fail(f, why)
		return nil
	}
	e.succeed(f, done.result)
	return nil
}

// hear lets the tasks that wait take the signals that came meanwhile.
func (r *Runner) hear(ctx context.Context, tx txn.Tx, e *engine, f *frame) error {
	if f.at.Done {
		return nil
	}
	if s := f.state(); s != nil && f.at.Waiting == ForSignal {
		return r.take(ctx, tx, e, f, s.Handler())
	}
	for i, b := range f.at.Branches {
		inner := &frame{f.state().Branches[i], b, f, f.path + strconv.Itoa(i) + "."}
		if err := r.hear(ctx, tx, e, inner); err != nil {
			return err
		}
		if len(f.at.Branches) == 0 { // that was the last branch
			return nil
		}
	}
	return nil
}

// find is where a job with this key was answered.
func (e *engine) find(f *frame, key string) *frame {
	if !f.at.Done && len(f.at.Branches) == 0 && f.at.Waiting == ForNothing && f.path+f.at.State+":"+strconv.FormatInt(f.at.Visit, 10) == key {
		return f
	}
	for i, b := range f.at.Branches {
		if found := e.find(&frame{f.state().Branches[i], b, f, f.path + strconv.Itoa(i) + "."}, key); found != nil {
			return found
		}
	}
	return nil
}

// postpone lets others try what could not be done at this moment.
func (r *Runner) postpone(ctx context.Context, c Claim, err error) {
	if c.Taken == 0 || errors.Is(err, ErrElsewhere) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
	defer cancel()
	_ = r.Store.ReleaseRun(ctx, c, r.Owner, passingPause) // its lease ends by itself
}

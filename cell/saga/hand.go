package saga

import (
	"time"

	"guichet/internal/txn"
)

// A transaction of somebody else's that carries a run to a call to the outside takes
// the lease along, with the intent written down, where this process is sure to make
// the call: so nobody locks the run once more only to say that it is about to be asked.
// Who dies in between has the lease for as long as soon.

// handed is a call that somebody of this process is to make.
type handed struct {
	claim Claim
	call  *outside
}

// lend takes the lease of a run for the call, in the transaction at hand.
func (r *Runner) lend(run *Run, call *outside) {
	if call != nil {
		run.Taken++
		run.Owner = r.Owner
	}
}

// leaseOf is how long a run is leased that was carried on in somebody's transaction.
func leaseOf(call *outside) time.Duration {
	if call == nil {
		return 0
	}
	return soon
}

// remember keeps a call, once it is stored, for the caller who drives the run himself,
// and forgets it before its lease is over: later the run may be another's, or further on.
func (r *Runner) remember(tx txn.Tx, run *Run, call *outside) {
	h := &handed{Claim{ID: run.ID, Taken: run.Taken}, call}
	tx.After(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.handed == nil {
			r.handed = map[string]*handed{}
		}
		r.handed[run.ID] = h
		time.AfterFunc(soon-soon/4, func() { r.forget(run.ID, h) })
	})
}

// recall is the call that was remembered, nil when there is none or it is too late.
func (r *Runner) recall(id string) *handed {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.handed[id]
	delete(r.handed, id)
	return h
}

func (r *Runner) forget(id string, h *handed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handed[id] == h {
		delete(r.handed, id)
	}
}

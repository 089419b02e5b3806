package saga

import (
	"context"
	"time"
)

// A transaction of somebody else's that carries a run to a call to the outside takes
// the lease along, with the intent written down, where this process is sure to make
// the call: so nobody locks the run once more only to say that it is about to be asked.
// Who dies in between has the lease for as long as soon.

// handed is a call that somebody of this process is to make.
type handed struct {
	claim Claim
	call  *outside
	until time.Time // by this process's clock: later the lease may be another's
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

// remember keeps a call, once it is stored, for the caller who drives the run himself.
func (r *Runner) remember(ctx context.Context, run *Run, call *outside) {
	h := &handed{Claim{ID: run.ID, Taken: run.Taken}, call, time.Now().Add(soon - soon/4)}
	r.Store.After(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.handed == nil || len(r.handed) >= maxKicks { // callers who did not come; their leases have run out
			r.handed = map[string]*handed{}
		}
		r.handed[run.ID] = h
	})
}

// recall is the call that was remembered, nil when there is none or it is too late.
func (r *Runner) recall(id string) *handed {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.handed[id]
	delete(r.handed, id)
	if h == nil || time.Now().After(h.until) {
		return nil
	}
	return h
}

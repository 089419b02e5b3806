package saga

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"guichet/internal/txn"
)

// Work works on runs until ctx ends: on those that are kicked at once, on those
// that are due or were left by a dead peer by the poll. report hears what fails;
// everything that does is tried again by its flow or by the next poll.
func (r *Runner) Work(ctx context.Context, report func(error)) {
	workers := r.Workers
	if workers < 1 {
		workers = DefaultWorkers
	}
	slots := make(chan struct{}, workers)
	var running sync.WaitGroup
	defer running.Wait()
	start := func(c Claim, call *outside) {
		running.Go(func() {
			defer func() { <-slots }()
			if err := r.advance(ctx, c, call); err != nil && !errors.Is(err, ErrElsewhere) && ctx.Err() == nil {
				report(err)
			}
		})
	}
	r.working.Add(1)
	defer r.working.Add(-1)
	poll := time.NewTicker(pollPeriod)
	defer poll.Stop()
	var more chan struct{} // closed: there are more that are due, and the next tick is not waited for
	for {
		select { // a slot first: a run that is claimed is worked on
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		select {
		case k := <-r.queue():
			start(k.claim, k.call)
			continue
		case <-more:
		case <-poll.C:
		case <-ctx.Done():
			return
		}
		<-slots
		if more = nil; r.poll(ctx, slots, start, report) {
			more = make(chan struct{})
			close(more)
		}
	}
}

// poll claims as many due runs as there are free slots, and says whether there may be more.
func (r *Runner) poll(ctx context.Context, slots chan struct{}, start func(Claim, *outside), report func(error)) (more bool) {
	free := 0
	for free < cap(slots) {
		select {
		case slots <- struct{}{}:
			free++
			continue
		default:
		}
		break
	}
	if free == 0 {
		return true
	}
	claims, err := r.claim(ctx, free)
	for range free - len(claims) {
		<-slots
	}
	for _, c := range claims {
		start(c, nil)
	}
	if err != nil && ctx.Err() == nil {
		report(err)
	}
	return err == nil && len(claims) == free
}

func (r *Runner) claim(ctx context.Context, limit int) ([]Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	claims, err := r.Store.ClaimRuns(ctx, r.Owner, r.lease(), limit)
	if err != nil {
		return nil, fmt.Errorf("claim sagas: %w", err)
	}
	if r.Watch != nil {
		for _, c := range claims {
			r.Watch.Claimed(c.Late)
		}
	}
	return claims, nil
}

// Pass works on what is due now, once, a few runs at a time, and says how many
// there were; for tools and tests. Work does it all the time.
func (r *Runner) Pass(ctx context.Context) (int, error) {
	claims, err := r.claim(ctx, passLimit)
	if err != nil {
		return 0, err
	}
	errs := make([]error, len(claims))
	slots := make(chan struct{}, DefaultWorkers)
	var running sync.WaitGroup
	for i, c := range claims {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = r.advance(ctx, c, nil)
		})
	}
	running.Wait()
	return len(claims), errors.Join(errs...)
}

// passLimit bounds one Pass.
const passLimit = 64

// Retry lets a run that failed go on where it failed, with its tries given back.
func (r *Runner) Retry(ctx context.Context, tx txn.Tx, id string) error {
	err := txn.In(ctx, r.Store, tx, func(ctx context.Context, tx txn.Tx) error {
		at, err := r.Store.LockRun(ctx, tx, id, Signal{})
		if err != nil {
			return err
		}
		run, now := at.Run, at.Now
		if run.Status != Failed {
			return ErrNotFailed.With("the run is %s", run.Status)
		}
		m, err := r.machine(ctx, tx, run.Name, run.Version)
		if err != nil {
			return err
		}
		run.Status, run.EndedAt, run.WakeAt, run.Steps, run.Owner = Running, time.Time{}, now, 0, ""
		run.At.Tries, run.At.Waiting, run.At.Until = nil, ForNothing, nil
		if m.Timeout > 0 {
			run.Deadline = now.Add(m.Timeout)
		}
		r.afterwards(tx, run, now, nil)
		return r.Store.SaveRun(ctx, tx, run, 0)
	})
	if err != nil {
		return fmt.Errorf("retry %s: %w", id, err)
	}
	return nil
}

// Forget is the janitor: it deletes runs that ended long ago, in bounded batches.
func (r *Runner) Forget(ctx context.Context) (int64, error) {
	n, err := r.Store.ForgetRuns(ctx, keepRuns, forgetAtOnce)
	if err != nil {
		return 0, fmt.Errorf("forget sagas: %w", err)
	}
	return n, nil
}

// Runs lists runs, newest first.
func (r *Runner) Runs(ctx context.Context, q Query) ([]Run, error) { return r.Store.Runs(ctx, q) }

// Run reads a run with its log.
func (r *Runner) Run(ctx context.Context, tx txn.Tx, id string) (Run, []Step, error) {
	return r.Store.Run(ctx, tx, id)
}

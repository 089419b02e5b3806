// Package runner runs an experiment: it looks whether all is well, notes on the disk what
// will have to be undone, breaks things, goes on looking, and undoes it, whatever happens.
// It does not know what a town is: an experiment's activities and whoever calls it do.
package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"guichet/chaos/experiment"
)

const (
	lookEvery = 1.0 // seconds between two looks at the hypothesis
	stopEvery = 200 * time.Millisecond
)

// Runner runs one experiment once.
type Runner struct {
	Experiment *experiment.Experiment
	Root       string // directory of all runs of a town
	Run        string // name of this one, a directory in Root
	Self       string // program that "guichet" means in an experiment; "" looks for it on the PATH
	Say        func(format string, args ...any)

	Before time.Duration // of ordinary life before anything is broken
	After  time.Duration // of it after all was rolled back
	// Harm counts requests that failed and must not have; nil counts none.
	Harm func() int
	// Reached tells that a stage begins: "before", "fault", "rollback", "after", "end".
	Reached func(stage string)
}

// ErrLeft says that an earlier run was not rolled back.
var ErrLeft = errors.New("an earlier drill was not rolled back; do that first with: guichet drill rollback")

var errStop = errors.New("too many requests failed that must not")

// Do runs the experiment. The journal is there also when there is an error, unless nothing
// was begun.
func (r *Runner) Do(ctx context.Context) (*Journal, error) {
	release, err := lock(r.Root)
	if err != nil {
		return nil, err
	}
	defer release()
	if left, err := Unfinished(r.Root); err != nil || len(left) > 0 {
		return nil, errors.Join(err, ErrLeft)
	}
	dir := filepath.Join(r.Root, r.Run)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	node, err := os.Hostname()
	if err != nil {
		node = "unknown"
	}
	j := &Journal{
		Version: "1.44.0", Runner: "guichet drill", Platform: runtime.GOOS + "/" + runtime.GOARCH, Node: node, Experiment: r.Experiment, Start: time.Now(), Status: Completed,
		Run: []Entry{}, Rollbacks: []Entry{}, Steady: States{During: []State{}},
	}
	err = r.whole(ctx, dir, j)
	r.reached("end")
	j.End = time.Now()
	j.Duration = j.End.Sub(j.Start).Seconds()
	if err != nil && j.Reason == "" {
		j.Reason = err.Error()
	}
	return j, err
}

func (r *Runner) reached(stage string) {
	if r.Reached != nil {
		r.Reached(stage)
	}
}

func (r *Runner) whole(ctx context.Context, dir string, j *Journal) error {
	if err := r.controls(ctx, "before"); err != nil {
		j.Status = Interrupted
		return err
	}
	r.reached("before")
	wait(ctx, r.Before.Seconds())
	before := r.look(ctx)
	if j.Steady.Before = &before; !before.Met {
		j.Status = Failed
		return fmt.Errorf("the town is not well, so nothing was broken: %s", unmet(before))
	}
	r.Say("before: all is well (%s)", r.Experiment.SteadyState.Title)
	if ctx.Err() != nil {
		j.Status = Interrupted
		return ctx.Err()
	}
	if err := writeUndo(dir, undo{Run: r.Run, Title: r.Experiment.Title, Since: time.Now(), Rollbacks: r.Experiment.Rollbacks}); err != nil {
		j.Status = Failed
		return err
	}
	broke := r.breakThings(ctx, j)
	r.reached("rollback")
	var undone error
	j.Rollbacks, undone = r.rollBack(ctx, dir, r.Experiment.Rollbacks)
	r.reached("after")
	r.recover(ctx, j)
	wait(ctx, r.After.Seconds())
	return errors.Join(broke, undone, r.controls(context.WithoutCancel(ctx), "after"))
}

// breakThings runs the method and looks at the hypothesis meanwhile.
func (r *Runner) breakThings(ctx context.Context, j *Journal) error {
	x := r.Experiment.Extend()
	methodCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	expiry := time.AfterFunc(time.Duration(x.Expiry), func() { stop(fmt.Errorf("the drill expired after %s", time.Duration(x.Expiry))) })
	defer expiry.Stop()
	lookCtx, endLooks := context.WithCancel(methodCtx)
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(lookCtx, j) })
	watching.Go(func() { r.guard(lookCtx, x.StopAfter, stop) })
	r.reached("fault")
	err := r.method(methodCtx, j)
	endLooks()
	watching.Wait()
	cause := context.Cause(methodCtx)
	switch {
	case ctx.Err() != nil:
		j.Status = Interrupted
		return errors.New("the drill was interrupted")
	case methodCtx.Err() != nil:
		j.Status = Aborted
		return cause
	case err != nil:
		j.Status = Aborted
	}
	return err
}

func (r *Runner) method(ctx context.Context, j *Journal) error {
	var behind sync.WaitGroup
	var mu sync.Mutex
	var faults []error
	one := func(a experiment.Activity) bool {
		e := r.do(ctx, a)
		mu.Lock()
		defer mu.Unlock()
		j.Run = append(j.Run, e)
		if e.Status == "failed" && a.Type == "action" {
			faults = append(faults, fmt.Errorf("%s: %s", a.Name, e.Exception))
		}
		if e.Met != nil && !*e.Met {
			j.Deviated = true
		}
		return e.Status == "succeeded" || a.Type == "probe"
	}
	for _, a := range r.Experiment.Method {
		if ctx.Err() != nil {
			break
		}
		r.Say("method: %s", a.Name)
		if a.Background {
			behind.Go(func() { one(a) })
			continue
		}
		if !one(a) {
			break
		}
	}
	behind.Wait()
	return errors.Join(faults...)
}

// watch looks at the hypothesis again and again while something is broken.
func (r *Runner) watch(ctx context.Context, j *Journal) {
	for {
		wait(ctx, lookEvery)
		if ctx.Err() != nil {
			return
		}
		s := r.look(ctx)
		if ctx.Err() != nil { // cut short by us, says nothing
			return
		}
		j.Steady.During = append(j.Steady.During, s)
		if !s.Met {
			r.Say("during: NOT as it should be: %s", unmet(s))
		}
	}
}

// guard breaks the drill off when it does harm.
func (r *Runner) guard(ctx context.Context, most int, stop context.CancelCauseFunc) {
	if r.Harm == nil {
		return
	}
	tick := time.NewTicker(stopEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if n := r.Harm(); n > most {
				stop(fmt.Errorf("%w: %d, more than %d", errStop, n, most))
				return
			}
		}
	}
}

// recover looks at the hypothesis until all is well, for as long as the experiment says.
func (r *Runner) recover(ctx context.Context, j *Journal) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(r.Experiment.Extend().Recovery))
	defer cancel()
	for {
		s := r.look(ctx)
		j.Steady.After = &s
		if s.Met || ctx.Err() != nil {
			break
		}
		wait(ctx, lookEvery/2)
	}
	bad := slices.ContainsFunc(j.Steady.During, func(s State) bool { return !s.Met })
	j.Deviated = j.Deviated || bad || !j.Steady.After.Met
	if j.Steady.After.Met {
		r.Say("after: all is well again")
	} else {
		r.Say("after: NOT as it should be: %s", unmet(*j.Steady.After))
	}
}

func (r *Runner) controls(ctx context.Context, scope string) error {
	for _, c := range r.Experiment.Controls {
		if c.Scope != scope {
			continue
		}
		if e := r.do(ctx, experiment.Activity{Type: "action", Name: c.Name, Provider: c.Provider}); e.Status != "succeeded" {
			return fmt.Errorf("control %s, %s the drill: %s", c.Name, scope, e.Exception)
		}
	}
	return nil
}

// unmet names the probes that were not met.
func unmet(s State) string {
	text := ""
	for _, p := range s.Probes {
		if p.Met == nil || !*p.Met {
			if text != "" {
				text += "; "
			}
			text += fmt.Sprintf("%s (got %d %s)", p.Activity.Name, p.Output.Status, p.Exception)
		}
	}
	return text
}

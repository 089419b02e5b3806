package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"guichet/chaos/experiment"
)

const (
	undoName   = "undo.json"
	lockName   = "lock"
	tries      = 3
	betweenTry = 2.0              // seconds
	undoWithin = 90 * time.Second // all rollbacks of a run
)

// ErrBusy says that a drill runs already.
var ErrBusy = errors.New("another drill is running in this town; never two at once")

// undo is what must be done to put everything right again. It is on the disk before the
// first thing is broken, so that it survives the runner.
type undo struct {
	Run       string                `json:"run"`
	Title     string                `json:"title"`
	Since     time.Time             `json:"since"`
	Rollbacks []experiment.Activity `json:"rollbacks"`
}

// writeUndo leaves the file and makes sure that it is on the disk.
func writeUndo(dir string, u undo) error {
	text, err := json.MarshalIndent(u, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, undoName+".new"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("note what must be undone: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, undoName)); err != nil {
		return fmt.Errorf("note what must be undone: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lock keeps a town's drills one after the other. The kernel lets go of it when the
// process ends, however it ends.
func lock(root string) (release func(), err error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(root, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// Unfinished lists the runs in a directory that broke something and did not undo it.
func Unfinished(root string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(root, "*", undoName))
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i] = filepath.Base(filepath.Dir(found[i]))
	}
	return found, nil
}

// Rollback finishes what runners that died have left. self is the program that stands for
// "guichet" in the activities. It says what it did, and is no error when there is nothing
// to do.
func Rollback(ctx context.Context, root, self string, say func(format string, args ...any)) error {
	release, err := lock(root)
	if err != nil {
		return err
	}
	defer release()
	runs, err := Unfinished(root)
	if err != nil {
		return err
	}
	var faults []error
	for _, run := range runs {
		dir := filepath.Join(root, run)
		text, err := os.ReadFile(filepath.Join(dir, undoName))
		var u undo
		if err == nil {
			err = json.Unmarshal(text, &u)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("read what run %s left: %w", run, err))
			continue
		}
		say("run %s (%s) broke off; it is rolled back", run, u.Title)
		r := &Runner{Self: self, Say: say}
		if _, err := r.rollBack(ctx, dir, u.Rollbacks); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// rollBack does all rollbacks, each until it succeeds or was tried often enough, and only
// then forgets them. Nobody can interrupt it.
func (r *Runner) rollBack(ctx context.Context, dir string, all []experiment.Activity) (done []Entry, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	var faults []error
	for _, a := range all {
		var e Entry
		for try := range tries {
			if try > 0 {
				wait(ctx, betweenTry)
			}
			if e = r.do(ctx, a); e.Status == "succeeded" && (e.Met == nil || *e.Met) {
				break
			}
		}
		done = append(done, e)
		if e.Status != "succeeded" || e.Met != nil && !*e.Met {
			faults = append(faults, fmt.Errorf("rollback %q failed %d times: %s", a.Name, tries, e.Exception))
			r.Say("rollback: %s: FAILED", a.Name)
			continue
		}
		r.Say("rollback: %s (%.1f s)", a.Name, e.Duration)
	}
	if len(faults) > 0 {
		return done, fmt.Errorf("%w; try again with: guichet drill rollback", errors.Join(faults...))
	}
	if err := os.Remove(filepath.Join(dir, undoName)); err != nil {
		return done, err
	}
	return done, syncDir(dir)
}

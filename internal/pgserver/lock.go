package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"guichet/internal/child"
)

// ErrInUse is returned when another supervisor has the data directory.
var ErrInUse = errors.New("the data directory is in use by another process")

const (
	lockPatience   = 3 * time.Second  // a supervisor that is just leaving
	orphanPatience = 15 * time.Second // an orphaned server that is shutting down
	pollEvery      = 20 * time.Millisecond
)

// lockDir takes the one lock on a data directory. The kernel gives it back when
// we die, so unlike PostgreSQL's own pid file it cannot be stale.
func lockDir(ctx context.Context, dir string) (file *os.File, err error) {
	path := dir + ".lock"
	waitErr := await(ctx, lockPatience, func() bool {
		if file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return true
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && names(path, file) {
			return true
		}
		_ = file.Close() // nothing was written
		return false
	})
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if waitErr != nil {
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	return file, nil
}

// names says whether the path still leads to the open file: Remove takes the
// lock file away, and a lock on a file without a name locks nobody out.
func names(path string, file *os.File) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	held, err := file.Stat()
	return err == nil && os.SameFile(there, held)
}

// clearStale deals with what a killed supervisor left behind. We hold the lock,
// so a server that still runs in dir is an orphan: it is stopped. A pid file
// whose process is somebody else (the number was used again) is removed, which
// PostgreSQL does not dare by itself.
func clearStale(ctx context.Context, dir string) error {
	pidFile := filepath.Join(dir, "postmaster.pid")
	raw, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read postmaster.pid: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || !child.Alive(pid) || !servesDir(pid, dir) {
		if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a stale postmaster.pid: %w", err)
		}
		return nil
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop an orphaned server (pid %d): %w", pid, err)
		}
		if await(ctx, orphanPatience, func() bool { return !child.Alive(pid) }) == nil {
			return nil
		}
	}
	return fmt.Errorf("an orphaned server (pid %d) in %s does not stop", pid, dir)
}

// servesDir says whether the process works in the data directory, as a
// postmaster does. Where there is no /proc it is taken to be one.
func servesDir(pid int, dir string) bool {
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return true
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false
	}
	if target, err := filepath.EvalSymlinks(dir); err == nil {
		dir = target
	}
	return cwd == dir
}

// await asks until the answer is yes, the time is up or ctx ends.
func await(ctx context.Context, limit time.Duration, yes func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Free says whether nobody has the data directory at this moment.
func Free(dir string) bool {
	dir, err := Place(dir)
	if err != nil {
		return false
	}
	file, err := os.Open(dir + ".lock")
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer file.Close() // closing gives the lock back
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// Remove deletes a data directory that nobody has.
func Remove(dir string) error {
	dir, err := Place(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockDir(context.Background(), dir)
	if err != nil {
		return err
	}
	defer lock.Close() // closing gives the lock back
	if err := clearStale(context.Background(), dir); err != nil {
		return err
	}
	for _, path := range []string{dir, dir + ".lock"} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	if filepath.Dir(filepath.Dir(dir)) == fallbackRoot {
		_ = os.Remove(filepath.Dir(dir)) // ours, and goes only when nothing else is in it
	}
	return nil
}

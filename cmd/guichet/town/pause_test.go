package town

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A part that was paused answers nothing, and ends politely all the same.
func TestPause_keepsAPartFromWorkingUntilItIsResumedOrStopped(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	p := &part{name: "clock", launch: func(context.Context) (running, error) {
		return startProgram("/bin/sh", []string{"-c", "while :; do sleep 0.01 & wait; done"}, nil, filepath.Join(dir, "log"))
	}}
	if err := p.pause(); err == nil {
		t.Error("a part that does not run was paused")
	}
	if err := p.resume(); err != nil {
		t.Errorf("what undoes may be done twice: %v", err)
	}
	if err := p.start(t.Context(), func() error { return nil }, func(int, string) {}); err != nil {
		t.Fatal(err)
	}
	if err := p.pause(); err != nil || !p.isPaused() {
		t.Fatalf("%v, paused %v", err, p.isPaused())
	}
	if err := p.resume(); err != nil || p.isPaused() {
		t.Fatalf("%v, paused %v", err, p.isPaused())
	}
	if err := p.pause(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := p.stop(t.Context()); err != nil || p.pid() != 0 {
		t.Errorf("%v, pid %d", err, p.pid())
	}
	if took := time.Since(began); took >= stopPatience {
		t.Errorf("it had to be killed after %s: a stopped process sees no SIGTERM", took)
	}
}

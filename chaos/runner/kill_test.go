package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"guichet/chaos/experiment"
)

const (
	asRunner = "GUICHET_TEST_RUN_DRILL_IN" // makes this test program a runner
	moments  = 20
)

// breaking makes a file, which stands for something broken, in two steps.
const breaking = `
title: Make files
description: Two files appear and must be gone afterwards.
steady-state-hypothesis:
  title: There is a directory
  probes:
    - {type: probe, name: directory, tolerance: 0, provider: {type: process, path: test, arguments: "-d ${dir}"}}
method:
  - {type: action, name: first, provider: {type: process, path: touch, arguments: ["${dir}/first"]}, pauses: {after: 0.1}}
  - {type: action, name: second, provider: {type: process, path: touch, arguments: ["${dir}/second"]}, pauses: {after: 0.1}}
rollbacks:
  - {type: action, name: second, provider: {type: process, path: rm, arguments: "-f ${dir}/second"}, pauses: {after: 0.05}}
  - {type: action, name: first, provider: {type: process, path: rm, arguments: "-f ${dir}/first"}}
extensions:
  - {name: guichet, cell: none, fault: a file, expected: nothing, expiry: 5s, recovery: 2s, stop_after_errors: 1, promises: [P7],
     blast_radius: {cells: [], actions: [], why: it is a file}}
configuration: {dir: ""}
`

func TestMain(m *testing.M) {
	if dir := os.Getenv(asRunner); dir != "" {
		r := newRunner(dir, "run-"+strconv.Itoa(os.Getpid()))
		if _, err := r.Do(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func newRunner(dir, run string) *Runner {
	e, err := experiment.Read([]byte(breaking), map[string]string{"dir": dir})
	if err != nil {
		panic(err)
	}
	return &Runner{Experiment: e, Root: filepath.Join(dir, "drills"), Run: run, Say: func(string, ...any) {}}
}

// A runner that is killed at any moment leaves on the disk what the next one needs.
func TestRollback_finishesWhatAKilledRunnerLeft(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("GUICHET_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("again with GUICHET_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	caught := 0
	for i := range moments {
		dir := t.TempDir()
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), asRunner+"="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-time.After(time.Duration(rng.IntN(450)) * time.Millisecond):
			_ = cmd.Process.Kill() // it may have ended just now
			<-ended
		case <-ended:
		}
		root := filepath.Join(dir, "drills")
		left, err := Unfinished(root)
		if err != nil {
			t.Fatal(err)
		}
		if broken(t, dir) > 0 && len(left) == 0 {
			t.Errorf("moment %d: something is broken and nothing says how to undo it", i)
		}
		caught += len(left)
		if len(left) > 0 {
			if _, err := newRunner(dir, "next").Do(t.Context()); !errors.Is(err, ErrLeft) {
				t.Errorf("moment %d: the next drill was not refused: %v", i, err)
			}
		}
		for range 2 { // a second time there is nothing to do
			if err := Rollback(t.Context(), root, "", t.Logf); err != nil {
				t.Errorf("moment %d: %v", i, err)
			}
		}
		if n := broken(t, dir); n > 0 {
			t.Errorf("moment %d: %d files are left", i, n)
		}
	}
	if caught == 0 {
		t.Errorf("none of %d runners was killed in the middle: this test saw nothing", moments)
	}
}

// broken counts what the experiment makes.
func broken(t *testing.T, dir string) (n int) {
	t.Helper()
	for _, name := range []string{"first", "second"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			n++
		}
	}
	return n
}

func TestDo_rollsBackHoweverItEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Runner, context.CancelFunc)
		status string
	}{
		"as planned": {func(*Runner, context.CancelFunc) {}, Completed},
		"interrupted": {func(r *Runner, cancel context.CancelFunc) {
			r.Reached = func(stage string) {
				if stage == "fault" {
					cancel()
				}
			}
		}, Interrupted},
		"an action fails": {func(r *Runner, _ context.CancelFunc) { r.Experiment.Method[1].Provider.Path = "false" }, Aborted},
		"does harm": {func(r *Runner, _ context.CancelFunc) {
			r.Harm = func() int { return 2 }
			r.Experiment.Method[1].Pauses.After = 60
		}, Aborted},
		"expired": {func(r *Runner, _ context.CancelFunc) {
			r.Experiment.Extensions[0].Expiry = experiment.Duration(50 * time.Millisecond)
			r.Experiment.Method[1].Pauses.After = 60
		}, Aborted},
		"the town is not well": {func(r *Runner, _ context.CancelFunc) {
			r.Experiment.SteadyState.Probes[0].Tolerance = json.RawMessage("7")
		}, Failed},
		"a control forbids it": {func(r *Runner, _ context.CancelFunc) {
			r.Experiment.Controls = []experiment.Control{{Name: "Friday", Scope: "before", Provider: experiment.Provider{Type: "process", Path: "false"}}}
		}, Interrupted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := newRunner(dir, "run")
			c.change(r, cancel)
			j, err := r.Do(ctx)
			if j == nil || j.Status != c.status || (err == nil) != (c.status == Completed) {
				t.Fatalf("got %+v, %v; want %s", j, err, c.status)
			}
			left, err := Unfinished(r.Root)
			if err != nil || len(left) > 0 || broken(t, dir) > 0 {
				t.Errorf("left: %v, %v, %d files", left, err, broken(t, dir))
			}
		})
	}
}

func TestDo_isNeverTwoAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRunner(dir, "run")
	r.Reached = func(stage string) {
		if stage != "fault" {
			return
		}
		if _, err := newRunner(dir, "second").Do(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("a second drill: %v", err)
		}
		if err := Rollback(t.Context(), r.Root, "", t.Logf); !errors.Is(err, ErrBusy) {
			t.Errorf("a rollback beside a drill: %v", err)
		}
	}
	if _, err := r.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRollback_thatFailsIsKept(t *testing.T) {
	t.Parallel()
	r := newRunner(t.TempDir(), "run")
	r.Experiment.Rollbacks = r.Experiment.Rollbacks[:1]
	r.Experiment.Rollbacks[0].Provider.Path = "false"
	if _, err := r.Do(t.Context()); err == nil {
		t.Error("nobody says that the rollback failed")
	}
	if left, err := Unfinished(r.Root); err != nil || len(left) != 1 {
		t.Errorf("what is still to be undone was forgotten: %v %v", left, err)
	}
}

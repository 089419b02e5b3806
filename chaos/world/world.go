// Package world opens real towns for drills: it builds the four programs, starts
// `guichet town` as a child process on free ports and a state of its own, breaks
// and mends its parts through the tool that operators use, plays attendees at its
// router, and closes it with Ctrl-C, proving that nobody is left behind. It looks
// at a town from outside only: what it knows stands in credentials.json and on the
// wire. It asserts nothing about the product; the drills do.
package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"guichet/internal/child"
	"guichet/internal/pgserver"
)

// Limits of waiting. A town opens in seconds; a machine that compiles beside it
// may take longer.
const (
	openPatience  = 2 * time.Minute
	closePatience = time.Minute
	leavePatience = 3 * time.Second // for the kernel to take the last process away
	pollEvery     = 20 * time.Millisecond
	outputLimit   = 1 << 20
)

// Options say which town to open.
type Options struct {
	Cells     string   // as for --cells; "" opens the three of the default town
	Instances int      // processes of each cell; 0 is 1
	State     string   // a state to open again; "" makes a new one, which Close removes
	Port      int      // of the router; 0 finds a free range
	Flags     []string // further flags of guichet town
	Keep      bool     // Close leaves a state that was made for the town, to be read
}

// World is one open town.
type World struct {
	Programs Programs
	State    string

	town   *exec.Cmd
	out    output
	exited chan struct{} // closed when the town's own process is gone
	exit   error         // how it ended, once exited is closed
	own    bool          // the state was made for this world alone, and goes with it
	parts  []string      // names of all processes when it opened, in order

	mu         sync.Mutex
	complaints []string // guarded by mu
}

// Open opens a town and returns when it takes visitors. Nothing that dies in it
// comes back by itself.
func Open(ctx context.Context, programs Programs, o Options) (_ *World, err error) {
	w := &World{Programs: programs, State: o.State, exited: make(chan struct{})}
	if w.State == "" {
		if w.State, err = NewState(); err != nil {
			return nil, err
		}
		w.own = !o.Keep
	}
	if err := w.start(o); err != nil {
		return nil, errors.Join(err, w.forget()) //nolint:contextcheck // what is begun is finished; it bounds its own waits
	}
	err = w.awaitOpen(ctx)
	if err == nil {
		err = w.meet()
	}
	if err != nil {
		return nil, errors.Join(err, w.Close(context.WithoutCancel(ctx)))
	}
	return w, nil
}

// NewState makes a state directory that the account of the databases can reach.
func NewState() (string, error) {
	dir, err := os.MkdirTemp("", "guichet-world-")
	if err != nil {
		return "", fmt.Errorf("make a state: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the databases run as somebody else
		return "", fmt.Errorf("make a state: %w", err)
	}
	return filepath.Join(dir, "state"), nil
}

// TownCommand is `guichet town` with the options, not started yet. It stands in
// the state's parent, so that no shared data are found beside it.
func TownCommand(programs Programs, state string, o Options) *exec.Cmd {
	args := []string{"town", "--state", state, "--ports", strconv.Itoa(o.Port), "--restart-after", "0", "--no-import"}
	if o.Cells != "" {
		args = append(args, "--cells", o.Cells)
	}
	if o.Instances > 1 {
		args = append(args, "--instances", strconv.Itoa(o.Instances))
	}
	cmd := exec.Command(programs.Path("guichet"), append(args, o.Flags...)...) //nolint:gosec,noctx // our own program, ended by Close
	cmd.Dir = filepath.Dir(state)
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=0 atexit_sleep_ms=0")
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

func (w *World) start(o Options) error {
	w.town = TownCommand(w.Programs, w.State, o)
	w.town.Stdout, w.town.Stderr = &w.out, &w.out
	if err := child.Start(w.town, syscall.SIGKILL); err != nil {
		return fmt.Errorf("start the town: %w", err)
	}
	go func() {
		w.exit = w.town.Wait()
		close(w.exited)
	}()
	return nil
}

func (w *World) awaitOpen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	err := until(ctx, func() bool { return w.gone() || strings.Contains(w.out.String(), "town is open: ") })
	switch {
	case err != nil:
		return fmt.Errorf("the town did not open: %w\n%s", err, w.out.String())
	case w.gone():
		return fmt.Errorf("the town did not open: %w\n%s", w.exit, w.out.String())
	}
	return nil
}

// meet notes who was there when the town opened.
func (w *World) meet() error {
	c, err := w.Credentials()
	if err != nil {
		return err
	}
	for _, p := range c.Processes {
		w.parts = append(w.parts, p.Name)
	}
	return nil
}

func (w *World) gone() bool {
	select {
	case <-w.exited:
		return true
	default:
		return false
	}
}

// Output is all that the town has said so far.
func (w *World) Output() string { return w.out.String() }

// Close closes the town as Ctrl-C in a terminal does and removes a state that was
// made for it. It is an error when the town does not close cleanly in time, when
// any process that it had is left, or when one of its logs tells of a crash.
func (w *World) Close(ctx context.Context) error {
	left, err := w.interrupt(ctx)
	if err != nil || len(left) > 0 {
		err = errors.Join(err, orphans(left))
	}
	return errors.Join(err, w.readLogs(), w.Complaints(), w.forget()) //nolint:contextcheck // what is begun is finished; it bounds its own waits
}

// Interrupt is Close, but the state stays, to be opened again.
func (w *World) Interrupt(ctx context.Context) error {
	left, err := w.interrupt(ctx)
	return errors.Join(err, orphans(left), w.readLogs(), w.Complaints())
}

// interrupt sends SIGINT to the town's group, as a terminal does, waits, and
// answers who is still there.
func (w *World) interrupt(ctx context.Context) ([]Proc, error) {
	family := Family(w.town.Process.Pid)
	var faults []error
	if !w.gone() {
		faults = append(faults, child.SignalGroup(w.town.Process.Pid, syscall.SIGINT))
	}
	ctx, cancel := context.WithTimeout(ctx, closePatience)
	defer cancel()
	select {
	case <-w.exited:
	case <-ctx.Done():
		faults = append(faults, fmt.Errorf("the town does not close: %w\n%s", ctx.Err(), w.out.String()), w.town.Process.Kill())
		<-w.exited
	}
	if w.exit != nil {
		faults = append(faults, fmt.Errorf("the town ended badly: %w\n%s", w.exit, w.out.String()))
	}
	return Survivors(family, leavePatience), errors.Join(faults...)
}

func orphans(left []Proc) error {
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("the town left orphans: %v", left)
}

// forget removes a state of our own, and databases that had to lie elsewhere.
func (w *World) forget() error {
	if !w.own {
		return nil
	}
	return RemoveState(w.State)
}

// RemoveState removes a state that NewState made and a town was open on.
func RemoveState(state string) error {
	var record struct {
		Databases []string `json:"databases"`
	}
	var faults []error
	if err := readJSON(filepath.Join(state, "town.json"), &record); err == nil {
		for _, dir := range record.Databases {
			faults = append(faults, pgserver.Remove(dir))
		}
	}
	return errors.Join(append(faults, os.RemoveAll(filepath.Dir(state)))...)
}

// until polls until yes, or the context ends.
func until(ctx context.Context, yes func() bool) error {
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

// output is what a process says, to be read while it speaks. Beyond its limit it
// forgets.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len()+len(p) <= outputLimit {
		o.buf.Write(p)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

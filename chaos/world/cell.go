package world

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"guichet/cell/client"
	"guichet/geo"
	"guichet/internal/child"
	"guichet/internal/operator"
	"guichet/internal/signed"
)

// Limits of waiting for one process.
const (
	readyPatience = 90 * time.Second // a machine that compiles beside it
	stopPatience  = 5 * time.Second  // for the kernel to stop a process
)

// Keys are the access tokens of all that drills hold and buy, through whichever client.
var Keys = &client.Keyring{}

// control signs for the operators of cells that stand alone; operatorToken opens the
// operator's calls there.
var (
	control, _          = operator.NewKey(make([]byte, signed.SeedSize))
	operatorToken, _, _ = operator.Issue(control, "drill", []string{operator.Operate}, time.Now(), 24*time.Hour)
)

// CellOptions say how a cell's process stands alone.
type CellOptions struct {
	Cell     string // as in euw3
	Region   string
	Database string        // URL; processes of one cell share it
	HoldTTL  time.Duration // 0 is the program's own
	Dir      string        // of its state and log; it is made
	Env      []string      // further settings, name=value
}

// Cell is one process of a cell without a town around it: no leaf, no control
// plane, no provider, only its database, which several may share. It is for
// drills that break one process and look at the next.
type Cell struct {
	URL     string
	Private string // where it tells its metrics

	programs Programs
	options  CellOptions
	address  string
	cmd      *exec.Cmd
	out      output
	exited   chan struct{}
	exit     error
}

// OpenCell starts a process and returns when it is ready.
func OpenCell(ctx context.Context, programs Programs, o CellOptions) (*Cell, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	private, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make a state: %w", err)
	}
	c := &Cell{URL: "http://" + address, Private: "http://" + private, programs: programs, options: o, address: address}
	return c, c.Restart(ctx)
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// Restart starts the process again, at the same address, and waits until it is ready.
func (c *Cell) Restart(ctx context.Context) error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.AwaitReady(ctx)
}

// Start starts the process and does not wait for it.
func (c *Cell) Start() error {
	o := c.options
	c.cmd = exec.Command(c.programs.Path("cell")) //nolint:gosec,noctx // our own program, ended by Kill or Close
	c.cmd.Dir = o.Dir
	c.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + o.Dir, "GORACE=halt_on_error=0 atexit_sleep_ms=0",
		"GUICHET_CELL=" + o.Cell, "GUICHET_REGION=" + o.Region, "GUICHET_LISTEN=" + c.address, "GUICHET_DRAIN_NOTICE=1ms", "GUICHET_PRIVATE_LISTEN=" + strings.TrimPrefix(c.Private, "http://"), "GUICHET_DATABASE_URL=" + o.Database,
		"GUICHET_STATE_DIR=" + filepath.Join(o.Dir, "state"), "GUICHET_LEAF=false", "GUICHET_LIMITS=off", "GUICHET_CONTROL_KEY=" + signed.PublicText(control.Public()),
		"GUICHET_STRIPE_SECRET_KEY=sk_test_drill", "GUICHET_STRIPE_PUBLISHABLE_KEY=pk_test_drill", "GUICHET_STRIPE_WEBHOOK_SECRET=whsec_drill",
		"GUICHET_STRIPE_URL=http://127.0.0.1:1", "GUICHET_SIGNING_SEED=" + hex.EncodeToString(make([]byte, 32)),
		"GUICHET_ACCESS_SEED=" + strings.Repeat("a1", signed.SeedSize),
	}, o.Env...)
	if o.HoldTTL > 0 {
		c.cmd.Env = append(c.cmd.Env, "GUICHET_HOLD_TTL="+o.HoldTTL.String())
	}
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.WaitDelay = &c.out, &c.out, 2*time.Second
	if err := child.Start(c.cmd, syscall.SIGKILL); err != nil {
		return fmt.Errorf("start a cell: %w", err)
	}
	exited, cmd := make(chan struct{}), c.cmd
	c.exited = exited
	go func() {
		c.exit = cmd.Wait()
		close(exited)
	}()
	return nil
}

// AwaitReady waits until the process says that it is ready.
func (c *Cell) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	err := until(ctx, func() bool { return c.gone() || Ready(ctx, c.URL) })
	if err == nil && c.gone() {
		err = errors.New("it ended")
	}
	if err != nil {
		return fmt.Errorf("the cell is not ready: %w\n%s", err, c.out.String())
	}
	return nil
}

// Gone says whether the process has ended, by whatever.
func (c *Cell) Gone() bool { return c.gone() }

func (c *Cell) gone() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// Client calls this process, as an operator.
func (c *Cell) Client(opts ...client.Option) *client.Client {
	return client.New(c.URL, append([]client.Option{client.WithHTTP(HTTP), client.WithKeyring(Keys), client.WithBearer(operatorToken)}, opts...)...)
}

// Pid is the process's.
func (c *Cell) Pid() int { return c.cmd.Process.Pid }

// Log is what the process has said.
func (c *Cell) Log() string { return c.out.String() }

// Kill ends the process with kill -9 and waits for its end.
func (c *Cell) Kill() error {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the cell: %w", err)
	}
	<-c.exited
	return nil
}

// Stop stops the process with SIGSTOP where it stands and returns when all of it
// stands; Continue lets it go on.
func (c *Cell) Stop(ctx context.Context) error {
	if err := syscall.Kill(c.Pid(), syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the cell: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	return until(ctx, c.stands)
}

// stands says whether every thread of the process is stopped.
func (c *Cell) stands() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.Pid()))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, file := range threads {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has just ended
		}
		_, after, _ := strings.Cut(string(raw), ") ")
		if !strings.HasPrefix(after, "T") {
			return false
		}
	}
	return true
}

// Continue lets a stopped process go on.
func (c *Cell) Continue() error { return syscall.Kill(c.Pid(), syscall.SIGCONT) }

// Close ends the process as an operator does; it is an error when that is not
// clean, or when its log tells of a crash.
func (c *Cell) Close(ctx context.Context) error {
	if !c.gone() {
		_ = c.Continue() // a stopped one would not hear it
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("end the cell: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, closePatience)
	defer cancel()
	select {
	case <-c.exited:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the cell does not end: %w\n%s", ctx.Err(), c.out.String()), c.Kill())
	}
	for line := range strings.Lines(c.out.String()) {
		if crashed(line) {
			return fmt.Errorf("the cell's log tells of a crash:\n%s", c.out.String())
		}
	}
	return nil
}

// RSS is how much memory the process has, in bytes, where the kernel says so.
func (c *Cell) RSS() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Pid()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, errors.New("the kernel does not say")
}

// Venue is a place for events of drills, in the region of a cell.
func Venue(name string, at geo.Point) client.Venue {
	return client.Venue{Name: name, City: "Paris", Country: "FR", Location: &client.Location{Lat: at.Lat, Lon: at.Lon}}
}

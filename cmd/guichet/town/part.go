package town

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/child"
)

// rank orders the parts: a town opens from low to high and closes from high to
// low, so that nobody loses what it stands on.
type rank int

const (
	rankDatabase rank = iota
	rankSandbox
	rankControlPlane
	rankCell
	rankRouter
)

const (
	drainNotice  = "GUICHET_DRAIN_NOTICE"
	stopPatience = 10 * time.Second // for a program to finish its requests
	dbPatience   = 20 * time.Second // for a database to write its checkpoint
)

// running is one life of a part.
type running interface {
	Pid() int
	Exited() <-chan struct{} // closed when it is gone, asked or not
	LastWords(lines int) string
	Stop(ctx context.Context) error // politely, and at once when ctx ends
}

// part is one process of the town: what it is, how to start it, and its present
// life if it has one.
type part struct {
	rank    rank
	name    string
	cell    topology.CellID // "" for those that serve the whole town
	url     string          // "" for a database
	private string          // where it tells whether it is ready; "" is url
	where   string          // the directory with its data
	what    string          // for the table: which program or engine
	launch  func(ctx context.Context) (running, error)

	op sync.Mutex // serializes starting and stopping

	mu     sync.Mutex
	life   running // nil when it does not run
	wanted bool    // false once we stop it ourselves
	paused bool    // the present life, by SIGSTOP
	deaths []time.Time
}

// asked is where the part says whether it is ready.
func (p *part) asked() string {
	if p.private != "" {
		return p.private
	}
	return p.url
}

// pid of the present life, 0 when there is none.
func (p *part) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == nil {
		return 0
	}
	return p.life.Pid()
}

// start gives the part a life; onDeath is called should it end unasked.
func (p *part) start(ctx context.Context, allowed func() error, onDeath func(pid int, lastWords string)) error {
	p.op.Lock()
	defer p.op.Unlock()
	if err := allowed(); err != nil { // asked under the lock: whoever stops all comes after us
		return err
	}
	if p.pid() != 0 {
		return fmt.Errorf("%s runs already (pid %d)", p.name, p.pid())
	}
	life, err := p.launch(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.mu.Lock()
	p.life, p.wanted, p.paused = life, true, false
	p.mu.Unlock()
	go p.watch(life, onDeath)
	return nil
}

func (p *part) watch(life running, onDeath func(pid int, lastWords string)) {
	<-life.Exited()
	p.mu.Lock()
	unasked := p.life == life && p.wanted
	if p.life == life {
		p.life = nil
	}
	p.mu.Unlock()
	if unasked {
		onDeath(life.Pid(), life.LastWords(5))
	}
}

// stop ends the present life; it is no error when there is none.
func (p *part) stop(ctx context.Context) error {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	life := p.life
	p.wanted = false
	p.mu.Unlock()
	if life == nil {
		return nil
	}
	if p.isPaused() {
		if err := p.wake(life.Pid()); err != nil {
			return err
		}
	}
	patience := stopPatience
	if p.rank == rankDatabase {
		patience = dbPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := life.Stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	p.mu.Lock()
	p.life = nil
	p.mu.Unlock()
	return nil
}

// kill ends the present life without a word, as a drill does, and waits until it
// is gone.
func (p *part) kill() error {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	life := p.life
	p.wanted = false
	p.mu.Unlock()
	if life == nil {
		return fmt.Errorf("%s does not run", p.name)
	}
	if err := syscall.Kill(life.Pid(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	select {
	case <-life.Exited():
		return nil
	case <-time.After(stopPatience):
		return fmt.Errorf("%s is still there after kill -9", p.name)
	}
}

// diedOften counts a death and says whether there were too many lately for
// bringing the part back to make sense.
func (p *part) diedOften(now time.Time) bool {
	const window, limit = time.Minute, 5
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaths = append(p.deaths, now)
	if len(p.deaths) > limit {
		p.deaths = p.deaths[len(p.deaths)-limit:]
	}
	return len(p.deaths) == limit && now.Sub(p.deaths[0]) < window
}

// program is the life of one of our own programs.
type program struct {
	cmd    *exec.Cmd
	log    *logFile
	exited chan struct{}
}

// startProgram runs path with its output in a log.
func startProgram(path string, args, env []string, logPath string) (*program, error) {
	log, err := openLog(logPath)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...) //nolint:gosec,noctx // our own programs; ended by Stop
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 2 * time.Second // a grandchild may keep the pipe open
	// A program that outlives us by a polite shutdown would be an orphan with a
	// port; all of them are built to lose nothing by kill -9 (P3).
	if err := child.Start(cmd, syscall.SIGKILL); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p := &program{cmd: cmd, log: log, exited: make(chan struct{})}
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("it ended by itself")
		}
		fmt.Fprintf(log, "(%v)\n", err)
		_ = log.Close() // a log is not worth an error
		close(p.exited)
	}()
	return p, nil
}

func (p *program) Pid() int                { return p.cmd.Process.Pid }
func (p *program) Exited() <-chan struct{} { return p.exited }
func (p *program) LastWords(n int) string  { return p.log.LastWords(n) }

// Stop asks with SIGTERM and, when ctx ends first, kills the process with all
// that it started.
func (p *program) Stop(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
	}
	if err := child.SignalGroup(p.Pid(), syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(5 * time.Second):
		return fmt.Errorf("pid %d does not die", p.Pid())
	}
}

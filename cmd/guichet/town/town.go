package town

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"guichet/cell/client"
	"guichet/control-plane/topology"
	"guichet/internal/mtls/devca"
	"guichet/internal/pgserver"
)

// openBy is when the town says that it is open, though the catalogue may still
// be filling up; nothing but the number of events depends on it.
const openBy = 20 * time.Second

var errClosing = errors.New("the town is closing")

// Town is an open town and its supervisor.
type Town struct {
	opts  Options
	ports ports
	state *state
	out   *printer

	parts      []*part // in the order of the table
	needed     []portUser
	databases  map[topology.CellID]*database
	pgBinaries pgserver.Binaries
	pgTemplate string

	invitations map[topology.CellID]string // join tokens of cells that have not joined yet
	authority   *devca.Authority
	control     *control
	closing     atomic.Bool
	asked       chan struct{} // closed when somebody asks over the control port to close
	askOnce     sync.Once
	filling     sync.WaitGroup
	stopFill    context.CancelFunc
	renewing    sync.WaitGroup
	stopRenew   context.CancelFunc

	mu         sync.Mutex
	organizers []client.Organizer // also guards writing the files in the state directory
}

// Open opens a town and returns when it takes visitors. It reports its progress
// to out. A town that cannot be opened is closed again.
func Open(ctx context.Context, opts Options, out io.Writer) (_ *Town, err error) {
	began := now()
	t := &Town{opts: opts, out: &printer{w: out}, asked: make(chan struct{}), stopFill: func() {}, stopRenew: func() {}, invitations: map[topology.CellID]string{}}
	if t.ports.base = opts.Port; opts.Port == 0 {
		if t.ports.base, err = freeBase(ctx); err != nil {
			return nil, err
		}
	}
	if t.state, err = openState(opts.State, opts.Fresh); err != nil { //nolint:contextcheck // removing a database bounds its own waits; what is begun is finished
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	if err := t.startAll(ctx); err != nil {
		return nil, err
	}
	if err := t.writeCredentials(); err != nil {
		return nil, err
	}
	if err := t.engageOrganizers(ctx); err != nil {
		return nil, err
	}
	t.fill(ctx, began.Add(openBy))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	t.out.sayf("mails that the town sends: http://localhost:%d", t.ports.mail())
	if t.issuer() != "" {
		t.out.sayf("sign in: http://localhost:%d/account", t.ports.router())
	}
	t.out.sayf("town is open: http://localhost:%d", t.ports.router())
	return t, nil
}

// prepare plans everything and finds out what would keep it from working,
// before anything is started.
func (t *Town) prepare(ctx context.Context) (err error) {
	patience := time.Duration(0)
	if t.state.wasKilled() {
		patience = dbPatience // its databases may be on their way out
	}
	if err := t.identify(); err != nil {
		return err
	}
	renewCtx, stop := context.WithCancel(context.WithoutCancel(ctx)) // ends with Close
	t.stopRenew = stop
	t.renewing.Go(func() { t.renew(renewCtx) })
	if err := t.addDatabases(ctx); err != nil {
		return err
	}
	if err := t.addPrograms(); err != nil {
		return err
	}
	if err := t.checkPrograms(); err != nil {
		return err
	}
	if err := checkPorts(ctx, t.needed, patience); err != nil {
		return err
	}
	if t.control, err = t.serveControl(ctx); err != nil {
		return err
	}
	return t.preparePostgres(ctx)
}

func (t *Town) checkPrograms() error {
	for _, name := range []string{"cell", "control-plane", "guichet", "router"} {
		if _, err := os.Stat(filepath.Join(t.opts.Programs, name)); err != nil {
			return fmt.Errorf("the program %s is not in %s: build all four with `make build`", name, t.opts.Programs)
		}
	}
	return nil
}

// startAll starts the databases, then everything that stands on them, and waits
// until all of it is ready.
func (t *Town) startAll(ctx context.Context) error {
	t.out.sayf("opening %d databases", len(t.ranked(rankDatabase)))
	if err := t.together(t.ranked(rankDatabase), func(p *part) error { return t.start(ctx, p) }); err != nil {
		return err
	}
	if err := t.describeDatabases(ctx, t.out); err != nil {
		return err
	}
	var programs []*part
	invited := false
	for r := rankSandbox; r <= rankRouter; r++ {
		programs = append(programs, t.ranked(r)...)
	}
	t.out.sayf("opening %s", strings.Join(names(programs), ", "))
	for _, p := range programs {
		if p.rank == rankCell && !invited {
			if err := t.invite(ctx); err != nil {
				return err
			}
			invited = true
		}
		if err := t.start(ctx, p); err != nil {
			return err
		}
	}
	t.out.say(table(t.status()))
	if err := t.awaitAllReady(ctx); err != nil {
		return err
	}
	return t.noteJoined(ctx)
}

func (t *Town) ranked(r rank) []*part {
	return slices.DeleteFunc(slices.Clone(t.parts), func(p *part) bool { return p.rank != r })
}

func names(parts []*part) []string {
	all := make([]string, len(parts))
	for i, p := range parts {
		all[i] = p.name
	}
	return all
}

func (t *Town) together(parts []*part, do func(*part) error) error {
	faults := make([]error, len(parts))
	var working sync.WaitGroup
	for i, p := range parts {
		working.Go(func() { faults[i] = do(p) })
	}
	working.Wait()
	return errors.Join(faults...)
}

func (t *Town) start(ctx context.Context, p *part) error {
	allowed := func() error {
		if t.closing.Load() {
			return errClosing
		}
		return ctx.Err()
	}
	return p.start(ctx, allowed, func(pid int, lastWords string) { t.mourn(p, pid, lastWords) }) //nolint:contextcheck // a death comes long after this start, and so does coming back
}

// mourn says that a part died by itself, and brings it back where that is wanted.
func (t *Town) mourn(p *part, pid int, lastWords string) {
	if t.closing.Load() {
		return
	}
	again := "restart it with: guichet town restart " + p.name
	revive := t.opts.RestartAfter > 0 && !p.diedOften(now())
	if revive {
		again = fmt.Sprintf("it comes back in %s", t.opts.RestartAfter)
	}
	t.out.sayf("%s died (pid %d); the town stays open; %s; its last words:\n    %s", p.name, pid, again, strings.ReplaceAll(lastWords, "\n", "\n    "))
	if !revive {
		return
	}
	time.AfterFunc(t.opts.RestartAfter, func() {
		if p.pid() != 0 { // somebody was faster
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*readyPatience)
		defer cancel()
		if err := t.bring(ctx, p); err != nil && !errors.Is(err, errClosing) {
			t.out.sayf("%s did not come back: %v", p.name, err)
		}
	})
}

// bring starts a part that is dead, waits until it is ready and tells everybody
// its new pid.
func (t *Town) bring(ctx context.Context, p *part) error {
	if err := t.start(ctx, p); err != nil {
		return err
	}
	if err := t.writeCredentials(); err != nil { // before it is ready: a drill may want to kill it by then
		return err
	}
	if p.url != "" {
		if err := p.awaitReady(ctx); err != nil {
			return err
		}
	}
	t.out.sayf("%s is back (pid %d)", p.name, p.pid())
	return nil
}

// find knows a part by its name, and a cell's first process by the cell's.
func (t *Town) find(name string) (*part, error) {
	for _, p := range t.parts {
		if p.name == name || p.name == "cell-"+name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("there is no %q in this town: it has %s", name, strings.Join(names(t.parts), ", "))
}

// Restart ends a part politely if it runs, and starts it again.
func (t *Town) Restart(ctx context.Context, name string) error {
	p, err := t.find(name)
	if err != nil {
		return err
	}
	if err := p.stop(ctx); err != nil {
		return err
	}
	return t.bring(ctx, p)
}

// Stop ends a part politely; it stays away until Restart.
func (t *Town) Stop(ctx context.Context, name string) error {
	p, err := t.find(name)
	if err != nil {
		return err
	}
	if err := p.stop(ctx); err != nil {
		return err
	}
	t.out.sayf("%s was stopped; restart it with: guichet town restart %s", p.name, p.name)
	return t.writeCredentials()
}

// Kill ends a part with kill -9, as a drill does; it stays away until Restart.
func (t *Town) Kill(name string) error {
	p, err := t.find(name)
	if err != nil {
		return err
	}
	if err := p.kill(); err != nil {
		return err
	}
	t.out.sayf("%s was killed; restart it with: guichet town restart %s", p.name, p.name)
	return t.writeCredentials()
}

// Status says of every part whether it runs and where.
func (t *Town) Status() []Status { return t.status() }

// Wait returns when ctx ends or somebody asks the town to close.
func (t *Town) Wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-t.asked:
	}
}

// Close stops everything, those first that stand on the others, and gives the
// state directory back. It takes as long as the programs need, within limits.
func (t *Town) Close() error {
	if t.closing.Swap(true) {
		return nil
	}
	t.stopFill()
	t.filling.Wait()
	t.stopRenew()
	t.renewing.Wait()
	var faults []error
	for r := rankRouter; r >= rankDatabase; r-- {
		faults = append(faults, t.together(t.ranked(r), func(p *part) error { return p.stop(context.Background()) }))
	}
	if t.control != nil {
		faults = append(faults, t.control.close())
	}
	return errors.Join(append(faults, t.state.close())...)
}

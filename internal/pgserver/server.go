// Package pgserver finds, initializes and runs a local PostgreSQL server as a
// child of this process: for the town, where every cell has an instance of its
// own, and for tests. It listens on the loopback address only, keeps a random
// password beside its data, and is durable unless its settings say otherwise.
// It is no tool for production, where somebody else runs the database.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/internal/child"
)

// ErrPortBusy is returned when another process listens on the port asked for.
var ErrPortBusy = errors.New("the port is in use")

const (
	superuser      = "guichet"
	readyPatience  = 60 * time.Second // crash recovery included
	portAttempts   = 5                // a free port can be taken before we have it
	memoryAttempts = 50               // backends of a killed server need a moment to go
)

// Config says which server to run.
type Config struct {
	Dir            string            // data directory, made when missing; see Place
	Port           int               // on 127.0.0.1; 0 takes a free one
	TemplateDir    string            // copy this (see Template) instead of running initdb
	MaxConnections int               // default 100
	Settings       map[string]string // further settings, over the defaults
	Log            io.Writer         // the server's log; nil drops it
	Bin            Binaries          // zero: Find
}

// Server is a running PostgreSQL.
type Server struct {
	Dir  string // where the data really lies
	Port int

	password string
	cmd      *exec.Cmd
	lock     *os.File
	output   *tail
	exited   chan struct{} // closed after the process is gone
	exitErr  error         // valid after exited
}

func (c Config) volatile() bool { return c.Settings["fsync"] == "off" }

// resolve fills in what was left open.
func (c Config) resolve() (Config, Binaries, account, error) {
	bin := c.Bin
	if bin.Dir == "" {
		var err error
		if bin, err = Find(); err != nil {
			return c, bin, account{}, err
		}
	}
	who, err := serverAccount()
	if err != nil {
		return c, bin, who, err
	}
	if c.Dir, err = Place(c.Dir); err != nil {
		return c, bin, who, err
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 100
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c, bin, who, prepareParent(c.Dir, who)
}

// Start makes the data directory when it is missing, clears what a killed run
// left behind, starts the server and returns when it answers. The server ends
// with Stop, or with this process; ctx bounds the start only.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, bin, who, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(ctx, cfg.Dir)
	if err != nil {
		return nil, err
	}
	server, err := cfg.start(ctx, bin, who)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	server.lock = lock
	go func() { // a server that was killed may be started again, by us or by others
		<-server.exited
		_ = lock.Close() // Stop may have been first
	}()
	return server, nil
}

func (c Config) start(ctx context.Context, bin Binaries, who account) (*Server, error) {
	if err := c.prepare(ctx, bin, who); err != nil {
		return nil, err
	}
	if err := clearStale(ctx, c.Dir); err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(filepath.Join(c.Dir, passwordFile))
	if err != nil {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	var server *Server
	for ports, memory := 1, 1; ; {
		port := c.Port
		if port == 0 {
			if port, err = freePort(ctx); err != nil {
				return nil, err
			}
		}
		server = &Server{Dir: c.Dir, Port: port, password: string(secret), output: &tail{}, exited: make(chan struct{})}
		err = server.launch(ctx, c, bin, who)
		said := server.output.String()
		switch {
		case err == nil:
			return server, nil
		case strings.Contains(said, "Address already in use"):
			if ports++; c.Port != 0 || ports > portAttempts {
				return nil, fmt.Errorf("start PostgreSQL on port %d: %w", port, ErrPortBusy)
			}
		case strings.Contains(said, "pre-existing shared memory block"):
			if memory++; memory > memoryAttempts {
				return nil, err
			}
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
}

// launch runs the program once and waits until it answers or is gone.
func (s *Server) launch(ctx context.Context, c Config, bin Binaries, who account) error {
	cmd := exec.Command(bin.postgres(), c.arguments(s.Port)...) //nolint:gosec,noctx // lives longer than ctx; ended by Stop
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", environment(bin), who.attr()
	log := io.MultiWriter(s.output, c.Log)
	cmd.Stdout, cmd.Stderr = log, log
	// SIGINT is PostgreSQL's fast and clean shutdown; SIGTERM would wait for clients.
	if err := child.Start(cmd, syscall.SIGINT); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.cmd = cmd
	go func() {
		if s.exitErr = cmd.Wait(); s.exitErr != nil {
			fmt.Fprintf(s.output, "(%v)\n", s.exitErr)
		}
		close(s.exited)
	}()
	if err := s.awaitReady(ctx); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(err, s.halt(stopCtx))
	}
	return nil
}

// arguments are the settings of a modest, durable server on the loopback.
func (c Config) arguments(port int) []string {
	settings := map[string]string{
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": strconv.Itoa(port),
		"max_connections": strconv.Itoa(c.MaxConnections), "shared_buffers": "64MB", "random_page_cost": "1.1", "max_wal_size": "512MB",
		"timezone": "UTC", "log_timezone": "UTC", "jit": "off", "log_line_prefix": "%m [%p] %q%d ",
	}
	maps.Copy(settings, c.Settings)
	args := []string{"-D", c.Dir}
	for _, name := range slices.Sorted(maps.Keys(settings)) { // in order, so that ps reads alike
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("PostgreSQL ended at once: %w: %s", s.exitErr, s.output.lastLines(3))
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not answer in time: %w (%s)", err, s.output.lastLines(3))
		case <-time.After(pollEvery):
		}
	}
}

func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// DSN is the URL of a database of this server, for its superuser.
func (s *Server) DSN(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Pid is the process id of the server.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Exited is closed when the server is gone, asked or not.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// LastWords are the last lines of the server's log and how it ended.
func (s *Server) LastWords(lines int) string { return strings.Join(s.output.last(lines), "\n") }

// CreateDatabase makes a database unless it is there.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // nothing is lost
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil || there {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// Stop shuts the server down: fast and clean, and at once when ctx ends first.
// Stopping a server that is gone is no error.
func (s *Server) Stop(ctx context.Context) error {
	err := s.halt(ctx)
	if closeErr := s.lock.Close(); closeErr != nil && !errors.Is(closeErr, os.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

func (s *Server) halt(ctx context.Context) error {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		select {
		case <-s.exited:
			return nil
		default:
		}
		if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
		select {
		case <-s.exited:
			return nil
		case <-ctx.Done():
		}
		if sig != syscall.SIGINT {
			select {
			case <-s.exited:
				return nil
			case <-time.After(2 * time.Second):
			}
		}
	}
	<-s.exited
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	_, raw, err := net.SplitHostPort(l.Addr().String())
	if err = errors.Join(err, l.Close()); err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return strconv.Atoi(raw)
}

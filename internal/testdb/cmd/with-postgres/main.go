// Command with-postgres runs a command with one PostgreSQL server for tests
// around it, in GUICHET_TEST_DATABASE_URL, and stops the server afterwards:
//
//	go run ./internal/testdb/cmd/with-postgres -- go test ./...
//
// A URL that is set already is used as it is.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"guichet/internal/pgserver"
	"guichet/internal/testdb"
)

const (
	startPatience = 5 * time.Minute // an installation included
	stopPatience  = 20 * time.Second
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "with-postgres:", err)
	}
	os.Exit(code)
}

func run(args []string) (code int, err error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 2, errors.New("usage: with-postgres -- COMMAND [ARGUMENT…]")
	}
	// Both signals reach the command too: it decides when to end.
	interrupts := make(chan os.Signal, 4)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGTERM)
	if os.Getenv(testdb.EnvURL) == "" {
		stop, err := serve()
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // the caller's command; it decides when to end
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	go func() {
		for sig := range interrupts {
			if sig == syscall.SIGTERM { // Ctrl-C reaches the whole terminal by itself
				_ = cmd.Process.Signal(sig)
			}
		}
	}()
	if err := cmd.Wait(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return max(exit.ExitCode(), 1), nil
		}
		return 1, err
	}
	return 0, nil
}

// serve starts a server and puts its URL into the environment.
func serve() (stop func() error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	say := func(line string) { fmt.Fprintln(os.Stderr, line) }
	if _, err := pgserver.Ensure(ctx, say); err != nil {
		return nil, err
	}
	server, err := testdb.Start(ctx, false)
	if err != nil {
		return nil, err
	}
	if err := os.Setenv(testdb.EnvURL, server.DSN("postgres")); err != nil {
		return nil, err
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
		defer cancel()
		return server.Stop(ctx)
	}, nil
}

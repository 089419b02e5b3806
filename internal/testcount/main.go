// Command testcount runs `go test -json …`, shows what people need to see of it
// and ends with the counts:
//
//	go run ./internal/testcount go test -json ./...
//	…
//	1234 passed, 0 failed, 3 skipped in 57 packages, 93 s
//
// It shows one line per package, the output of what failed and why something
// was skipped. It fails when a test or a package failed, when the command did,
// and when not a single test ran.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: testcount COMMAND [ARGUMENT…]")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command []string, out io.Writer) error {
	began := time.Now()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the caller's own command is the purpose
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	t := newTally(out)
	readErr := t.read(events)
	waitErr := cmd.Wait()
	fmt.Fprintf(out, "\n%.0f s, %s\n", time.Since(began).Seconds(), t)
	switch {
	case readErr != nil:
		return fmt.Errorf("read the events: %w", readErr)
	case t.failed > 0 || len(t.broken) > 0:
		return fmt.Errorf("%d tests and %d packages failed", t.failed, len(t.broken))
	case waitErr != nil:
		return fmt.Errorf("%s: %w", command[0], waitErr)
	case t.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

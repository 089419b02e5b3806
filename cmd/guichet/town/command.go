package town

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Importer runs `guichet import ARGS…`.
type Importer func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// ErrUsage marks a command line that makes no sense.
var ErrUsage = errors.New("usage")

const usage = `guichet town [flags]          open a town and stay until Ctrl-C (flags: guichet town --help)
guichet town status           who runs where
guichet town restart NAME     start a process again, politely stopping it if it runs
guichet town stop NAME        stop a process; it stays away until restart
guichet town kill NAME        kill -9, as a drill does
guichet town pause NAME       stop it with SIGSTOP: it keeps its connections and answers nothing
guichet town resume NAME      let what was paused go on
guichet town close            close the town
  each takes --state DIR (default .town)`

// Command is `guichet town`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer, importer Importer) error {
	if len(args) > 0 && slices.Contains([]string{"status", "restart", "stop", "kill", "pause", "resume", "close"}, args[0]) {
		return manage(ctx, args[0], args[1:], stdout, stderr)
	}
	opts, err := Parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stderr, "\n%s\n", usage)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	opts.Import = importer
	if opts.Programs, err = programsDir(); err != nil {
		return err
	}
	t, err := Open(ctx, opts, stdout)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted: the town did not open")
		}
		return err
	}
	t.Wait(ctx)
	t.out.say("closing the town")
	if err := t.Close(); err != nil {
		return err
	}
	t.out.say("the town is closed; its state is in " + opts.State)
	return nil
}

// programsDir is where the other programs are: beside this one.
func programsDir() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the programs: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find the programs: %w", err)
	}
	return filepath.Dir(self), nil
}

// manage talks to the supervisor of an open town.
func manage(ctx context.Context, action string, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet town "+action, flag.ContinueOnError)
	fs.SetOutput(stderr)
	state := fs.String("state", ".town", "directory of the town")
	var names []string
	for { // flags may stand before and after the name
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: %w", ErrUsage, err)
		}
		if fs.NArg() == 0 {
			break
		}
		names, args = append(names, fs.Arg(0)), fs.Args()[1:]
	}
	method, path := "POST", "/"+action
	switch {
	case (action == "status" || action == "close") && len(names) == 0:
		if action == "status" {
			method = "GET"
		}
	case action != "status" && action != "close" && len(names) == 1:
		path += "/" + names[0]
	default:
		return fmt.Errorf("%w:\n%s", ErrUsage, usage)
	}
	got, err := ask(ctx, *state, method, path)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, table(got.Parts))
	return nil
}

// Command guichet is the tool for people: it opens a town on this machine, imports
// catalogues, plays an attendee, and checks tickets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	_ "time/tzdata" // events name IANA zones; not every machine has the database

	"guichet/cmd/guichet/town"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks a command line that makes no sense: exit code 2.
var errUsage = errors.New("usage")

const help = `guichet – the ticket window's tool for people

  guichet town                    open a town on this machine: cells, router, payment sandbox
  guichet import FORMAT FILE…     import events (FORMAT: builtin, %s)
  guichet demo [--from City]      play an attendee: search, hold, pay, ticket
  guichet verify TICKET           check a ticket's barcode offline
  guichet ledger verify FILE      add an event's inventory ledger up again
  guichet webhook replay          let stored notices of the payment provider have their effect again
  guichet bench                   measure the open town: cells directly and through the router
  guichet drill list|run|…        break a part of the open town on purpose and see what people notice
  guichet cell list|invite|expel  who is a cell of the town: list them, invite one, expel one
  guichet residency CELL          prove where a cell's rows are (CockroachDB)
  guichet saga list|show|retry    look at a cell's sagas, let one that failed go on
  guichet audit                   say who changed what at a cell
  guichet operator token|revoke   make a named operator's token that expires, revoke one
  guichet login|whoami|logout     sign in with a browser, see who is signed in, sign out
  guichet sandbox                 run the payment sandbox alone
  guichet mailbox                 run the mail sink alone: takes mails, delivers to nobody, shows them
  guichet issuer                  run a small OpenID issuer with demo people, for this machine alone
  guichet keycloak                run a real Keycloak with the realm of docs/identity
  guichet version                 say which build this is

guichet COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 usage.
`

type command func(ctx context.Context, args []string, stdout, stderr io.Writer) error

var commands = map[string]command{
	"town":     townCommand,
	"import":   importCommand,
	"demo":     demoCommand,
	"verify":   verifyCommand,
	"bench":    benchCommand,
	"ledger":   ledgerCommand,
	"cell":     cellCommand,
	"saga":     sagaCommand,
	"sandbox":  sandboxCommand,
	"mailbox":  mailboxCommand,
	"audit":    auditCommand,
	"operator": operatorCommand,
	"webhook":  webhookCommand,
	"issuer":   issuerCommand,
	"keycloak": keycloakCommand,
	"login":    loginCommand,
	"whoami":   whoamiCommand,
	"logout":   logoutCommand,
	"version":  versionCommand,

	"residency": residencyCommand,
	"drill":     drillCommand,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run dispatches and gives the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		sayf(stderr, help, formatNames())
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		sayf(stdout, help, formatNames())
		return exitOK
	}
	cmd, ok := commands[args[0]]
	if !ok {
		sayf(stderr, "guichet: %q is no command\n\n"+help, args[0], formatNames())
		return exitUsage
	}
	err := cmd(ctx, args[1:], stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage), errors.Is(err, town.ErrUsage):
		sayf(stderr, "guichet %s: %s\n", args[0], strings.TrimPrefix(err.Error(), "usage: "))
		return exitUsage
	default:
		sayf(stderr, "guichet %s: %v\n", args[0], err)
		return exitFailed
	}
}

// sayf writes for a person; a terminal that is gone is nobody's error.
func sayf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// parseMixed parses flags that may stand before, between and after the
// arguments, and gives the arguments. flag.ErrHelp passes through.
func parseMixed(fs *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

func versionCommand(_ context.Context, _ []string, stdout, _ io.Writer) error {
	revision, built, dirty := "unknown", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.time":
				built = " of " + s.Value
			case "vcs.modified":
				if s.Value == "true" {
					dirty = ", with local changes"
				}
			}
		}
	}
	sayf(stdout, "guichet %s%s%s\n", revision, built, dirty)
	return nil
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"guichet/chaos/experiment"
	"guichet/chaos/experiments"
	"guichet/chaos/runner"
	"guichet/cmd/guichet/town"
)

const drillHelp = `guichet drill list                 the drills that the project brings along
guichet drill show DRILL           one of them, as its file is
guichet drill validate [DRILL…]    check experiments; without a name, all that come along
guichet drill run DRILL…|all       break something in an open town, look what people notice, undo it
guichet drill rollback             finish what a drill that died has left
guichet drill report [RUN]         draw the page of a run again (default: the last)

A DRILL is a number (03), a name (03-cell-killed) or a file in the form of the Chaos Toolkit.
Drills run only against a town on this machine, which they know by its state directory.
  --state DIR    of the town (default .town); a run leaves its page in DIR/drills/RUN/report.html
`

// errDrillFailed says that at least one drill did not pass.
var errDrillFailed = errors.New("not passed")

// drillFlags are what all of `guichet drill` understands.
type drillFlags struct {
	state, cell string
	seed        uint64
	rate        float64
	open        bool
	out         string
}

func drillCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet drill", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var d drillFlags
	fs.StringVar(&d.state, "state", ".town", "`directory` of the town")
	fs.StringVar(&d.cell, "cell", "", "`cell` to break (default: what the drill says)")
	fs.Uint64Var(&d.seed, "seed", 0, "of the crowd's arrivals (default: the time)")
	fs.Float64Var(&d.rate, "rate", 4, "arrivals per second near each region, 0.1 to 50")
	fs.BoolVar(&d.open, "open", false, "open a town of its own for the drills, on free ports, and close it after")
	fs.StringVar(&d.out, "out", "", "leave pages and journals in this `directory` as well")
	fs.Usage = func() { sayf(stderr, drillHelp); fs.PrintDefaults() }
	rest, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return fmt.Errorf("%w:\n%s", errUsage, drillHelp)
	}
	if d.rate < 0.1 || d.rate > 50 {
		return fmt.Errorf("%w: --rate is 0.1 to 50", errUsage)
	}
	if d.state, err = filepath.Abs(d.state); err != nil {
		return err
	}
	what, rest := rest[0], rest[1:]
	switch {
	case what == "list" && len(rest) == 0:
		return listDrills(stdout)
	case what == "show" && len(rest) == 1:
		_, text, err := findDrill(rest[0])
		if err == nil {
			_, err = stdout.Write(text)
		}
		return err
	case what == "validate":
		return validateDrills(rest, stdout)
	case what == "run" && len(rest) > 0:
		return d.run(ctx, rest, stdout, stderr)
	case what == "rollback" && len(rest) == 0:
		return d.rollback(ctx, stdout)
	case what == "report" && len(rest) <= 1:
		return d.redraw(rest, stdout)
	}
	return fmt.Errorf("%w:\n%s", errUsage, drillHelp)
}

// findDrill knows those that come along, and files.
func findDrill(name string) (string, []byte, error) {
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" || ext == ".json" {
		text, err := os.ReadFile(name)
		return filepath.Base(name), text, err
	}
	return experiments.Find(name)
}

func listDrills(stdout io.Writer) error {
	tw := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, name := range experiments.Names() {
		_, text, err := experiments.Find(name)
		if err != nil {
			return err
		}
		e, err := experiment.Read(text, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sayf(tw, "%s\t%s\t%s\n", name, e.Title, e.Extend().Expected)
	}
	return tw.Flush()
}

func validateDrills(names []string, stdout io.Writer) error {
	if len(names) == 0 {
		names = experiments.Names()
	}
	var faults []error
	for _, name := range names {
		_, text, err := findDrill(name)
		if err == nil {
			_, err = experiment.Read(text, nil)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
			continue
		}
		sayf(stdout, "%s is an experiment that can be run\n", name)
	}
	return errors.Join(faults...)
}

func (d drillFlags) root() string { return filepath.Join(d.state, "drills") }

// guarded reads the credentials of an open town; anything else is not broken on purpose.
func (d drillFlags) guarded() (town.Credentials, error) {
	creds, err := town.ReadCredentials(filepath.Join(d.state, "credentials.json"))
	if err != nil {
		return creds, fmt.Errorf("drills run only against an open town: %w", err)
	}
	u, err := url.Parse(creds.Router)
	if err != nil {
		return creds, fmt.Errorf("the town's credentials: %w", err)
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
		return creds, fmt.Errorf("%s is not on this machine: drills run only against a town", creds.Router)
	}
	return creds, nil
}

func (d drillFlags) rollback(ctx context.Context, stdout io.Writer) error {
	left, err := runner.Unfinished(d.root())
	if err != nil {
		return err
	}
	if len(left) == 0 {
		sayf(stdout, "there is nothing to undo\n")
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return runner.Rollback(ctx, d.root(), self, func(format string, args ...any) { sayf(stdout, format+"\n", args...) })
}

// run does the drills one after the other.
func (d drillFlags) run(ctx context.Context, names []string, stdout, stderr io.Writer) error {
	if len(names) == 1 && names[0] == "all" {
		names = experiments.Names()
	}
	if d.open {
		own, err := openDrillTown(ctx, stderr)
		if err != nil {
			return err
		}
		defer own.close()
		d.state = filepath.Dir(own.credentials)
	}
	if d.seed == 0 {
		d.seed = uint64(time.Now().UnixNano())
	}
	failed := 0
	for _, name := range names {
		passed, err := d.one(ctx, name, stdout)
		if err != nil {
			return fmt.Errorf("drill %s: %w", name, err)
		}
		if !passed {
			failed++
		}
		if ctx.Err() != nil {
			return errors.New("interrupted; what was broken has been undone")
		}
	}
	if failed > 0 {
		return fmt.Errorf("%w: %d of %d drills", errDrillFailed, failed, len(names))
	}
	return nil
}

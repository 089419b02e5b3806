package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"guichet/chaos/experiment"
	"guichet/chaos/load"
	"guichet/chaos/report"
	"guichet/chaos/runner"
	"guichet/cmd/guichet/town"
	"guichet/geo"
)

const (
	drillBefore  = 4 * time.Second // of ordinary life before and after
	drillAfter   = 4 * time.Second
	keptRuns     = 50 // older ones are removed
	journalName  = "journal.json"
	runName      = "run.json"
	pageName     = "report.html"
	lastDrillRun = "last"
)

// one runs a drill and leaves its page. The error is of what kept it from being run.
func (d drillFlags) one(ctx context.Context, name string, stdout io.Writer) (passed bool, err error) {
	creds, err := d.guarded()
	if err != nil {
		return false, err
	}
	name, text, err := findDrill(name)
	if err != nil {
		return false, err
	}
	places, err := drillPlaces(creds)
	if err != nil {
		return false, err
	}
	first, err := experiment.Read(text, map[string]string{"cell": d.cell})
	if d.cell == "" {
		first, err = experiment.Read(text, nil)
	}
	if err != nil {
		return false, err
	}
	cell := first.Extend().Cell
	if !slices.ContainsFunc(places, func(p load.Place) bool { return p.Cell == cell }) {
		return false, fmt.Errorf("there is no cell %q in this town; say another with --cell", cell)
	}
	say := func(format string, args ...any) {
		sayf(stdout, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
	x := first.Extend()
	crowd := load.New(load.Town{Router: creds.Router, Sandbox: creds.Sandbox, Places: places}, d.rate, d.seed, x.BlastRadius.Covers)
	say("drill %s: %s", name, first.Title)
	say("%s", x.Fault)
	if left, err := runner.Unfinished(d.root()); err == nil && len(left) > 0 {
		return false, runner.ErrLeft
	}
	if err := crowd.Prepare(ctx); err != nil {
		return false, err
	}
	e, err := experiment.Read(text, drillSettings(d, creds, cell, crowd.Places()))
	if err != nil {
		return false, err
	}
	run := &report.Run{
		Name: time.Now().UTC().Format("20060102T150405.000") + "-" + name, Drill: name, Seed: d.seed, Rate: d.rate, Stages: map[string]float64{},
		Command: fmt.Sprintf("guichet drill run %s --cell %s --seed %d --rate %g", strings.TrimSuffix(name, ".yaml"), cell, d.seed, d.rate),
	}
	for _, p := range places {
		run.Places = append(run.Places, report.Place{Cell: p.Cell, Region: p.Region, City: p.City})
	}
	if err := d.play(ctx, e, crowd, run, say); err != nil {
		return false, err
	}
	page, err := d.leave(run)
	if err != nil {
		return false, err
	}
	for _, v := range run.Verdicts {
		say("%s %-6s  %s", v.Promise, v.Result, v.Evidence[0])
	}
	result := "passed"
	if !run.Passed() {
		result = "NOT PASSED: " + strings.Join(run.Why(), "; ")
	}
	say("%s; the page: %s", result, page)
	return run.Passed(), nil
}

// play runs the experiment with the crowd around it, and has the promises judged.
func (d drillFlags) play(ctx context.Context, e *experiment.Experiment, crowd *load.Load, run *report.Run, say func(string, ...any)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	crowdCtx, goHome := context.WithCancel(context.WithoutCancel(ctx))
	defer goHome()
	crowd.Begin(crowdCtx)
	r := &runner.Runner{Experiment: e, Root: d.root(), Run: run.Name, Self: self, Say: say, Before: drillBefore, After: drillAfter, Harm: crowd.Harm}
	r.Reached = func(stage string) {
		run.Stages[stage] = time.Since(crowd.Began()).Seconds()
		switch stage {
		case "fault":
			crowd.FaultBegins()
		case "after":
			crowd.AllowedUntil(time.Duration(e.Extend().Recovery))
		}
	}
	journal, err := r.Do(ctx)
	goHome()
	crowd.Wait()
	if journal == nil {
		return err
	}
	if err != nil {
		say("%s: %v", journal.Status, err)
	}
	run.Journal = journal
	if journal.Status == runner.Completed || journal.Status == runner.Aborted {
		run.Verdicts = crowd.Judge(ctx, e.Extend().Promises)
	}
	run.Records = crowd.Records()
	slices.SortFunc(run.Records, func(a, b load.Record) int { return int(a.At - b.At) })
	return nil
}

// drillPlaces are the town's cells, each with its organizer.
func drillPlaces(creds town.Credentials) ([]load.Place, error) {
	var places []load.Place
	for _, o := range creds.Organizers {
		r, ok := geo.RegionByCode(o.HomeRegion)
		if !ok {
			return nil, fmt.Errorf("%q is no known region", o.HomeRegion)
		}
		places = append(places, load.Place{Cell: o.HomeCell, Region: r.Code, City: r.City, Lat: r.Lat, Lon: r.Lon, Organizer: o})
	}
	if len(places) < 2 {
		return nil, errors.New("a drill needs a town of two cells or more: one to break, and others that must not notice")
	}
	return places, nil
}

// drillSettings are the values of an experiment's configuration in this town.
func drillSettings(d drillFlags, creds town.Credentials, cell string, places []load.Place) map[string]string {
	set := map[string]string{"state": d.state, "router": creds.Router, "cell": cell}
	near := func(p load.Place) string { return fmt.Sprintf("%g,%g", p.Lat, p.Lon) }
	private := func(cell string) string {
		for _, p := range creds.Processes {
			if p.Name == "cell-"+cell {
				return p.Private
			}
		}
		return ""
	}
	for _, p := range places {
		if p.Cell == cell {
			set["near"], set["event"], set["cell_private"] = near(p), p.Event.Event, private(p.Cell)
		} else if set["other"] == "" {
			set["other"], set["other_near"], set["other_event"], set["other_private"] = p.Cell, near(p), p.Event.Event, private(p.Cell)
		}
	}
	return set
}

// leave writes the journal, all that is known, and the page; it removes the oldest runs.
func (d drillFlags) leave(run *report.Run) (page string, err error) {
	dir := filepath.Join(d.root(), run.Name)
	faults := []error{writeJSONFile(filepath.Join(dir, journalName), run.Journal), writeJSONFile(filepath.Join(dir, runName), run), drawPage(dir, run)}
	if d.out != "" {
		dir = filepath.Join(d.out, run.Drill)
		faults = append(faults, os.MkdirAll(dir, 0o750), writeJSONFile(filepath.Join(dir, journalName), run.Journal), drawPage(dir, run))
	}
	return filepath.Join(dir, pageName), errors.Join(append(faults, d.prune())...)
}

// prune keeps the newest runs, and all that are not rolled back.
func (d drillFlags) prune() error {
	runs, err := drillRuns(d.root())
	if err != nil {
		return err
	}
	left, err := runner.Unfinished(d.root())
	if err != nil {
		return err
	}
	for len(runs) > keptRuns {
		if !slices.Contains(left, runs[0]) {
			if err := os.RemoveAll(filepath.Join(d.root(), runs[0])); err != nil {
				return err
			}
		}
		runs = runs[1:]
	}
	return nil
}

// drillRuns are the names of all runs, the oldest first.
func drillRuns(root string) (runs []string, err error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries { // sorted by name, which begins with the time
		if e.IsDir() {
			runs = append(runs, e.Name())
		}
	}
	return runs, err
}

func writeJSONFile(path string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

func drawPage(dir string, run *report.Run) error {
	f, err := os.OpenFile(filepath.Join(dir, pageName), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(run.Write(f), f.Close())
}

// redraw draws the page of a run that was.
func (d drillFlags) redraw(args []string, stdout io.Writer) error {
	runs, err := drillRuns(d.root())
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		return fmt.Errorf("no drill was run in %s", d.state)
	}
	name := runs[len(runs)-1]
	if len(args) == 1 && args[0] != lastDrillRun {
		if name = args[0]; !slices.Contains(runs, name) {
			return fmt.Errorf("there is no run %q; there are:\n  %s", name, strings.Join(runs, "\n  "))
		}
	}
	dir := filepath.Join(d.root(), name)
	text, err := os.ReadFile(filepath.Join(dir, runName))
	if err != nil {
		return fmt.Errorf("the run left nothing to draw: %w", err)
	}
	var run report.Run
	if err := json.Unmarshal(text, &run); err != nil {
		return err
	}
	if err := drawPage(dir, &run); err != nil {
		return err
	}
	sayf(stdout, "%s\n", filepath.Join(dir, pageName))
	return nil
}

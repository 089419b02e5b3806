package town

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// catalogue is something that `guichet import` can bring in.
type catalogue struct {
	name string
	args []string // of `guichet import`, without the flags
}

// fill imports what is not in yet. It returns when all is in or, at the latest,
// at the time given; the rest then goes on beside the open town.
func (t *Town) fill(ctx context.Context, latest time.Time) {
	if t.opts.NoImport || t.opts.Import == nil {
		return
	}
	missing := slices.DeleteFunc(t.catalogues(), func(c catalogue) bool { return slices.Contains(t.state.record.Imported, c.name) })
	if len(missing) == 0 {
		t.out.say("the catalogue is in already")
		return
	}
	fillCtx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ends with Close
	t.stopFill = cancel
	done := make(chan struct{})
	t.filling.Go(func() {
		defer close(done)
		for _, c := range missing {
			t.bringIn(fillCtx, c)
		}
	})
	select {
	case <-done:
	case <-ctx.Done():
	case <-time.After(max(0, latest.Sub(now()))):
		t.out.say("the catalogue goes on filling while the town is open")
	}
}

// Filled returns when everything was imported, or ctx ends.
func (t *Town) Filled(ctx context.Context) {
	done := make(chan struct{})
	go func() { t.filling.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (t *Town) bringIn(ctx context.Context, c catalogue) {
	if ctx.Err() != nil {
		return
	}
	t.out.sayf("importing %s", c.name)
	args := append(slices.Clone(c.args), "--router", httpURL(t.ports.router()), "--credentials", t.state.path(credsName), "--shift", "--errors", "3")
	if err := t.opts.Import(ctx, args, t.out, t.out); err != nil {
		if !errors.Is(err, context.Canceled) {
			t.out.sayf("importing %s did not end well: %v; again with: guichet import %s", c.name, err, strings.Join(args, " "))
		}
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.record.Imported = append(t.state.record.Imported, c.name)
	if err := t.state.save(); err != nil {
		t.out.sayf("importing %s: %v", c.name, err)
	}
}

// catalogues are our own and, where the shared data are beside the repository,
// the real ones of Toronto, Hong Kong and the World Cup.
func (t *Town) catalogues() []catalogue {
	all := []catalogue{{"the built-in catalogue", []string{"builtin"}}}
	dir := t.dataDir()
	if dir == "" {
		return all
	}
	for _, c := range []catalogue{
		{"Toronto", []string{"schemaorg", "toronto_festivals_events_2025.json.gz"}},
		{"Hong Kong", []string{
			"hongkong", "hongkong_lcsd_events_2025-12.xml.gz", "hongkong_lcsd_venues_2025-12.xml.gz", "hongkong_lcsd_eventDates_2025-12.xml.gz",
		}},
		{"the World Cup", []string{"openfootball", "worldcup/2026_worldcup.json", "worldcup/2026_stadiums.json"}},
	} {
		there := true
		for i, file := range c.args[1:] {
			path := filepath.Join(dir, "events", file)
			_, err := os.Stat(path)
			there = there && err == nil
			c.args[i+1] = path
		}
		if there {
			all = append(all, c)
		} else {
			t.out.sayf("%s is left out: its files are not in %s", c.name, dir)
		}
	}
	return all
}

// dataDir is where the shared data are, "" when they are nowhere.
func (t *Town) dataDir() string {
	if t.opts.ImportData != "" {
		return t.opts.ImportData
	}
	return sharedData(t.opts.Programs)
}

// sharedData looks for the shared data beside the repository: upwards from the
// programs and from where we stand.
func sharedData(programs string) string {
	starts := []string{programs}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	for _, dir := range starts {
		for {
			data := filepath.Join(dir, "shared", "data")
			if _, err := os.Stat(filepath.Join(data, "SOURCES.md")); err == nil {
				return data
			}
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return ""
}

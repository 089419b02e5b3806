package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"guichet/cell/client"
	"guichet/cmd/guichet/town"
)

// replayTimeout bounds one page of a replay: 200 notices, each with its event's lock.
const replayTimeout = 30 * time.Second

// webhookCommand lets the payment provider's stored notices have their effect again.
func webhookCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet webhook", flag.ContinueOnError)
	fs.SetOutput(stderr)
	notice := fs.String("id", "", "the `evt_…` of one notice")
	since := fs.String("since", "", "all notices received since a `time` (2026-11-23T18:00:00Z) or for so long (24h)")
	var cells []string
	fs.Func("cell", "the `cell` whose notices they are (repeated; default: all of the open town)", func(s string) error {
		cells = append(cells, s)
		return nil
	})
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where the open town is, and the operator's token")
	fs.Usage = func() {
		sayf(stderr, "guichet webhook replay (--id ID | --since TIME) [flags]\n\nWhat the notices did already they do not do twice.\n\n")
		fs.PrintDefaults()
	}
	rest, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 || rest[0] != "replay" || (*notice == "") == (*since == "") {
		fs.Usage()
		return fmt.Errorf("%w: replay needs --id or --since", errUsage)
	}
	what := client.NewReplay{ID: *notice}
	if *since != "" {
		at, err := timeOrAge(*since, time.Now())
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		what.Since = &at
	}
	creds, err := town.ReadCredentials(*credentials)
	if err != nil {
		return err
	}
	if len(cells) == 0 {
		for _, p := range creds.Processes {
			if p.Cell != "" && !slices.Contains(cells, p.Cell) {
				cells = append(cells, p.Cell)
			}
		}
	}
	c := client.New(creds.RouterOperator, client.WithBearer(creds.OperatorToken), client.WithTimeout(replayTimeout))
	return replayAll(ctx, c, cells, what, stdout)
}

// replayAll replays at each cell. A notice that one cell never had may be another's.
func replayAll(ctx context.Context, c *client.Client, cells []string, what client.NewReplay, stdout io.Writer) error {
	var notFound error
	found := 0
	failed := 0
	for _, cell := range cells {
		for page := what; ; {
			done, next, _, err := c.ReplayNotices(ctx, cell, page)
			if problem, ok := errors.AsType[*client.ProblemError](err); ok && problem.Code == "notice_not_found" {
				notFound = err
				break
			}
			if err != nil {
				return fmt.Errorf("replay at %s: %w", cell, err)
			}
			for _, n := range done {
				found++
				became := n.Became
				if n.Error != "" {
					became = "failed: " + n.Error
					failed++
				}
				sayf(stdout, "%s  %-32s %-40s was %s, is %s\n", cell, n.ID, n.Type, n.Was, became)
			}
			if next == "" {
				break
			}
			page = client.NewReplay{Cursor: next}
		}
	}
	sayf(stdout, "%d notices, %d failed\n", found, failed)
	switch {
	case failed > 0:
		return fmt.Errorf("%d notices failed; they stay as they were", failed)
	case found == 0 && notFound != nil:
		return notFound
	}
	return nil
}

// timeOrAge reads an RFC 3339 time, or how long ago.
func timeOrAge(s string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	age, err := time.ParseDuration(s)
	if err != nil || age <= 0 {
		return time.Time{}, fmt.Errorf("%q is neither a time like 2026-11-23T18:00:00Z nor an age like 24h", s)
	}
	return now.Add(-age), nil
}

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"guichet/cell/client"
	"guichet/cmd/guichet/town"
)

const sagaUsage = `guichet saga list [--cell euw3] [--status failed] [--name purchase] [--event evt_…] [--limit 50]
guichet saga show ID             with what was asked of the payment provider
guichet saga retry ID            let one that failed go on where it failed

`

// maxSagaPage is the most that one call lists.
const maxSagaPage = 100

// sagaCommand shows an operator a cell's sagas.
func sagaCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet saga", flag.ContinueOnError)
	fs.SetOutput(stderr)
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where operators ask and who may")
	cell := fs.String("cell", "", "`name` of the cell (default: the home of what the saga's id or --event names, else the nearest to the router)")
	status := fs.String("status", "", "running, succeeded or failed")
	name := fs.String("name", "", "`flow`: purchase, cancel, refund, event-cancellation or event-reschedule")
	event := fs.String("event", "", "`id` of an event")
	limit := fs.Int("limit", 20, "how many, at most 100")
	fs.Usage = func() {
		sayf(stderr, sagaUsage)
		fs.PrintDefaults()
	}
	rest, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	what := strings.Join(rest[:min(1, len(rest))], "")
	if wants := map[string]int{"list": 1, "show": 2, "retry": 2}[what]; wants == 0 || len(rest) != wants || *limit < 1 || *limit > maxSagaPage {
		fs.Usage()
		return fmt.Errorf("%w: list, show ID or retry ID", errUsage)
	}
	creds, err := town.ReadCredentials(*credentials)
	if err != nil {
		return err
	}
	c := client.New(creds.RouterOperator, client.WithBearer(creds.OperatorToken))
	switch what {
	case "list":
		page, _, err := c.Sagas(ctx, *cell, *status, *name, *event, "", *limit)
		if err != nil {
			return fmt.Errorf("list sagas: %w", err)
		}
		return listSagas(stdout, page)
	case "retry":
		one, _, err := c.RetrySaga(ctx, *cell, rest[1])
		if err != nil {
			return fmt.Errorf("retry: %w", err)
		}
		return showSaga(stdout, one)
	default:
		one, _, err := c.Saga(ctx, *cell, rest[1])
		if err != nil {
			return fmt.Errorf("show: %w", err)
		}
		return showSaga(stdout, one)
	}
}

func listSagas(out io.Writer, page client.SagaPage) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	sayf(w, "STATUS\tSTATE\tSTARTED\tID\tERROR\n")
	for _, s := range page.Items {
		sayf(w, "%s\t%s\t%s\t%s\t%s\n", s.Status, s.State, s.StartedAt.Format(time.RFC3339), s.ID, s.Error)
	}
	if page.NextCursor != nil {
		sayf(w, "and more\n")
	}
	return w.Flush()
}

func showSaga(out io.Writer, s client.SagaDetail) error {
	sayf(out, "%s is %s at %s\n  flow %s@%s, event %s, since %s\n", s.ID, s.Status, s.State, s.Name, s.Version, s.EventID, s.StartedAt.Format(time.RFC3339))
	if s.Error != "" {
		sayf(out, "  last error %s: %s\n", s.Error, s.Cause)
	}
	if s.WakeAt != nil && s.EndedAt == nil {
		sayf(out, "  looked at again %s\n", s.WakeAt.Format(time.RFC3339))
	}
	w := tabwriter.NewWriter(out, 2, 4, 2, ' ', 0)
	for _, st := range s.Steps {
		result := "no answer yet"
		if st.FinishedAt != nil {
			result = st.Result
			if st.Error != "" {
				result = st.Error
			}
		}
		sayf(w, "  %s\t%s\t%d tries\t%s\n", st.StartedAt.Format(time.RFC3339), st.Key, st.Tries, result)
	}
	return w.Flush()
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"guichet/cell/client"
	"guichet/cmd/guichet/town"
	"guichet/control-plane/topology"
)

const auditUsage = `guichet audit [--cell euw3] [--organizer org_…] [--event evt_…] [--actor ID] [--since 24h] [--limit 50] [--json]

Says who changed what, newest first: each cell keeps a log of its own. As an operator
by default; with --own and GUICHET_API_KEY as an organizer, of whom it shows his own.

`

// auditCommand shows the audit log.
func auditCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet audit", flag.ContinueOnError)
	fs.SetOutput(stderr)
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where the cells are and who may ask")
	cell := fs.String("cell", "", "`name` of the cell (default: the first one, or the one in the id of event or organizer)")
	organizer := fs.String("organizer", "", "`id` of an organizer")
	event := fs.String("event", "", "`id` of an event")
	actor := fs.String("actor", "", "`id` of a member, an API key or an operator's token")
	since := fs.Duration("since", 0, "how far back")
	limit := fs.Int("limit", 50, "how many, at most 100")
	own := fs.Bool("own", false, "ask as the organizer, with the API key in GUICHET_API_KEY")
	raw := fs.Bool("json", false, "one JSON document a line")
	fs.Usage = func() {
		sayf(stderr, auditUsage)
		fs.PrintDefaults()
	}
	rest, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 || *limit < 1 || *limit > 100 || *since < 0 || *own && *organizer == "" {
		fs.Usage()
		return fmt.Errorf("%w: a limit of 1 to 100, and with --own an organizer", errUsage)
	}
	creds, err := town.ReadCredentials(*credentials)
	if err != nil {
		return err
	}
	if ref, ok := topology.ParseRef(cmp.Or(*event, *organizer)); ok && *cell == "" {
		*cell = ref.Key.Birth.String()
	}
	url, bearer := creds.RouterOperator, creds.OperatorToken
	if *own {
		url, bearer = creds.Router, os.Getenv("GUICHET_API_KEY")
	}
	q := client.AuditQuery{Cell: *cell, OrganizerID: *organizer, EventID: *event, Actor: *actor, Limit: *limit}
	if *since > 0 {
		q.From = time.Now().Add(-*since)
	}
	page, _, err := client.New(url, client.WithBearer(bearer)).Audit(ctx, *own, q)
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	return tellAudit(stdout, page, *raw)
}

func tellSide(out io.Writer, what string, side json.RawMessage) {
	var line bytes.Buffer
	if len(side) == 0 || json.Compact(&line, side) != nil {
		return
	}
	sayf(out, "    %s %s\n", what, strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '\uFFFD'
		}
		return r
	}, line.String()))
}

func tellAudit(out io.Writer, page client.AuditPage, raw bool) error {
	for _, e := range page.Items {
		if raw {
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			sayf(out, "%s\n", line)
			continue
		}
		// Names are strangers' text: quoted, a terminal does nothing that they say.
		sayf(out, "%s  %s %q (%s)  %s  %s %s\n", e.At.Format(time.RFC3339), e.Actor.Kind, e.Actor.Name, e.Actor.ID, e.Action, e.Object.Kind, e.Object.ID)
		tellSide(out, "was", e.Before)
		tellSide(out, "is", e.After)
	}
	if page.NextCursor != nil && !raw {
		sayf(out, "and more\n")
	}
	return nil
}

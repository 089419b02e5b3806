package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"guichet/cmd/guichet/town"
	"guichet/control-plane/topology"
)

const cellUsage = `guichet cell list                     the cells that the control plane knows
guichet cell invite NAME --region R   make a token with which the cell NAME can join once (--ttl 1h); a cell that
                                      has joined takes a new key with it
guichet cell expel NAME               take a cell off the map; it comes back by a new invitation only

`

// cellCommand is the register of cells, for operators.
func cellCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet cell", flag.ContinueOnError)
	fs.SetOutput(stderr)
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where the control plane is, and the operator's token and certificate")
	region := fs.String("region", "", "the provider's `name` of the cell's region, like eu-west-3")
	ttl := fs.Duration("ttl", time.Hour, "how long the invitation is good, at most a week")
	fs.Usage = func() {
		sayf(stderr, cellUsage)
		fs.PrintDefaults()
	}
	rest, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	var cell topology.CellID
	switch {
	case len(rest) == 1 && rest[0] == "list":
	case len(rest) == 2 && (rest[0] == "invite" && *region != "" && *ttl >= time.Second || rest[0] == "expel"):
		if cell, err = topology.ParseCell(rest[1]); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
	default:
		fs.Usage()
		return fmt.Errorf("%w: list, invite NAME --region R, or expel NAME", errUsage)
	}
	creds, err := town.ReadCredentials(*credentials)
	if err != nil {
		return err
	}
	control, err := town.NewControlPlane(creds)
	if err != nil {
		return err
	}
	switch rest[0] {
	case "invite":
		inv, err := control.Invite(ctx, cell, *region, *ttl)
		if err != nil {
			return err
		}
		sayf(stdout, "%s may join once until %s with\nGUICHET_JOIN_TOKEN=%s\n", inv.Cell, inv.ExpiresAt.Format(time.RFC3339), inv.Token)
		return nil
	case "expel":
		if err := control.Expel(ctx, cell); err != nil {
			return err
		}
		sayf(stdout, "%s is expelled: it is off the map, and its certificate is refused\n", cell)
		return nil
	default:
		return listCells(ctx, control, stdout)
	}
}

func listCells(ctx context.Context, control *town.ControlPlane, stdout io.Writer) error {
	cells, err := control.Cells(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
	sayf(w, "CELL\tREGION\tSTATE\tWEIGHT\tPROCESSES\tLAST BEAT\tKEYS\n")
	for _, c := range cells {
		state, beat := string(c.State), "never"
		if c.Expelled != nil {
			state = "expelled"
		}
		if !c.LastBeat.IsZero() {
			beat = c.LastBeat.Format(time.RFC3339)
		}
		keys := make([]string, len(c.Keys))
		for i, k := range c.Keys {
			keys[i] = k.ID
		}
		sayf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", c.ID, c.Region, state, c.Weight, len(c.Processes), beat, strings.Join(keys, " "))
	}
	return w.Flush()
}

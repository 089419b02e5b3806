package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/cmd/guichet/town"
	"guichet/internal/mtls"
)

// errAbroad ends with exit code 1: a script that asks must not take it for a proof.
var errAbroad = errors.New("not proved")

// residencyCommand asks a cell itself where its rows are.
func residencyCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet residency", flag.ContinueOnError)
	fs.SetOutput(stderr)
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where the cells are")
	fs.Usage = func() {
		sayf(stderr, "guichet residency CELL     prints what the cell's database says of where its rows are; exit code 0 when all are in its region\n\n")
		fs.PrintDefaults()
	}
	rest, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		fs.Usage()
		return fmt.Errorf("%w: one cell is needed", errUsage)
	}
	creds, err := town.ReadCredentials(*credentials)
	if err != nil {
		return fmt.Errorf("is a town open? %w", err)
	}
	i := slices.IndexFunc(creds.Processes, func(p town.Process) bool { return p.Cell == rest[0] && strings.HasPrefix(p.Name, "cell-") })
	if i < 0 {
		return fmt.Errorf("no process of a cell %q runs here", rest[0])
	}
	var identity *mtls.Identity
	if creds.TLS.On() {
		if identity, err = mtls.Open(creds.TLS); err != nil {
			return err
		}
	}
	c := client.New(creds.Processes[i].URL, client.WithHTTP(mtls.HTTP(identity, mtls.Kinds(mtls.Cell))))
	regions, _, err := c.Regions(ctx)
	if err != nil {
		return fmt.Errorf("ask the cell: %w", err)
	}
	for _, r := range regions {
		for _, cell := range r.Cells {
			if cell.ID == rest[0] {
				return sayResidency(stdout, r.Code, cell)
			}
		}
	}
	return fmt.Errorf("the cell %q does not know itself: it has not seen a map of the town yet", rest[0])
}

func sayResidency(out io.Writer, region string, cell client.RegionCell) error {
	sayf(out, "%s in %s says: %s\n", cell.ID, region, cell.Residency)
	p := cell.Proof
	if p == nil {
		sayf(out, "its database cannot say where its rows are (PostgreSQL), or was not asked yet\n")
		return errAbroad
	}
	sayf(out, "asked %s: of %d ranges %d are served outside of the region, %d have a replica outside, %d have fewer than three voters\n",
		p.AskedAt.Format(time.RFC3339), p.Ranges, p.LeasesAbroad, p.ReplicasAbroad, p.FewVoters)
	last := "never since the cell started"
	if p.ProvedAt != nil {
		last = p.ProvedAt.Format(time.RFC3339)
	}
	if !p.AtHome {
		sayf(out, "NOT PROVED: last proved %s\n", last)
		return errAbroad
	}
	sayf(out, "proved: every replica of every range is in %s\n", region)
	return nil
}

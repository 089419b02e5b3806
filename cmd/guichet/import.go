package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"guichet/cell/catalog"
	"guichet/cell/catalog/builtin"
	"guichet/cell/client"
	"guichet/cmd/guichet/town"
	"guichet/geo"
)

const builtinFormat = "builtin"

// importFlags are the choices of `guichet import`.
type importFlags struct {
	router, credentials, organizer, homeRegion string
	dryRun                                     bool
	parallel, errors                           int
	options                                    catalog.Options
	format                                     string
	files                                      []catalog.File
}

func formatNames() string { return strings.Join(catalog.Formats(), ", ") }

// importCommand reads event files and creates the events at their nearest homes.
func importCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f, err := parseImport(args, stderr)
	if err != nil {
		return err
	}
	creds, err := town.ReadCredentials(f.credentials)
	if err != nil && !f.dryRun {
		return err
	}
	s := &sender{flags: f, out: stdout, errOut: stderr, regions: map[string]int{}}
	if !f.dryRun {
		if s.door, err = newDoor(ctx, f, creds); err != nil {
			return err
		}
	}
	return s.run(ctx)
}

func parseImport(args []string, stderr io.Writer) (*importFlags, error) {
	f := &importFlags{options: catalog.Options{Now: time.Now()}}
	fs := flag.NewFlagSet("guichet import", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&f.router, "router", "", "base `URL` of a router or cell (default: the credentials')")
	fs.StringVar(&f.credentials, "credentials", ".town/credentials.json", "`file` with the organizers' keys")
	fs.StringVar(&f.organizer, "organizer", "", "`name or id` of the organizer (default: the one of each event's region)")
	fs.StringVar(&f.homeRegion, "home-region", "", "`region` of all events (default: the one nearest to each venue)")
	fs.BoolVar(&f.options.Shift, "shift", false, "move past dates ahead by blocks of 52 weeks and mark the event")
	fs.BoolVar(&f.dryRun, "dry-run", false, "read and report, send nothing")
	fs.IntVar(&f.parallel, "parallel", 16, "requests at a time, 1 to 64")
	fs.IntVar(&f.errors, "errors", 20, "rows with an error that are printed; 0 prints all")
	fs.StringVar(&f.options.Source.Name, "source-name", "", "name of the source, part of each event's identity")
	fs.StringVar(&f.options.Source.Licence, "source-licence", "", "licence of the data")
	fs.StringVar(&f.options.Source.Credit, "source-credit", "", "text that credits the source")
	fs.StringVar(&f.options.TimeZone, "time-zone", "", "IANA zone of local times")
	fs.StringVar(&f.options.Encoding, "encoding", "", "what a text file is written in, like `windows-1252` (default: found out)")
	fs.StringVar(&f.options.Price, "price", "", "`text` of the price of events without one, like 18.50 or free")
	fs.StringVar(&f.options.Currency, "currency", "", "ISO 4217 `code` of prices without one")
	fs.Func("fallback", "`lat,lon` of events without coordinates", func(s string) error {
		p, err := geo.ParsePoint(s)
		f.options.Fallback = &p
		return err
	})
	fs.Usage = func() {
		sayf(stderr, "guichet import FORMAT FILE… [flags]     (FORMAT: %s)\nguichet import builtin [flags]          imports Guichet's own catalogue\n\n", formatNames())
		fs.PrintDefaults()
	}
	rest, err := parseMixed(fs, args)
	if err != nil {
		return nil, err
	}
	if f.parallel < 1 || f.parallel > 64 {
		return nil, fmt.Errorf("%w: --parallel %d is not 1 to 64", errUsage, f.parallel)
	}
	if len(rest) == 0 {
		fs.Usage()
		return nil, fmt.Errorf("%w: no format given", errUsage)
	}
	f.format = rest[0]
	switch known := slices.Contains(catalog.Formats(), f.format); {
	case f.format == builtinFormat && len(rest) > 1:
		return nil, fmt.Errorf("%w: builtin takes no files", errUsage)
	case f.format != builtinFormat && !known:
		return nil, fmt.Errorf("%w: %q is not one of builtin, %s", errUsage, f.format, formatNames())
	case known && len(rest) == 1:
		return nil, fmt.Errorf("%w: %s needs files", errUsage, f.format)
	}
	for _, path := range rest[1:] {
		f.files = append(f.files, catalog.File{Name: path, Open: func() (io.ReadCloser, error) {
			return os.Open(path) // the person says which
		}})
	}
	return f, nil
}

// read runs the reader of the chosen format.
func (f *importFlags) read(ctx context.Context, emit func(catalog.Row) error) (catalog.Summary, error) {
	if f.format == builtinFormat {
		return builtin.Read(ctx, f.options, emit)
	}
	return catalog.Read(ctx, f.format, f.files, f.options, emit)
}

// door is where events are brought in: a router, the regions behind it and the
// organizers who may sell there.
type door struct {
	client     *client.Client
	regions    []string
	organizers []client.Organizer
	homeRegion string
}

func newDoor(ctx context.Context, f *importFlags, creds town.Credentials) (*door, error) {
	d := &door{organizers: creds.Organizers, homeRegion: f.homeRegion}
	url := f.router
	if url == "" {
		url = creds.Router
	}
	d.client = client.New(url, client.WithTimeout(30*time.Second))
	if f.organizer != "" {
		d.organizers = slices.DeleteFunc(slices.Clone(creds.Organizers), func(o client.Organizer) bool {
			return o.ID != f.organizer && !strings.EqualFold(o.Name, f.organizer)
		})
	}
	d.organizers = slices.DeleteFunc(slices.Clone(d.organizers), func(o client.Organizer) bool { return o.APIKey == "" })
	if len(d.organizers) == 0 {
		return nil, fmt.Errorf("no organizer %q with a key in %s", f.organizer, f.credentials)
	}
	snapshot, _, err := d.client.Topology(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the regions: %w", err)
	}
	serving := map[string]bool{}
	for _, c := range snapshot.Cells {
		if c.State == "serving" {
			serving[c.Region] = true
		}
	}
	d.regions = slices.Sorted(maps.Keys(serving))
	if len(d.regions) == 0 {
		return nil, errors.New("no cell is serving")
	}
	if f.homeRegion != "" && !serving[f.homeRegion] {
		return nil, fmt.Errorf("%w: no cell serves in %q, but in %s", errUsage, f.homeRegion, strings.Join(d.regions, ", "))
	}
	return d, nil
}

// home is the region of an event: the caller's, or the nearest to its venue.
func (d *door) home(e client.NewEvent) string {
	if d.homeRegion != "" {
		return d.homeRegion
	}
	if l := e.Venue.Location; l != nil {
		if code, ok := geo.NearestRegion(geo.Point{Lat: l.Lat, Lon: l.Lon}, d.regions); ok {
			return code
		}
	}
	return d.regions[0]
}

// seller is the organizer of that region, or the first.
func (d *door) seller(region string) client.Organizer {
	for _, o := range d.organizers {
		if o.HomeRegion == region {
			return o
		}
	}
	return d.organizers[0]
}

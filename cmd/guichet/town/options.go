package town

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"guichet/control-plane/topology"
	"guichet/geo"
)

// Limits of a town: the addresses of its processes lie in rows of ten ports.
const (
	maxCells     = 9
	maxInstances = 8
)

// Database engines.
const (
	enginePostgres  = "postgres"
	engineCockroach = "cockroach"
)

// Options say which town to open.
type Options struct {
	Cells        []Cell
	State        string                     // directory for everything that is kept
	Port         int                        // of the router; the others follow from it, see ports; 0 finds a free range
	WAN          bool                       // add the measured round trips between the regions
	Fresh        bool                       // forget the state first
	Instances    int                        // processes of each cell
	Database     string                     // "postgres", "cockroach", "" takes cockroach when it is on the PATH
	Nodes        int                        // of each cell's CockroachDB: 1 or 3; 0 is as the state was made, else 1
	DatabaseURLs map[topology.CellID]string // databases that somebody else runs; controlPlaneDB for the control plane
	NoImport     bool
	Identity     string        // where people sign in: own, keycloak, none, or the URL of an issuer; empty is none
	Limits       bool          // refuse one address or buyer who asks too often, as in production
	ImportData   string        // directory of the shared data; "" looks beside the repository
	RestartAfter time.Duration // bring a dead process back after this long; 0 leaves it dead
	Programs     string        // directory of the programs cell, router, control-plane and guichet

	Import Importer // nil imports nothing
}

// controlPlaneDB stands for the control plane where a cell's database is named.
const controlPlaneDB topology.CellID = "control-plane"

// Cell is a cell to open and its region.
type Cell struct {
	ID     topology.CellID
	Region geo.Region
}

// Parse reads the flags of `guichet town`.
func Parse(args []string, stderr io.Writer) (Options, error) {
	o := Options{DatabaseURLs: map[topology.CellID]string{}}
	fs := flag.NewFlagSet("guichet town", flag.ContinueOnError)
	fs.SetOutput(stderr)
	cells := fs.String("cells", "euw3,use1,apn1", "the cells, by short code (euw3) or as name=region (euw3b=eu-west-3)")
	fs.StringVar(&o.State, "state", ".town", "directory for all that is kept")
	fs.IntVar(&o.Port, "ports", 8080, "port of the router; the others follow from it; 0 finds a free range")
	fs.BoolVar(&o.WAN, "wan", false, "add the measured round trips between the regions")
	fs.BoolVar(&o.Fresh, "fresh", false, "start over: forget the state first")
	fs.IntVar(&o.Instances, "instances", 1, "processes of each cell")
	fs.StringVar(&o.Database, "database", "", "postgres or cockroach (default: what the state was made with, else cockroach when it is on the PATH)")
	fs.IntVar(&o.Nodes, "nodes", 0, "nodes of each cell's CockroachDB, 1 or 3, each in a zone of its own (default: what the state was made with, else 1)")
	fs.Func("database-url", "`CELL=URL` of a database that somebody else runs; may be repeated, CELL may be control-plane", o.addDatabaseURL)
	fs.BoolVar(&o.Limits, "limits", false, "limit holds and orders by address and buyer, as in production; a bench from one machine would run into it")
	fs.StringVar(&o.Identity, "identity", identityOwn, "where people sign in: own (demo people, no passwords), keycloak, none, or the URL of an issuer")
	fs.BoolVar(&o.NoImport, "no-import", false, "leave the catalogue as it is")
	fs.StringVar(&o.ImportData, "import-data", "", "directory of the shared data (default: shared/data beside the repository)")
	fs.DurationVar(&o.RestartAfter, "restart-after", 15*time.Second, "bring a process that died back after this long; 0 leaves it dead")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	var err error
	if o.Cells, err = ParseCells(*cells); err != nil {
		return o, err
	}
	return o, o.validate()
}

func (o *Options) addDatabaseURL(s string) error {
	name, raw, ok := strings.Cut(s, "=")
	u, err := url.Parse(raw)
	if !ok || err != nil || u.Host == "" || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return errors.New("want CELL=postgres://…") // the URL may hold a password
	}
	o.DatabaseURLs[topology.CellID(name)] = raw
	return nil
}

// validate reports all faults at once and makes the paths absolute.
func (o *Options) validate() error {
	var faults []error
	if o.Instances < 1 || o.Instances > maxInstances {
		faults = append(faults, fmt.Errorf("--instances is %d, want 1 to %d", o.Instances, maxInstances))
	}
	if o.Port != 0 && (o.Port < 1024 || o.Port > maxBasePort) {
		faults = append(faults, fmt.Errorf("--ports is %d, want 1024 to %d", o.Port, maxBasePort))
	}
	if o.Database != "" && o.Database != enginePostgres && o.Database != engineCockroach {
		faults = append(faults, fmt.Errorf("--database is %q, want postgres or cockroach", o.Database))
	}
	if o.Nodes != 0 && o.Nodes != 1 && o.Nodes != mostNodes {
		faults = append(faults, fmt.Errorf("--nodes is %d, want 1 or %d", o.Nodes, mostNodes))
	}
	for name := range o.DatabaseURLs {
		if name != controlPlaneDB && !slices.ContainsFunc(o.Cells, func(c Cell) bool { return c.ID == name }) {
			faults = append(faults, fmt.Errorf("--database-url names %q, which is no cell of this town", name))
		}
	}
	if o.Identity != "" {
		faults = append(faults, parseIdentity(o.Identity))
	}
	if o.RestartAfter < 0 {
		faults = append(faults, errors.New("--restart-after is negative"))
	}
	state, err := filepath.Abs(o.State)
	if o.State == "" || err != nil {
		faults = append(faults, errors.New("--state is not a directory"))
	}
	o.State = state
	return errors.Join(faults...)
}

// ParseCells reads "euw3,use1,apn1=ap-northeast-1".
func ParseCells(list string) ([]Cell, error) {
	var cells []Cell
	for item := range strings.SplitSeq(list, ",") {
		name, code, named := strings.Cut(strings.TrimSpace(item), "=")
		id, err := topology.ParseCell(name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(cells, func(c Cell) bool { return c.ID == id }) {
			return nil, fmt.Errorf("cell %s is named twice", id)
		}
		if !named {
			if code, err = regionOf(id); err != nil {
				return nil, err
			}
		}
		region, ok := geo.RegionByCode(code)
		if !ok {
			return nil, fmt.Errorf("cell %s: %q is no known region", id, code)
		}
		cells = append(cells, Cell{ID: id, Region: region})
	}
	if len(cells) > maxCells {
		return nil, fmt.Errorf("%d cells are more than %d", len(cells), maxCells)
	}
	return cells, nil
}

// wellKnown are the cells whose names say their region by decree: by the rule
// alone "apn1" could be no region's.
var wellKnown = map[string]string{"euw3": "eu-west-3", "use1": "us-east-1", "apn1": "ap-northeast-1"}

var (
	regionPattern = regexp.MustCompile(`^([a-z]{2})-([a-z]+)-([0-9])$`)
	directions    = map[string]string{
		"north": "n", "south": "s", "east": "e", "west": "w", "central": "c",
		"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
	}
)

// regionOf finds the region whose short code begins the cell's name: "euc1" and
// "euc1b" are in eu-central-1.
func regionOf(id topology.CellID) (string, error) {
	short := strings.TrimRight(string(id), "abcdefghijklmnopqrstuvwxyz")
	if code, ok := wellKnown[short]; ok {
		return code, nil
	}
	for _, r := range geo.Regions() {
		m := regionPattern.FindStringSubmatch(r.Code)
		if m != nil && m[1]+directions[m[2]]+m[3] == short {
			return r.Code, nil
		}
	}
	return "", fmt.Errorf("cell %s: no region has this short code; say %s=REGION", id, id)
}

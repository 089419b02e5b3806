package floorplan

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "guichet/"
	root   = "../.."
)

// rooms is the floor plan, ground floor first. A room may always use the
// standard library and its own subpackages; the most specific line counts.
var rooms = []struct {
	name  string
	doors string // space-separated rooms it may import
	why   string
}{
	{"internal", "", "plumbing knows no rooms"},
	{"internal/kind", "", "an error's kind is below everything"},
	{"internal/txn", "", "a transaction is passed on by rooms that know no database"},
	{"internal/signed", "internal/kind", "a signed text knows no meaning"},
	{"internal/operator", "internal/signed internal/kind", "operators are known to all programs"},
	{"internal/issuer", "", "a stand-in for an issuer knows no room of ours"},
	{"internal/keycloak", "internal/child docs/identity", "what runs a third party's program knows no room of ours"},
	{"docs/identity", "", "a file that is read"},
	{"geo", "internal/kind", "geo is the ground floor"},

	{"control-plane/topology", "geo internal/kind", "the shared map is types and wire form only"},
	{"control-plane/topology/seal", "control-plane/topology internal/signed internal/kind", "what makes a map one to believe is known to all who read it"},
	{"control-plane/registry", "control-plane/topology geo internal/kind", "domain"},
	{"control-plane/placement", "control-plane/topology geo internal/kind", "domain"},
	{"control-plane", "control-plane geo internal", "the control plane knows places, never bookings"},

	{"cell/id", "control-plane/topology internal/kind", "an id carries the route and nothing else"},
	{"cell/money", "internal/kind", "money is arithmetic"},
	{"cell/access", "cell/id control-plane/topology internal/signed internal/operator internal/kind", "what a token admits to is decided without HTTP and without a database"},
	{"cell/identity", "cell/access control-plane/topology internal/signed internal/operator internal/kind", "who somebody is, without HTTP and without a database"},
	{"cell/walltime", "internal/kind", "clocks on walls are arithmetic"},
	{"cell/country", "", "a list of countries knows no rooms"},
	{"cell/legible", "", "characters know no rooms"},
	{"cell/mailaddr", "internal/kind", "an address is a text; who has it is another room's"},
	{"cell/account", "cell/access cell/id control-plane/topology internal/signed internal/kind internal/txn", "who is what at an organizer is decided without HTTP and without a database"},
	{"cell/audit", "internal/txn", "the log knows neither calls nor tables"},
	{"cell/client", "cell/money control-plane/topology internal/kind", "the wire contract of a cell"},
	{"cell/bus", "control-plane/topology internal/kind", "what is said on the bus, not how"},
	{"cell/booking", "cell/id cell/mailaddr cell/money cell/walltime cell/country cell/legible control-plane/topology internal/kind internal/txn", "the domain is pure"},
	{"cell/payment", "cell/id cell/money internal/kind", "the domain is pure"},
	{"cell/ticket", "cell/id cell/client control-plane/topology internal/kind", "a signature is proved without asking anybody"},
	{"cell/ticket/render", "cell/ticket cell/legible internal/kind", "paper shows what is given to it"},
	{"cell/ticket/render/pdf", "", "a format knows no rooms"},
	{"cell/notify", "cell/id cell/mailaddr cell/legible cell/money internal/kind internal/txn", "the mail room knows no orders: a composer brings the facts"},
	{"cell/search/cityname", "", "what cities are called is a table and needs nobody"},
	{"cell/search", "cell/search/cityname cell/bus cell/client cell/id cell/money control-plane/topology geo internal/kind", "a domain that answers in the wire's words"},
	{"cell/converge", "cell/search control-plane/topology internal", "cells compare what they publish, and decide nothing"},
	{"cell/catalog", "cell/client cell/money cell/walltime cell/country cell/legible geo internal/kind", "foreign formats become the wire's words"},
	{"cell/saga", "internal/kind internal/txn", "a saga runner knows no domain"},
	{"cell/checkout", "cell/legible cell/booking cell/payment cell/notify cell/saga cell/ticket cell/id cell/mailaddr cell/money control-plane/topology internal/kind internal/txn", "the only domain room that joins others"},

	{"cell/store", "cell/booking cell/payment cell/notify cell/saga cell/checkout cell/converge cell/search cell/bus cell/client cell/id cell/money control-plane/topology internal cell/ticket cell/access cell/account cell/audit", "SQL lives here and nowhere else"},
	{"cell/letter", "cell/access cell/booking cell/checkout cell/payment cell/notify cell/ticket cell/id cell/money internal/kind cell/account internal/txn", "what a mail tells is read from the rooms it tells about"},
	{"cell/smtp", "cell/mailaddr cell/notify internal/kind", "an adapter serves one room"},
	{"cell/smtp/sink", "", "the stand-in of a third party knows no room of ours"},
	{"cell/stripe", "cell/payment cell/money internal", "an adapter serves one room"},
	{"cell/stripe/sandbox", "cell/money internal", "the stand-in of a third party knows no room of ours"},
	{"cell/leaf", "cell/bus control-plane/topology internal", "the bus carries envelopes, not bookings"},
	{"cell/atlas", "control-plane/topology internal", "a cell's copy of the map"},
	{"cell/join", "control-plane/topology internal", "a cell tells the registry that it lives"},
	{"cell/api", "cell/access cell/walltime cell/booking cell/checkout cell/payment cell/notify cell/saga cell/letter cell/search cell/ticket cell/client cell/id cell/mailaddr cell/money control-plane/topology geo internal cell/account cell/audit", "HTTP talks to services, not to adapters"},

	{"cell/web", "cell/access cell/identity control-plane/topology internal", "pages talk to services, not to adapters"},
	{"cell/web/shop", "cell/access cell/client cell/money cell/ticket/ical cell/ticket/render control-plane/topology geo internal", "a page asks the cell's own calls in the wire's words, and knows no room behind them"},

	{"router/route", "control-plane/topology geo internal/kind", "routing is a pure decision"},
	{"router", "control-plane/topology cell/client geo internal", "the router knows where, never what"},
	{"chaos", "cell/client control-plane/topology geo internal", "a drill breaks a town from outside, as an operator would"},
	{"chaos/experiment", "", "how a drill is written down knows no town"},
	{"chaos/experiments", "", "files that are read"},
	{"chaos/runner", "chaos/experiment internal", "what breaks and undoes follows a file and knows no town"},
	{"chaos/load", "cell/client cell/money", "people come from outside and know what anybody may know"},
	{"chaos/report", "chaos/experiment chaos/load chaos/runner", "a page draws what was recorded"},
	{"cmd/guichet", "chaos cell control-plane router geo internal docs/identity", "the tool for people is the only program that drills"},
	{"cmd", "cell control-plane router geo internal", "wiring opens every door"},
}

// vendors are the modules that stay in the rooms that are there for them.
var vendors = []struct {
	names string // space-separated prefixes of import paths
	rooms string // space-separated rooms that may import them; none: tests only
	why   string
}{
	{"github.com/jackc/pgx database/sql", "cell/store control-plane/store internal/sqldb internal/pgserver internal/testdb cmd/guichet/town", "SQL lives in a store; elsewhere ask for the port"},
	{"github.com/cockroachdb/cockroach-go", "", "tests start a server with it; both engines have one loop, without its savepoints (docs/adr/015)"},
	{"github.com/gin-gonic/gin", "cell/api control-plane/api router internal/httpd", "gin stays where HTTP is spoken"},
	{"github.com/stripe/stripe-go", "cell/stripe", "money moves through payment.Processor"},
	{"github.com/coreos/go-oidc", "cell/identity/oidc", "people sign in through identity.Issuer"},
	{"golang.org/x/oauth2", "cell/identity/oidc cmd/guichet", "people sign in through identity.Issuer"},
	{"github.com/go-jose", "cell/identity/oidc internal/issuer", "people sign in through identity.Issuer"},
	{"github.com/zitadel", "internal/issuer", "the town's issuer is not shipped with a cell"},
	{"github.com/smallstep/pkcs7", "cell/ticket/wallet", "Apple's passes are one room's business"},
	{"github.com/wneessen/go-mail", "cell/smtp", "mails leave through notify.Courier"},
	{"github.com/nats-io", "cell/leaf control-plane/hub internal/natsd", "messages leave through the outbox"},
	{"github.com/goccy/go-yaml", "chaos/experiment", "experiments are written by people"},
	{"github.com/blevesearch", "cell/search/bleve", "search goes through search.Index"},
	{"github.com/teambition/rrule-go", "cell/walltime", "recurrence is reckoned on the wall, in one room"},
	{"github.com/oschwald/maxminddb-golang", "geo/mmdb", "where an address is, one room knows"},
	{"github.com/go-text/typesetting github.com/hajimehoshi/bitmapfont golang.org/x/image rsc.io/qr", "cell/ticket/render", "paper is one room's business"},
	{"github.com/a-h/templ", "cell/web/shop router/page", "pages are drawn by one library"},
	{"github.com/andybalholm/brotli", "cell/web/shop internal/httpd", "what is packed ahead, and what is packed while it is sent"},
	{"golang.org/x/net/idna", "cell/mailaddr", "names of domains are one room's business"},
	{"github.com/skip2/go-qrcode", "cmd/guichet", "a terminal shows a code in the demo alone; paper has its own"},
	{"github.com/stripe/stripe-mock github.com/cockroachdb/cockroachdb-parser github.com/getkin/kin-openapi github.com/makiuchi-d/gozxing github.com/anishathalye/porcupine github.com/santhosh-tekuri/jsonschema", "", "a judge of tests is not shipped"},
}

// pure rooms decide; they touch neither the network nor the machine nor the log.
const (
	pure       = "cell/id cell/mailaddr cell/money cell/walltime cell/country cell/legible cell/access cell/booking cell/payment cell/bus control-plane/topology control-plane/registry control-plane/placement router/route internal/kind cell/account cell/audit"
	unpure     = "log/slog os os/exec net"
	unpureWhy  = "the domain is pure: return the fact, the rim acts on it"
	fewestSeen = 150 // imports inside the module; a test that walks nothing must not pass
)

// lobby has a doc.go with the map and promises, and no code.
const lobby = "cell"

// noImport stands for the imports of a file without any.
const noImport = "(none)"

// edge is one import statement.
type edge struct{ file, from, to string }

func TestDoors(t *testing.T) {
	t.Parallel()
	inside := 0
	for _, e := range edges(t, false) {
		if strings.HasPrefix(e.to, module) {
			inside++
		}
		if complaint := complain(e); complaint != "" {
			t.Errorf("%s: %s", e.file, complaint)
		}
	}
	if inside < fewestSeen {
		t.Errorf("saw %d imports between rooms, fewer than the %d that are there", inside, fewestSeen)
	}
}

// A line about a room that is gone would let its name be used for anything.
func TestPlan_namesOnlyRoomsThatStand(t *testing.T) {
	t.Parallel()
	packages := map[string]bool{}
	for _, e := range edges(t, false) {
		packages[e.from] = true
	}
	stands := func(room string) bool {
		for p := range packages {
			if under(p, room) {
				return true
			}
		}
		return false
	}
	for _, r := range rooms {
		if !stands(r.name) {
			t.Errorf("room %s is in the plan but not in the house", r.name)
		}
	}
	for name := range strings.FieldsSeq(pure) {
		if !stands(name) {
			t.Errorf("pure room %s is not in the house", name)
		}
	}
}

// Whose work is in the programs, and under which licence, is said in one file.
func TestThirdParty_namesEveryModule(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "THIRD_PARTY.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, part := range strings.Split(string(text), "`") {
		if i%2 == 1 && strings.Contains(part, "/") { // between a pair of backquotes
			names = append(names, part)
		}
	}
	foreign := map[string]bool{}
	for _, e := range edges(t, true) {
		if first, _, _ := strings.Cut(e.to, "/"); strings.Contains(first, ".") {
			foreign[e.to] = true
			if !slices.ContainsFunc(names, func(name string) bool { return under(e.to, name) }) {
				t.Errorf("%s: %s is not in THIRD_PARTY.md", e.file, e.to)
			}
		}
	}
	if len(foreign) < 20 {
		t.Errorf("saw only %d foreign packages", len(foreign))
	}
}

// What only runs a town must not be in a program that serves people: an issuer that
// asks for no password least of all.
func TestPrograms_carryNoIssuer(t *testing.T) {
	t.Parallel()
	next := map[string][]string{}
	for _, e := range edges(t, false) {
		if to, local := strings.CutPrefix(e.to, module); local {
			next[e.from] = append(next[e.from], to)
		}
	}
	carries := func(program string) map[string]bool {
		seen, queue := map[string]bool{}, []string{program}
		for len(queue) > 0 {
			room := queue[0]
			queue = queue[1:]
			if !seen[room] {
				seen[room] = true
				queue = append(queue, next[room]...)
			}
		}
		return seen
	}
	for _, room := range []string{"internal/issuer", "internal/keycloak", "chaos/runner"} {
		for _, program := range []string{"cmd/cell", "cmd/router", "cmd/control-plane"} {
			if carries(program)[room] {
				t.Errorf("%s carries %s", program, room)
			}
		}
		if !carries("cmd/guichet")[room] {
			t.Errorf("cmd/guichet does not carry %s: this test sees nothing", room)
		}
	}
}

func TestComplain_catchesClosedDoors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		closed   bool
	}{
		{"cell/booking", "guichet/cell/store", true},
		{"cell/booking", "guichet/cell/payment", true},
		{"cell/booking", "guichet/cell/id", false},
		{"cell/booking", "guichet/internal/httpd", true},
		{"cell/booking", "github.com/jackc/pgx/v5", true},
		{"cell/booking", "os", true},
		{"cell", noImport, false},
		{"cell", "fmt", true},
		{"cell/attic", "guichet/cell/booking", true},
		{"cell/booking", "time", false},
		{"cell/store", "github.com/jackc/pgx/v5/pgconn", false},
		{"cell/store", "guichet/cell/api", true},
		{"cell/api", "guichet/cell/store", true},
		{"cell/search/bleve", "guichet/cell/search", false},
		{"cell/search", "github.com/blevesearch/bleve/v2", true},
		{"cell/stripe/sandbox", "guichet/cell/payment", true},
		{"cell/stripe/sandbox", "github.com/stripe/stripe-mock/server", true},
		{"control-plane/api", "guichet/cell/booking", true},
		{"control-plane/topology", "guichet/control-plane/registry", true},
		{"router/route", "guichet/router/health", true},
		{"router/proxy", "guichet/cell/booking", true},
		{"router/proxy", "guichet/cell/client", false},
		{"internal/httpd", "guichet/cell/client", true},
		{"internal/httpd", "guichet/internal/kind", false},
		{"internal/kind", "guichet/internal/httpd", true},
		{"chaos/world", "guichet/cell/client", false},
		{"chaos/world", "guichet/cmd/guichet/town", true},
		{"cmd/cell", "guichet/cell/store", false},
		{"attic", "fmt", true},
	} {
		if got := complain(edge{from: c.from, to: c.to}); (got != "") != c.closed {
			t.Errorf("%s → %s: %q", c.from, c.to, got)
		}
	}
}

// complain says what is wrong with an import; nothing means the door is open.
func complain(e edge) string {
	if e.from == lobby {
		if e.to == noImport {
			return ""
		}
		return lobby + " holds the map and no code"
	}
	room := -1
	for i, r := range rooms {
		if under(e.from, r.name) && (room < 0 || len(r.name) > len(rooms[room].name)) {
			room = i
		}
	}
	if room < 0 {
		return e.from + " is in no room of the plan; add it"
	}
	if to, local := strings.CutPrefix(e.to, module); local {
		if under(to, rooms[room].name) || anyOf(to, rooms[room].doors) {
			return ""
		}
		return fmt.Sprintf("%s must not import %s: %s", e.from, to, rooms[room].why)
	}
	if slices.Contains(strings.Fields(unpure), e.to) && anyOf(e.from, pure) {
		return fmt.Sprintf("%s must not import %s: %s", e.from, e.to, unpureWhy)
	}
	for _, v := range vendors {
		if anyOf(e.to, v.names) && !anyOf(e.from, v.rooms) && !under(e.from, "internal/deps") {
			return fmt.Sprintf("%s must not import %s: %s", e.from, e.to, v.why)
		}
	}
	return ""
}

// edges lists the imports of all Go files, of tests only when asked.
func edges(t *testing.T, tests bool) []edge {
	t.Helper()
	var found []edge
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "dist") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || !tests && strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		from := filepath.ToSlash(filepath.Dir(name))
		if len(file.Imports) == 0 {
			found = append(found, edge{name, from, noImport}) // so that the package is seen
		}
		for _, spec := range file.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found = append(found, edge{name, from, to})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func anyOf(pkg, list string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(name string) bool { return under(pkg, name) })
}

// under reports whether pkg is name or inside it.
func under(pkg, name string) bool {
	return pkg == name || strings.HasPrefix(pkg, name+"/")
}

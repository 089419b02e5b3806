package town

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/natsd"
)

// Names of the parts that serve the whole town.
const (
	nameSandbox      = "sandbox"
	nameMail         = "mail"
	nameControlPlane = "control-plane"
	nameRouter       = "router"
)

// webhookPath is where a cell takes the payment provider's events.
const webhookPath = "/v1/payments/stripe/webhook"

// add plans a part that listens on a port.
func (t *Town) add(p *part, port int) {
	t.parts = append(t.parts, p)
	t.needed = append(t.needed, portUser{port, p.name})
}

func (p *part) setCell(owner topology.CellID) {
	if owner != controlPlaneDB {
		p.cell = owner
	}
}

// addPrograms plans the sandbox, the mail sink, the control plane, the cells and the router.
func (t *Town) addPrograms() error {
	t.addSandbox()
	t.addMail()
	t.addIdentity()
	t.addControlPlane()
	for i, c := range t.opts.Cells {
		if err := t.state.seeds(c.ID); err != nil {
			return err
		}
		if err := t.state.nkey(c.ID); err != nil {
			return err
		}
		for instance := range t.opts.Instances {
			t.addCell(i, instance)
		}
	}
	t.addRouter()
	for _, p := range t.parts {
		if p.rank == rankDatabase {
			continue // makes its own, under another account
		}
		if err := os.MkdirAll(p.where, 0o755); err != nil {
			return fmt.Errorf("make the directory of %s: %w", p.name, err)
		}
	}
	return nil
}

// program makes a part's launch: the environment is put together at the start,
// when the databases are known.
func (t *Town) program(p *part, binary string, args []string, env func() map[string]string) {
	p.what = binary
	p.launch = func(context.Context) (running, error) {
		path := filepath.Join(t.opts.Programs, binary)
		return startProgram(path, args, t.environment(env()), t.state.path("log", p.name+".log"))
	}
}

func (t *Town) addSandbox() {
	p := &part{rank: rankSandbox, name: nameSandbox, url: httpURL(t.ports.sandbox()), where: t.state.path(nameSandbox)}
	args := []string{"sandbox", "--listen", local(t.ports.sandbox()), "--state", p.where}
	for _, c := range t.opts.Cells {
		// A payment provider has no certificate of ours, and knows not which process of a
		// cell is dead: it comes to the router.
		hook := httpURL(t.ports.router()) + webhookPath + "?cell=" + string(c.ID)
		args = append(args, "--account", string(c.ID)+"="+hook)
	}
	t.program(p, "guichet", args, func() map[string]string { return nil })
	t.add(p, t.ports.sandbox())
}

// addMail plans the sink that every cell's mails go to.
func (t *Town) addMail() {
	p := &part{rank: rankSandbox, name: nameMail, url: httpURL(t.ports.mail()), where: t.state.path(nameMail)}
	t.program(p, "guichet", []string{"mailbox", "--listen", local(t.ports.mail()), "--smtp", local(t.ports.smtp())}, func() map[string]string { return nil })
	t.add(p, t.ports.mail())
	t.needed = append(t.needed, portUser{t.ports.smtp(), nameMail + "'s SMTP"})
}

func (t *Town) addControlPlane() {
	p := &part{rank: rankControlPlane, name: nameControlPlane, url: httpsURL(t.ports.controlPlane()), private: httpURL(t.ports.controlPlanePrivate()), where: t.state.path(nameControlPlane)}
	t.program(p, "control-plane", nil, func() map[string]string {
		return t.as(controlPlanePeer, map[string]string{
			"GUICHET_LISTEN":          local(t.ports.controlPlane()),
			"GUICHET_PRIVATE_LISTEN":  local(t.ports.controlPlanePrivate()),
			"GUICHET_DATABASE_URL":    t.databases[controlPlaneDB].dsn,
			"GUICHET_STATE_DIR":       p.where,
			"GUICHET_HUB_LEAF_LISTEN": local(t.ports.hubLeaf()),
			"GUICHET_CELL_NKEYS":      t.publicNKeys(),
			"GUICHET_CONTROL_SEED":    t.state.record.ControlSeed,
		})
	})
	t.add(p, t.ports.controlPlane())
	t.needed = append(t.needed, portUser{t.ports.controlPlanePrivate(), "the control plane's private address"}, portUser{t.ports.hubLeaf(), "the hub's leaves"})
}

// publicNKeys are the cells' leaves that the hub lets in.
func (t *Town) publicNKeys() string {
	var pairs []string
	for _, c := range t.opts.Cells {
		if public, err := natsd.PublicNKey(t.state.record.NKeySeeds[c.ID]); err == nil { // we made it
			pairs = append(pairs, string(c.ID)+"="+public)
		}
	}
	return strings.Join(pairs, ",")
}

// cellName is "cell-euw3", and "cell-euw3-2" for the cell's second process.
func cellName(cell topology.CellID, instance int) string {
	if instance == 0 {
		return "cell-" + string(cell)
	}
	return "cell-" + string(cell) + "-" + strconv.Itoa(instance+1)
}

func (t *Town) addCell(i, instance int) {
	c := t.opts.Cells[i]
	port := t.ports.cell(i, instance)
	name := cellName(c.ID, instance)
	p := &part{rank: rankCell, name: name, cell: c.ID, url: httpsURL(port), private: httpURL(t.ports.cellPrivate(i, instance)), where: t.state.path(name)}
	t.program(p, "cell", nil, func() map[string]string {
		env := t.as(cellPeer(c), map[string]string{
			"GUICHET_CELL":                   string(c.ID),
			"GUICHET_REGION":                 c.Region.Code,
			"GUICHET_LISTEN":                 local(port),
			"GUICHET_PRIVATE_LISTEN":         local(t.ports.cellPrivate(i, instance)),
			"GUICHET_PUBLIC_URL":             p.url,
			"GUICHET_DATABASE_URL":           t.databases[c.ID].dsn,
			"GUICHET_STATE_DIR":              p.where,
			"GUICHET_LEAF":                   "off", // a cell has one leaf, its first process carries it
			"GUICHET_HUB_URL":                "nats-leaf://" + local(t.ports.hubLeaf()),
			"GUICHET_CONTROL_PLANE":          httpsURL(t.ports.controlPlane()),
			"GUICHET_JOIN_TOKEN":             t.invitations[c.ID], // empty when it has joined
			"GUICHET_STRIPE_URL":             httpURL(t.ports.sandbox()),
			"GUICHET_STRIPE_SECRET_KEY":      "sk_test_sandbox_" + string(c.ID),
			"GUICHET_STRIPE_PUBLISHABLE_KEY": "pk_test_sandbox_" + string(c.ID),
			"GUICHET_STRIPE_WEBHOOK_SECRET":  "whsec_sandbox_" + string(c.ID),
			"GUICHET_SIGNING_SEED":           t.state.record.SigningSeeds[c.ID],
			"GUICHET_ACCESS_SEED":            t.state.record.AccessSeeds[c.ID],
			"GUICHET_CONTROL_KEY":            t.state.controlPublic(),
			"GUICHET_SMTP_URL":               "smtp://" + local(t.ports.smtp()) + "?tls=off",
			"GUICHET_MAIL_FROM":              "Guichet <tickets@" + string(c.ID) + ".town.example>",
			"GUICHET_SITE_URL":               httpURL(t.ports.router()),
		})
		t.addIssuer(env)
		if !t.opts.Limits {
			env["GUICHET_LIMITS"] = "off" // everybody in a town has the same address
		}
		if instance == 0 {
			env["GUICHET_LEAF"] = "on"
		}
		env["GUICHET_NKEY_SEED"] = t.state.record.NKeySeeds[c.ID]
		return env
	})
	t.add(p, port)
	t.needed = append(t.needed, portUser{t.ports.cellPrivate(i, instance), name + "'s private address"})
}

func (t *Town) addRouter() {
	p := &part{rank: rankRouter, name: nameRouter, url: httpURL(t.ports.router()), private: httpURL(t.ports.routerPrivate()), where: t.state.path(nameRouter)}
	t.program(p, "router", nil, func() map[string]string {
		env := t.as(routerPeer, map[string]string{
			"GUICHET_LISTEN":          local(t.ports.router()),
			"GUICHET_PRIVATE_LISTEN":  local(t.ports.routerPrivate()),
			"GUICHET_OPERATOR_LISTEN": local(t.ports.routerOperator()),
			"GUICHET_CONTROL_KEY":     t.state.controlPublic(),
			"GUICHET_CONTROL_PLANE":   httpsURL(t.ports.controlPlane()),
			"GUICHET_CELLS":           t.bootstrap(),
			"GUICHET_STATE_DIR":       p.where,
			"GUICHET_DEFAULT_CELL":    string(t.opts.Cells[0].ID),
			"GUICHET_TRUST_NEAR":      "1",
			"GUICHET_ALLOW_FORCE":     "1", // drills ask a cell by name
		})
		if !t.opts.Limits {
			env["GUICHET_LIMITS"] = "off" // as at the cells
		}
		if t.opts.WAN {
			env["GUICHET_WAN"] = "1"
		}
		if file := t.geoIP(); file != "" {
			env["GUICHET_GEOIP_FILE"] = file
		}
		return env
	})
	t.add(p, t.ports.router())
	t.needed = append(t.needed, portUser{t.ports.routerPrivate(), "the router's private address"})
	t.needed = append(t.needed, portUser{t.ports.routerOperator(), "operators at the router"})
}

// geoIP is the file that the environment names, else one of the shared data.
func (t *Town) geoIP() string {
	if file := os.Getenv("GUICHET_GEOIP_FILE"); file != "" {
		return file
	}
	file := filepath.Join(t.dataDir(), "ip", "dbip-country.mmdb.gz")
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// bootstrap tells the router where to ask for the map when the control plane is
// away: every process of every cell.
func (t *Town) bootstrap() string {
	var urls []string
	for i, c := range t.opts.Cells {
		for instance := range t.opts.Instances {
			urls = append(urls, string(c.ID)+"="+httpsURL(t.ports.cell(i, instance)))
		}
	}
	return strings.Join(urls, ",")
}

// environment is ours with the additions on top. It is complete, so a process
// may be started again by hand with what /proc says of it.
func (t *Town) environment(additions map[string]string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, replaced := additions[name]
		return replaced
	})
	for name, value := range additions {
		env = append(env, name+"="+value)
	}
	if os.Getenv(drainNotice) == "" {
		env = append(env, drainNotice+"=1ms") // the router of a town asks its cells all the time
	}
	return env
}

// remember notes where a database's data lie, for the day they are to go.
func (s *state) remember(dir string) {
	if !slices.Contains(s.record.Databases, dir) {
		s.record.Databases = append(s.record.Databases, dir)
	}
}

// now is the supervisor's clock; it decides nothing that is kept.
func now() time.Time { return time.Now() }

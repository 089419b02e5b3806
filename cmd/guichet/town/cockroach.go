package town

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"guichet/control-plane/topology"
)

const (
	cockroachStart = 60 * time.Second // until a node answers
	mostNodes      = 3                // as many as a range has voters
)

// nodesFor says of how many nodes each cluster is. A state keeps the number it was made with: a
// single node has no others to join.
func nodesFor(engine string, asked, recorded int) (int, error) {
	switch {
	case engine != engineCockroach && asked > 1:
		return 0, errors.New("--nodes is CockroachDB's: say --database cockroach as well")
	case asked != 0 && recorded != 0 && asked != recorded:
		return 0, fmt.Errorf("the state was made with %d nodes for each cell; use --fresh to start over with %d", recorded, asked)
	case asked != 0:
		return asked, nil
	}
	return max(recorded, 1), nil
}

// node is one of a cell's database.
type node struct {
	name, dir string
	region    string
	number    int // from 1
	ports     []int
	http      string
}

// args start the node, on the loopback only. One that stands alone needs nobody to join.
func (n node) args() []string {
	args := []string{"start-single-node"}
	if len(n.ports) > 1 {
		var all []string
		for _, port := range n.ports {
			all = append(all, local(port))
		}
		args = []string{"start", "--join=" + strings.Join(all, ",")}
	}
	return append(args, "--insecure", "--store="+n.dir, "--listen-addr="+n.address(), "--http-addr="+n.http,
		"--locality=region="+n.region+",zone="+n.region+"abc"[n.number-1:n.number],
		"--cache=128MiB", "--max-sql-memory=128MiB", "--logtostderr=WARNING")
}

func (n node) address() string { return local(n.ports[n.number-1]) }

func (n node) url(database string) string {
	return "postgres://root@" + n.address() + "/" + database + "?sslmode=disable"
}

// addCockroach plans a cluster for one cell: a cluster per cell, so
// that no cell's database can take another's down (ADR 001). All nodes of a cell stand in its region, each in a
// zone of its own.
func (t *Town) addCockroach(db *database, i int) {
	db.what = "CockroachDB"
	ports := make([]int, t.opts.Nodes)
	hosts := make([]string, t.opts.Nodes)
	for n := range ports {
		ports[n] = t.ports.node(i, n)
		hosts[n] = local(ports[n])
	}
	dsn := "postgres://root@" + strings.Join(hosts, ",") + "/" + databaseName + "?sslmode=disable"
	for number := 1; number <= t.opts.Nodes; number++ {
		name := "cockroach-" + string(db.owner)
		own := node{region: t.regionFor(db.owner), number: number, ports: ports, http: local(t.ports.console(i))}
		if number > 1 {
			name += fmt.Sprintf("-%d", number)
			own.http = local(0) // any: the first node's console shows them all
		}
		own.name, own.dir = name, t.state.path("cockroach", strings.TrimPrefix(name, "cockroach-"))
		p := &part{rank: rankDatabase, name: name, where: own.dir, what: db.what}
		p.setCell(db.owner)
		p.launch = func(ctx context.Context) (running, error) {
			life, err := t.startNode(ctx, own)
			if err == nil {
				db.settle(dsn)
			}
			return life, err
		}
		t.add(p, ports[number-1])
	}
	t.needed = append(t.needed, portUser{t.ports.console(i), "the console of cockroach-" + string(db.owner)})
}

// regionFor is where an owner's nodes stand; the control plane's are in the first cell's.
func (t *Town) regionFor(owner topology.CellID) string {
	for _, c := range t.opts.Cells {
		if c.ID == owner {
			return c.Region.Code
		}
	}
	return t.opts.Cells[0].Region.Code
}

// startNode starts a node and waits until it answers. The first makes the cluster and the database.
func (t *Town) startNode(ctx context.Context, n node) (running, error) {
	path, err := exec.LookPath("cockroach")
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	life, err := startProgram(path, n.args(), t.environment(nil), t.state.path("log", n.name+".log"))
	if err != nil {
		return nil, err
	}
	if err := n.prepare(ctx, life, path); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
		defer cancel()
		return nil, errors.Join(err, life.Stop(stopCtx))
	}
	return life, nil
}

// prepare waits for the node, and makes the database. A cluster that was made already says so.
func (n node) prepare(ctx context.Context, life running, path string) error {
	ctx, cancel := context.WithTimeout(ctx, cockroachStart)
	defer cancel()
	statement := "SELECT 1"
	if n.number == 1 {
		statement = "CREATE DATABASE IF NOT EXISTS " + databaseName
	}
	for {
		if n.number == 1 && len(n.ports) > 1 {
			_ = exec.CommandContext(ctx, path, "init", "--insecure", "--host="+n.address()).Run() //nolint:gosec // the question below says whether it helped
		}
		err := execSQL(ctx, n.url("defaultdb"), statement)
		if err == nil {
			return nil
		}
		select {
		case <-life.Exited():
			return fmt.Errorf("cockroach ended at once: %s", life.LastWords(3))
		case <-ctx.Done():
			return fmt.Errorf("cockroach does not answer: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

package town

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/control-plane/topology"
	"guichet/internal/pgserver"
)

const (
	databaseName  = "guichet"
	databaseConns = 200 // per instance: several processes of a cell share it
)

// database is where a cell, or the control plane, keeps its rows.
type database struct {
	owner topology.CellID // or controlPlaneDB
	dsn   string          // known once it has been started; it does not change after
	what  string          // "PostgreSQL", "CockroachDB", "given by URL"
}

// settle notes the URL at the first start. Port and password stay the same in
// every later life, so whoever reads the URL by then needs no lock.
func (db *database) settle(dsn string) {
	if db.dsn == "" {
		db.dsn = dsn
	}
}

// engineFor decides which engine the town's own databases run on. A state that
// was made with one engine stays with it.
func engineFor(asked, recorded string) (string, error) {
	_, lookErr := exec.LookPath("cockroach")
	switch {
	case asked != "" && recorded != "" && asked != recorded:
		return "", fmt.Errorf("the state was made with %s; use --fresh to start over with %s", recorded, asked)
	case recorded != "":
		asked = recorded
	case asked == "" && lookErr == nil:
		asked = engineCockroach
	case asked == "":
		asked = enginePostgres
	}
	if asked == engineCockroach && lookErr != nil {
		return "", errors.New("the databases are CockroachDB's, but cockroach is not on the PATH: put the directory with the program cockroach there, or open a town on PostgreSQL (make run DATABASE=postgres FRESH=1); docs/cockroachdb.md says where it is to be had")
	}
	return asked, nil
}

// addDatabases plans a database for each cell and one for the control plane.
func (t *Town) addDatabases(ctx context.Context) error {
	engine, err := engineFor(t.opts.Database, t.state.record.Engine)
	if err != nil {
		return err
	}
	if t.opts.Nodes, err = nodesFor(engine, t.opts.Nodes, t.state.record.Nodes); err != nil {
		return err
	}
	owners := make([]topology.CellID, 0, len(t.opts.Cells)+1)
	for _, c := range t.opts.Cells {
		owners = append(owners, c.ID)
	}
	owners = append(owners, controlPlaneDB)
	t.databases = map[topology.CellID]*database{}
	own := 0
	for i, owner := range owners {
		db := &database{owner: owner}
		t.databases[owner] = db
		if url := t.opts.DatabaseURLs[owner]; url != "" {
			db.dsn, db.what = url, "given by URL"
			continue
		}
		own++
		if engine == engineCockroach {
			t.addCockroach(db, i)
			continue
		}
		if err := t.addPostgres(db, t.ports.database(i)); err != nil {
			return err
		}
	}
	if own > 0 && engine == enginePostgres {
		if t.pgBinaries, err = pgserver.Ensure(ctx, t.out.say); err != nil {
			return err
		}
	}
	t.state.record.Engine = engine
	if engine == engineCockroach {
		t.state.record.Nodes = t.opts.Nodes
	}
	return t.state.save()
}

func (t *Town) addPostgres(db *database, port int) error {
	db.what = "PostgreSQL"
	name := "postgres-" + string(db.owner)
	asked := t.state.path("postgres", string(db.owner))
	dir, err := pgserver.Place(asked)
	if err != nil {
		return err
	}
	if dir != asked {
		t.out.say("the account that runs PostgreSQL cannot reach " + asked + ": its data lie in " + dir)
	}
	t.state.remember(dir)
	p := &part{rank: rankDatabase, name: name, where: dir, what: db.what}
	p.setCell(db.owner)
	settings := pgserver.Sized(pgserver.Memory(), len(t.opts.Cells)+1) // and the control plane's
	settings["cluster_name"] = "guichet-" + string(db.owner)
	p.launch = func(ctx context.Context) (running, error) {
		log, err := openLog(t.state.path("log", name+".log"))
		if err != nil {
			return nil, err
		}
		server, err := pgserver.Start(ctx, pgserver.Config{
			Dir: asked, Port: port, TemplateDir: t.pgTemplate, MaxConnections: databaseConns, Log: log, Bin: t.pgBinaries,
			Settings: settings,
		})
		if err != nil {
			return nil, errors.Join(err, log.Close())
		}
		if err := server.CreateDatabase(ctx, databaseName); err != nil {
			return nil, errors.Join(err, server.Stop(context.WithoutCancel(ctx)), log.Close())
		}
		db.settle(server.DSN(databaseName))
		return server, nil
	}
	t.add(p, port)
	return nil
}

// preparePostgres makes the data directory that the instances are copied from,
// when one of them is still to be made.
func (t *Town) preparePostgres(ctx context.Context) error {
	if t.pgBinaries.Dir == "" {
		return nil
	}
	dir, err := pgserver.Template(ctx, pgserver.Config{Dir: t.state.path("postgres", "template"), Bin: t.pgBinaries})
	if err != nil {
		return fmt.Errorf("prepare PostgreSQL: %w", err)
	}
	t.pgTemplate = dir
	t.state.remember(dir)
	return t.state.save()
}

func execSQL(ctx context.Context, dsn, statement string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// versionOf asks a database what it is, for the table.
func versionOf(ctx context.Context, dsn string) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", fmt.Errorf("the database does not answer: %w", err)
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT split_part(version(), ' ', 1) || ' ' || split_part(version(), ' ', 2)").Scan(&version)
	return version, err
}

// describeDatabases says on what each cell keeps its rows.
func (t *Town) describeDatabases(ctx context.Context, w io.Writer) error {
	for _, c := range t.opts.Cells {
		db := t.databases[c.ID]
		version, err := versionOf(ctx, db.dsn)
		if err != nil {
			return fmt.Errorf("database of %s: %w", c.ID, err)
		}
		own := "an instance of its own"
		if db.what == "given by URL" {
			own = db.what
		}
		fmt.Fprintf(w, "  %s (%s) keeps its rows in %s, %s\n", c.ID, c.Region.City, version, own)
	}
	return nil
}

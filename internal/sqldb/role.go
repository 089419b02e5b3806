package sqldb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Names cannot be parameters. These stand in the statements below, so that each
// is a whole statement, and are replaced by quoted names.
const (
	createRole    = `CREATE ROLE the_role NOLOGIN`
	joinRole      = `GRANT the_role TO CURRENT_USER`
	setRole       = `SET ROLE the_role`
	resetRole     = `RESET ROLE`
	useSchema     = `GRANT USAGE ON SCHEMA the_schema TO the_role`
	grantLater    = `ALTER DEFAULT PRIVILEGES IN SCHEMA the_schema GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO the_role`
	grantTable    = `GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE the_schema.the_table TO the_role`
	grantAppend   = `GRANT SELECT, INSERT ON TABLE the_schema.the_table TO the_role`
	revokeChanges = `REVOKE UPDATE, DELETE ON TABLE the_schema.the_table FROM the_role`

	selectRole   = `SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = $1`
	selectRights = `SELECT t.table_schema, t.table_name,
		count(*) FILTER (WHERE p.privilege_type = 'SELECT') > 0, count(*) FILTER (WHERE p.privilege_type = 'INSERT') > 0,
		count(*) FILTER (WHERE p.privilege_type = 'UPDATE') > 0, count(*) FILTER (WHERE p.privilege_type = 'DELETE') > 0
		FROM information_schema.tables AS t LEFT JOIN information_schema.table_privileges AS p
			ON p.table_schema = t.table_schema AND p.table_name = t.table_name AND p.grantee = $1
		WHERE t.table_type = 'BASE TABLE' AND t.table_schema NOT IN ('public', 'pg_catalog', 'information_schema', 'pg_extension', 'crdb_internal')
		GROUP BY t.table_schema, t.table_name ORDER BY t.table_schema, t.table_name`
)

// A role that is not known yet (42704) is asked for again this often.
const (
	roleAttempts = 20
	rolePause    = 100 * time.Millisecond
)

// Role is whom a program's sessions work as, so that the database itself refuses
// what the program must never do. It owns nothing and cannot log in.
type Role struct {
	Name string
	// AppendOnly are the tables ("schema.table") of which rows are read and added,
	// never changed or deleted. The other tables outside of public are all its own.
	AppendOnly []string
}

// As lets the pool's sessions work as a role from the start; see Confine. The
// empty name changes nothing.
func As(role string) Option {
	return func(db *DB, _ *pgxpool.Config) {
		if role != "" {
			db.role.Store(&role)
		}
	}
}

// assumeRole is asked for each new session.
func (db *DB) assumeRole(ctx context.Context, conn *pgx.Conn) error {
	if role := db.Confined(); role != "" {
		return assume(ctx, conn, role)
	}
	return nil
}

// Confined is the role that the pool's sessions take on, "" when they work as
// whoever the URL names.
func (db *DB) Confined() string {
	if role := db.role.Load(); role != nil {
		return *role
	}
	return ""
}

// Confine makes the role and gives it its rights, as the user of the URL, who
// owns the tables; from then on every session of the pool works as the role. Call
// it after each Migrate: new tables get their rights here. When it fails nothing
// changes for the pool. An owner who may not make roles is an error here, and a
// reason to go on all the same (docs/database-role.md).
func (db *DB) Confine(ctx context.Context, role Role) error {
	ctx, cancel := context.WithTimeout(ctx, migrationLimit)
	defer cancel()
	err := db.locked(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		for attempt := 1; ; attempt++ {
			// A role that another database's cell made a moment ago is not known on every node of
			// a CockroachDB yet.
			err := giveRights(ctx, conn, role)
			if SQLState(err) != "42704" || attempt == roleAttempts || !pause(ctx, rolePause) {
				return err
			}
		}
	})
	if err != nil {
		return fmt.Errorf("confine to %s: %w", role.Name, Classify(err))
	}
	db.role.Store(&role.Name)
	for _, p := range db.pools() {
		p.Reset() // sessions that were opened before end when they are given back
	}
	return nil
}

func giveRights(ctx context.Context, conn *pgx.Conn, role Role) error {
	if err := ensureRole(ctx, conn, role.Name); err != nil {
		return err
	}
	statements, err := missingRights(ctx, conn, role)
	if err != nil {
		return err
	}
	return runAll(ctx, conn, statements)
}

// AsOwner is InTx, in a transaction of its own, for the few things that the pool's role may not do: it runs as the user
// of the URL, who owns the tables. The session takes the role on again before anybody
// else gets it, or ends.
func (db *DB) AsOwner(ctx context.Context, fn func(ctx context.Context, q Querier) error) error {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return Classify(err)
	}
	defer conn.Release()
	role := db.Confined()
	if role != "" {
		statement := name(resetRole, role, "", "")
		if _, err := conn.Exec(ctx, statement); err != nil {
			return Classify(err)
		}
		defer func() {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if assume(clean, conn.Conn(), role) != nil {
				_ = conn.Conn().Close(clean) // the pool gives a closed session to nobody
			}
		}()
	}
	return repeat(ctx, func() error {
		return once(ctx, conn.Conn(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error { return fn(ctx, tx) })
	}, nil)
}

// name puts quoted names into a statement.
func name(statement, role, schema, table string) string {
	return strings.NewReplacer("the_role", pgx.Identifier{role}.Sanitize(), "the_schema", pgx.Identifier{schema}.Sanitize(),
		"the_table", pgx.Identifier{table}.Sanitize()).Replace(statement)
}

func assume(ctx context.Context, conn *pgx.Conn, role string) error {
	statement := name(setRole, role, "", "")
	_, err := conn.Exec(ctx, statement)
	return err
}

// ensureRole makes the role when it is not there, and the session's user one who
// may take it on.
func ensureRole(ctx context.Context, conn *pgx.Conn, role string) error {
	var there string
	err := conn.QueryRow(ctx, selectRole, role).Scan(&there)
	if errors.Is(err, pgx.ErrNoRows) {
		statement := name(createRole, role, "", "")
		_, err = conn.Exec(ctx, statement)
		// Roles are the server's: another database's cell may be quicker.
		if code := SQLState(err); code == "42710" || code == "23505" {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("make the role: %w", err)
	}
	if err = assume(ctx, conn, role); SQLState(err) == "42501" {
		statement := name(joinRole, role, "", "")
		if _, err = conn.Exec(ctx, statement); err == nil {
			err = assume(ctx, conn, role)
		}
	}
	if err == nil {
		_, err = conn.Exec(ctx, resetRole)
	}
	if err != nil {
		return fmt.Errorf("take the role on: %w", err)
	}
	return nil
}

// rights are what a role may do with a table.
type rights struct {
	schema, table               string
	read, add, change, withdraw bool
}

// missing are the statements after which the rights are what they should be.
func (r rights) missing(appendOnly bool) (statements []string) {
	if !r.read || !r.add || !appendOnly && (!r.change || !r.withdraw) {
		if statements = append(statements, useSchema, grantLater); appendOnly {
			statements = append(statements, grantAppend)
		} else {
			statements = append(statements, grantTable)
		}
	}
	if appendOnly { // also what it has by the schema's default
		if r.change || r.withdraw || len(statements) > 0 {
			statements = append(statements, revokeChanges)
		}
	}
	return statements
}

// missingRights are the statements after which the role has its rights and no
// others; none when it has. What stands is left alone: on CockroachDB each GRANT
// is a job.
func missingRights(ctx context.Context, conn *pgx.Conn, role Role) (statements []string, err error) {
	rows, err := conn.Query(ctx, selectRights, role.Name)
	if err != nil {
		return nil, fmt.Errorf("list rights: %w", err)
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r rights, err error) {
		return r, row.Scan(&r.schema, &r.table, &r.read, &r.add, &r.change, &r.withdraw)
	})
	if err != nil {
		return nil, fmt.Errorf("list rights: %w", err)
	}
	found := 0
	for _, t := range tables {
		appendOnly := slices.Contains(role.AppendOnly, t.schema+"."+t.table)
		if appendOnly {
			found++
		}
		for _, statement := range t.missing(appendOnly) {
			named := name(statement, role.Name, t.schema, t.table)
			if !slices.Contains(statements, named) { // a schema's are said once
				statements = append(statements, named)
			}
		}
	}
	if found != len(role.AppendOnly) {
		return nil, fmt.Errorf("only %d of the tables %v are there", found, role.AppendOnly)
	}
	return statements, nil
}

// runAll gives all rights at once where that is possible: nobody sees a table
// between its GRANT and its REVOKE.
func runAll(ctx context.Context, conn *pgx.Conn, statements []string) error {
	run := func(q Querier) error {
		for _, statement := range statements {
			if _, err := q.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}
	if len(statements) == 0 {
		return nil
	}
	if onCockroach(conn) {
		return changeAtOnce(ctx, conn, run)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return run(tx) })
}

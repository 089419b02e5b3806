// Package overlay is what only CockroachDB has, laid over a schema that both engines
// share: the regions in which a database's rows live and the proof that they do,
// tables that are read everywhere, and rows that end by their age. On PostgreSQL it does nothing. It knows
// no tables of its own; a store names those that it means.
//
// Its statements are not the subset that both engines read alike. internal/sqlgrammar holds them to a
// list of their own.
package overlay

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"guichet/internal/kind"
	"guichet/internal/sqldb"
)

// ErrNoLocality means that the cluster's nodes do not say where they stand, or none stands in the region.
var ErrNoLocality = kind.Unavailable.New("no_locality")

// Names cannot be parameters. These stand in the statements, so that each is a
// whole statement, and are replaced by quoted names.
const (
	showDatabase  = `SELECT create_statement FROM [SHOW CREATE DATABASE the_database]`
	showRegions   = `SELECT region FROM [SHOW REGIONS FROM CLUSTER] ORDER BY region`
	selectName    = `SELECT current_database()`
	selectGateway = `SELECT coalesce(gateway_region(), '')`

	allowPlacement = `SET enable_multiregion_placement_policy = on`
	setPrimary     = `ALTER DATABASE the_database SET PRIMARY REGION the_region`
	surviveZone    = `ALTER DATABASE the_database SURVIVE ZONE FAILURE`
	restrict       = `ALTER DATABASE the_database PLACEMENT RESTRICTED`
	addRegion      = `ALTER DATABASE the_database ADD REGION IF NOT EXISTS the_region`

	unlockTable = `ALTER TABLE the_table SET (schema_locked = false)`
	lockTable   = `ALTER TABLE the_table SET (schema_locked = true)`
	showTable   = `SELECT create_statement FROM [SHOW CREATE TABLE the_table]`
	makeGlobal  = `ALTER TABLE the_table SET LOCALITY GLOBAL`
)

// session is what the overlay asks of a database.
type session interface {
	exec(ctx context.Context, sql string, args ...any) error
	// texts are the rows of a query of one text.
	texts(ctx context.Context, sql string, args ...any) ([]string, error)
	ranges(ctx context.Context, sql string) ([]Range, error)
}

// over is a session on a real database.
type over struct{ q sqldb.Querier }

func (o over) exec(ctx context.Context, sql string, args ...any) error {
	if _, err := o.q.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

func (o over) texts(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, err := o.q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	return out, nil
}

// text is the one answer of a query; none is "".
func text(ctx context.Context, s session, sql string, args ...any) (string, error) {
	all, err := s.texts(ctx, sql, args...)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0], nil
}

// named puts quoted names into a statement. A table is "schema.table".
func named(statement, database, region, table string) string {
	schema, plain, _ := strings.Cut(table, ".")
	return strings.NewReplacer("the_database", pgx.Identifier{database}.Sanitize(), "the_region", pgx.Identifier{region}.Sanitize(),
		"the_table", pgx.Identifier{schema, plain}.Sanitize()).Replace(statement)
}

// Settle makes region the only place where the database's rows may be: its primary
// region, surviving the loss of a zone, with no replica elsewhere (PLACEMENT
// RESTRICTED). A database that has rows is converted, in seconds; every table becomes one of the primary
// region. What stands is left alone. Where the nodes do not name the region it is
// ErrNoLocality, and nothing is changed. It does nothing on PostgreSQL.
func Settle(ctx context.Context, db *sqldb.DB, region string) error {
	return db.Alone(ctx, func(ctx context.Context, engine sqldb.Engine, q sqldb.Querier) error {
		if engine != sqldb.CockroachDB {
			return nil
		}
		return settle(ctx, over{q}, region)
	})
}

func settle(ctx context.Context, s session, region string) error {
	regions, err := s.texts(ctx, showRegions)
	if err != nil {
		return err
	}
	if !slices.Contains(regions, region) {
		return missing(region, regions)
	}
	database, err := text(ctx, s, selectName)
	if err != nil {
		return err
	}
	is, err := text(ctx, s, named(showDatabase, database, "", ""))
	if err != nil {
		return err
	}
	if err := s.exec(ctx, allowPlacement); err != nil {
		return err
	}
	for _, step := range []struct{ has, statement string }{
		{"PRIMARY REGION = " + pgx.Identifier{region}.Sanitize(), setPrimary},
		{"SURVIVE ZONE FAILURE", surviveZone},
		{"PLACEMENT RESTRICTED", restrict},
	} {
		if !strings.Contains(is, step.has) {
			if err := s.exec(ctx, named(step.statement, database, region, "")); err != nil {
				return err
			}
		}
	}
	return nil
}

func missing(region string, regions []string) error {
	if len(regions) == 0 {
		return ErrNoLocality.With("no node of the database's cluster says where it stands; start them with --locality=region=%s,zone=…", region)
	}
	return ErrNoLocality.With("no node of the database's cluster stands in %s, but in %s", region, strings.Join(regions, ", "))
}

// Everywhere lets the tables be read in every region of the cluster without a journey,
// which makes a write to one take most of a second: for what is read everywhere and written
// rarely, in a database of its own. Its primary region is the one that was asked first. Without
// localities it is ErrNoLocality, and nothing is changed; on PostgreSQL it does nothing.
func Everywhere(ctx context.Context, db *sqldb.DB, tables ...string) error {
	return db.Alone(ctx, func(ctx context.Context, engine sqldb.Engine, q sqldb.Querier) error {
		if engine != sqldb.CockroachDB {
			return nil
		}
		return everywhere(ctx, over{q}, tables)
	})
}

func everywhere(ctx context.Context, s session, tables []string) error {
	regions, err := s.texts(ctx, showRegions)
	if err != nil {
		return err
	}
	if len(regions) == 0 {
		return ErrNoLocality.With("no node of the database's cluster says where it stands")
	}
	database, err := text(ctx, s, selectName)
	if err != nil {
		return err
	}
	is, err := text(ctx, s, named(showDatabase, database, "", ""))
	if err != nil {
		return err
	}
	if !strings.Contains(is, "PRIMARY REGION = ") {
		home, err := text(ctx, s, selectGateway)
		if err != nil {
			return err
		}
		if home == "" || !slices.Contains(regions, home) {
			return ErrNoLocality.With("the node that was asked does not say where it stands")
		}
		if err := s.exec(ctx, named(setPrimary, database, home, "")); err != nil {
			return err
		}
		is += " " + pgx.Identifier{home}.Sanitize()
	}
	for _, region := range regions {
		if !strings.Contains(is, pgx.Identifier{region}.Sanitize()) {
			if err := s.exec(ctx, named(addRegion, database, region, "")); err != nil {
				return err
			}
		}
	}
	for _, table := range tables {
		is, err := text(ctx, s, named(showTable, "", "", table))
		if err != nil {
			return err
		}
		if strings.Contains(is, "LOCALITY GLOBAL") {
			continue
		}
		// A table's locality is changed only while its schema is unlocked.
		for _, statement := range []string{unlockTable, makeGlobal, lockTable} {
			if err := s.exec(ctx, named(statement, "", "", table)); err != nil {
				return err
			}
		}
	}
	return nil
}

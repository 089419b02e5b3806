// Package store is the cell's SQL and nothing else: one file per schema
// (booking, payment, checkout, bus, search, identity), statements beside their scans. It
// decides nothing; it turns rows into the domain's words, constraint violations
// and SQLSTATEs into kinds. The statements are the subset that CockroachDB and
// PostgreSQL share (internal/sqlgrammar holds them to it).
package store

import (
	"context"
	"embed"
	"io/fs"
	"sync/atomic"

	"guichet/cell/booking"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is one cell's database.
type Store struct {
	DB   *sqldb.DB
	Cell topology.CellID
	// Announce makes the catalogue message of an event that the public may see;
	// nil in tests that need no bus.
	Announce func(e booking.Event) ([]byte, error)

	inFlight  keysInFlight
	described descriptions
	expires   atomic.Bool // the database ends rows by their age; see Expire
}

// New wraps a cell's database.
func New(db *sqldb.DB, cell topology.CellID) *Store { return &Store{DB: db, Cell: cell} }

// Migrate brings the schema up to date.
func (s *Store) Migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return s.DB.Migrate(ctx, dir)
}

// AppRole is whom a cell's sessions work as. To it the two ledgers and the audit log are INSERT-only:
// whatever the code above does wrong, what they tell stays told.
const AppRole = "guichet_app"

// Confine gives the cell's sessions AppRole; see sqldb. Call it after Migrate.
func (s *Store) Confine(ctx context.Context) error {
	return s.DB.Confine(ctx, sqldb.Role{Name: AppRole, AppendOnly: []string{"booking.ledger", "payment.posting", "audit.entry"}})
}

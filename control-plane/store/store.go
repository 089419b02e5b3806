// Package store is the control plane's SQL and nothing else: one file per schema
// (registry, placement). It decides nothing. The statements are the subset that
// CockroachDB and PostgreSQL share.
package store

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"guichet/internal/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the control plane's database.
type Store struct {
	DB  *sqldb.DB
	Now func() time.Time // nil is the machine's clock
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now() //nolint:forbidigo // only whether a revocation is past its end
}

// Migrate brings the schema up to date.
func (s *Store) Migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return s.DB.Migrate(ctx, dir)
}

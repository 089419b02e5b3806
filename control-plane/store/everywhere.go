package store

import (
	"context"

	"guichet/internal/sqldb/overlay"
)

// global are the tables that are read everywhere and written rarely. A write to one takes
// most of a second over a wide area, and nothing of a sale waits for it. The
// cells' beats and the log of operations stay in the primary region.
var global = []string{"registry.map", "registry.cell", "placement.event"}

// Everywhere lets what the town reads be read in each region without a journey, where the
// engine can. Call it after Migrate; see overlay.Everywhere.
func (s *Store) Everywhere(ctx context.Context) error {
	return overlay.Everywhere(ctx, s.DB, global...)
}

package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// migrateBefore0016 is the schema as it was when an event's own row carried where its stock stands.
func migrateBefore0016(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "test")
	if err != nil {
		return err
	}
	defer db.Close()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		return err
	}
	old := fstest.MapFS{}
	for _, file := range files {
		if filepath.Base(file) < "0016" {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			old[filepath.Base(file)] = &fstest.MapFile{Data: text}
		}
	}
	return db.Migrate(ctx, old)
}

func TestMigrations_takeWhereAStockStandsToItsFirstQuota(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, migrateBefore0016)
	db, err := sqldb.Open(t.Context(), dsn, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	for _, sql := range []string{
		`INSERT INTO booking.organizer (organizer_id, name, home_region, key_hash) VALUES ('o', 'o', 'r', 'h')`,
		`INSERT INTO booking.event (event_id, organizer_id, name, summary, category, venue, starts_at, time_zone, currency, state, version, epoch, placement, ledger_next, ledger_hash, stock_version, stock_changed_at)
			VALUES ('e', 'o', 'e', '', '', '{}', now(), 'UTC', 'EUR', 'published', 3, 1, 'serving', 7, 'abc', 5, '2026-01-02T03:04:05Z')`,
		`INSERT INTO booking.quota (quota_id, event_id, position, name, size) VALUES ('second', 'e', 1, 'a', 10), ('first', 'e', 0, 'b', 10)`,
	} {
		if _, err := db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := migrateSearch(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	var first, second string
	const where = `SELECT concat_ws(' ', ledger_next, ledger_hash, stock_version, extract(epoch FROM stock_changed_at)::bigint) FROM booking.quota WHERE quota_id = $1`
	for id, into := range map[string]*string{"first": &first, "second": &second} {
		if err := db.Pool.QueryRow(t.Context(), where, id).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	if first != "7 abc 5 1767323045" || second != "" {
		t.Errorf("the first quota carries %q, the second %q", first, second)
	}
}

package sqldb_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sync/errgroup"

	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

func files(pairs ...string) fstest.MapFS {
	dir := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		dir[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return dir
}

func TestMigrate_byFourProcessesAtOnceAppliesEachStatementOnce(t *testing.T) {
	t.Parallel()
	// Nothing here may run twice; the pause makes the others lose patience with the lock.
	dir := files("0001.sql", "CREATE TABLE log (line text);\nSELECT pg_sleep(0.2);\nINSERT INTO log VALUES ('one');\n",
		"0002.sql", "CREATE INDEX log_line ON log (line);\nINSERT INTO log VALUES ('two');\n", "notes.txt", "not SQL")
	dsn := with(t, testdb.New(t, nil), "lock_timeout", "20")
	group, ctx := errgroup.WithContext(bounded(t))
	for range 4 {
		db := open(t, dsn, sqldb.MaxConns(1)) // small pools must do
		group.Go(func() error { return db.Migrate(ctx, dir) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	db := open(t, dsn)
	if n := number(t, db, `SELECT count(*) FROM log`); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
	if n := number(t, db, `SELECT count(*) FROM public.guichet_migration WHERE file <> 'lock'`); n != 5 {
		t.Errorf("%d statements are remembered, want 5", n)
	}
}

func TestMigrate_thatWasKilledGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, nil)
	db, other, ctx := open(t, with(t, dsn, "lock_timeout", "0")), open(t, dsn), bounded(t)
	dir := files("0001.sql", "CREATE TABLE log (line text);\nINSERT INTO log VALUES ('one');\nALTER TABLE busy ADD COLUMN more text;\nINSERT INTO log VALUES ('two');")
	if _, err := other.Pool.Exec(ctx, `CREATE TABLE busy (id text)`); err != nil {
		t.Fatal(err)
	}
	// Somebody else's lock stops the third statement, and there it dies.
	tx, err := other.Pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if _, err := tx.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `LOCK TABLE busy`); err != nil {
		t.Fatal(err)
	}
	migrated := make(chan error, 1)
	go func() { migrated <- db.Migrate(ctx, dir) }()
	const waiting = `FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE busy%'`
	poll(t, "the migration to meet the lock", func() bool { return number(t, other, `SELECT count(*) `+waiting) == 1 })
	if n := number(t, other, `SELECT count(pg_terminate_backend(pid)) `+waiting); n != 1 {
		t.Fatal("there was nothing to kill")
	}
	if err := <-migrated; kind.Of(err) != kind.Unavailable {
		t.Fatalf("the killed migration says %v, want unavailable", err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if n := number(t, db, `SELECT count(*) FROM log`); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
}

func TestMigrate_namesABrokenStatementAndResumesWithTheRepairedFile(t *testing.T) {
	t.Parallel()
	db, ctx := open(t, testdb.New(t, nil)), bounded(t)
	broken := files("0001.sql", "CREATE TABLE log (line text);", "0002.sql", "INSERT INTO log VALUES ('one');\nINSERT INTO nowhere VALUES (1);\nINSERT INTO log VALUES ('two');")
	err := db.Migrate(ctx, broken)
	if err == nil || !strings.Contains(err.Error(), "0002.sql statement 2") || !strings.Contains(err.Error(), "nowhere") {
		t.Fatalf("got %v, want the file, the statement and the reason", err)
	}
	broken["0002.sql"] = &fstest.MapFile{Data: []byte("INSERT INTO log VALUES ('one');\nINSERT INTO log VALUES ('repaired');\nINSERT INTO log VALUES ('two');")}
	for range 2 { // the second run finds nothing to do
		if err := db.Migrate(ctx, broken); err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, `SELECT count(*) FROM log`); n != 3 {
			t.Errorf("%d lines, want 3", n)
		}
	}
}

func TestMigrate_forgetsAStatementTogetherWithItsEffect(t *testing.T) {
	t.Parallel()
	db, ctx := open(t, testdb.New(t, nil)), bounded(t)
	// The statement takes the place where it is to be remembered: remembering fails.
	dir := files("0001.sql", "CREATE TABLE log (line text);\nWITH spoil AS (INSERT INTO public.guichet_migration (file, statement) VALUES ('0001.sql', 1)) INSERT INTO log VALUES ('one');")
	if err := db.Migrate(ctx, dir); !sqldb.Violates(err, "guichet_migration_pkey") {
		t.Fatalf("got %v, want the memory to fail", err)
	}
	if n := number(t, db, `SELECT count(*) FROM log`); n != 0 {
		t.Error("the effect stayed without its memory: the next run would repeat it")
	}
}

func TestMigrate_givesAStatementTheTimeItNeeds(t *testing.T) {
	t.Parallel()
	db := open(t, with(t, testdb.New(t, nil), "statement_timeout", "50"))
	if err := db.Migrate(bounded(t), files("0001.sql", "SELECT pg_sleep(0.2);")); err != nil {
		t.Error(err)
	}
}

func TestMigrate_withoutFilesIsAMistake(t *testing.T) {
	t.Parallel()
	if err := open(t, testdb.New(t, nil)).Migrate(bounded(t), files("README.md", "nothing")); err == nil {
		t.Error("an empty directory passed for a migrated database")
	}
}

func TestSplitStatements_endsAtSemicolonsThatEndLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                                    nil,
		"-- nothing\n\n":                      nil,
		";\n ;\n":                             nil,
		"SELECT 1":                            {"SELECT 1"},
		"SELECT 1;":                           {"SELECT 1"},
		"SELECT 1;\r\nSELECT 2;\r\n":          {"SELECT 1", "SELECT 2"},
		"SELECT ';' AS a,\n\t2;\nTABLE x":     {"SELECT ';' AS a,\n\t2", "TABLE x"},
		"-- one\nSELECT\n\n  -- two;\n1\n;\n": {"SELECT\n1"},
	} {
		if got := sqldb.SplitStatements(text); !slices.Equal(got, want) {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

package sqlgrammar

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/cockroach-go/v2/testserver"
	"github.com/jackc/pgx/v5"

	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

var update = flag.Bool("update", false, "write the golden file of the statements' types anew")

const typesGolden = "testdata/types.golden"

// prepared are the rooms whose statements run on tables of migrations.
var prepared = []string{"cell/store", "control-plane/store"}

// migrateRooms makes all tables in one database; the rooms' schemas differ.
func migrateRooms(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "test")
	if err != nil {
		return err
	}
	defer db.Close()
	for _, room := range prepared {
		if err := db.Migrate(ctx, os.DirFS(filepath.Join(root, room, "migrations"))); err != nil {
			return err
		}
	}
	return nil
}

// typesOf prepares every statement and says, one a line, what it takes and gives.
func typesOf(t *testing.T, dsn string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	name := func(oid uint32) string {
		if known, ok := conn.TypeMap().TypeForOID(oid); ok {
			return known.Name
		}
		return fmt.Sprint(oid)
	}
	var lines []string
	for _, room := range prepared {
		found, _ := inDir(t, room)
		for _, s := range found {
			told, err := conn.PgConn().Prepare(t.Context(), "", s.text, nil)
			if err != nil {
				t.Errorf("%s: %v\n%s", s.where, err, s.text)
				continue
			}
			var takes, gives []string
			for _, oid := range told.ParamOIDs {
				takes = append(takes, name(oid))
			}
			for _, f := range told.Fields {
				gives = append(gives, name(f.DataTypeOID))
			}
			lines = append(lines, fmt.Sprintf("%s | %s | (%s) -> (%s)", s.file, strings.Join(strings.Fields(s.text), " "), strings.Join(takes, ", "), strings.Join(gives, ", ")))
		}
	}
	slices.Sort(lines)
	return lines
}

// The file says of every statement what types its parameters and its answers have. A type that
// an engine makes up otherwise, or a placeholder whose type nobody can tell, shows here.
func TestEveryStatement_isPreparedWithTheTypesThatAreKnown(t *testing.T) {
	t.Parallel()
	lines := typesOf(t, testdb.New(t, migrateRooms))
	if len(lines) < 100 {
		t.Fatalf("only %d statements were prepared", len(lines))
	}
	if *update {
		if err := os.WriteFile(typesGolden, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compareTypes(t, knownTypes(t), lines)
}

func TestEveryStatement_isPreparedOnCockroachDBWithTheSameTypes(t *testing.T) {
	t.Parallel()
	binary := os.Getenv("COCKROACH_BINARY")
	if binary == "" {
		t.Skip("no statement was prepared on CockroachDB: COCKROACH_BINARY is not set")
	}
	server, err := testserver.NewTestServer(testserver.CockroachBinaryPathOpt(binary))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if err := migrateRooms(t.Context(), server.PGURL().String()); err != nil {
		t.Fatal(err)
	}
	known := knownTypes(t)
	for i := range known { // a literal like 0 has 8 bytes there; both are read as int64
		head, types, _ := cutLast(known[i], " | ")
		known[i] = head + " | " + strings.ReplaceAll(types, "int4", "int8")
	}
	compareTypes(t, known, typesOf(t, server.PGURL().String()))
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func knownTypes(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(typesGolden)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func compareTypes(t *testing.T, known, lines []string) {
	t.Helper()
	for _, line := range lines {
		if !slices.Contains(known, line) {
			t.Errorf("not in %s, or otherwise (go test ./internal/sqlgrammar -update):\n%s", typesGolden, line)
		}
	}
	for _, line := range known {
		if !slices.Contains(lines, line) {
			t.Errorf("in %s, and no statement (go test ./internal/sqlgrammar -update):\n%s", typesGolden, line)
		}
	}
}

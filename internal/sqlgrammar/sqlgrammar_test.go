package sqlgrammar

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// rooms are where SQL stands, with the fewest statements that must be found
// there: a test that finds nothing must not pass. Raise the floors as rooms grow.
var rooms = []struct {
	dir          string
	inCode       int // fewest statements in Go
	inMigrations int
}{
	{"cell/store", 70, 45},
	{"control-plane/store", 8, 4},
	{"internal/sqldb", 5, 0},
}

// crossings are the files that may touch another schema, each with its reason.
// Every entry is a promise that two rooms can never part: keep it tiny.
var crossings = map[string][]string{
	// The control plane's first migration makes both of its schemas.
	"control-plane/store/migrations/0001_town.sql": {"registry", "placement"},
	// Rights are given to every table of a database, whoever's it is.
	"internal/sqldb/role.go": {"pg_catalog", "information_schema", "the_schema"},
}

func TestEveryStatement_readsAlikeOnBothEngines(t *testing.T) {
	t.Parallel()
	for _, room := range rooms {
		t.Run(room.dir, func(t *testing.T) {
			t.Parallel()
			inCode, wrong := inDir(t, room.dir)
			for _, w := range wrong {
				t.Error(w)
			}
			migrations := inMigrations(t, room.dir+"/migrations")
			if len(inCode) < room.inCode || len(migrations) < room.inMigrations {
				t.Errorf("found %d statements in Go and %d in migrations, fewer than the %d and %d that are there",
					len(inCode), len(migrations), room.inCode, room.inMigrations)
			}
			for _, s := range slices.Concat(inCode, migrations) {
				for _, w := range check(s) {
					t.Errorf("%s: %s\n%s", s.where, w, s.text)
				}
			}
			t.Logf("%d statements in Go, %d in migrations", len(inCode), len(migrations))
		})
	}
}

// The test below is what makes the one above worth its minute: each of these
// must be caught.
func TestCheck_catchesWhatDoesNotReadAlike(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`SELEC 1`:                                                                                   "grammar",
		`SELECT 1; SELECT 2`:                                                                        "2 statements",
		`LISTEN news`:                                                                               "",
		`NOTIFY news`:                                                                               "",
		`DO $$ BEGIN NULL; END $$`:                                                                  "",
		`MERGE INTO booking.hold USING x`:                                                           "grammar",
		`SELECT pg_advisory_xact_lock(1)`:                                                           "pg_advisory_xact_lock",
		`SELECT nextval('s')`:                                                                       "nextval",
		`SELECT xmin FROM booking.hold`:                                                             "xmin",
		`SELECT h.ctid FROM booking.hold AS h`:                                                      "ctid",
		`SELECT hold_id FROM hold`:                                                                  "schema.table",
		`SELECT hold_id FROM guichet.booking.hold`:                                                  "schema.table",
		`SELECT order_id FROM checkout.purchase`:                                                    "belongs to checkout",
		`INSERT INTO booking.hold SELECT a FROM payment.payment`:                                    "belongs to payment",
		`UPDATE booking.hold SET a = (SELECT 1 FROM bus.outbox)`:                                    "belongs to bus",
		`DELETE FROM booking.hold USING notify.mail WHERE true`:                                     "belongs to notify",
		`WITH x AS (DELETE FROM bus.outbox RETURNING seq) SELECT seq FROM x`:                        "belongs to bus",
		`SELECT a FROM x`:                                                                           "schema.table",
		`SELECT held / 2 FROM booking.quota`:                                                        "divide in Go",
		`SELECT held::int4 FROM booking.quota`:                                                      "INT4",
		`SELECT held::smallint FROM booking.quota`:                                                  "INT2",
		`SELECT a FROM booking.hold AS OF SYSTEM TIME '-1s'`:                                        "AS OF",
		`SELECT a FROM booking.hold@hold_pkey`:                                                      "hints",
		`SELECT a FROM [DELETE FROM booking.hold RETURNING a]`:                                      "StatementSource",
		`UPSERT INTO booking.hold (a) VALUES (1)`:                                                   "UPSERT",
		`SELECT a FROM booking.hold ORDER BY PRIMARY KEY booking.hold`:                              "ORDER BY INDEX",
		`SELECT a FROM booking.hold ORDER BY (SELECT 1 FROM bus.outbox)`:                            "belongs to bus",
		`DELETE FROM booking.hold LIMIT 5`:                                                          "LIMIT",
		`UPDATE booking.hold SET a = 1 ORDER BY b LIMIT 5`:                                          "LIMIT",
		`DELETE FROM booking.hold RETURNING NOTHING`:                                                "ReturningNothing",
		`SET LOCAL lock_timeout = 1`:                                                                "SetVar",
		`BEGIN`:                                                                                     "BeginTransaction",
		`TRUNCATE booking.hold`:                                                                     "Truncate",
		`GRANT SELECT ON booking.hold TO x`:                                                         "Grant",
		`CREATE SCHEMA payment`:                                                                     "belongs to payment",
		`CREATE SEQUENCE booking.s`:                                                                 "CreateSequence",
		`CREATE DOMAIN booking.d AS text`:                                                           "grammar",
		`CREATE TABLE booking.t (a serial PRIMARY KEY)`:                                             "SERIAL",
		`CREATE TABLE booking.t (a int8 GENERATED ALWAYS AS IDENTITY)`:                              "identities",
		`CREATE TABLE booking.t (a int PRIMARY KEY)`:                                                "INT4",
		`CREATE TABLE booking.t (a timestamp)`:                                                      "TIMESTAMP",
		`CREATE TABLE booking.t (a int4range)`:                                                      "",
		`CREATE TABLE booking.t (a text, INDEX (a))`:                                                "IndexTableDef",
		`CREATE TABLE booking.t (a text, FAMILY f (a))`:                                             "FamilyTableDef",
		`CREATE TABLE booking.t (a text) LOCALITY REGIONAL`:                                         "plain table",
		`CREATE TABLE booking.t (a text, UNIQUE INDEX u (a))`:                                       "CockroachDB's own",
		`CREATE TABLE booking.t (a text REFERENCES bus.b (c))`:                                      "belongs to bus",
		`CREATE TABLE booking.t (a text, FOREIGN KEY (a) REFERENCES bus.b (c))`:                     "belongs to bus",
		`CREATE TABLE booking.t (a text UNIQUE DEFERRABLE)`:                                         "",
		`CREATE TABLE booking.t (a jsonb, EXCLUDE USING gist (a WITH =))`:                           "grammar",
		`CREATE INVERTED INDEX i ON booking.t (a)`:                                                  "plain index",
		`CREATE INDEX i ON booking.t (a) STORING (b)`:                                               "plain index",
		`CREATE INDEX i ON bus.t (a)`:                                                               "belongs to bus",
		`ALTER TABLE bus.t ADD COLUMN a text`:                                                       "belongs to bus",
		`ALTER TABLE booking.t ALTER COLUMN a TYPE int8`:                                            "AlterTableAlterColumnType",
		`DROP TABLE bus.t`:                                                                          "belongs to bus",
		`CREATE FUNCTION f() RETURNS text LANGUAGE SQL AS 'SELECT 1'`:                               "CreateRoutine",
		`CREATE VIEW booking.v AS SELECT 1`:                                                         "CreateView",
		`WITH a AS (UPDATE booking.t SET x = 1 RETURNING y) UPDATE booking.t SET x = 2`:             "two mutations",
		`WITH a AS (INSERT INTO booking.t (x) VALUES (1) RETURNING x) DELETE FROM booking.t`:        "two mutations",
		`SELECT a FROM booking.t ORDER BY if(a, 1, 2)`:                                              "IfExpr",
		`SELECT x FROM booking.t WHERE EXISTS (SELECT 1 FROM search.cursor)`:                        "belongs to search",
		`SELECT 1 FROM booking.a JOIN bus.b ON true`:                                                "belongs to bus",
		`INSERT INTO booking.t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = uuid_generate_v4()`: "uuid_generate_v4",
	} {
		got := check(statement{where: "test", file: "cell/store/booking.go", text: text})
		if len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("%s\n  wanted a complaint with %q, got %q", text, want, got)
		}
	}
}

func TestCheck_letsTheCommonSubsetPass(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`SELECT 1`,
		`SELECT h.hold_id FROM booking.hold AS h JOIN booking.event e ON e.event_id = h.event_id WHERE h.a = ANY($1) FOR UPDATE OF h SKIP LOCKED`,
		`SELECT a FROM booking.hold WHERE b = $1 ORDER BY c DESC NULLS LAST LIMIT 5 FOR SHARE`,
		`INSERT INTO booking.hold (a, b) SELECT u.a, u.b FROM unnest($1::text[], $2::bigint[]) AS u (a, b) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING a`,
		`UPDATE booking.quota AS q SET held = q.held + u.n FROM unnest($1::text[], $2::bigint[]) AS u (id, n) WHERE q.quota_id = u.id AND q.held + u.n <= q.size RETURNING q.quota_id`,
		`WITH gone AS (DELETE FROM booking.hold WHERE expires_at < now() RETURNING hold_id) UPDATE booking.quota SET held = held - (SELECT count(*) FROM gone)`,
		`SELECT row_number() OVER (PARTITION BY a ORDER BY b), sum(c) FILTER (WHERE d IS NOT NULL), CASE WHEN a > 1 THEN 'x' ELSE NULL END FROM booking.hold`,
		`SELECT name FROM booking.event ORDER BY name COLLATE "C"`,
		`SELECT coalesce(max(seq), 0), clock_timestamp() - $1 * interval '1 second' FROM booking.hold`,
		`CREATE TABLE IF NOT EXISTS booking.t (a text PRIMARY KEY, b bigint NOT NULL DEFAULT 0 CHECK (b >= 0), c timestamptz, d jsonb,
			e bytea, f boolean, g text[], CONSTRAINT one UNIQUE (a, b), FOREIGN KEY (a) REFERENCES booking.u (a))`,
		`CREATE UNIQUE INDEX IF NOT EXISTS one ON booking.t (a, b DESC) WHERE c IS NULL`,
		`ALTER TABLE booking.t ADD COLUMN IF NOT EXISTS z text`,
		`CREATE SCHEMA IF NOT EXISTS booking`,
	} {
		if got := check(statement{where: "test", file: "cell/store/booking_hold.go", text: text}); len(got) > 0 {
			t.Errorf("%s\n  %q", text, got)
		}
	}
}

const sample = `package store

const head = "SELECT a"
const whole = head + " FROM booking.t"
const forUpdate = whole + " FOR UPDATE"
const notSQL = "select a ticket"

var late = "UPDATE booking.t SET a = " + time.Now().String()

func f(ctx context.Context, q Querier, table, sql string) {
	q.Exec(ctx, "DELETE FROM booking.t")
	q.Exec(ctx, sql)
	q.Exec(ctx, forUpdate)
	q.Exec(ctx, "delete from booking.t")
	q.Query(ctx, fmt.Sprintf("SELECT a FROM %s", table))
	q.QueryRow(ctx, whole+table)
	b.Queue("insert into booking.t")
	b.Queue(` + "`INSERT INTO booking.t (a)\n VALUES (1)`" + `)
	c.CopyFrom(ctx, pgx.Identifier{table}, nil, nil)
	return fmt.Errorf("SELECTED nothing")
}
`

func TestInGo_findsStatementsAndWhatHides(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "cell/store/booking.go", sample, 0)
	if err != nil {
		t.Fatal(err)
	}
	found, wrong := inGo(fset, []*ast.File{file})
	var texts []string
	for _, s := range found {
		texts = append(texts, s.text)
	}
	want := []string{
		"SELECT a", "SELECT a FROM booking.t", "SELECT a FROM booking.t FOR UPDATE", "DELETE FROM booking.t",
		"SELECT a FROM %s", "INSERT INTO booking.t (a)\n VALUES (1)",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("found %q, want %q", texts, want)
	}
	wantLines := []string{":8:", ":14:", ":15:", ":16:", ":16:", ":17:", ":20:"}
	if len(wrong) != len(wantLines) {
		t.Fatalf("complaints %q, want lines %v", wrong, wantLines)
	}
	for i, w := range wrong {
		if !strings.Contains(w, wantLines[i]) {
			t.Errorf("complaint %q, want line %s", w, wantLines[i])
		}
	}
}

func TestOwner_isTheFirstWordOfTheFile(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"cell/store/booking.go":                       "booking",
		"cell/store/booking_answer.go":                "booking",
		"cell/store/migrations/0003_checkout.sql":     "checkout",
		"cell/store/migrations/0012_booking_seat.sql": "booking",
		"control-plane/store/placement_log.go":        "placement",
		"internal/sqldb/migrate.go":                   "public",
	} {
		if got := owner(file); got != want {
			t.Errorf("%s belongs to %s, want %s", file, got, want)
		}
	}
}

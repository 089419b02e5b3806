package sqlgrammar

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// grown is how many rows every table has that grows; far more than a page of anything.
const grown = 10_000

// still are tables that do not grow: a row for each bucket, cell or flow.
var still = words(`bus.bucket bus.relay_cursor search.counter search.freshness saga.definition`)

// wholeReads are statements that may read a whole table that grows, by their text with
// single spaces, each with its reason. No request waits for one of these; there is none now.
var wholeReads = map[string]string{}

// samples are values of each type, as statements get them.
var samples = map[string]string{
	"text": "'event_id5'", "bigint": "100", "integer": "100", "boolean": "true", "double precision": "86400", "timestamp with time zone": "now() - INTERVAL '1 day'",
	"bytea": "'x'", "jsonb": "'[]'", "text[]": "ARRAY['event_id5', 'b']", "bigint[]": "ARRAY[5, 6]", "boolean[]": "ARRAY[true]", "bytea[]": "ARRAY['x'::bytea]",
	"timestamp with time zone[]": "ARRAY[now()]", "double precision[]": "ARRAY[1.5]", "jsonb[]": "ARRAY['[]'::jsonb]", "interval": "'1 day'",
}

var (
	dml       = regexp.MustCompile(`^\s*\(?(SELECT|INSERT|UPDATE|DELETE|WITH)\s`)
	stateList = regexp.MustCompile(`'([a-z_0-9]+)'`)
)

// TestEveryStatement_readsByAnIndexInAGrownDatabase explains each statement of the
// store where every table that grows holds many rows: a scan of a
// whole table or of a whole index is refused, and so is a sort of many rows for a page.
func TestEveryStatement_readsByAnIndexInAGrownDatabase(t *testing.T) {
	t.Parallel()
	statements, _ := inDir(t, "cell/store")
	conn := growTables(t)
	explained, excused := 0, 0
	for i, s := range statements {
		if !dml.MatchString(s.text) {
			continue
		}
		explained++
		if why, known := wholeReads[strings.Join(strings.Fields(s.text), " ")]; known {
			if excused++; why == "" {
				t.Errorf("%s: an exception without a reason", s.where)
			}
			continue
		}
		for _, w := range explain(t, conn, fmt.Sprint("s", i), s.text) {
			t.Errorf("%s: %s\n%s", s.where, w, s.text)
		}
	}
	if explained < 200 || excused != len(wholeReads) {
		t.Errorf("explained %d statements; of %d exceptions %d were met", explained, len(wholeReads), excused)
	}
	t.Logf("explained %d statements", explained)
}

// growTables fills every table that grows of a cell's database and answers a session.
func growTables(t *testing.T) *pgx.Conn {
	t.Helper()
	dsn := testdb.New(t, func(ctx context.Context, dsn string) error {
		db, err := sqldb.Open(ctx, dsn, "test")
		if err != nil {
			return err
		}
		defer db.Close()
		return store.New(db, "euw3").Migrate(ctx)
	})
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	run := func(sql string) {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	states := constraints(t, conn, run)
	for table, columns := range tablesOf(t, conn) {
		if _, small := still[table]; !small {
			run(fillTable(table, columns, states))
		}
	}
	run("ANALYZE")
	return conn
}

// constraints drops what made-up rows would violate, and says which states the
// dropped checks allow in a column.
func constraints(t *testing.T, conn *pgx.Conn, run func(string)) map[string][]string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT c.conrelid::regclass::text, c.conname, c.contype::text, pg_get_constraintdef(c.oid)
		FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE c.contype IN ('c', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	type constraint struct{ Table, Name, Sort, Def string }
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[constraint])
	if err != nil {
		t.Fatal(err)
	}
	states := map[string][]string{}
	for _, c := range all {
		if found := regexp.MustCompile(`^CHECK \(\((\w+) = ANY`).FindStringSubmatch(c.Def); found != nil {
			for _, v := range stateList.FindAllStringSubmatch(c.Def, -1) {
				states[c.Table+"."+found[1]] = append(states[c.Table+"."+found[1]], v[1])
			}
		}
		run(fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", c.Table, pgx.Identifier{c.Name}.Sanitize()))
	}
	return states
}

// column is one of a table; Alone says that it must be unique by itself.
type column struct {
	Table, Name, Type string
	Alone             bool
}

func tablesOf(t *testing.T, conn *pgx.Conn) map[string][]column {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT c.oid::regclass::text, a.attname::text, format_type(a.atttypid, NULL),
			EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'public')
		ORDER BY 1, a.attnum`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]column{}
	for _, c := range all {
		out[c.Table] = append(out[c.Table], c)
	}
	return out
}

// fillTable is the statement that fills a table. Rows belong to events in hundreds; the
// first state of a list, in which things wait, is rare.
func fillTable(table string, columns []column, states map[string][]string) string {
	var names, values []string
	for _, c := range columns {
		names = append(names, c.Name)
		value := "'" + c.Name + "' || n"
		switch {
		case len(states[c.Table+"."+c.Name]) > 0:
			list := states[c.Table+"."+c.Name]
			value = fmt.Sprintf("CASE WHEN n %% 100 = 0 THEN '%s' ELSE (ARRAY['%s'])[1 + n %% %d] END", list[0], strings.Join(list[min(1, len(list)-1):], "','"), max(1, len(list)-1))
		case c.Alone:
		case strings.HasPrefix(c.Name, "event_id"), c.Name == "event_key", c.Name == "organizer_id", c.Name == "series_id":
			value = "'" + c.Name + "' || (n / 100)"
		}
		switch {
		case c.Type == "text":
		case c.Name == "position" && c.Type == "bigint":
			value = "n % 3"
		case c.Type == "bigint" || c.Type == "integer" || c.Type == "double precision":
			value = "n"
		case c.Type == "boolean":
			value = "n % 100 = 0"
		case c.Type == "jsonb":
			value = "'[]'::jsonb"
		case c.Type == "bytea":
			value = "decode(md5(n::text), 'hex')"
		case strings.HasSuffix(c.Type, "[]"):
			value = "ARRAY['a', n::text]::" + c.Type
		default: // times
			value = "now() - n * INTERVAL '1 minute'"
		}
		values = append(values, value)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM generate_series(1, %d) AS n", table, strings.Join(names, ", "), strings.Join(values, ", "), grown)
}

// node is a part of a plan.
type node struct {
	Type     string  `json:"Node Type"`
	Schema   string  `json:"Schema"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Cond     string  `json:"Index Cond"`
	Filter   string  `json:"Filter"`
	Rows     float64 `json:"Plan Rows"`
	Plans    []node  `json:"Plans"`
}

// explain says what is wrong with a statement's plan.
func explain(t *testing.T, conn *pgx.Conn, name, sql string) (wrong []string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "PREPARE "+name+" AS "+sql); err != nil {
		return []string{fmt.Sprintf("it cannot be prepared: %v", err)}
	}
	var types []string
	if err := conn.QueryRow(t.Context(), "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = $1", name).Scan(&types); err != nil {
		t.Fatal(err)
	}
	values := make([]string, len(types))
	for i, of := range types {
		if values[i] = samples[of]; values[i] == "" {
			t.Fatalf("there is no sample of a %s", of)
		}
	}
	with := ""
	if len(values) > 0 {
		with = "(" + strings.Join(values, ", ") + ")"
	}
	// How many rows a page has must be known to judge the way to it, and so the values.
	mode := "force_generic_plan"
	if strings.Contains(sql, "LIMIT") {
		mode = "force_custom_plan"
	}
	var text []byte
	if _, err := conn.Exec(t.Context(), "SET plan_cache_mode = "+mode); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRow(t.Context(), "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE "+name+with).Scan(&text); err != nil {
		return []string{fmt.Sprintf("it cannot be explained: %v", err)}
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(text, &plans); err != nil {
		t.Fatal(err)
	}
	for i := range plans {
		wrong = append(wrong, plans[i].Plan.faults(false)...)
	}
	return wrong
}

// faults are what a part of a plan reads too much of. Below a Limit an index is read
// only until the page is full.
func (p *node) faults(limited bool) (wrong []string) {
	_, small := still[p.Schema+"."+p.Relation]
	switch whole := p.Cond == "" && !limited; {
	case p.Relation == "" || small:
	case p.Type == "Seq Scan":
		wrong = append(wrong, "reads all of "+p.Schema+"."+p.Relation)
	case (p.Type == "Index Scan" || p.Type == "Index Only Scan") && whole:
		wrong = append(wrong, fmt.Sprintf("reads all of the index %s of %s.%s", p.Index, p.Schema, p.Relation))
	case (p.Type == "Index Scan" || p.Type == "Index Only Scan") && p.Cond == "" && p.Filter != "":
		wrong = append(wrong, fmt.Sprintf("reads the index %s of %s.%s until it has met enough rows with %s", p.Index, p.Schema, p.Relation, p.Filter))
	}
	for i := range p.Plans {
		below := (limited || p.Type == "Limit") && p.Type != "Sort" && p.Type != "Aggregate" && p.Type != "Hash"
		if p.Type == "Sort" && p.Rows > grown/10 {
			wrong = append(wrong, fmt.Sprintf("sorts some %.0f rows", p.Rows))
		}
		wrong = append(wrong, p.Plans[i].faults(below)...)
	}
	return wrong
}

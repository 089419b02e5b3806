package sqlgrammar

import (
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/sem/tree"
)

// lookTwice asks what a real CockroachDB was seen to stumble over although its grammar
// takes it: each rule here was a fault of a process that did not start, or of a statement
// that read a whole table.
func (c *checker) lookTwice(node any) {
	switch n := node.(type) {
	case *tree.ComparisonExpr:
		c.compares(n.Left, n.Right)
	case *tree.RangeCond:
		c.compares(n.Left, n.From, n.To)
	case *tree.IsNotNullExpr:
		c.known(n.Expr)
	case *tree.FuncExpr:
		for _, arg := range n.Exprs {
			if bare(arg) {
				c.refuse("%s of a bare placeholder: CockroachDB cannot tell its type (42P18); write a cast", n.Func.String())
			}
		}
	case *tree.SelectExpr:
		if _, all := n.Expr.(tree.UnqualifiedStar); all {
			c.refuse("SELECT * gives 0A000 on CockroachDB once a column was added; spell the columns out")
		}
	case *tree.CTE:
		c.lookWith(n)
	}
	if c.inMigration() {
		c.repeatable(node)
	}
}

// bare says that an expression is a placeholder without a type.
func bare(e tree.Expr) bool {
	for {
		switch n := e.(type) {
		case *tree.ParenExpr:
			e = n.Expr
		case *tree.Placeholder:
			return true
		default:
			return false
		}
	}
}

// compares refuses the wall's clock as a bound: CockroachDB reads the whole index then,
// and PostgreSQL too unless it stands in a subquery. statement_timestamp() is stable on both.
func (c *checker) compares(sides ...tree.Expr) {
	for _, side := range sides {
		c.known(side)
		if calls(reflect.ValueOf(&side), "clock_timestamp") {
			c.refuse("clock_timestamp() in a comparison defeats the index; write statement_timestamp()")
		}
	}
}

// known notes that a column is compared, or is said not to be NULL: no row with NULL in it is left.
func (c *checker) known(e tree.Expr) {
	if name, ok := e.(*tree.UnresolvedName); ok {
		c.compared[name.Parts[0]] = true
	}
}

// calls says whether a function is called anywhere below v.
func calls(v reflect.Value, function string) bool {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return false
		}
		if f, ok := reflect.TypeAssert[*tree.FuncExpr](v); ok && strings.EqualFold(f.Func.String(), function) {
			return true
		}
		if _, ok := reflect.TypeAssert[*tree.TableName](v); ok {
			return false
		}
		return calls(v.Elem(), function)
	case reflect.Slice:
		for i := range v.Len() {
			if calls(v.Index(i), function) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && calls(v.Field(i), function) {
				return true
			}
		}
	default: // holds nothing further
	}
	return false
}

func (c *checker) lookWith(n *tree.CTE) {
	var returning tree.ReturningClause
	switch s := n.Stmt.(type) {
	case *tree.Insert:
		returning = s.Returning
	case *tree.Update:
		returning = s.Returning
	case *tree.Delete:
		returning = s.Returning
	default:
		return
	}
	if _, ok := returning.(*tree.ReturningExprs); !ok {
		c.refuse("WITH %s changes rows and returns none: CockroachDB refuses that; write RETURNING", n.Name.Alias)
	}
}

func (c *checker) inMigration() bool { return path.Base(path.Dir(c.file)) == "migrations" }

// repeatable: on CockroachDB a process may die between a statement and its memory.
func (c *checker) repeatable(node any) {
	again := true
	switch n := node.(type) {
	case *tree.CreateSchema:
		again = n.IfNotExists
	case *tree.CreateTable:
		again = n.IfNotExists
	case *tree.CreateIndex:
		again = n.IfNotExists
	case *tree.AlterTableAddColumn:
		again = n.IfNotExists
	case *tree.AlterTableDropColumn:
		again = n.IfExists
	case *tree.AlterTableDropConstraint:
		again = n.IfExists
	case *tree.DropTable:
		again = n.IfExists
	case *tree.DropIndex:
		again = n.IfExists
	case *tree.Insert:
		again = n.OnConflict != nil
	}
	if !again {
		c.refuse("%T cannot be repeated; write IF [NOT] EXISTS, or ON CONFLICT", node)
	}
}

// nullsSaid: NULLs come first on CockroachDB and last on PostgreSQL.
func (c *checker) nullsSaid() {
	for _, order := range c.orders {
		expr := order.Expr
		for {
			if inner, ok := expr.(*tree.CollateExpr); ok {
				expr = inner.Expr
				continue
			}
			if inner, ok := expr.(*tree.ParenExpr); ok {
				expr = inner.Expr
				continue
			}
			break
		}
		name, ok := expr.(*tree.UnresolvedName)
		if !ok || order.NullsOrder != tree.DefaultNullsOrder || c.compared[name.Parts[0]] {
			continue
		}
		for _, t := range c.tables {
			if nullable()[string(t.SchemaName)+"."+string(t.ObjectName)][name.Parts[0]] {
				c.refuse("%s may be NULL, which comes first on CockroachDB and last on PostgreSQL; write NULLS FIRST or NULLS LAST", name.Parts[0])
				break
			}
		}
	}
}

// nullable are the columns that may be NULL, by table, as the migrations make them.
var nullable = sync.OnceValue(func() map[string]map[string]bool {
	found := map[string]map[string]bool{}
	column := func(table tree.TableName, def *tree.ColumnTableDef) {
		key := string(table.SchemaName) + "." + string(table.ObjectName)
		if found[key] == nil {
			found[key] = map[string]bool{}
		}
		if def.Nullable.Nullability != tree.NotNull && !def.PrimaryKey.IsPrimaryKey {
			found[key][string(def.Name)] = true
		}
	}
	for _, s := range everyMigration() {
		parsed, err := parse(s.text)
		if err != nil {
			continue // the test of all statements says so
		}
		switch n := parsed.(type) {
		case *tree.CreateTable:
			for _, def := range n.Defs {
				switch d := def.(type) {
				case *tree.ColumnTableDef:
					column(n.Table, d)
				case *tree.UniqueConstraintTableDef:
					for _, key := range d.Columns {
						if d.PrimaryKey {
							delete(found[string(n.Table.SchemaName)+"."+string(n.Table.ObjectName)], string(key.Column))
						}
					}
				}
			}
		case *tree.AlterTable:
			table := n.Table.ToTableName()
			for _, cmd := range n.Cmds {
				switch a := cmd.(type) {
				case *tree.AlterTableAddColumn:
					column(table, a.ColumnDef)
				case *tree.AlterTableDropNotNull:
					found[string(table.SchemaName)+"."+string(table.ObjectName)][string(a.Column)] = true
				}
			}
		}
	}
	return found
})

func everyMigration() (all []statement) {
	for _, room := range rooms {
		files, err := filepath.Glob(filepath.Join(root, room.dir, "migrations", "*.sql"))
		if err != nil {
			return nil
		}
		for _, file := range files {
			if found, err := inMigration(path.Join(room.dir, "migrations", filepath.Base(file))); err == nil {
				all = append(all, found...)
			}
		}
	}
	return all
}

// Each text was a fault on a real CockroachDB, or its likeness; put back, it is found.
func TestCheck_findsWhatARealCockroachStumbledOver(t *testing.T) {
	t.Parallel()
	const code, migration = "cell/store/booking_stock.go", "cell/store/migrations/0002_booking.sql"
	for _, c := range []struct{ file, text, want string }{
		{code, `SELECT h.event_id FROM booking.hold AS h WHERE h.expires_at <= (SELECT clock_timestamp()) LIMIT $1`, "statement_timestamp"},
		{code, `SELECT h.event_id FROM booking.hold AS h WHERE h.expires_at < clock_timestamp() - $1::float8 * INTERVAL '1 second'`, "statement_timestamp"},
		{code, `SELECT h.event_id FROM booking.hold AS h WHERE h.expires_at BETWEEN $1 AND clock_timestamp()`, "statement_timestamp"},
		{"cell/store/notify.go", `SELECT count(*) FROM notify.message WHERE order_id = $1 AND kind = $2 AND substr(part, 1, length($3)) = $3`, "42P18"},
		{code, `SELECT lower(($1)) FROM booking.hold`, "42P18"},
		{code, `WITH told AS (UPDATE booking.quota SET held = 0 WHERE event_id = $1) DELETE FROM booking.hold WHERE event_id = $1`, "RETURNING"},
		{code, `SELECT * FROM booking.hold`, "0A000"},
		{code, `SELECT h.* FROM booking.hold AS h`, "0A000"},
		{code, `DELETE FROM booking.hold WHERE event_id = $1 RETURNING *`, "0A000"},
		{code, `SELECT event_id FROM booking.event ORDER BY ends_at DESC, event_id`, "NULLS"},
		{migration, `CREATE TABLE booking.bucket (bucket bigint NOT NULL PRIMARY KEY)`, "repeated"},
		{migration, `CREATE INDEX inbox_by_age ON booking.inbox (seen_at)`, "repeated"},
		{migration, `CREATE SCHEMA booking`, "repeated"},
		{migration, `ALTER TABLE booking.hold ADD COLUMN more text`, "repeated"},
		{migration, `ALTER TABLE booking.hold DROP COLUMN more`, "repeated"},
		{migration, `ALTER TABLE booking.hold DROP CONSTRAINT more`, "repeated"},
		{migration, `DROP INDEX booking.hold_due`, "repeated"},
		{migration, `INSERT INTO booking.bucket (bucket) VALUES (0)`, "repeated"},
	} {
		got := check(statement{where: "test", file: c.file, text: c.text})
		if len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s\n  wanted one complaint with %q, got %q", c.text, c.want, got)
		}
	}
	for _, text := range []string{
		`SELECT h.event_id FROM booking.hold AS h WHERE h.expires_at <= statement_timestamp() - $1::float8 * INTERVAL '1 second'`,
		`UPDATE booking.hold SET expires_at = clock_timestamp() + $2::float8 * INTERVAL '1 second' WHERE hold_id = $1`,
		`SELECT length($1::text), count(*) FROM booking.hold`,
		`SELECT event_id FROM booking.event ORDER BY ends_at DESC NULLS LAST, event_id`,
		`SELECT event_id FROM booking.event WHERE ends_at IS NOT NULL ORDER BY ends_at`,
		`SELECT event_id FROM booking.event WHERE ends_at > $1 ORDER BY ends_at`,
		`SELECT event_id FROM booking.event ORDER BY starts_at`,
	} {
		if got := check(statement{where: "test", file: code, text: text}); len(got) > 0 {
			t.Errorf("%s\n  %q", text, got)
		}
	}
}

// oneAlterSince is the first migration that gives a table all its changes in one ALTER: on
// CockroachDB each ALTER is a job of its own, which waits for every node. Files before it
// were released, and a statement is remembered by its number.
const oneAlterSince = "0023"

// alteredTwice are the tables that a file alters more than once.
func alteredTwice(statements []statement) (wrong []string) {
	seen := map[string]bool{}
	for _, s := range statements {
		parsed, err := parse(s.text)
		if err != nil || path.Base(s.file) < oneAlterSince {
			continue
		}
		if alter, ok := parsed.(*tree.AlterTable); ok {
			key := s.file + " " + alter.Table.String()
			if seen[key] {
				wrong = append(wrong, s.file+" alters "+alter.Table.String()+" twice; write one ALTER TABLE with all its commands")
			}
			seen[key] = true
		}
	}
	return wrong
}

func TestMigrations_alterATableOncePerFile(t *testing.T) {
	t.Parallel()
	for _, w := range alteredTwice(everyMigration()) {
		t.Error(w)
	}
	twice := []statement{
		{file: "cell/store/migrations/0041_booking.sql", text: `ALTER TABLE booking.hold ADD COLUMN IF NOT EXISTS a text`},
		{file: "cell/store/migrations/0041_booking.sql", text: `ALTER TABLE booking.hold ADD COLUMN IF NOT EXISTS b text`},
	}
	if len(alteredTwice(twice)) != 1 || len(alteredTwice(twice[:1])) != 0 {
		t.Error("two ALTERs of one table pass")
	}
}

// constraints that the programs and their tests go by: the first of these is asked for by
// sqldb.Violates, and the map is booking's.
var violates = regexp.MustCompile(`Violates\([^"\n]*"([a-z_]+)"\)|"([a-z]+_[a-z_]+)": booking\.Err`)

// named says whether a name is the same on both engines: it was given, or is a primary key's.
func named(name, migrations string) bool {
	if table, ok := strings.CutSuffix(name, "_pkey"); ok && regexp.MustCompile(`CREATE TABLE IF NOT EXISTS [a-z_]+\.`+table+` \(`).MatchString(migrations) {
		return true
	}
	return regexp.MustCompile(`(CONSTRAINT|UNIQUE INDEX IF NOT EXISTS) ` + name + `\b`).MatchString(migrations)
}

// An unnamed CHECK is called quota_held_check on PostgreSQL and check_held on CockroachDB.
func TestConstraints_thatCodeOrTestsGoByHaveTheirNamesFromUs(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, s := range everyMigration() {
		all.WriteString(s.text + "\n")
	}
	found := 0
	for _, dir := range []string{"cell/store", "cell/store/storetest", "control-plane/store"} {
		for _, file := range glob(t, dir, "*.go") {
			text, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range violates.FindAllStringSubmatch(string(text), -1) {
				found++
				if name := m[1] + m[2]; !named(name, all.String()) {
					t.Errorf("%s goes by the constraint %s, which no migration names", file, name)
				}
			}
		}
	}
	if found < 12 {
		t.Errorf("only %d names of constraints were found", found)
	}
	if named("quota_held_check", "CREATE TABLE IF NOT EXISTS booking.quota (held bigint CHECK (held >= 0))") {
		t.Error("an unnamed CHECK passes for a named one")
	}
}

package sqlgrammar

import (
	"fmt"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/parser"
	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/sem/idxtype"
	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/sem/tree"
	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/sem/tree/treebin"
	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/types"
)

// plumbing is where sessions are set and the migration table lives.
const plumbing = "internal/sqldb/"

// check says all that is wrong with a statement; nothing means it is fine.
func check(s statement) []string {
	parsed, err := parse(s.text)
	if err != nil {
		return []string{"CockroachDB's grammar: " + err.Error()}
	}
	c := &checker{statement: s, with: map[string]bool{}, compared: map[string]bool{}}
	c.walk(reflect.ValueOf(parsed), false)
	c.oneMutationPerTable()
	c.ownSchemaOnly()
	c.nullsSaid()
	return c.wrong
}

// parse asks the parser, which panics on DO blocks instead of refusing them.
func parse(text string) (s tree.Statement, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panics: %v", p)
		}
	}()
	// A plain "int" is 8 bytes there and 4 bytes here; this way it shows.
	parsed, err := parser.ParseWithInt(text, types.Int4)
	if err != nil {
		return nil, err
	}
	if len(parsed) != 1 {
		return nil, fmt.Errorf("%d statements in one text", len(parsed))
	}
	return parsed[0].AST, nil
}

type checker struct {
	statement
	wrong   []string
	tables  []*tree.TableName // as they are named; a schema alone has no ObjectName
	mutated []string
	with    map[string]bool // names that WITH defines

	orders   []*tree.Order
	compared map[string]bool // columns that a condition takes up
}

func (c *checker) refuse(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

var kinds = []reflect.Type{
	reflect.TypeFor[tree.Statement](), reflect.TypeFor[tree.SelectStatement](), reflect.TypeFor[tree.Expr](),
	reflect.TypeFor[tree.TableExpr](), reflect.TypeFor[tree.TableDef](), reflect.TypeFor[tree.AlterTableCmd](),
	reflect.TypeFor[tree.ReturningClause](),
}

// isNode reports whether the allow-list has a say about the type.
func isNode(t reflect.Type) bool {
	if t.Kind() != reflect.Struct && t.Kind() != reflect.Bool && t.Kind() != reflect.String {
		return false
	}
	return slices.ContainsFunc(kinds, func(k reflect.Type) bool { return t.Implements(k) || reflect.PointerTo(t).Implements(k) })
}

func (c *checker) allowed(node string) bool {
	return allowedNodes[node] || plumbingNodes[node] && strings.HasPrefix(c.file, plumbing)
}

// walk visits everything that is reachable in the parsed statement. Reflection
// rather than a visitor, so that no corner of the grammar is missed for want of a case.
func (c *checker) walk(v reflect.Value, embedded bool) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			c.walk(v.Elem(), false)
		}
		return
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if c.leaf(v.Interface()) {
			return
		}
		c.walk(v.Elem(), false)
		return
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			c.walk(v.Index(i), false)
		}
		return
	default: // what holds nothing further, and structs
	}
	if t := v.Type(); isNode(t) && !embedded && !c.allowed(t.Name()) {
		c.refuse("%s is not on the list of what both engines do alike", t.Name())
	}
	if v.Kind() != reflect.Struct {
		return
	}
	if v.CanAddr() && v.Addr().CanInterface() {
		if c.leaf(v.Addr().Interface()) {
			return
		}
		c.look(v.Addr().Interface())
		c.lookTwice(v.Addr().Interface())
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			c.walk(v.Field(i), f.Anonymous)
		}
	}
}

// leaf handles what is not to be taken apart, and reports whether it did.
func (c *checker) leaf(node any) bool {
	switch n := node.(type) {
	case *types.T:
		if name := n.SQLString(); !allowedTypes[name] {
			c.refuse("type %s is not on the list of what both engines do alike", name)
		}
	case *tree.TableName:
		c.tables = append(c.tables, n)
	case *tree.UnresolvedObjectName:
		name := n.ToTableName()
		c.tables = append(c.tables, &name)
	case *tree.UnresolvedName:
		if column := n.Parts[0]; systemColumns[column] {
			c.refuse("%s is not a column that both engines have", column)
		}
		if n.Star {
			c.refuse("SELECT %s gives 0A000 on CockroachDB once a column was added; spell the columns out", n)
		}
	case *tree.Order:
		if n.OrderType == tree.OrderByIndex {
			c.refuse("ORDER BY INDEX is CockroachDB's own")
		}
		c.orders = append(c.orders, n)
		c.walk(reflect.ValueOf(&n.Expr).Elem(), false) // its table is for ORDER BY INDEX
	case *tree.LockingItem: // its targets are aliases, not tables
	case *tree.NumVal, *tree.StrVal, *tree.DBool:
	default:
		return false
	}
	return true
}

// look asks the questions that the name of a node does not answer.
func (c *checker) look(node any) {
	switch n := node.(type) {
	case *tree.CTE:
		c.with[string(n.Name.Alias)] = true
	case *tree.Insert:
		c.mutates(n.Table)
		if n.OnConflict.IsUpsertAlias() {
			c.refuse("UPSERT is CockroachDB's own")
		}
	case *tree.Update:
		c.mutates(n.Table)
		if n.Limit != nil || n.OrderBy != nil {
			c.refuse("ORDER BY and LIMIT of UPDATE are CockroachDB's own")
		}
	case *tree.Delete:
		c.mutates(n.Table)
		if n.Limit != nil || n.OrderBy != nil || n.Batch != nil {
			c.refuse("ORDER BY, LIMIT and BATCH of DELETE are CockroachDB's own")
		}
	case *tree.FuncExpr:
		if name := strings.ToLower(n.Func.String()); !allowedFunctions[name] {
			c.refuse("function %s is not on the list of what both engines do alike", name)
		}
	case *tree.BinaryExpr:
		if n.Operator.Symbol == treebin.Div || n.Operator.Symbol == treebin.FloorDiv {
			c.refuse("1/2 is 0.5 on CockroachDB and 0 on PostgreSQL; divide in Go")
		}
	case *tree.SelectClause:
		if n.From.AsOf.Expr != nil {
			c.refuse("AS OF SYSTEM TIME is CockroachDB's own")
		}
	case *tree.AliasedTableExpr:
		if n.IndexFlags != nil {
			c.refuse("index hints are CockroachDB's own")
		}
	case *tree.ColumnTableDef:
		c.lookColumn(n)
	case *tree.UniqueConstraintTableDef:
		if n.FormatAsIndex || n.WithoutIndex || n.Sharded != nil || n.Storing != nil || n.Predicate != nil {
			c.refuse("constraint %s has parts that are CockroachDB's own", n.Name)
		}
	case *tree.CreateSchema:
		c.tables = append(c.tables, &tree.TableName{})
		c.tables[len(c.tables)-1].SchemaName = n.Schema.SchemaName
	case *tree.CreateTable:
		if n.PartitionByTable != nil || n.Locality != nil || n.StorageParams != nil || n.Persistence != tree.PersistencePermanent {
			c.refuse("a plain table only: no locality, partition or storage parameter")
		}
	case *tree.CreateIndex:
		if n.Type != idxtype.FORWARD || n.Sharded != nil || n.Storing != nil || n.PartitionByIndex != nil || n.StorageParams != nil || n.Concurrently {
			c.refuse("a plain index only: no inverted, sharded, storing or concurrent one")
		}
	}
}

func (c *checker) lookColumn(n *tree.ColumnTableDef) {
	if n.IsSerial || n.GeneratedIdentity.IsGeneratedAsIdentity {
		c.refuse("column %s: ids carry the route, SERIAL and identities do not", n.Name)
	}
	if n.Hidden || n.Family.Create || n.Family.Name != "" || n.PrimaryKey.Sharded || n.OnUpdateExpr.Expr != nil || n.Unique.WithoutIndex {
		c.refuse("column %s has parts that are CockroachDB's own", n.Name)
	}
	if n.Computed.Computed && n.Computed.Virtual {
		c.refuse("column %s: PostgreSQL 15 has no virtual columns", n.Name)
	}
}

func (c *checker) mutates(table tree.TableExpr) {
	if a, ok := table.(*tree.AliasedTableExpr); ok {
		table = a.Expr
	}
	if name, ok := table.(*tree.TableName); ok {
		c.mutated = append(c.mutated, name.String())
		return
	}
	c.refuse("changes something that is not a table")
}

// oneMutationPerTable: CockroachDB refuses two mutations of a table in one statement.
func (c *checker) oneMutationPerTable() {
	slices.Sort(c.mutated)
	for i := 1; i < len(c.mutated); i++ {
		if c.mutated[i] == c.mutated[i-1] {
			c.refuse("two mutations of %s in one statement", c.mutated[i])
		}
	}
}

// ownSchemaOnly: every table is named with its schema, and the file is its schema's.
func (c *checker) ownSchemaOnly() {
	own := owner(c.file)
	for _, t := range c.tables {
		switch {
		case t.SchemaName == "" && c.with[string(t.ObjectName)]:
		case t.SchemaName == "" || t.ExplicitCatalog:
			c.refuse("table %s: write schema.table", t)
		case string(t.SchemaName) != own && !slices.Contains(crossings[c.file], string(t.SchemaName)):
			c.refuse("schema %s belongs to %s*.go, not to %s", t.SchemaName, t.SchemaName, path.Base(c.file))
		}
	}
}

var numbered = regexp.MustCompile(`^[0-9]+_`)

// owner is the schema that a file may touch: the first word of its name, less
// the number of a migration. "0003_booking_seat.sql" belongs to booking.
func owner(file string) string {
	if strings.HasPrefix(file, plumbing) {
		return "public"
	}
	base := numbered.ReplaceAllString(path.Base(file), "")
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".go"), ".sql")
	first, _, _ := strings.Cut(base, "_")
	return first
}

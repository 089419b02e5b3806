package sqlgrammar

import "strings"

func words(s string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		m[w] = true
	}
	return m
}

// What both engines do alike (docs: CockroachDB's "PostgreSQL compatibility",
// and our own measurements). Adding a word here means having tried it on both.
var (
	// allowedNodes are the parts of speech, by the parser's names for them.
	allowedNodes = words(`
		Select SelectClause ParenSelect ValuesClause UnionClause LiteralValuesClause
		Insert Update Delete ReturningExprs NoReturningClause
		CreateSchema CreateTable CreateIndex AlterTable DropTable DropIndex
		ColumnTableDef UniqueConstraintTableDef CheckConstraintTableDef ForeignKeyConstraintTableDef
		AlterTableAddColumn AlterTableAddConstraint AlterTableDropColumn AlterTableDropConstraint
		AlterTableSetDefault AlterTableSetNotNull AlterTableDropNotNull AlterTableValidateConstraint
		AliasedTableExpr JoinTableExpr ParenTableExpr RowsFromExpr Subquery TableName
		AndExpr OrExpr NotExpr ParenExpr ComparisonExpr BinaryExpr UnaryExpr RangeCond IsNullExpr IsNotNullExpr
		FuncExpr CoalesceExpr NullIfExpr CaseExpr CastExpr CollateExpr Tuple Array ArrayFlatten IndirectionExpr
		UnresolvedName UnqualifiedStar Placeholder NumVal StrVal DBool dNull DefaultVal
	`)

	// plumbingNodes are settings, transactions, roles and rights: the plumbing's business only.
	plumbingNodes = words(`SetVar BeginTransaction CommitTransaction RollbackTransaction
		CreateRole Grant GrantRole Revoke AlterDefaultPrivileges`)

	allowedFunctions = words(`
		now clock_timestamp statement_timestamp extract date_trunc
		count sum min max avg bool_or bool_and array_agg row_number rank lag lead
		gen_random_uuid coalesce nullif jsonb_array_elements jsonb_typeof greatest least abs floor ceil mod length lower upper substr md5
		unnest cardinality array_length array_append array_remove
		jsonb_build_object jsonb_agg jsonb_array_length to_jsonb
	`)

	// allowedTypes are as the parser prints them.
	allowedTypes = words(`STRING INT8 BOOL BYTES TIMESTAMPTZ JSONB INTERVAL FLOAT8 DECIMAL DATE
		STRING[] INT8[] BOOL[] BYTES[] TIMESTAMPTZ[] FLOAT8[]`)

	// systemColumns exist on one engine only, or mean something else.
	systemColumns = words(`xmin xmax cmin cmax ctid oid tableoid rowid crdb_internal_mvcc_timestamp crdb_region`)
)

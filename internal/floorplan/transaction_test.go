package floorplan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mayKeep are values that sqldb keeps in a context, and that are no transactions.
var mayKeep = map[string]bool{"internal/sqldb/trace.go": true}

// A transaction that travels in a context is one that nobody sees in a signature: whoever
// forgets it writes beside it, and no compiler says so (docs/adr/016).
func TestStores_keepNoTransactionInAContext(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, dir := range []string{"internal/sqldb", "internal/txn", "cell/store", "control-plane/store"} {
		for _, name := range goFilesOf(t, dir) {
			seen++
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range transactionsInContexts(t, name, string(text)) {
				t.Error(fault)
			}
		}
	}
	if seen < 50 {
		t.Errorf("saw %d files", seen)
	}
}

// The rule finds what it is there for.
func TestTransactionsInContexts_areFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		`func hide(ctx context.Context, tx *Tx) context.Context { return context.WithValue(ctx, txKey{}, tx) }`: 1,
		`func TxOf(ctx context.Context) *sqldb.Tx { return nil }`:                                               1,
		`func (db *DB) On(ctx context.Context) Querier { return nil }`:                                          1,
		`func On(ctx context.Context, tx txn.Tx) Querier { return nil }`:                                        0,
		`func (db *DB) Ask(ctx context.Context, b *pgx.Batch) error { return nil }`:                             0,
	} {
		if got := transactionsInContexts(t, "x.go", "package x\n"+text); len(got) != want {
			t.Errorf("%s: found %v, want %d", text, got, want)
		}
	}
}

func goFilesOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if !strings.HasSuffix(file, "_test.go") {
			names = append(names, dir+"/"+filepath.Base(file))
		}
	}
	return names
}

// transactionsInContexts are the places of a file that put a value into a context, and its
// functions that make a transaction, or what reads in one, of nothing but a context.
func transactionsInContexts(t *testing.T, name, text string) (faults []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if typeName(n.Fun) == "context.WithValue" && !mayKeep[name] {
				faults = append(faults, set.Position(n.Pos()).String()+": a store keeps nothing in a context: pass it as a parameter")
			}
		case *ast.FuncDecl:
			if answersTransaction(n.Type) && onlyAContext(n.Type) {
				faults = append(faults, set.Position(n.Pos()).String()+": "+n.Name.Name+" takes a transaction out of a context")
			}
		}
		return true
	})
	return faults
}

func answersTransaction(f *ast.FuncType) bool {
	if f.Results == nil {
		return false
	}
	for _, r := range f.Results.List {
		switch strings.TrimPrefix(typeName(r.Type), "*") {
		case "Tx", "txn.Tx", "sqldb.Tx", "pgx.Tx", "Querier", "sqldb.Querier":
			return true
		}
	}
	return false
}

func onlyAContext(f *ast.FuncType) bool {
	return len(f.Params.List) == 1 && typeName(f.Params.List[0].Type) == "context.Context"
}

// typeName is the text of a plain type, or of what is called.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	case *ast.StarExpr:
		return "*" + typeName(e.X)
	}
	return ""
}

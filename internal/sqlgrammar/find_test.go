package sqlgrammar

import (
	"errors"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"guichet/internal/sqldb"
)

// root is the repository seen from this directory.
const root = "../.."

// statement is one SQL statement and where it stands.
type statement struct {
	where string // "cell/store/booking.go:42"
	file  string // "cell/store/booking.go"
	text  string
}

// sqlStart is how SQL begins here: keywords are upper case (style).
var sqlStart = regexp.MustCompile(`^\s*\(?(SELECT|INSERT|UPDATE|DELETE|WITH|VALUES|UPSERT|MERGE|CREATE|ALTER|DROP|TRUNCATE|COMMENT|` +
	`SET|RESET|SHOW|LISTEN|UNLISTEN|NOTIFY|GRANT|REVOKE|LOCK|COPY|CALL|DO|EXPLAIN|ANALYZE|VACUUM|REFRESH|` +
	`BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|DECLARE|FETCH|PREPARE|EXECUTE|TABLE)(\s|;|$)`)

// asking are the methods that take a statement, and at which argument.
var asking = map[string]int{
	"Exec": 1, "Query": 1, "QueryRow": 1, "CopyFrom": 1, "Prepare": 2, "Queue": 0, "FindOne": 1, "FindEach": 1, "insertOne": 1, "put": 1,
}

// noImports lets a package be type-checked alone: constants of text are known
// without it, and that is all that is asked.
type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }

// inGo finds the statements of a package of Go files, and what is wrong with
// the way they are written.
func inGo(fset *token.FileSet, files []*ast.File) (found []statement, wrong []string) {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: noImports{}, Error: func(error) {}}
	_, _ = conf.Check("store", fset, files, info) // complains about the imports
	at := func(n ast.Node) (where, file string) {
		p := fset.Position(n.Pos())
		file = filepath.ToSlash(p.Filename)
		p.Filename, p.Column = file, 0
		return p.String(), file
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if complaint := unreadable(info, call); complaint != "" {
					where, _ := at(n)
					wrong = append(wrong, where+": "+complaint)
				}
				return true
			}
			if _, ok := n.(*ast.ImportSpec); ok {
				return false
			}
			expr, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, constant := textOf(info, expr)
			switch e := expr.(type) {
			case *ast.BasicLit, *ast.BinaryExpr:
				if constant && sqlStart.MatchString(text) {
					where, name := at(n)
					found = append(found, statement{where, name, text})
					return false
				}
				if b, ok := e.(*ast.BinaryExpr); ok && !constant && b.Op == token.ADD && sqlStart.MatchString(leftmost(info, b)) {
					where, _ := at(n)
					wrong = append(wrong, where+": SQL is put together at run time; write one constant per statement")
					return false
				}
			}
			return true
		})
	}
	return found, wrong
}

// unreadable says why the statement given to a call could escape this test.
func unreadable(info *types.Info, call *ast.CallExpr) string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	i, ok := asking[method.Sel.Name]
	if !ok || i >= len(call.Args) {
		return ""
	}
	if method.Sel.Name == "CopyFrom" || method.Sel.Name == "Prepare" {
		return method.Sel.Name + " is not used here: its statement cannot be read"
	}
	arg := ast.Unparen(call.Args[i])
	if text, ok := textOf(info, arg); ok {
		if !sqlStart.MatchString(text) {
			return "a statement that begins with no keyword in upper case"
		}
		return ""
	}
	switch arg.(type) {
	case *ast.CallExpr, *ast.BinaryExpr:
		return "SQL is put together at run time; write one constant per statement"
	}
	return "" // a parameter or variable: the constants it takes are found where they stand
}

func textOf(info *types.Info, e ast.Expr) (string, bool) {
	v := info.Types[e].Value
	if v == nil || v.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(v), true
}

func leftmost(info *types.Info, e ast.Expr) string {
	for {
		if text, ok := textOf(info, e); ok {
			return text
		}
		switch x := ast.Unparen(e).(type) {
		case *ast.BinaryExpr:
			e = x.X
		default:
			return ""
		}
	}
}

// inDir finds the statements of the Go files of one directory, tests excepted.
func inDir(t *testing.T, dir string) (found []statement, wrong []string) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range glob(t, dir, "*.go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(fset, name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return inGo(fset, files)
}

// inMigrations finds the statements of the *.sql files of one directory, split
// as they are when they are applied.
func inMigrations(t *testing.T, dir string) []statement {
	t.Helper()
	var found []statement
	for _, name := range glob(t, dir, "*.sql") {
		statements, err := inMigration(name)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, statements...)
	}
	return found
}

func inMigration(name string) (found []statement, err error) {
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return nil, err
	}
	for _, s := range sqldb.SplitStatements(string(text)) {
		first, _, _ := strings.Cut(s, "\n")
		found = append(found, statement{name + ": " + first, name, s})
	}
	return found, nil
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = path.Join(dir, filepath.Base(name))
	}
	slices.Sort(names)
	return names
}

package floorplan

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write .Request.Context() where a gin.Context is given for a context")

// A gin.Context is used for the next request when its handler has returned; whoever
// still holds it then (a desk whose turn comes later, a database session that
// watches for the end) reads what another request is writing. A request's own
// context stays what it was. Run with -rewrite to have the lines mended.
func TestHandlers_giveTheRequestsContextAndNotGins(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, p := range listed(t, "guichet/cell/api", "guichet/control-plane/api", "guichet/router/...", "guichet/internal/httpd") {
		if !slices.Contains(p.Imports, "github.com/gin-gonic/gin") {
			continue
		}
		seen++
		v := check(t, p)
		for _, f := range v.files {
			ast.Inspect(f, v.look)
		}
		v.report(t)
	}
	if seen < 3 {
		t.Errorf("saw %d packages with handlers", seen)
	}
}

// listing is what the go command says of a package.
type listing struct {
	ImportPath, Dir, Export string
	GoFiles, Imports        []string
	DepOnly                 bool

	exports map[string]string // of all packages listed with it
}

// listed are packages with the export data of all they import, from the build cache.
func listed(t *testing.T, patterns ...string) []listing {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Imports,DepOnly"}, patterns...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	exports := map[string]string{}
	var own []listing
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listing
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return own
		} else if err != nil {
			t.Fatal(err)
		}
		exports[l.ImportPath] = l.Export
		if l.exports = exports; !l.DepOnly {
			own = append(own, l)
		}
	}
}

// view is a package with its types.
type view struct {
	fset  *token.FileSet
	files []*ast.File
	info  types.Info
	found []ast.Expr
}

func check(t *testing.T, p listing) *view {
	t.Helper()
	v := &view{fset: token.NewFileSet(), info: types.Info{Types: map[ast.Expr]types.TypeAndValue{}}}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(v.fset, filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		v.files = append(v.files, f)
	}
	config := types.Config{Importer: importer.ForCompiler(v.fset, "gc", func(path string) (io.ReadCloser, error) {
		file, ok := p.exports[path]
		if !ok {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(file)
	})}
	if _, err := config.Check(p.ImportPath, v.fset, v.files, &v.info); err != nil {
		t.Fatal(err)
	}
	return v
}

// look notes gin contexts that are given for a context.Context, and asked as one.
func (v *view) look(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		signature, ok := v.info.TypeOf(n.Fun).(*types.Signature)
		for i, arg := range n.Args {
			if ok && i < signature.Params().Len() {
				v.note(arg, signature.Params().At(i).Type())
			}
		}
	case *ast.SelectorExpr:
		if isGin(v.info.TypeOf(n.X)) && slices.Contains([]string{"Deadline", "Done", "Err", "Value"}, n.Sel.Name) {
			v.found = append(v.found, n.X)
		}
	case *ast.ValueSpec:
		for _, value := range n.Values {
			if n.Type != nil {
				v.note(value, v.info.TypeOf(n.Type))
			}
		}
	case *ast.AssignStmt:
		for i, value := range n.Rhs {
			if len(n.Lhs) == len(n.Rhs) {
				v.note(value, v.info.TypeOf(n.Lhs[i]))
			}
		}
	case *ast.KeyValueExpr:
		v.note(n.Value, v.info.TypeOf(n.Key))
	}
	return true
}

func (v *view) note(e ast.Expr, wanted types.Type) {
	if isGin(v.info.TypeOf(e)) && wanted != nil && wanted.String() == "context.Context" {
		v.found = append(v.found, e)
	}
}

func isGin(t types.Type) bool { return t != nil && t.String() == "*github.com/gin-gonic/gin.Context" }

// report complains, or mends the files from their ends on.
func (v *view) report(t *testing.T) {
	t.Helper()
	slices.SortFunc(v.found, func(a, b ast.Expr) int { return int(b.Pos() - a.Pos()) })
	for _, e := range v.found {
		at := v.fset.Position(e.End())
		if !*rewrite {
			t.Errorf("%s:%d: a gin.Context is given for a context: write .Request.Context(), or run this test with -rewrite", at.Filename, at.Line)
			continue
		}
		text, err := os.ReadFile(at.Filename)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at.Filename, slices.Concat(text[:at.Offset], []byte(".Request.Context()"), text[at.Offset:]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

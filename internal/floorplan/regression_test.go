package floorplan

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// regressions is the table of what bit others.
const regressions = "docs/regressions.md"

var (
	rowOfTest = regexp.MustCompile("(?m)^\\| *[0-9]+ \\|.*\\| `([A-Za-z0-9_]+)` \\| `([a-z/-]+)`")
	nameOf    = regexp.MustCompile(`(?m)^func (TestRegression[0-9]{2}_\w+)\(|^\s*"(Regression[0-9]{2}_\w+)":`)
)

// Every test that the table of regressions names exists where it says, and every
// regression that is tested is in the table.
func TestRegressions_areWhereTheTableSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, regressions))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range rowOfTest.FindAllStringSubmatch(string(text), -1) {
		listed[row[1]] = true
		if !tests(t, row[2], row[1]) {
			t.Errorf("%s names %s in %s, and there is none", regressions, row[1], row[2])
		}
	}
	if rows := strings.Count(string(text), "\n| ") - strings.Count(string(text), "\n| # |"); len(listed) != rows {
		t.Errorf("%s has %d rows, of which %d could be read", regressions, rows, len(listed))
	}
	for _, name := range named(t) {
		if !listed[name] {
			t.Errorf("%s is not in %s", name, regressions)
		}
	}
}

// tests says whether a package has a test function, or a test of a conformance
// suite, of that name.
func tests(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") || strings.Contains(string(text), "\t\""+name+"\":") {
			return true
		}
	}
	return false
}

// named are all tests that are called regressions, wherever they stand.
func named(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range nameOf.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1]+m[2])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

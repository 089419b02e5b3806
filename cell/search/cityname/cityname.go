// Package cityname knows what big cities are called in other languages: München is
// Munich, Monaco di Baviera and 慕尼黑. It answers one question: which other names has the
// city of this name in this country. It knows no places and decides nothing.
//
// Facts: GeoNames (geonames.org), CC BY 4.0. names.tsv.gz is a selection of some 3,600
// cities of at least 100,000 people, and capitals, by falling population: a line has the
// country's code and the city's names in 28 languages, the main one first; Chinese,
// Japanese and Korean names stand there without their word for "city" too.
package cityname

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

//go:embed names.tsv.gz
var packed []byte

// maxTable bounds the table when it is unpacked, in bytes.
const maxTable = 4 << 20

// lines is the table, unpacked once; a broken one is our own bug and panics, which the
// package's test would show first.
var lines = sync.OnceValue(func() [][]string {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(fmt.Sprintf("table of city names: %v", err))
	}
	text, err := io.ReadAll(io.LimitReader(r, maxTable))
	if err != nil {
		panic(fmt.Sprintf("table of city names: %v", err))
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		all = append(all, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return all
})

// Table finds cities by their names, compared as its maker folds them. It is safe for
// concurrent use.
type Table struct {
	fold   func(string) string
	cities map[string][]string // by country and folded name
}

// New makes a table in which names that fold to the same text are the same.
func New(fold func(string) string) *Table {
	t := &Table{fold: fold, cities: make(map[string][]string, 32*len(lines()))}
	for _, at := range []func(names []string) []string{mainName, otherNames} { // a city's main name is its own before it is another's
		for _, line := range lines() {
			for _, name := range at(line[1:]) {
				key := line[0] + "\t" + fold(name)
				if _, taken := t.cities[key]; !taken { // the bigger city has it
					t.cities[key] = line[1:]
				}
			}
		}
	}
	return t
}

func mainName(names []string) []string   { return names[:1] }
func otherNames(names []string) []string { return names[1:] }

// Names are all names of the city that a name means in a country (ISO 3166-1 alpha-2),
// its main one first; none for a city that the table does not have. The caller must not
// change them.
func (t *Table) Names(country, name string) []string {
	return t.cities[country+"\t"+t.fold(name)]
}

// Others are the names of the city besides the one given, each once.
func (t *Table) Others(country, name string) []string {
	seen := []string{t.fold(name)}
	var others []string
	for _, n := range t.Names(country, name) {
		if folded := t.fold(n); !slices.Contains(seen, folded) {
			seen, others = append(seen, folded), append(others, n)
		}
	}
	return others
}

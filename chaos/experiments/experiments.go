// Package experiments holds the drills that this project brings along, as files that the
// Chaos Toolkit reads as well.
package experiments

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Names lists them, "03-cell-killed".
func Names() []string {
	all, err := fs.Glob(files, "*.yaml")
	if err != nil {
		panic(err) // the pattern is well formed
	}
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], path.Ext(all[i]))
	}
	return all
}

// Find gives the name and text of an experiment by its name or its number, "03" or "3".
func Find(name string) (string, []byte, error) {
	for _, known := range Names() {
		number, _, _ := strings.Cut(known, "-")
		if name != known && name != number && "0"+name != number {
			continue
		}
		text, err := files.ReadFile(known + ".yaml")
		return known, text, err
	}
	return "", nil, fmt.Errorf("there is no drill %q: guichet drill list says which there are", name)
}

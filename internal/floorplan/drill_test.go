package floorplan

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What breaks a process on purpose is built in with -tags drill, and is in no program
// that serves people.
func TestPrograms_carryNoDrillSwitch(t *testing.T) {
	t.Parallel()
	files := 0
	for _, p := range listed(t, "guichet/cmd/cell", "guichet/cmd/router", "guichet/cmd/control-plane", "guichet/cell/...", "guichet/router/...", "guichet/control-plane/...") {
		for _, name := range p.GoFiles { // as the go command chooses them without tags
			files++
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"DIE_AT", "syscall.Kill(", "runtime.Goexit("} {
				if bytes.Contains(text, []byte(word)) {
					t.Errorf("%s/%s has %q and no build tag", p.ImportPath, name, word)
				}
			}
		}
	}
	if files < 100 {
		t.Errorf("saw only %d files", files)
	}
}

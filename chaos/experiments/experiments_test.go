package experiments

import (
	"slices"
	"testing"

	"guichet/chaos/experiment"
)

func TestExperiments_allCanBeRun(t *testing.T) {
	t.Parallel()
	names := Names()
	if len(names) < 8 {
		t.Fatalf("only %v", names)
	}
	for _, name := range names {
		found, text, err := Find(name[:2])
		if err != nil || found != name {
			t.Errorf("%s by its number: %s, %v", name, found, err)
			continue
		}
		e, err := experiment.Read(text, map[string]string{"cell": "euw3"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		x := e.Extend()
		if x.Cell != "euw3" {
			t.Errorf("%s breaks %s, whatever cell is named", name, x.Cell)
		}
		// An action that is undone by nothing of the same part is undone by nothing.
		for _, a := range e.Method {
			args, err := a.Provider.Args()
			if err != nil || len(args) < 3 {
				t.Errorf("%s: %q, %v", name, args, err)
				continue
			}
			part := args[2]
			undone := slices.ContainsFunc(e.Rollbacks, func(r experiment.Activity) bool {
				back, err := r.Provider.Args()
				return err == nil && len(back) >= 3 && back[2] == part && (args[1] == "pause") == (back[1] == "resume")
			})
			if a.Type == "action" && !undone {
				t.Errorf("%s: %s is not undone by a rollback", name, a.Name)
			}
		}
	}
	if _, _, err := Find("99"); err == nil {
		t.Error("a drill that is not there was found")
	}
}

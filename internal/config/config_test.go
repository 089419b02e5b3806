package config_test

import (
	"strings"
	"testing"
	"time"

	"guichet/internal/config"
)

func reader(env map[string]string) *config.Reader {
	return config.New(func(name string) string { return env[name] })
}

func TestReader_givesWhatIsSetAndElseTheDefault(t *testing.T) {
	set := reader(map[string]string{"T": "text", "R": "there", "U": "https://cell.example:8101/x", "D": "1m30s", "I": "8", "ON": "yes", "OFF": "off"})
	if set.Text("T", "def") != "text" || set.Required("R", "why") != "there" || set.URL("U", "") != "https://cell.example:8101/x" ||
		set.Duration("D", time.Second) != 90*time.Second || set.Int("I", 1, 0, 8) != 8 || !set.Bool("ON", false) || set.Bool("OFF", true) {
		t.Error("a value that was set is not given")
	}
	unset := reader(nil)
	if unset.Text("T", "def") != "def" || unset.URL("U", "http://x") != "http://x" || unset.URL("U", "") != "" ||
		unset.Duration("D", time.Second) != time.Second || unset.Int("I", 3, 0, 8) != 3 || !unset.Bool("B", true) || unset.Bool("B", false) {
		t.Error("a default is not given")
	}
	if err := set.Err(); err != nil {
		t.Error(err)
	}
	if err := unset.Err(); err != nil {
		t.Error(err)
	}
}

func TestReader_reportsAllFaultsAtOnceAndNoValues(t *testing.T) {
	r := reader(map[string]string{
		"GUICHET_URL": "hunter2", "GUICHET_HOSTLESS": "http://", "GUICHET_TTL": "-5s", "GUICHET_ZERO": "0s", "GUICHET_WORD": "hunter2",
		"GUICHET_LOW": "0", "GUICHET_HIGH": "9", "GUICHET_HALF": "1.5", "GUICHET_BOOL": "hunter2",
	})
	r.Required("GUICHET_DATABASE", "the cell's database")
	r.URL("GUICHET_URL", "")
	r.URL("GUICHET_HOSTLESS", "")
	for _, name := range []string{"GUICHET_TTL", "GUICHET_ZERO", "GUICHET_WORD"} {
		if got := r.Duration(name, time.Minute); got != time.Minute {
			t.Errorf("%s gives %s", name, got)
		}
	}
	for _, name := range []string{"GUICHET_LOW", "GUICHET_HIGH", "GUICHET_HALF"} {
		if got := r.Int(name, 2, 1, 8); got != 2 {
			t.Errorf("%s gives %d", name, got)
		}
	}
	r.Bool("GUICHET_BOOL", false)
	r.Fault("GUICHET_OWN", "is %s", "odd")
	err := r.Err()
	if err == nil {
		t.Fatal("nothing was reported")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 11 {
		t.Errorf("%d faults, want 11:\n%v", len(lines), err)
	}
	for _, name := range []string{"DATABASE is not set: the cell's database", "URL", "HOSTLESS", "TTL", "ZERO", "WORD", "LOW is not an integer from 1 to 8", "HIGH", "HALF", "BOOL", "OWN is odd"} {
		if !strings.Contains(err.Error(), "GUICHET_"+name) {
			t.Errorf("nothing about GUICHET_%s in\n%v", name, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("a value, which may be a secret, is repeated")
	}
}

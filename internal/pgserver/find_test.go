package pgserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"guichet/internal/child"
)

func sleeper(t *testing.T) int {
	t.Helper()
	who, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = who.attr()
	if err := child.Start(cmd, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestFind_believesTheEnvironmentAndSaysWhenItIsWrong(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("GUICHET_PG_BIN", dir)
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("an empty directory: got %v", err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if bin, err := Find(); err != nil || bin.Dir != dir {
		t.Errorf("got %v, %v", bin, err)
	}
}

func TestErrNotInstalled_namesTheOneCommand(t *testing.T) {
	if !strings.Contains(ErrNotInstalled.Error(), "apt-get install -y postgresql") {
		t.Errorf("got %q", ErrNotInstalled)
	}
}

func TestFind_takesTheHighestPackagedVersion(t *testing.T) {
	dirs := []string{"/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/15/bin"}
	slices.SortFunc(dirs, func(a, b string) int { return versionOf(b) - versionOf(a) })
	if versionOf(dirs[0]) != 17 || versionOf(dirs[2]) != 9 {
		t.Errorf("got %v", dirs)
	}
}

func TestPlace_goesElsewhereWhenTheAccountCannotReachTheDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root lends the server to another account")
	}
	closed := tempDir(t)
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	asked := filepath.Join(closed, "town", "euw3")
	got, err := Place(asked)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "/var/tmp/guichet-postgres-") || filepath.Base(got) != "euw3" {
		t.Errorf("closed: got %s", got)
	}
	if again, _ := Place(asked); again != got {
		t.Error("the next run would not find it again")
	}
	if err := os.Chmod(closed, 0o711); err != nil {
		t.Fatal(err)
	}
	if got, _ := Place(asked); got != asked {
		t.Errorf("reachable: got %s", got)
	}
}

func TestTail_keepsTheEnd(t *testing.T) {
	var out tail
	for range 3000 {
		if _, err := out.Write([]byte("0123456789\n")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := out.Write([]byte("the\nlast\n\nwords\n")); err != nil {
		t.Fatal(err)
	}
	if n := len(out.String()); n > tailLimit {
		t.Errorf("kept %d bytes", n)
	}
	if got := out.lastLines(2); got != "last | words" {
		t.Errorf("got %q", got)
	}
}

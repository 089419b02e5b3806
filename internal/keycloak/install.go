// Package keycloak gets a real Keycloak onto this machine and runs it: for tests, and
// for a town that was asked for it. Nothing of it is part of a program that serves.
package keycloak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"guichet/internal/child"
)

// Version is the Keycloak that everything was tried with.
const Version = "26.7.3"

// ErrMissing says that a program is missing without which there is no Keycloak here.
var ErrMissing = errors.New("no Keycloak can be run")

const (
	artifact       = "org.keycloak:keycloak-quarkus-dist:" + Version + ":tar.gz"
	installLimit   = 15 * time.Minute // a slow line, then 40 s of CPU for the build
	builtMark      = "guichet-built"
	onlyForOurself = 0o700
)

// Available says why no Keycloak can be run here; nil when one can.
func Available() error {
	for _, need := range []struct{ program, pkg string }{{"java", "openjdk-17-jre-headless"}, {"mvn", "maven"}, {"tar", "tar"}} {
		if _, err := exec.LookPath(need.program); err != nil {
			return fmt.Errorf("%w: %s is not on the PATH (apt-get install -y %s)", ErrMissing, need.program, need.pkg)
		}
	}
	return nil
}

// Install downloads, unpacks and builds Keycloak once for this user, and says where it
// is. Whoever comes while another process does that waits for it.
func Install(ctx context.Context, progress io.Writer) (home string, err error) {
	if err := Available(); err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: there is no cache directory: %w", ErrMissing, err)
	}
	dir := filepath.Join(cache, "guichet", "keycloak-"+Version)
	if err := os.MkdirAll(dir, onlyForOurself); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	home = filepath.Join(dir, "keycloak-"+Version)
	if _, err := os.Stat(filepath.Join(home, builtMark)); err == nil {
		return home, nil
	}
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	if err := os.RemoveAll(home); err != nil { // whatever an interrupted attempt left
		return "", err
	}
	archive := filepath.Join(dir, "keycloak.tar.gz")
	_, _ = fmt.Fprintf(progress, "getting Keycloak %s: about 180 MB, once for this user\n", Version)
	for _, step := range [][]string{
		{"mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get", "-Dartifact=" + artifact, "-Dtransitive=false"},
		{"mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy", "-Dartifact=" + artifact, "-DoutputDirectory=" + dir, "-Dmdep.stripVersion=true", "-Dmdep.overWriteReleases=true"},
		{"mv", filepath.Join(dir, "keycloak-quarkus-dist.tar.gz"), archive},
		{"tar", "-xzf", archive, "-C", dir},
		{"rm", archive},
		{filepath.Join(home, "bin", "kc.sh"), "build", "--db=dev-mem", "--health-enabled=true"},
	} {
		if err := run(ctx, step); err != nil && step[0] == "mvn" {
			return "", fmt.Errorf("%w: it cannot be fetched: %w", ErrMissing, err)
		} else if err != nil {
			return "", fmt.Errorf("install Keycloak: %w", err)
		}
	}
	return home, os.WriteFile(filepath.Join(home, builtMark), nil, 0o600)
}

// run runs one program to its end; it dies with us.
func run(ctx context.Context, step []string) error {
	cmd := exec.CommandContext(ctx, step[0], step[1:]...) //nolint:gosec // the steps are above
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = 5 * time.Second
	if err := child.Run(cmd); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(step[0]), err, said)
	}
	return nil
}

// lock waits until nobody else has the file.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// settle makes a directory in which one Keycloak runs, with the installed files linked
// and data of its own, so that several run side by side from one installation.
func settle(home, own string, realm []byte) error {
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(home, path)
		if err != nil {
			return err
		}
		if rel == "data" {
			return filepath.SkipDir
		}
		target := filepath.Join(own, rel)
		if d.IsDir() {
			return os.MkdirAll(target, onlyForOurself)
		}
		return os.Link(path, target) //nolint:gosec // G122: both trees are this user's alone
	})
	if err != nil {
		return fmt.Errorf("make a directory for Keycloak: %w", err)
	}
	imports := filepath.Join(own, "data", "import")
	if err := os.MkdirAll(imports, onlyForOurself); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(imports, "guichet-realm.json"), realm, 0o600)
}

package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// buildPatience covers a build with cold caches on a busy machine, and ends
// before go test gives the package up.
const buildPatience = 8 * time.Minute

// Programs is a directory with the four programs of a town.
type Programs struct{ Dir string }

// all are the programs of a town.
var all = []string{"cell", "router", "control-plane", "guichet"}

// Build builds the programs, or only those named, into a directory of their own; Remove takes it away.
// Under the race detector they are built with it as well, so that a drill sees
// the programs' races and not only its own.
func Build(ctx context.Context, only ...string) (Programs, error) {
	root, err := moduleRoot()
	if err != nil {
		return Programs{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, buildPatience)
	defer cancel()
	return buildIn(ctx, root, only)
}

func buildIn(ctx context.Context, root string, only []string) (_ Programs, err error) {
	dir, err := os.MkdirTemp("", "guichet-programs-")
	if err != nil {
		return Programs{}, fmt.Errorf("build the programs: %w", err)
	}
	p := Programs{Dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Remove())
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // programs are no secret
		return Programs{}, fmt.Errorf("build the programs: %w", err)
	}
	args := []string{"build", "-o", dir + "/", "-ldflags=-s -w", "-tags=drill"}
	if raceDetector {
		args = append(args, "-race")
	}
	if len(only) == 0 {
		only = all
	}
	for _, name := range only {
		args = append(args, "./cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // fixed words
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return Programs{}, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return p, nil
}

// ErrNoHistory is returned where the release before is not in the history at hand.
var ErrNoHistory = errors.New("the commit is not in this clone's history; fetch all of it")

// BuildAt builds programs as they were at a commit, in a work tree that is removed again.
func BuildAt(ctx context.Context, commit string, only ...string) (_ Programs, err error) {
	root, err := moduleRoot()
	if err != nil {
		return Programs{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, buildPatience)
	defer cancel()
	git := func(arguments ...string) error {
		cmd := exec.CommandContext(ctx, "git", arguments...) //nolint:gosec // fixed words, a commit of ours
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", arguments[0], err, out)
		}
		return nil
	}
	if git("cat-file", "-e", commit+"^{commit}") != nil {
		return Programs{}, fmt.Errorf("%s: %w", commit, ErrNoHistory)
	}
	tree, err := os.MkdirTemp("", "guichet-before-")
	if err != nil {
		return Programs{}, fmt.Errorf("build the release before: %w", err)
	}
	defer func() { err = errors.Join(err, git("worktree", "remove", "--force", tree)) }()
	if err := git("worktree", "add", "--detach", tree, commit); err != nil {
		return Programs{}, err
	}
	return buildIn(ctx, tree, only)
}

// Path is where a program is.
func (p Programs) Path(name string) string { return filepath.Join(p.Dir, name) }

// Remove removes the programs.
func (p Programs) Remove() error { return os.RemoveAll(p.Dir) }

// moduleRoot is the directory of go.mod, upwards from where we stand.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = up
	}
}

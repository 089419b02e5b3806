package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"guichet/internal/child"
)

// passwordFile lies in the data directory, so that the password travels with
// the data and is as secret as they are.
const passwordFile = "guichet_password"

// prepare makes the data directory unless it is there. It is filled under
// another name and renamed, so one that was interrupted is simply done again.
func (c Config) prepare(ctx context.Context, bin Binaries, who account) error {
	if _, err := os.Stat(filepath.Join(c.Dir, "PG_VERSION")); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	leftovers, _ := filepath.Glob(c.Dir + ".init-*") // the pattern is well-formed
	for _, old := range leftovers {
		if err := os.RemoveAll(old); err != nil {
			return fmt.Errorf("remove an interrupted initdb: %w", err)
		}
	}
	work, err := os.MkdirTemp(filepath.Dir(c.Dir), filepath.Base(c.Dir)+".init-")
	if err != nil {
		return fmt.Errorf("make a data directory: %w", err)
	}
	defer os.RemoveAll(work) // an empty shell after the rename, swept by the next run
	if err := who.own(work); err != nil {
		return fmt.Errorf("hand over %s: %w", work, err)
	}
	data := filepath.Join(work, "data")
	if c.TemplateDir != "" {
		err = c.copyTemplate(ctx, bin, who, data)
	} else {
		err = c.initdb(ctx, bin, who, data)
	}
	if err != nil {
		return err
	}
	_ = os.Remove(c.Dir) // goes only when somebody made it ahead, empty
	if err := os.Rename(data, c.Dir); err != nil {
		return fmt.Errorf("put the data directory in place: %w", err)
	}
	return nil
}

// initdb makes a fresh data directory with a superuser of our own, a random
// password and text in byte order, as on CockroachDB.
func (c Config) initdb(ctx context.Context, bin Binaries, who account, data string) error {
	secret := data + "." + passwordFile
	if err := os.WriteFile(secret, []byte(rand.Text()), 0o600); err != nil {
		return fmt.Errorf("write the password: %w", err)
	}
	if err := who.own(secret); err != nil {
		return fmt.Errorf("hand over the password: %w", err)
	}
	args := []string{
		"-D", data, "-U", superuser, "--pwfile", secret, "--auth-host=scram-sha-256", "--auth-local=scram-sha-256",
		"--encoding=UTF8", "--no-locale",
	}
	if c.volatile() {
		args = append(args, "--no-sync")
	}
	if err := run(ctx, bin, who, bin.initdb(), args...); err != nil {
		return err
	}
	if err := os.Rename(secret, filepath.Join(data, passwordFile)); err != nil {
		return fmt.Errorf("keep the password: %w", err)
	}
	return nil
}

// copyTemplate copies a directory that initdb made earlier: a tenth of the
// time. The copies share a system identifier, which only replication minds.
func (c Config) copyTemplate(ctx context.Context, bin Binaries, who account, data string) error {
	if _, err := os.Stat(filepath.Join(c.TemplateDir, "postmaster.pid")); err == nil {
		return fmt.Errorf("template %s has been started: it is no template", c.TemplateDir)
	}
	if err := copyTree(c.TemplateDir, data, who); err != nil {
		return fmt.Errorf("copy the template: %w", err)
	}
	if c.volatile() {
		return nil
	}
	return run(ctx, bin, who, bin.initdb(), "--sync-only", "-D", data)
}

// Template makes a data directory that is never started, for Config.TemplateDir.
// It is no work when it is there already.
func Template(ctx context.Context, cfg Config) (dir string, err error) {
	cfg, bin, who, err := cfg.resolve()
	if err != nil {
		return "", err
	}
	lock, err := lockDir(ctx, cfg.Dir)
	if err != nil {
		return "", err
	}
	defer lock.Close() // closing gives the lock back
	return cfg.Dir, cfg.prepare(ctx, bin, who)
}

func copyTree(from, to string, who account) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case entry.IsDir():
			err = os.Mkdir(target, 0o700)
		case entry.Type().IsRegular():
			err = copyFile(path, target)
		default:
			return fmt.Errorf("%s is neither a file nor a directory", rel)
		}
		if err != nil {
			return err
		}
		return who.own(target)
	})
}

func copyFile(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	_, err = io.Copy(dst, src)
	return err
}

// run runs one of PostgreSQL's programs to its end.
func run(ctx context.Context, bin Binaries, who account, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // one of the two programs that Find found
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", environment(bin), who.attr()
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := child.Run(cmd); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, out.lastLines(3))
	}
	return nil
}

// environment is all that PostgreSQL gets to see: nothing of ours (PGDATA,
// PGPORT, LANG) may change how it behaves.
func environment(bin Binaries) []string {
	env := []string{"PATH=" + bin.Dir + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	if bin.Lib != "" {
		env = append(env, "LD_LIBRARY_PATH="+bin.Lib)
	}
	return env
}

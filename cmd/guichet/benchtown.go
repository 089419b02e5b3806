package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"guichet/cmd/guichet/town"
)

// benchTown is a town of the bench's own.
type benchTown struct {
	town        *town.Town
	dir         string
	credentials string
}

// openBenchTown opens a town on free ports in a temporary directory and waits
// until the whole catalogue is in: a bench beside an import would measure both.
func openBenchTown(ctx context.Context, out io.Writer) (*benchTown, error) {
	b, err := openOwnTown(ctx, out)
	if err == nil {
		b.town.Filled(ctx)
	}
	return b, err
}

// openDrillTown opens a town without the catalogue: a drill makes its own events.
func openDrillTown(ctx context.Context, out io.Writer) (*benchTown, error) {
	return openOwnTown(ctx, out, "--no-import")
}

func openOwnTown(ctx context.Context, out io.Writer, flags ...string) (*benchTown, error) {
	dir, err := os.MkdirTemp("", "guichet-bench-")
	if err != nil {
		return nil, fmt.Errorf("directory for the bench's town: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the database's account must pass
		return nil, fmt.Errorf("directory for the bench's town: %w", err)
	}
	b := &benchTown{dir: dir}
	opts, err := town.Parse(append(flags, "--state", filepath.Join(dir, "state"), "--ports", "0", "--restart-after", "0"), out)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	opts.Programs, opts.Import = filepath.Dir(self), importCommand
	if b.town, err = town.Open(ctx, opts, out); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b.credentials = filepath.Join(dir, "state", "credentials.json")
	return b, nil
}

func (b *benchTown) close() {
	_ = b.town.Close()
	_ = os.RemoveAll(b.dir)
}

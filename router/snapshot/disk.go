package snapshot

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"guichet/control-plane/topology/seal"
)

// fileName is the snapshot's name in the state directory.
const fileName = "topology.json"

// read loads a map from disk; nil without an error when there is none yet. One that
// no pinned key signed is as good as damaged.
func read(path string, pinned []ed25519.PublicKey) (*seal.Map, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	m, err := seal.Parse(raw, pinned)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s is not used: %w", path, err)
	}
	return m, nil
}

// write replaces the file so that a crash at any moment leaves the old or the
// new one whole: the content is on disk before the name is, and the name is
// before we say so.
func write(path string, m *seal.Map) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), fileName+".*")
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write snapshot: %w", err)
		}
	}()
	if _, err = f.Write(m.Bytes()); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close() // opened for its Sync only
	return dir.Sync()
}

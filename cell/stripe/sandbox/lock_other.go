//go:build !unix

package sandbox

import (
	"os"
	"path/filepath"
)

// lockDir cannot lock here: do not start two sandboxes on one directory.
func lockDir(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
}

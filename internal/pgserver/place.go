package pgserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// fallbackRoot is where data go that may not lie where they were asked for: it
// outlives a restart of the machine, which /tmp does not.
const fallbackRoot = "/var/tmp"

// account is who runs the server. PostgreSQL refuses to run as root, so root
// lends it to the user postgres or, without one, to nobody.
type account struct {
	uid, gid uint32
	switched bool // false: we run it as ourselves
}

func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("user id of %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("group id of %s: %w", name, err)
		}
		return account{uid: uint32(uid), gid: uint32(gid), switched: true}, nil
	}
	return account{}, errors.New("PostgreSQL does not run as root and there is neither a user postgres nor nobody")
}

func (a account) attr() *syscall.SysProcAttr {
	if !a.switched {
		return &syscall.SysProcAttr{}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid}}
}

func (a account) own(path string) error {
	if !a.switched {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// Place says where the data of a server asked for at dir will really lie. It is
// dir itself, unless root runs us and the account that runs PostgreSQL cannot
// reach dir (a state directory under /root, say); then it is a directory under
// /var/tmp whose name is a hash of dir, so that the next run finds it again.
func Place(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	who, err := serverAccount()
	if err != nil {
		return "", err
	}
	if !who.switched || who.reaches(filepath.Dir(dir)) {
		return dir, nil
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(fallbackRoot, "guichet-postgres-"+hex.EncodeToString(sum[:6]), filepath.Base(dir)), nil
}

// reaches says whether the account may pass through path and all above it.
// Directories that do not exist yet are made by us and are no obstacle.
func (a account) reaches(path string) bool {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	for {
		info, err := os.Stat(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if err == nil && !a.searches(info) {
			return false
		}
		up := filepath.Dir(path)
		if up == path {
			return true
		}
		path = up
	}
}

func (a account) searches(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return false
	case st.Uid == a.uid:
		return st.Mode&0o100 != 0
	case st.Gid == a.gid:
		return st.Mode&0o010 != 0
	default:
		return st.Mode&0o001 != 0
	}
}

// prepareParent makes the directory above the data directory. One that a
// stranger made in a place where everybody may write is refused.
func prepareParent(dir string, who account) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", parent, err)
	}
	info, err := os.Lstat(parent)
	if err != nil {
		return fmt.Errorf("look at %s: %w", parent, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if filepath.Dir(parent) == fallbackRoot && int(st.Uid) != os.Geteuid() && (!who.switched || st.Uid != who.uid) {
		return fmt.Errorf("%s belongs to user %d: refused", parent, st.Uid)
	}
	return nil
}

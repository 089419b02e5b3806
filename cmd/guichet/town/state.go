package town

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/natsd"
	"guichet/internal/operator"
	"guichet/internal/pgserver"
	"guichet/internal/signed"
)

const (
	lockName    = "town.lock"
	recordName  = "town.json"
	controlName = "control.json"
	credsName   = "credentials.json"
)

// state is the town's directory. Its lock is the kernel's and goes with us.
type state struct {
	dir    string
	lock   *os.File
	record record
}

// record is what a later run needs to find this town again. It holds secrets.
type record struct {
	Engine        string                     `json:"engine"`
	Nodes         int                        `json:"nodes,omitempty"` // of each cell's CockroachDB
	OperatorToken string                     `json:"operator_token"`
	ControlSeed   string                     `json:"control_seed"`  // hex, 32 bytes: what the control plane signs with
	SigningSeeds  map[topology.CellID]string `json:"signing_seeds"` // hex, 32 bytes
	AccessSeeds   map[topology.CellID]string `json:"access_seeds"`  // hex, 32 bytes
	ClientSecret  string                     `json:"client_secret"` // of the cells at the town's issuer
	Joined        []topology.CellID          `json:"joined"`        // cells that the control plane knows
	NKeySeeds     map[topology.CellID]string `json:"nkey_seeds"`    // of the leaves
	Databases     []string                   `json:"databases"`     // where their data really lie
	Imported      []string                   `json:"imported"`      // catalogues that are in
}

// openState takes the directory for us alone and reads its record; fresh empties
// it first, but only a directory that is a town's.
func openState(dir string, fresh bool) (s *state, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o755); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	s = &state{dir: dir, lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name()) // only to name it
		return nil, fmt.Errorf("a town is open already on %s (pid %s)", dir, strings.TrimSpace(string(holder)))
	}
	if err := lock.Truncate(0); err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if _, err := lock.WriteAt(fmt.Appendln(nil, os.Getpid()), 0); err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if err := readJSON(s.path(recordName), &s.record); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if fresh {
		if err := s.forget(); err != nil {
			return nil, err
		}
	}
	return s, s.complete()
}

func (s *state) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// forget removes everything but the lock. Without a record the directory is not
// ours to empty, unless there is nothing in it.
func (s *state) forget() error {
	for _, dir := range s.record.Databases {
		if err := pgserver.Remove(dir); err != nil {
			return fmt.Errorf("start over: %w", err)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("start over: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if name == lockName || name == "log" && s.record.OperatorToken == "" {
			continue
		}
		if s.record.OperatorToken == "" {
			return fmt.Errorf("start over: %s holds %s and is no town's state; it is left alone", s.dir, name)
		}
		if err := os.RemoveAll(s.path(name)); err != nil {
			return fmt.Errorf("start over: %w", err)
		}
	}
	s.record = record{}
	return os.MkdirAll(s.path("log"), 0o755)
}

// Of a town's own operator token: how long it is good, and with how much left an opening
// makes a new one.
const (
	operatorLife = 30 * 24 * time.Hour
	operatorRest = 10 * 24 * time.Hour
)

// complete makes the secrets that are missing, and an operator token in time.
func (s *state) complete() error {
	if s.record.ControlSeed == "" {
		s.record.ControlSeed = newSeed()
	}
	key, err := s.controlKey()
	if err != nil {
		return err
	}
	now, pinned := time.Now(), []ed25519.PublicKey{key.Public()}
	if _, err := operator.Verify(s.record.OperatorToken, pinned, now.Add(operatorRest)); err != nil {
		s.record.OperatorToken, _, err = operator.Issue(key, "town", []string{operator.Operate, operator.Drill}, now, operatorLife)
		if err != nil {
			return fmt.Errorf("make an operator token: %w", err)
		}
	}
	if s.record.SigningSeeds == nil {
		s.record.SigningSeeds = map[topology.CellID]string{}
	}
	if s.record.AccessSeeds == nil {
		s.record.AccessSeeds = map[topology.CellID]string{}
	}
	s.record.completePeople()
	return s.save()
}

// controlKey is the control plane's key.
func (s *state) controlKey() (*signed.Key, error) {
	seed, err := hex.DecodeString(s.record.ControlSeed)
	if err != nil {
		return nil, fmt.Errorf("read the control plane's seed: %w", err)
	}
	return operator.NewKey(seed)
}

// controlPublic is its public half, as every program pins it.
func (s *state) controlPublic() string {
	key, err := s.controlKey()
	if err != nil {
		return ""
	}
	return signed.PublicText(key.Public())
}

func newSeed() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails since Go 1.24
	return hex.EncodeToString(raw)
}

func (s *state) save() error { return writeJSON(s.path(recordName), s.record) }

// seeds makes the cell's seeds when they are first asked for.
func (s *state) seeds(cell topology.CellID) error {
	if s.record.SigningSeeds[cell] != "" && s.record.AccessSeeds[cell] != "" {
		return nil
	}
	for _, seeds := range []map[topology.CellID]string{s.record.SigningSeeds, s.record.AccessSeeds} {
		if seeds[cell] == "" {
			seeds[cell] = newSeed()
		}
	}
	return s.save()
}

// nkey makes the nkey of the cell's leaf, unless it has one.
func (s *state) nkey(cell topology.CellID) error {
	if s.record.NKeySeeds == nil {
		s.record.NKeySeeds = map[topology.CellID]string{}
	}
	if s.record.NKeySeeds[cell] != "" {
		return nil
	}
	seed, _, err := natsd.NewNKey()
	if err != nil {
		return err
	}
	s.record.NKeySeeds[cell] = seed
	return s.save()
}

// wasKilled says whether the last town on this state had no chance to clean up.
func (s *state) wasKilled() bool {
	_, err := os.Stat(s.path(controlName))
	return err == nil
}

func (s *state) close() error {
	err := os.Remove(s.path(controlName))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, s.lock.Close())
}

// writeJSON replaces a file as a whole; readers see the old or the new one. The
// files hold secrets: they are for their owner only.
func writeJSON(path string, v any) (err error) {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	_, err = file.Write(append(raw, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", filepath.Base(path), err), os.Remove(file.Name()))
	}
	return nil
}

func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	return nil
}

// pause waits, or returns early with the context's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

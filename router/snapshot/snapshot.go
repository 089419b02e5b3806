// Package snapshot keeps the router's map of the town: loaded from disk before
// the router listens, re-read on a fixed period from the control plane or, when
// that is away, from any cell, and replaced only by a better one that the control
// plane signed. It never asks
// anybody while a request waits (P6, P8), and only Keeper changes the map.
package snapshot

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/internal/kind"
	"guichet/router/route"
)

// Limits.
const (
	// Period is the default time between two looks at the topology.
	Period = 2 * time.Second
	// askTimeout bounds one source's answer.
	askTimeout = time.Second
	// answerLimit bounds a snapshot: 16 MiB hold about 150,000 placements.
	answerLimit = 16 << 20
	// sourcesLimit bounds how many sources one refresh asks.
	sourcesLimit = 8
)

// ErrNoSource is returned when nobody had a snapshot that could be used.
var ErrNoSource = kind.Unavailable.New("no_topology_source")

// Config says where snapshots come from. Now is required.
type Config struct {
	Dir          string              // state directory; empty keeps nothing on disk
	ControlPlane string              // its base URL, asked first; may be empty
	Bootstrap    []string            // base URLs of cells to ask before any snapshot names some
	Period       time.Duration       // Period if 0
	Client       *http.Client        // http.DefaultClient's transport if nil
	Pinned       []ed25519.PublicKey // keys whose maps are believed, and no others
	Distrust     func(error)         // told of every map that is refused, and whose it was; may be nil
	Now          func() time.Time
	Report       func(error) // told how every look went, nil for well; may be nil
}

// Keeper holds the newest acceptable map.
type Keeper struct {
	cfg    Config
	now    atomic.Pointer[route.Map]
	sealed atomic.Pointer[seal.Map] // what now was made from

	mu       sync.Mutex // one refresh at a time
	turn     int        // which cell to ask next, under mu
	unstored bool       // the snapshot in force is not on disk yet, under mu

	confirmed atomic.Int64 // when a source last answered, Unix nanoseconds
	refused   atomic.Int64 // snapshots refused by the guard
}

// Open makes a keeper and loads what is on disk. A damaged file is reported, not
// fatal: the town's cells know the topology too.
func Open(cfg Config) (*Keeper, error) {
	if cfg.Period <= 0 {
		cfg.Period = Period
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{}
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	if cfg.Distrust == nil {
		cfg.Distrust = func(error) {}
	}
	k := &Keeper{cfg: cfg}
	if cfg.Dir == "" {
		return k, nil
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	m, err := read(k.path(), cfg.Pinned)
	if m != nil {
		err = k.replace(m)
	} else if err != nil {
		k.refused.Add(1)
	}
	if err != nil {
		cfg.Report(err)
		cfg.Distrust(err)
	}
	return k, nil
}

func (k *Keeper) path() string { return filepath.Join(k.cfg.Dir, fileName) }

// Map is the map in force, nil before there is one.
func (k *Keeper) Map() *route.Map { return k.now.Load() }

// Sealed is the map in force as it was signed, nil before there is one.
func (k *Keeper) Sealed() *seal.Map { return k.sealed.Load() }

// Cells lists the cells of the map in force.
func (k *Keeper) Cells() []topology.Cell {
	if s := k.Map().Snapshot(); s != nil {
		return s.Cells
	}
	return nil
}

// Age is how long ago a source last answered; false if none has since the start.
func (k *Keeper) Age() (time.Duration, bool) {
	at := k.confirmed.Load()
	if at == 0 {
		return 0, false
	}
	return k.cfg.Now().Sub(time.Unix(0, at)), true
}

// Refused counts the snapshots that the guard kept out.
func (k *Keeper) Refused() int64 { return k.refused.Load() }

// Run refreshes until ctx ends, at once and then on the fixed period: a constant
// amount of work whether the town is well or not.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.cfg.Period)
	defer tick.Stop()
	for {
		if err := k.Refresh(ctx); ctx.Err() == nil {
			k.cfg.Report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Refresh asks the control plane, then cells in turn, until one answers with a
// snapshot that may be used.
func (k *Keeper) Refresh(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := error(ErrNoSource.With("neither a control plane nor a cell is known; set GUICHET_CONTROL_PLANE or GUICHET_CELLS"))
	for i, source := range k.sources() {
		m, askErr := k.ask(ctx, source)
		if askErr == nil {
			askErr = k.accept(m)
		}
		if errors.Is(askErr, seal.ErrUnsigned) || errors.Is(askErr, topology.ErrRefused) {
			k.cfg.Distrust(fmt.Errorf("the map of %s: %w", source, askErr))
		}
		if askErr == nil {
			return k.store()
		}
		if i == 0 {
			err = askErr
		} else {
			err = errors.Join(err, askErr)
		}
	}
	return err
}

// sources: the control plane, then all known cells starting with another one
// each time, so that a cell that hangs is not asked first for ever.
func (k *Keeper) sources() []string {
	cells := slices.Clone(k.cfg.Bootstrap)
	for _, c := range k.Cells() {
		if c.State != topology.CellLeft {
			cells = append(cells, c.URLs...)
		}
	}
	slices.Sort(cells)
	cells = slices.Compact(cells)
	if n := len(cells); n > 0 {
		k.turn = (k.turn + 1) % n
		cells = slices.Concat(cells[k.turn:], cells[:k.turn])
	}
	if k.cfg.ControlPlane != "" {
		cells = slices.Insert(cells, 0, k.cfg.ControlPlane)
	}
	return cells[:min(len(cells), sourcesLimit)]
}

func (k *Keeper) ask(ctx context.Context, base string) (*seal.Map, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/v1/topology", nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s for the topology: %w", base, err)
	}
	resp, err := k.cfg.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for the topology: %w", err)
	}
	defer resp.Body.Close() // read to its end below
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for the topology: it answered %d", base, resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read topology of %s: %w", base, err)
	}
	if len(raw) > answerLimit {
		return nil, fmt.Errorf("topology of %s is larger than %d bytes", base, answerLimit)
	}
	m, err := seal.Open(raw, resp.Header.Get(seal.Header), k.cfg.Pinned)
	if err != nil {
		k.refused.Add(1)
		return nil, fmt.Errorf("topology of %s: %w", base, err)
	}
	return m, nil
}

// accept takes a source's snapshot into force if it is newer. The same version
// again only confirms the one at hand.
func (k *Keeper) accept(m *seal.Map) error {
	current := k.Map().Snapshot()
	if current == nil || current.Version != m.Snapshot().Version {
		if err := k.replace(m); err != nil {
			return err
		}
		k.unstored = true
	}
	k.confirmed.Store(k.cfg.Now().UnixNano())
	return nil
}

// replace is the only place where the map changes: never to one that would empty
// the table, turn back time or lower an epoch (P1, P8), nor to one that a router
// could not follow.
func (k *Keeper) replace(m *seal.Map) error {
	s := m.Snapshot()
	err := k.Map().Snapshot().Replace(s)
	if err == nil {
		err = usable(s)
	}
	if err != nil {
		k.refused.Add(1)
		return err
	}
	k.now.Store(route.NewMap(s))
	k.sealed.Store(m)
	return nil
}

func usable(s *topology.Snapshot) error {
	for _, c := range s.Cells {
		if _, err := topology.ParseCell(string(c.ID)); err != nil {
			return topology.ErrRefused.With("%s", err)
		}
		for _, text := range c.URLs {
			if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				return topology.ErrRefused.With("%.100q of cell %s is no HTTP address", text, c.ID)
			}
		}
	}
	return nil
}

// store keeps the map in force on disk; what fails is tried again next time.
func (k *Keeper) store() error {
	if !k.unstored || k.cfg.Dir == "" {
		return nil
	}
	if err := write(k.path(), k.Sealed()); err != nil {
		return err
	}
	k.unstored = false
	return nil
}

// Package atlas holds the newest map of the town that this cell has seen. The map
// comes from the leaf's mirror, or by HTTP from the control plane, and is kept in
// a file, so that a cell that starts alone still knows the town (P6, P8). Only a map
// that the control plane signed is believed, wherever it comes from, and one that
// would empty the table or turn time back is refused.
package atlas

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
)

// Bounds of the fall-back by HTTP.
const (
	fetchPeriod  = 5 * time.Second
	fetchTimeout = 2 * time.Second
	maxSnapshot  = 32 << 20 // bytes
	fileName     = "topology.json"
)

// Atlas holds a snapshot and keeps the newest.
type Atlas struct {
	file    string
	pinned  []ed25519.PublicKey
	refused atomic.Int64
	current atomic.Pointer[seal.Map]

	mu      sync.Mutex // one Offer at a time
	unsaved bool       // the disk refused the newest map
}

// Open loads the map that was last seen from dir. A file that is damaged, or not
// signed with a pinned key, is as good as none; report is told. Without pinned keys
// no map is believed.
func Open(dir string, pinned []ed25519.PublicKey, report func(error)) (*Atlas, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory for the map: %w", err)
	}
	a := &Atlas{file: filepath.Join(dir, fileName), pinned: pinned}
	text, err := os.ReadFile(a.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the map: %w", err)
	}
	if text == nil {
		return a, nil
	}
	m, err := seal.Parse(text, pinned)
	if err == nil && len(m.Snapshot().Cells) == 0 {
		err = topology.ErrRefused.With("it has no cells")
	}
	if err != nil {
		a.refused.Add(1)
		report(fmt.Errorf("the map on disk is not used: %w", err))
		return a, nil
	}
	a.current.Store(m)
	return a, nil
}

// Current is the newest map, nil when none was ever seen.
func (a *Atlas) Current() *topology.Snapshot { return a.current.Load().Snapshot() }

// Sealed is the newest map as it was signed, for those who ask this cell; nil when
// none was ever seen.
func (a *Atlas) Sealed() *seal.Map { return a.current.Load() }

// Refused counts maps that were not believed, or would have done harm.
func (a *Atlas) Refused() int64 { return a.refused.Load() }

// Take offers a map as it stands in a bucket, with its signature.
func (a *Atlas) Take(text []byte) error {
	m, err := seal.Parse(text, a.pinned)
	if err != nil {
		a.refused.Add(1)
		return err
	}
	return a.Offer(m)
}

// Offer takes a map in when it may replace the one at hand, and keeps it on disk.
// A map that is not newer is no error; the same one told again, with newer beats,
// is kept in memory only.
func (a *Atlas) Offer(m *seal.Map) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, next := a.current.Load().Snapshot(), m.Snapshot()
	if now != nil && next != nil && next.Version <= now.Version {
		if next.Version == now.Version && next.IssuedAt.After(now.IssuedAt) && now.Replace(next) == nil {
			a.current.Store(m)
		}
		if a.unsaved {
			return a.save(a.current.Load())
		}
		return nil
	}
	if err := now.Replace(next); err != nil {
		a.refused.Add(1)
		return err
	}
	a.current.Store(m)
	a.unsaved = true
	return a.save(m)
}

// save writes the file whole or not at all. The other name is always the same,
// so that processes which die here leave one file, not many.
func (a *Atlas) save(m *seal.Map) error {
	tmp, err := os.OpenFile(a.file+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the map: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(m.Bytes())
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write the map: %w", err)
	}
	if err := os.Rename(tmp.Name(), a.file); err != nil {
		return fmt.Errorf("write the map: %w", err)
	}
	a.unsaved = false
	return nil
}

// Follow asks url for the map on a fixed period until ctx ends; report is told of
// every failure, which changes nothing.
func (a *Atlas) Follow(ctx context.Context, client *http.Client, url string, report func(error)) {
	tick := time.NewTicker(fetchPeriod)
	defer tick.Stop()
	for {
		if err := a.fetch(ctx, client, url); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *Atlas) fetch(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/topology", nil)
	if err != nil {
		return fmt.Errorf("ask for the map: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask for the map: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("ask for the map: %s answered %d", url, res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxSnapshot))
	if err != nil {
		return fmt.Errorf("read the map: %w", err)
	}
	m, err := seal.Open(text, res.Header.Get(seal.Header), a.pinned)
	if err != nil {
		a.refused.Add(1)
		return fmt.Errorf("the map of %s: %w", url, err)
	}
	return a.Offer(m)
}

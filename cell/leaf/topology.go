package leaf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// ErrNoTopology means that no snapshot has reached this leaf yet.
var ErrNoTopology = kind.Unavailable.New("no_topology")

const (
	topologyAsk    = 2 * time.Second
	topologyPeriod = 5 * time.Second // a read beside the watch, in case the watch is deaf
)

// Topology reads the newest snapshot that reached the leaf's own mirror, and its
// revision. It works without the hub.
func (l *Leaf) Topology(ctx context.Context) (*topology.Snapshot, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, topologyAsk)
	defer cancel()
	kv, err := l.js.KeyValue(ctx, bucketTopology)
	if err != nil {
		return nil, 0, fmt.Errorf("topology bucket: %w", err)
	}
	entry, err := kv.Get(ctx, keySnapshot)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, ErrNoTopology
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read topology: %w", err)
	}
	snap, err := decodeSnapshot(entry.Value())
	return snap, entry.Revision(), err
}

func decodeSnapshot(b []byte) (*topology.Snapshot, error) {
	var snap topology.Snapshot
	if err := json.Unmarshal(b, &snap); err != nil {
		return nil, fmt.Errorf("topology snapshot: %w", err)
	}
	return &snap, nil
}

// WatchTopology calls fn with every snapshot that reaches the mirror, the one at
// hand first, until ctx ends. The same snapshot may come more than once.
func (l *Leaf) WatchTopology(ctx context.Context, fn func(*topology.Snapshot)) {
	for ctx.Err() == nil {
		if err := l.watchTopology(ctx, fn); err != nil && ctx.Err() == nil {
			l.cfg.Log.WarnContext(ctx, "watch topology", slog.Any("error", err))
		}
		wait(ctx, consumePause, nil)
	}
}

func (l *Leaf) watchTopology(ctx context.Context, fn func(*topology.Snapshot)) error {
	kv, err := l.js.KeyValue(ctx, bucketTopology)
	if err != nil {
		return err
	}
	watch, err := kv.Watch(ctx, keySnapshot)
	if err != nil {
		return err
	}
	defer func() { _ = watch.Stop() }()
	again := time.NewTicker(topologyPeriod)
	defer again.Stop()
	seen := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-watch.Updates():
			if !open {
				return errors.New("the watch ended")
			}
			if entry == nil || entry.Operation() != jetstream.KeyValuePut { // nil: all that was there has come
				continue
			}
			snap, err := decodeSnapshot(entry.Value())
			if err != nil {
				return err
			}
			seen = max(seen, entry.Revision())
			fn(snap)
		case <-again.C:
			if snap, revision, err := l.Topology(ctx); err == nil && revision > seen {
				seen = revision
				fn(snap)
			}
		}
	}
}

package leaf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"guichet/internal/kind"
)

// ErrNoTopology means that no snapshot has reached this leaf yet.
var ErrNoTopology = kind.Unavailable.New("no_topology")

const (
	topologyAsk    = 2 * time.Second
	topologyPeriod = 5 * time.Second // a read beside the watch, in case the watch is deaf
)

// Topology reads the newest map that reached the leaf's own mirror, and its
// revision. It works without the hub. What is in the mirror is to be believed only
// when it is signed, which is not the leaf's to judge.
func (l *Leaf) Topology(ctx context.Context) ([]byte, uint64, error) {
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
	return entry.Value(), entry.Revision(), nil
}

// WatchTopology calls fn with every map that reaches the mirror, the one at hand
// first, until ctx ends. The same map may come more than once.
func (l *Leaf) WatchTopology(ctx context.Context, fn func(text []byte)) {
	for ctx.Err() == nil {
		if err := l.watchTopology(ctx, fn); err != nil && ctx.Err() == nil {
			l.cfg.Log.WarnContext(ctx, "watch topology", slog.Any("error", err))
		}
		wait(ctx, consumePause, nil)
	}
}

func (l *Leaf) watchTopology(ctx context.Context, fn func(text []byte)) error {
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
			seen = max(seen, entry.Revision())
			fn(entry.Value())
		case <-again.C:
			if text, revision, err := l.Topology(ctx); err == nil && revision > seen {
				seen = revision
				fn(text)
			}
		}
	}
}

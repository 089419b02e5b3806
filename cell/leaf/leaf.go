// Package leaf is the cell's end of the bus: an embedded nats-server whose
// JetStream domain is the cell, the relay that carries outbox rows to it,
// consumers of facts, and the copy of the town's topology. It starts, takes and
// gives messages without the hub (P6, P8); JetStream is transport, SQL the record.
package leaf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"guichet/cell/bus"
	"guichet/control-plane/topology"
	"guichet/internal/natsd"
)

// Config of a leaf.
type Config struct {
	Cell     topology.CellID
	Listen   string // host:port on the loopback; sibling processes of the cell attach there
	StoreDir string // JetStream's files
	HubURL   string // nats-leaf://host:4291; the hub need not be there
	// Attach is the address of the leaf that a sibling process runs, like
	// nats://127.0.0.1:4301. When set, no server is started here.
	Attach  string
	Parking bus.Parking // where poison messages go
	Log     *slog.Logger
	// FirstNak is the pause before a failed message is tried again; it doubles
	// with every failure. Zero means 100 ms.
	FirstNak time.Duration
}

// Leaf is a connection to the cell's leaf server, which it may also run.
type Leaf struct {
	cfg   Config
	srv   *natsd.Server // nil when attached to a sibling's
	conn  *nats.Conn
	js    jetstream.JetStream
	world *natsd.Sources
	// topology is the copy of the hub's bucket.
	topology *natsd.Sources
	metrics  *metrics
}

const (
	setupLimit = 20 * time.Second
	setupPause = 250 * time.Millisecond
)

// Start starts the leaf, or attaches to a sibling's, and sees to its streams.
func Start(ctx context.Context, cfg Config) (*Leaf, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.FirstNak <= 0 {
		cfg.FirstNak = firstNak
	}
	if cfg.Parking == nil {
		return nil, errors.New("leaf: a parking is required")
	}
	l := &Leaf{cfg: cfg, metrics: newMetrics()}
	if err := l.open(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("leaf of %s: %w", cfg.Cell, err)
	}
	return l, nil
}

func (l *Leaf) open(ctx context.Context) (err error) {
	name := "cell-" + string(l.cfg.Cell)
	if l.cfg.Attach != "" {
		l.conn, err = natsd.Dial(l.cfg.Attach, name, l.cfg.Log)
	} else {
		l.srv, err = natsd.Start(ctx, natsd.Config{
			Name: "leaf-" + string(l.cfg.Cell), Domain: string(l.cfg.Cell), Listen: l.cfg.Listen,
			StoreDir: l.cfg.StoreDir, HubURL: l.cfg.HubURL, Log: l.cfg.Log,
		})
		if err != nil {
			return err
		}
		l.conn, err = l.srv.Connect(name)
	}
	if err != nil {
		return err
	}
	if l.js, err = jetstream.New(l.conn, jetstream.WithPublishAsyncMaxPending(maxInFlight)); err != nil {
		return err
	}
	return l.setUp(ctx)
}

// setUp is tried again for a while: a sibling's server may be starting.
func (l *Leaf) setUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	for {
		err := l.ensureStreams(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(setupPause):
		}
	}
}

// Run looks after the streams that gather from the hub until ctx ends.
func (l *Leaf) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { l.world.Watch(ctx) })
	wg.Go(func() { l.topology.Watch(ctx) })
	wg.Wait()
}

// Ready reports why local publishing and reading would not work now. The hub is
// not asked: its absence keeps nobody from selling (P8).
func (l *Leaf) Ready(context.Context) error {
	if !l.conn.IsConnected() {
		return errors.New("the leaf server is not connected")
	}
	return nil
}

// Hub reports whether the leaf has its hub. Attached to a sibling's leaf it
// cannot know and says false.
func (l *Leaf) Hub() bool { return l.srv != nil && l.srv.Leaves() > 0 }

// Addr is where siblings attach.
func (l *Leaf) Addr() string {
	if l.srv == nil {
		return l.conn.ConnectedAddr()
	}
	return l.srv.ClientAddr()
}

// Close closes the connection and, if it runs here, the server.
func (l *Leaf) Close() {
	if l.conn != nil {
		l.conn.Close()
	}
	if l.srv != nil {
		l.srv.Close()
	}
}

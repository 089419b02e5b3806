// Package leaf is the cell's end of the bus: an embedded nats-server whose
// JetStream domain is the cell, the relay that carries outbox rows to it,
// consumers of facts, and the copy of the town's topology. It starts, takes and
// gives messages without the hub (P6, P8); JetStream is transport, SQL the record.
package leaf

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
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
	StoreDir string      // JetStream's files
	HubURL   string      // nats-leaf://host:4291; the hub need not be there, and "" is none
	Seed     string      // the cell's nkey, with which the leaf proves itself at the hub
	TLS      *tls.Config // for the way to the hub, shows the cell's certificate; nil speaks in the clear
	Parking  bus.Parking // where poison messages go
	Log      *slog.Logger
	// FirstNak is the pause before a failed message is tried again; it doubles
	// with every failure. Zero means 100 ms.
	FirstNak time.Duration
}

// Leaf is the cell's leaf server and this process's connection to it. It opens no
// port: nobody but this process can speak to it, and the hub, to which it dials.
type Leaf struct {
	cfg     Config
	srv     *natsd.Server
	conn    *nats.Conn
	js      jetstream.JetStream
	metrics *metrics
}

const setupLimit = 20 * time.Second

// Start starts the leaf and sees to its streams.
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
	server := natsd.Config{Name: "leaf-" + string(l.cfg.Cell), Domain: string(l.cfg.Cell), StoreDir: l.cfg.StoreDir, Log: l.cfg.Log}
	if l.cfg.HubURL != "" {
		server.Hub = &natsd.Hub{URL: l.cfg.HubURL, Seed: l.cfg.Seed, TLS: l.cfg.TLS}
	}
	if l.srv, err = natsd.Start(ctx, server); err != nil {
		return err
	}
	if l.conn, err = l.srv.Connect("cell-"+string(l.cfg.Cell), ""); err != nil {
		return err
	}
	if l.js, err = jetstream.New(l.conn, jetstream.WithPublishAsyncMaxPending(maxInFlight)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	return l.ensureStreams(ctx)
}

// Ready reports why local publishing and reading would not work now. The hub is
// not asked: its absence keeps nobody from selling (P8).
func (l *Leaf) Ready(context.Context) error {
	if !l.conn.IsConnected() {
		return errors.New("the leaf server is not connected")
	}
	return nil
}

// Hub reports whether the leaf has its hub.
func (l *Leaf) Hub() bool { return l.srv.Leaves() > 0 }

// ClientAddr is where clients connect: nowhere, "".
func (l *Leaf) ClientAddr() string { return l.srv.ClientAddr() }

// Close closes the connection and the server.
func (l *Leaf) Close() {
	if l.conn != nil {
		l.conn.Close()
	}
	if l.srv != nil {
		l.srv.Close()
	}
}

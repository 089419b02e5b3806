// Package hub is the middle of the bus: an embedded nats-server (JetStream domain
// "hub") that gathers every cell's OUT into WORLD and keeps the topology bucket
// that the cells mirror. It decides nothing and holds no record: it may be away
// for any time, and even lose its disk, and catches up afterwards.
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"guichet/control-plane/topology"
	"guichet/internal/natsd"
)

const (
	domain      = "hub"
	streamWorld = "WORLD"
	streamOut   = "OUT" // of every cell

	keepAge         = 7 * 24 * time.Hour
	worldMaxBytes   = 4 << 30
	duplicateWindow = 10 * time.Minute

	bucketTopology = "topology"
	keySnapshot    = "snapshot"

	callLimit = 5 * time.Second
	leafUser  = "leaf"
)

// Config of the hub.
type Config struct {
	Listen     string // host:port for clients: tools and people
	LeafListen string // host:port for the cells' leaves
	LeafSecret string // leaves dial nats-leaf://leaf:<secret>@…; "" lets everyone in
	StoreDir   string
	Log        *slog.Logger
}

// Hub is a running hub.
type Hub struct {
	srv   *natsd.Server
	conn  *nats.Conn
	kv    jetstream.KeyValue
	world *natsd.Sources
}

// Start starts the hub and sees to its stream and bucket.
func Start(ctx context.Context, cfg Config) (*Hub, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	h := &Hub{}
	if err := h.open(ctx, cfg); err != nil {
		h.Close()
		return nil, fmt.Errorf("hub: %w", err)
	}
	return h, nil
}

func (h *Hub) open(ctx context.Context, cfg Config) (err error) {
	server := natsd.Config{Name: "hub", Domain: domain, Listen: cfg.Listen, LeafListen: cfg.LeafListen, StoreDir: cfg.StoreDir, Log: cfg.Log}
	if cfg.LeafSecret != "" {
		server.LeafUser, server.LeafPassword = leafUser, cfg.LeafSecret
	}
	if h.srv, err = natsd.Start(ctx, server); err != nil {
		return err
	}
	if h.conn, err = h.srv.Connect("control-plane"); err != nil {
		return err
	}
	js, err := jetstream.New(h.conn)
	if err != nil {
		return err
	}
	h.world = natsd.NewSources(h.conn, js, jetstream.StreamConfig{
		Name: streamWorld, Description: "what all cells told; sources only",
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxAge: keepAge, MaxBytes: worldMaxBytes, Duplicates: duplicateWindow, AllowMsgTTL: true,
	}, cfg.Log)
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	h.kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucketTopology, Description: "the town's map", History: 1, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return fmt.Errorf("bucket %s: %w", bucketTopology, err)
	}
	return h.resume(ctx, js)
}

// resume goes on gathering from the cells of the last run, before any database
// was asked.
func (h *Hub) resume(ctx context.Context, js jetstream.JetStream) error {
	have, err := js.Stream(ctx, streamWorld)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // the first cell makes it: a stream needs a source
	}
	if err != nil {
		return err
	}
	return h.world.Set(ctx, streamOut, natsd.Domains(have.CachedInfo().Config))
}

// Gather makes WORLD gather from exactly these cells.
func (h *Hub) Gather(ctx context.Context, cells []topology.CellID) error {
	if len(cells) == 0 {
		return nil
	}
	domains := make([]string, len(cells))
	for i, c := range cells {
		domains[i] = string(c)
	}
	return h.world.Set(ctx, streamOut, domains)
}

// Publish puts a map where every leaf mirrors it. It is signed: the hub could not
// make one, and readers do not believe the hub.
func (h *Hub) Publish(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if _, err := h.kv.Put(ctx, keySnapshot, text); err != nil {
		return fmt.Errorf("publish topology: %w", err)
	}
	return nil
}

// Latest is the map that was published last, nil if there was none.
func (h *Hub) Latest(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	entry, err := h.kv.Get(ctx, keySnapshot)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	return entry.Value(), nil
}

// Run looks after stalled sources until ctx ends.
func (h *Hub) Run(ctx context.Context) { h.world.Watch(ctx) }

// Ready reports why the hub would not work now.
func (h *Hub) Ready(context.Context) error {
	if !h.conn.IsConnected() {
		return errors.New("the hub server is not connected")
	}
	return nil
}

// ClientAddr is where tools connect.
func (h *Hub) ClientAddr() string { return h.srv.ClientAddr() }

// LeafAddr is where leaves dial.
func (h *Hub) LeafAddr() string { return h.srv.LeafAddr() }

// Leaves counts the leaves that are connected.
func (h *Hub) Leaves() int { return h.srv.Leaves() }

// Collectors are the hub's metrics.
func (h *Hub) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "guichet_hub_leaves", Help: "Leaves connected; fewer than there are cells means a cell works alone.",
		}, func() float64 { return float64(h.Leaves()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "guichet_bus_sources_readded_total", Help: "Stalled sources that the watchdog re-added; growing fast means a bad link to a cell.",
		}, func() float64 { return float64(h.world.Readded()) }),
	}
}

// Close stops the hub.
func (h *Hub) Close() {
	if h.conn != nil {
		h.conn.Close()
	}
	if h.srv != nil {
		h.srv.Close()
	}
}

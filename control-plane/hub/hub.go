// Package hub is the middle of the bus: an embedded nats-server (JetStream domain
// "hub") to which the cells' leaves attach. It fetches what each cell tells into a
// stream of that cell's own, carries it to the others, and gives everybody the map.
// It trusts no leaf: admit.go says who may come in and do what, gate.go what is
// let through, limit.go how much. It holds no record: it may be away for any time,
// and even lose its disk, and catches up afterwards.
package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"guichet/control-plane/topology"
	"guichet/internal/natsd"
	"guichet/internal/trunk"
)

const (
	domain = "hub"

	// What one cell told is kept in a stream of its own, so that what it floods
	// pushes out nothing but what it told itself.
	toldPrefix   = "TOLD_"
	toldSubjects = "told."
	keepAge      = 7 * 24 * time.Hour
	toldMaxBytes = 256 << 20
	toldMaxMsgs  = 500_000
	// MaxTold bounds one message of a cell; it is a leaf's limit and room for headers.
	MaxTold         = 512 << 10
	maxToldStored   = MaxTold + 8<<10
	duplicateWindow = 10 * time.Minute

	bucketTopology = "topology"
	keySnapshot    = "snapshot"

	callLimit = 5 * time.Second
	batchSize = 256 // messages that are carried at a time
)

// Config of the hub.
type Config struct {
	LeafListen string      // host:port for the cells' leaves
	TLS        *tls.Config // for the leaves, asks for their certificates; nil speaks in the clear
	// PeerCell is the cell that a leaf's certificate names. It is asked when TLS is set.
	PeerCell func(*tls.ConnectionState) (topology.CellID, bool)
	// Cells are the cells that may attach whatever the map says; those on the map
	// that have an nkey may as well. Nil is none.
	Cells func() []Identity
	// Read opens a map and judges its signature: the hub takes cells' keys and events' homes from it.
	Read     func(text []byte) (*topology.Snapshot, error)
	Limits   Limits // of each cell; zero is DefaultLimits
	StoreDir string
	Log      *slog.Logger
}

// Hub is a running hub.
type Hub struct {
	log     *slog.Logger
	limits  Limits
	read    func(text []byte) (*topology.Snapshot, error)
	srv     *natsd.Server
	conn    *nats.Conn
	js      jetstream.JetStream
	kv      jetstream.KeyValue
	door    *door
	metrics *metrics

	work context.Context //nolint:containedctx // of everything that carries; ends with Close
	stop context.CancelFunc
	busy sync.WaitGroup

	mu    sync.Mutex
	lines map[topology.CellID]*line // to the cells that are gathered from
	told  map[topology.CellID]bool  // whose streams are there, those of cells that left too
	chart chart
	moved chan struct{} // closed and made anew when the map changes
}

// chart is the map that was published last.
type chart struct {
	raw   []byte
	homes map[string]topology.CellID // of events that are not where their id says
}

// Start starts the hub, sees to its streams, and goes on where the last run was.
func Start(ctx context.Context, cfg Config) (*Hub, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Read == nil {
		return nil, errors.New("hub: who opens a map must be said")
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	h := &Hub{
		log: cfg.Log, limits: cfg.Limits, read: cfg.Read, metrics: newMetrics(), lines: map[topology.CellID]*line{}, told: map[topology.CellID]bool{}, moved: make(chan struct{}),
	}
	h.work, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	h.door = newDoor(cfg, h.metrics)
	if err := h.open(ctx, cfg); err != nil {
		h.Close()
		return nil, fmt.Errorf("hub: %w", err)
	}
	return h, nil
}

func (h *Hub) open(ctx context.Context, cfg Config) (err error) {
	// A leaf that comes before the last map was read is refused and comes again.
	h.srv, err = natsd.Start(ctx, natsd.Config{
		Name: "hub", Domain: domain, StoreDir: cfg.StoreDir, Log: cfg.Log,
		Leaves: &natsd.Leaves{Listen: cfg.LeafListen, TLS: cfg.TLS, Admit: h.door.admit, Violated: h.door.violated},
	})
	if err != nil {
		return err
	}
	h.door.disconnect(h.srv.Disconnect)
	if h.conn, err = h.srv.Connect("control-plane", ""); err != nil {
		return err
	}
	if h.js, err = jetstream.New(h.conn, jetstream.WithPublishAsyncMaxPending(4*batchSize*maxLines), jetstream.WithPublishAsyncTimeout(callLimit)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	h.kv, err = h.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucketTopology, Description: "the town's map", History: 1, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return fmt.Errorf("bucket %s: %w", bucketTopology, err)
	}
	return h.resume(ctx)
}

// resume goes on with the cells of the last run, before any database was asked.
func (h *Hub) resume(ctx context.Context) error {
	names := h.js.StreamNames(ctx)
	for name := range names.Name() {
		if cell, err := topology.ParseCell(strings.TrimPrefix(name, toldPrefix)); err == nil && strings.HasPrefix(name, toldPrefix) {
			h.told[cell] = true
		}
	}
	if err := names.Err(); err != nil {
		return fmt.Errorf("list streams: %w", err)
	}
	text, err := h.Latest(ctx)
	if err != nil || text == nil {
		return err // the first cell to join begins
	}
	snap, err := h.read(text)
	if err != nil {
		h.log.WarnContext(ctx, "the map of the last run cannot be read; the next one is waited for", slog.Any("error", err))
		return nil
	}
	h.adopt(snap, text)
	var cells []topology.CellID
	for _, c := range snap.Cells {
		if c.State != topology.CellLeft {
			cells = append(cells, c.ID)
		}
	}
	return h.Gather(ctx, cells)
}

// Gather carries between exactly these cells. Those who left are not heard any
// more; what they told before is still carried to the others.
func (h *Hub) Gather(ctx context.Context, cells []topology.CellID) error {
	if len(cells) == 0 {
		return nil
	}
	if len(cells) > maxLines {
		return fmt.Errorf("gather: %d cells, the limit is %d", len(cells), maxLines)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	for _, c := range cells {
		if err := h.ensureTold(ctx, c); err != nil {
			return err
		}
	}
	for c, l := range h.lines {
		if !slices.Contains(cells, c) {
			l.close()
			delete(h.lines, c)
		}
	}
	for _, c := range cells {
		if h.lines[c] == nil {
			l, err := h.openLine(c)
			if err != nil {
				return err
			}
			h.lines[c] = l
		}
		h.lines[c].carryFrom(slices.Sorted(maps.Keys(h.told)))
	}
	return nil
}

// ensureTold sees to the stream of what a cell told.
func (h *Hub) ensureTold(ctx context.Context, c topology.CellID) error {
	if h.told[c] && h.lines[c] != nil {
		return nil
	}
	if _, err := h.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: toldPrefix + string(c), Subjects: []string{toldSubjects + string(c) + ".>"}, Description: "what " + string(c) + " told",
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxAge: keepAge, MaxBytes: toldMaxBytes, MaxMsgs: toldMaxMsgs, MaxMsgSize: maxToldStored, Duplicates: duplicateWindow, AllowMsgTTL: true,
	}); err != nil {
		return fmt.Errorf("stream of what %s told: %w", c, err)
	}
	h.told[c] = true
	return nil
}

// Publish gives a map to every leaf and lets those attach whose nkey it names. It is
// signed: the hub could not make one, and readers do not believe the hub.
func (h *Hub) Publish(ctx context.Context, text []byte) error {
	snap, err := h.read(text)
	if err != nil {
		return fmt.Errorf("publish topology: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if _, err := h.kv.Put(ctx, keySnapshot, text); err != nil {
		return fmt.Errorf("publish topology: %w", err)
	}
	h.adopt(snap, text)
	return nil
}

// adopt takes a map into use: for the door, for the gates, and for the leaves.
func (h *Hub) adopt(snap *topology.Snapshot, raw []byte) {
	homes := make(map[string]topology.CellID, len(snap.Placements))
	for _, p := range snap.Placements {
		homes[p.EventID] = p.Home
	}
	var known []Identity
	for _, c := range snap.Cells {
		if c.NKey != "" && c.State != topology.CellLeft {
			known = append(known, Identity{Cell: c.ID, NKey: c.NKey})
		}
	}
	h.door.know(known)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.chart = chart{raw: raw, homes: homes}
	close(h.moved)
	h.moved = make(chan struct{})
}

// charted is the map at hand, and what closes when there is a newer one.
func (h *Hub) charted() (chart, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.chart, h.moved
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

// Ready reports why the hub would not work now.
func (h *Hub) Ready(context.Context) error {
	if !h.conn.IsConnected() {
		return errors.New("the hub server is not connected")
	}
	return nil
}

// Recheck cuts leaves off whose nkey is not known any more. Publish does it by itself.
func (h *Hub) Recheck() { h.door.recheck() }

// ClientAddr is where clients connect: nowhere, "".
func (h *Hub) ClientAddr() string { return h.srv.ClientAddr() }

// LeafAddr is where leaves dial.
func (h *Hub) LeafAddr() string { return h.srv.LeafAddr() }

// Leaves counts the leaves that are connected.
func (h *Hub) Leaves() int { return h.srv.Leaves() }

// Close stops the hub.
func (h *Hub) Close() {
	h.stop()
	h.mu.Lock()
	for _, l := range h.lines {
		l.close()
	}
	h.mu.Unlock()
	h.busy.Wait()
	if h.conn != nil {
		h.conn.Close()
	}
	if h.srv != nil {
		h.srv.Close()
	}
}

// apiOf is the JetStream of a cell as the hub asks it.
func apiOf(conn *nats.Conn, c topology.CellID) (jetstream.JetStream, error) {
	return jetstream.NewWithAPIPrefix(conn, trunk.API(string(c)), jetstream.WithPublishAsyncMaxPending(4*batchSize*maxLines), jetstream.WithPublishAsyncTimeout(callLimit))
}

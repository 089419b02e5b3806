package leaf_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/bus"
	"guichet/cell/leaf"
	"guichet/control-plane/hub"
	"guichet/control-plane/topology"
	"guichet/internal/natsd"
)

const patience = 2 * time.Minute // the machine may be busy; nothing is measured

var cells = []topology.CellID{"euw3", "use1", "apn1"}

// nkeys are the cells' own, made once.
var nkeys = map[topology.CellID]struct{ seed, public string }{}

func init() {
	for _, c := range append(slices.Clone(cells), "sae1") {
		seed, public, err := natsd.NewNKey()
		if err != nil {
			panic(err)
		}
		nkeys[c] = struct{ seed, public string }{seed, public}
	}
}

func nkeyOf(c topology.CellID) struct{ seed, public string } { return nkeys[c] }

// known is what the hub is told of the cells.
func known() []hub.Identity {
	var all []hub.Identity
	for c, k := range nkeys {
		all = append(all, hub.Identity{Cell: c, NKey: k.public})
	}
	return all
}

// doc is the subject of a cell's nth event's document.
func doc(c topology.CellID, n int) string {
	return bus.Catalog(c, fmt.Sprintf("evt_%s_%012d", c, n))
}

// town is a hub with leaves, all real servers in this process.
type town struct {
	t *testing.T

	hubCfg hub.Config
	hub    *hub.Hub
	leaves map[topology.CellID]*leaf.Leaf
	parked *parking
}

func openTown(t *testing.T) *town {
	t.Helper()
	w := &town{t: t, leaves: map[topology.CellID]*leaf.Leaf{}, parked: &parking{}}
	w.hubCfg = hub.Config{LeafListen: freePort(t), StoreDir: t.TempDir(), Cells: known, Read: readMap, Log: quiet(t)}
	w.openHub()
	t.Cleanup(w.closeHub)
	for _, c := range cells {
		w.leaves[c] = w.openLeaf(c, t.TempDir(), w.hubCfg.LeafListen)
	}
	return w
}

func (w *town) openHub() {
	w.t.Helper()
	h, err := hub.Start(w.t.Context(), w.hubCfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.hub = h
	if err := h.Gather(w.t.Context(), cells); err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) closeHub() {
	if w.hub != nil {
		w.hub.Close()
		w.hub = nil
	}
}

func (w *town) openLeaf(c topology.CellID, dir, hubLeaf string) *leaf.Leaf {
	w.t.Helper()
	l, err := leaf.Start(w.t.Context(), leaf.Config{
		Cell: c, StoreDir: dir, HubURL: "nats-leaf://" + hubLeaf, Seed: nkeyOf(c).seed,
		Parking: w.parked, Log: quiet(w.t), FirstNak: time.Millisecond,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(l.Close)
	return l
}

// consume records what a durable consumer of the leaf hears.
func (w *town) consume(l *leaf.Leaf, name string, subjects ...string) *heard {
	h := &heard{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.Consume(ctx, name, subjects, h.hear); err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() { cancel(); <-done })
	return h
}

// heard is a consumer with an inbox, as every real one has.
type heard struct {
	mu       sync.Mutex
	effects  map[string]int // by payload
	attempts map[string]int // by message id
	fail     func(m bus.Message) error
}

func (h *heard) hear(_ context.Context, m bus.Message) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.effects == nil {
		h.effects, h.attempts = map[string]int{}, map[string]int{}
	}
	first := h.attempts[m.ID] == 0
	h.attempts[m.ID]++
	if h.fail != nil {
		if err := h.fail(m); err != nil {
			return err
		}
		first = true
	}
	if first {
		h.effects[string(m.Payload)]++
	}
	return nil
}

func (h *heard) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.effects)
}

// allOnce fails unless exactly the wanted payloads had an effect, once each.
func (h *heard) allOnce(t *testing.T, who string, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range want {
		if h.effects[p] != 1 {
			t.Errorf("%s: %q had %d effects", who, p, h.effects[p])
		}
	}
	if len(h.effects) != len(want) {
		t.Errorf("%s heard %d payloads, want %d", who, len(h.effects), len(want))
	}
}

// outbox is SQL's part of the relay, in memory, with the same rules.
type outbox struct {
	mu     sync.Mutex
	cell   topology.CellID
	rows   map[int][]bus.Record
	cursor map[int]int64
	broken error // what Advance answers instead of working
}

func newOutbox(c topology.CellID) *outbox {
	return &outbox{cell: c, rows: map[int][]bus.Record{}, cursor: map[int]int64{}}
}

func (o *outbox) put(key, subject, payload string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := bus.BucketOf(key)
	seq := int64(len(o.rows[b]) + 1)
	o.rows[b] = append(o.rows[b], bus.Record{Bucket: b, Seq: seq, MessageID: fmt.Sprintf("%s-%d-%d", o.cell, b, seq), Subject: subject, Payload: []byte(payload)})
}

func (o *outbox) Moved(context.Context) ([]bus.Span, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []bus.Span
	for b, rows := range o.rows {
		if last := int64(len(rows)); last > o.cursor[b] {
			out = append(out, bus.Span{Bucket: b, After: o.cursor[b], Last: last})
		}
	}
	return out, nil
}

func (o *outbox) Read(_ context.Context, b int, after int64, limit int) ([]bus.Record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rows := o.rows[b][after:]
	return rows[:min(limit, len(rows))], nil
}

func (o *outbox) Advance(_ context.Context, b int, from, to int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return o.broken
	}
	if o.cursor[b] == from {
		o.cursor[b] = to
	}
	return nil
}

func (o *outbox) pending() bool {
	spans, _ := o.Moved(context.Background())
	return len(spans) > 0
}

func (w *town) relay(l *leaf.Leaf, o bus.Outbox) *leaf.Relay {
	r := l.NewRelay(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
	return r
}

type parking struct {
	mu     sync.Mutex
	parked []bus.Parked
}

func (p *parking) Park(_ context.Context, m bus.Parked) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parked = append(p.parked, m)
	return nil
}

func (p *parking) all() []bus.Parked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]bus.Parked(nil), p.parked...)
}

// eventually polls until ok, or fails at the deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond) // between two looks, not instead of one
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func quiet(t *testing.T) *slog.Logger {
	t.Helper()
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(&lines{t: t}, nil))
	}
	return slog.New(slog.DiscardHandler)
}

type lines struct {
	t  *testing.T
	mu sync.Mutex
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t.Context().Err() != nil { // servers may speak after the test ended
		return len(b), nil
	}
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

var errPoison = errors.New("cannot digest")

// readMap opens a map that nobody signed.
func readMap(text []byte) (*topology.Snapshot, error) {
	var snap topology.Snapshot
	return &snap, json.Unmarshal(text, &snap)
}

func mapText(version int64) []byte { return fmt.Appendf(nil, `{"version":%d}`, version) }

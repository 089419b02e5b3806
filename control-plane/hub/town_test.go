package hub_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"guichet/control-plane/hub"
	"guichet/control-plane/topology"
	"guichet/internal/natsd"
	"guichet/internal/trunk"
)

const patience = 2 * time.Minute // the machine may be busy; nothing is measured

// key is a cell's nkey.
type key struct{ seed, public string }

func newKey(t *testing.T) key {
	t.Helper()
	seed, public, err := natsd.NewNKey()
	if err != nil {
		t.Fatal(err)
	}
	return key{seed, public}
}

// town is a hub and what a test lets attach to it.
type town struct {
	t    *testing.T
	hub  *hub.Hub
	log  *lockedBuffer
	keys map[topology.CellID]key
}

var cells = []topology.CellID{"euw3", "use1", "apn1"}

func openTown(t *testing.T, with ...func(*hub.Config)) *town {
	t.Helper()
	w := &town{t: t, log: &lockedBuffer{}, keys: map[topology.CellID]key{}}
	for _, c := range cells {
		w.keys[c] = newKey(t)
	}
	cfg := hub.Config{LeafListen: "127.0.0.1:0", StoreDir: t.TempDir(), Read: readMap, Log: slog.New(slog.NewTextHandler(w.log, nil)), Cells: func() []hub.Identity {
		var all []hub.Identity
		for c, k := range w.keys {
			all = append(all, hub.Identity{Cell: c, NKey: k.public})
		}
		return all
	}}
	for _, f := range with {
		f(&cfg)
	}
	h, err := hub.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.hub = h
	t.Cleanup(h.Close)
	if err := h.Gather(t.Context(), cells); err != nil {
		t.Fatal(err)
	}
	return w
}

// evt is the id of a cell's nth event.
func evt(c topology.CellID, n int) string { return fmt.Sprintf("evt_%s_%012d", c, n) }

// cell is a leaf of which everything is in the test's hands, as an attacker has it
// who took a cell over.
type cell struct {
	js   jetstream.JetStream
	conn *nats.Conn
}

// leaf attaches a real leaf with the streams that the hub expects; OUT takes any subject.
func (w *town) leaf(c topology.CellID, with ...func(*natsd.Hub)) *cell {
	w.t.Helper()
	to := &natsd.Hub{URL: "nats-leaf://" + w.hub.LeafAddr(), Seed: w.keys[c].seed}
	for _, f := range with {
		f(to)
	}
	srv, err := natsd.Start(w.t.Context(), natsd.Config{Name: "leaf-" + string(c), Domain: string(c), StoreDir: w.t.TempDir(), Hub: to, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(srv.Close)
	conn, err := srv.Connect("test", "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(conn.Close)
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(50_000))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range []jetstream.StreamConfig{
		{Name: trunk.Out, Subjects: []string{"glb.>", "cell.*.evt.>"}, AllowMsgTTL: true},
		{Name: trunk.World, Subjects: []string{trunk.Told(string(c)) + ">"}, AllowMsgTTL: true, SubjectTransform: &jetstream.SubjectTransformConfig{Source: trunk.Told(string(c)) + ">", Destination: ">"}},
		{Name: "KV_" + trunk.Map, Subjects: []string{trunk.Maps(string(c)) + ">"}, MaxMsgsPerSubject: 1, SubjectTransform: &jetstream.SubjectTransformConfig{Source: trunk.Maps(string(c)) + ">", Destination: trunk.MapSubjects() + ">"}},
	} {
		if _, err := js.CreateOrUpdateStream(w.t.Context(), s); err != nil {
			w.t.Fatal(err)
		}
	}
	return &cell{js: js, conn: conn}
}

// tell puts a message into the cell's OUT.
func (c *cell) tell(t *testing.T, subject, payload, id string) {
	t.Helper()
	m := &nats.Msg{Subject: subject, Data: []byte(payload), Header: nats.Header{}}
	if id != "" {
		m.Header.Set(jetstream.MsgIDHeader, id)
	}
	if _, err := c.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// heard are the payloads in the cell's WORLD, by subject.
func (c *cell) heard(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range all(t, c.js, trunk.World) {
		out[m.Subject] = string(m.Data)
	}
	return out
}

// all are the messages of a stream.
func all(t *testing.T, js jetstream.JetStream, stream string) (out []*jetstream.RawStreamMsg) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq && seq > 0; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err == nil {
			out = append(out, m)
		}
	}
	return out
}

// count is a counter of the hub's with these label values, in their names' order.
func (w *town) count(name string, labels ...string) float64 {
	w.t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(w.hub.Collectors()...)
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(rec.Body.String()) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+"{")
		if !ok {
			continue
		}
		pairs, value, _ := strings.Cut(rest, "} ")
		var have []string
		for pair := range strings.SplitSeq(pairs, ",") {
			_, v, _ := strings.Cut(pair, "=")
			have = append(have, strings.Trim(v, `"`))
		}
		if slices.Equal(have, labels) {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				w.t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

func (w *town) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("not in %s: %s\n%s", patience, what, w.log)
		}
		time.Sleep(10 * time.Millisecond) // between two looks, not instead of one
	}
}

// raw speaks the leaves' protocol by hand, so that it keeps to no rule that the hub
// does not enforce itself.
type raw struct {
	t    *testing.T
	conn net.Conn

	mu    sync.Mutex
	lines []string // what the hub sent, message bodies too
	over  bool
}

type introduction struct {
	name, nkey, seed string
	hub              bool // it says that it is a hub, and we are its leaf
	spoil            bool // of the signature
}

func (w *town) raw(who introduction) *raw {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.hub.LeafAddr())
	if err != nil {
		w.t.Fatal(err)
	}
	r := &raw{t: w.t, conn: conn}
	w.t.Cleanup(func() { _ = conn.Close() })
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info); err != nil {
		w.t.Fatal(err)
	}
	connect := map[string]any{
		"version": "2.15.2", "id": "NRAW", "name": who.name, "domain": strings.TrimPrefix(who.name, "leaf-"), "headers": true, "jetstream": true, "protocol": 1, "hub": who.hub,
	}
	if who.nkey != "" {
		connect["nkey"] = who.nkey
	}
	if who.seed != "" {
		pair, err := nkeys.FromSeed([]byte(who.seed))
		if err != nil {
			w.t.Fatal(err)
		}
		sig, err := pair.Sign([]byte(info.Nonce))
		if err != nil {
			w.t.Fatal(err)
		}
		if who.spoil {
			sig[0] ^= 1
		}
		connect["sig"] = base64.RawURLEncoding.EncodeToString(sig)
	}
	b, err := json.Marshal(connect)
	if err != nil {
		w.t.Fatal(err)
	}
	r.send("CONNECT " + string(b) + "\r\nPING\r\n")
	go r.listen(in)
	return r
}

func (r *raw) send(text string) { _, _ = io.WriteString(r.conn, text) } // it may be cut off meanwhile

func (r *raw) publish(subject, reply, payload string) {
	if reply != "" {
		reply = " " + reply
	}
	r.send(fmt.Sprintf("LMSG %s%s %d\r\n%s\r\n", subject, reply, len(payload), payload))
}

func (r *raw) listen(in *bufio.Reader) {
	for {
		line, err := in.ReadString('\n')
		r.mu.Lock()
		if err != nil {
			r.over = true
			r.mu.Unlock()
			return
		}
		r.lines = append(r.lines, strings.TrimSpace(line))
		r.mu.Unlock()
		if strings.HasPrefix(line, "PING") {
			r.send("PONG\r\n")
		}
	}
}

// said reports whether the hub sent a line with this beginning.
func (r *raw) said(prefix string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if strings.HasPrefix(l, prefix) {
			return true
		}
	}
	return false
}

func (r *raw) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func (r *raw) cutOff() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (w *town) publishMap(snap *topology.Snapshot) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	text, err := json.Marshal(snap)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.hub.Publish(ctx, text); err != nil {
		w.t.Fatal(err)
	}
}

// readMap opens a map that nobody signed.
func readMap(text []byte) (*topology.Snapshot, error) {
	var snap topology.Snapshot
	return &snap, json.Unmarshal(text, &snap)
}

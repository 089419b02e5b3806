package sqldb

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Limits of a URL that names several hosts. A host that does not answer is left after
// probeEvery + probeLimit at the latest, within 2 s.
const (
	probeEvery     = 300 * time.Millisecond
	probeLimit     = time.Second
	hostConnect    = 1500 * time.Millisecond // of each host that a session is tried at
	sessionsEnd    = 5 * time.Minute         // so that a host that came back gets its share
	sessionsSpread = time.Minute

	probe = `SELECT 1`
)

// hosts spreads a pool's sessions over the hosts of a URL, which are nodes of one
// database, and leaves a dead one. The driver alone would send every session to the first.
type hosts struct {
	names []string
	dial  pgconn.DialFunc
	nodes map[string]*node // the map does not change

	mu sync.Mutex // guards what the nodes hold

	stop context.CancelFunc
	done sync.WaitGroup
}

// node is one host with what is open to it.
type node struct {
	down    bool
	suspect bool // a session broke; sessions are asked before they are given out
	conns   map[*tracked]struct{}
	wake    chan struct{}
}

// tracked is a connection that its host can be left by.
type tracked struct {
	net.Conn
	hosts  *hosts
	name   string
	closed sync.Once
	gone   chan struct{}
}

// Read tells a host whose session broke under a read; a deadline is the reader's own matter.
func (c *tracked) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
		c.hosts.suspect(c.name)
	}
	return n, err
}

// Close also takes it out of its host's list.
func (c *tracked) Close() error {
	c.closed.Do(func() {
		close(c.gone)
		c.hosts.mu.Lock()
		defer c.hosts.mu.Unlock()
		delete(c.hosts.nodes[c.name].conns, c)
	})
	return c.Conn.Close()
}

// spread prepares cfg when its URL names several hosts; nil when there is one.
func spread(cfg *pgxpool.Config) *hosts {
	h := &hosts{nodes: map[string]*node{}, dial: cfg.ConnConfig.DialFunc}
	for _, name := range namesOf(cfg.ConnConfig) {
		if h.nodes[name] == nil {
			h.names = append(h.names, name)
			h.nodes[name] = &node{conns: map[*tracked]struct{}{}, wake: make(chan struct{}, 1)}
		}
	}
	if len(h.names) < 2 {
		return nil
	}
	cfg.ConnConfig.ConnectTimeout = hostConnect
	cfg.ConnConfig.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // connect looks it up
	cfg.ConnConfig.DialFunc = h.connect
	cfg.MaxConnLifetime, cfg.MaxConnLifetimeJitter = sessionsEnd, sessionsSpread
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		h.arrange(c)
		return nil
	}
	cfg.PrepareConn = h.usable
	return h
}

// namesOf are the hosts of a configuration in their order, with their ports.
func namesOf(c *pgx.ConnConfig) []string {
	names := []string{address(c.Host, c.Port)}
	for _, f := range c.Fallbacks {
		names = append(names, address(f.Host, f.Port))
	}
	return names
}

func address(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// watch asks every host until end.
func (h *hosts) watch(ctx context.Context, cfg *pgx.ConnConfig) {
	if h == nil {
		return
	}
	ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, name := range h.names {
		own := cfg.Copy()
		only(own, name)
		own.DialFunc = h.dial
		own.ConnectTimeout = probeLimit
		h.done.Go(func() { h.probe(ctx, name, own) })
	}
}

func (h *hosts) end() {
	if h == nil {
		return
	}
	if h.stop != nil {
		h.stop()
	}
	h.done.Wait()
}

// only leaves one host in c.
func only(c *pgx.ConnConfig, name string) {
	all := []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}
	all = append(all, c.Fallbacks...)
	all = slices.DeleteFunc(all, func(f *pgconn.FallbackConfig) bool { return address(f.Host, f.Port) != name })
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]
}

// arrange lets c try the host with the fewest sessions first, and those that do not answer last.
func (h *hosts) arrange(c *pgx.ConnConfig) {
	if h == nil {
		return
	}
	all := []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}
	all = append(all, c.Fallbacks...)
	h.mu.Lock()
	defer h.mu.Unlock()
	weight := func(f *pgconn.FallbackConfig) int {
		n := h.nodes[address(f.Host, f.Port)]
		switch {
		case n == nil:
			return 1 << 20
		case n.down:
			return 1<<20 + len(n.conns)
		case n.suspect:
			return 1<<10 + len(n.conns)
		}
		return len(n.conns)
	}
	slices.SortStableFunc(all, func(a, b *pgconn.FallbackConfig) int { return cmp.Compare(weight(a), weight(b)) })
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]
}

// connect is the driver's way to a host.
func (h *hosts) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := h.dial(ctx, network, addr)
	h.mu.Lock()
	n := h.nodes[addr]
	h.mu.Unlock()
	if n == nil {
		return conn, err
	}
	if err != nil {
		h.suspect(addr)
		return nil, err
	}
	c := &tracked{Conn: conn, hosts: h, name: addr, gone: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	n.conns[c] = struct{}{}
	return c, nil
}

// usable is asked before a session is given out.
func (h *hosts) usable(ctx context.Context, conn *pgx.Conn) (bool, error) {
	under := conn.PgConn().Conn()
	if tls, ok := under.(interface{ NetConn() net.Conn }); ok {
		under = tls.NetConn()
	}
	c, ok := under.(*tracked)
	if !ok {
		return true, nil
	}
	select {
	case <-c.gone:
		return false, nil
	default:
	}
	h.mu.Lock()
	n := h.nodes[c.name]
	down, suspect := n.down, n.suspect
	h.mu.Unlock()
	if down {
		return false, nil
	}
	if suspect {
		ctx, cancel := context.WithTimeout(ctx, probeEvery)
		defer cancel()
		return conn.Ping(ctx) == nil, nil
	}
	return true, nil
}

// suspect asks a host at once.
func (h *hosts) suspect(name string) {
	h.mu.Lock()
	n := h.nodes[name]
	n.suspect = true
	h.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default: // it is being asked
	}
}

// probe asks one host again and again whether it answers.
func (h *hosts) probe(ctx context.Context, name string, cfg *pgx.ConnConfig) {
	var conn *pgx.Conn
	n := h.nodes[name]
	for {
		conn = h.ask(ctx, conn, cfg)
		if ctx.Err() != nil {
			if conn != nil {
				closeSoon(ctx, conn)
			}
			return
		}
		h.found(name, conn != nil)
		select {
		case <-ctx.Done():
		case <-n.wake:
		case <-time.After(probeEvery):
		}
	}
}

// ask asks a host over conn, or a new one; nil when it does not answer.
func (h *hosts) ask(ctx context.Context, conn *pgx.Conn, cfg *pgx.ConnConfig) *pgx.Conn {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	if conn != nil {
		if _, err := conn.Exec(ctx, probe); err == nil {
			return conn
		}
		_ = conn.Close(ctx)
		if ctx.Err() != nil { // it is silent, not gone
			return nil
		}
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil
	}
	return conn
}

// found says whether a host answered. One that does not loses its sessions, so that who waits
// on one hears of it, unless no other would take them.
func (h *hosts) found(name string, answers bool) {
	h.mu.Lock()
	n := h.nodes[name]
	n.down, n.suspect = !answers, !answers
	var leave []*tracked
	if !answers && slices.ContainsFunc(h.names, func(other string) bool { return !h.nodes[other].down }) {
		for c := range n.conns {
			leave = append(leave, c)
		}
	}
	h.mu.Unlock()
	for _, c := range leave {
		_ = c.Close()
	}
}

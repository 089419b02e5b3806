// Package natsd runs a nats-server inside a program: JetStream in a domain of
// its own, in-process connections and no others, leaves that prove themselves with
// an nkey and a certificate, and the server's log in ours. The hub and the cells'
// leaves are built on it. It knows no subjects and no streams.
package natsd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Limits and periods of every server.
const (
	// MaxPayload bounds one message; the topology snapshot is the largest.
	MaxPayload   = 8 << 20
	maxStore     = 32 << 30 // bytes of all streams; the streams' own limits add up to less
	maxMemory    = 64 << 20
	syncInterval = 10 * time.Second // fsync; the record is SQL (facts, "NATS")
	pingInterval = 2 * time.Second  // the default finds a dead link after about six minutes
	maxPingsOut  = 2
	dialTimeout  = 5 * time.Second // leaf to hub, around the world; also for TLS and for the proof of the nkey
	redial       = time.Second
	startLimit   = 15 * time.Second
)

// Config of one server. It opens no port for clients: who is not in this process
// finds nothing to connect to.
type Config struct {
	Name     string // unique in the town
	Domain   string // JetStream domain
	StoreDir string
	Leaves   *Leaves // where leaves attach; nil for nowhere
	Hub      *Hub    // where to attach as a leaf; nil for nowhere. The hub need not be there
	Log      *slog.Logger
}

// Leaves is a port where leaves attach.
type Leaves struct {
	Listen string      // host:port; port 0 picks one
	TLS    *tls.Config // asks for the leaf's certificate; nil speaks in the clear
	// Admit says what a leaf that wants in may do, or why it may not come in.
	Admit func(Caller) (Grant, error)
	// Violated is told that a leaf did what it may not, and was cut off for it.
	Violated func(id uint64, what string)
}

// Hub is where a leaf attaches.
type Hub struct {
	URL  string      // nats-leaf://host:4291
	Seed string      // the leaf's own nkey, the private half
	TLS  *tls.Config // shows the leaf's certificate; nil speaks in the clear
}

// Server is a running nats-server.
type Server struct {
	srv *server.Server
	log *slog.Logger
}

// Start runs a server. It waits until connections are served, never for a hub.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	log := newLogger(cfg)
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("nats-server %s: %w", cfg.Name, err)
	}
	srv.SetLoggerV2(log, false, false, false)
	go srv.Start()
	wait, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for !srv.ReadyForConnections(100 * time.Millisecond) {
		fatal := log.fatalText()
		if fatal == "" && wait.Err() == nil {
			continue
		}
		srv.Shutdown()
		if fatal == "" {
			fatal = "it did not start in time"
		}
		return nil, errors.Join(fmt.Errorf("nats-server %s: %s", cfg.Name, fatal), ctx.Err())
	}
	if fatal := log.fatalText(); fatal != "" {
		srv.Shutdown()
		return nil, fmt.Errorf("nats-server %s: %s", cfg.Name, fatal)
	}
	return &Server{srv: srv, log: cfg.Log}, nil
}

func options(cfg Config) (*server.Options, error) {
	opts := &server.Options{
		ServerName: cfg.Name, DontListen: true, NoSigs: true, DisableJetStreamBanner: true,
		JetStream: true, JetStreamDomain: cfg.Domain, StoreDir: cfg.StoreDir,
		JetStreamMaxStore: maxStore, JetStreamMaxMemory: maxMemory, SyncInterval: syncInterval,
		MaxPayload: MaxPayload, PingInterval: pingInterval, MaxPingsOut: maxPingsOut,
	}
	opts.LeafNode.ReconnectInterval = redial
	if cfg.Leaves != nil {
		if err := admitLeaves(opts, cfg.Leaves); err != nil {
			return nil, err
		}
	}
	if cfg.Hub != nil {
		remote, err := remoteOf(cfg.Hub)
		if err != nil {
			return nil, err
		}
		opts.LeafNode.Remotes = []*server.RemoteLeafOpts{remote}
	}
	return opts, nil
}

func admitLeaves(opts *server.Options, leaves *Leaves) (err error) {
	if leaves.Admit == nil {
		return errors.New("who may attach as a leaf must be said")
	}
	if opts.LeafNode.Host, opts.LeafNode.Port, err = hostPort(leaves.Listen); err != nil {
		return fmt.Errorf("leaf listen address: %w", err)
	}
	opts.LeafNode.AuthTimeout = dialTimeout.Seconds()
	opts.CustomClientAuthentication = &doorkeeper{admit: leaves.Admit}
	if leaves.TLS != nil {
		opts.LeafNode.TLSConfig, opts.LeafNode.TLSTimeout = leaves.TLS.Clone(), dialTimeout.Seconds()
		opts.LeafNode.TLSHandshakeFirst = true // nothing is said in the clear, the nonce neither
	}
	return nil
}

func remoteOf(hub *Hub) (*server.RemoteLeafOpts, error) {
	at, err := url.Parse(hub.URL)
	if err != nil || at.Host == "" {
		return nil, errors.New("the hub's URL is not like nats-leaf://host:4291")
	}
	if _, err := PublicNKey(hub.Seed); err != nil {
		return nil, err
	}
	r := &server.RemoteLeafOpts{
		URLs: []*url.URL{at}, Nkey: hub.Seed, DialTimeout: dialTimeout,
		// Else a leaf learns the hub's real address and goes around a proxy.
		IgnoreDiscoveredServers: true,
	}
	if hub.TLS != nil {
		r.TLS, r.TLSConfig, r.TLSTimeout, r.TLSHandshakeFirst = true, hub.TLS.Clone(), dialTimeout.Seconds(), true
	}
	return r, nil
}

func hostPort(addr string) (string, int, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is not a port", text)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// Connect makes an in-process connection, which no network fault can touch.
// inbox is the prefix of the subjects on which it waits for answers; "" is the usual one.
func (s *Server) Connect(name, inbox string) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.InProcessServer(s.srv), nats.Name(name), nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond), nats.ErrorHandler(logErrors(s.log)),
	}
	if inbox != "" {
		opts = append(opts, nats.CustomInboxPrefix(inbox))
	}
	return nats.Connect("", opts...)
}

func logErrors(log *slog.Logger) nats.ErrHandler {
	return func(_ *nats.Conn, sub *nats.Subscription, err error) {
		subject := ""
		if sub != nil {
			subject = sub.Subject
		}
		log.Warn("bus connection", slog.String("subject", subject), slog.Any("error", err))
	}
}

// ClientAddr is where clients are served: nowhere, "".
func (s *Server) ClientAddr() string {
	if at := s.srv.Addr(); at != nil {
		return at.String()
	}
	return ""
}

// LeafAddr is where leaves are served, "" if nowhere.
func (s *Server) LeafAddr() string {
	v, err := s.srv.Varz(nil)
	if err != nil || v.LeafNode.Port == 0 {
		return ""
	}
	return net.JoinHostPort(v.LeafNode.Host, strconv.Itoa(v.LeafNode.Port))
}

// Leaves counts leaf connections: a hub's leaves, or 1 when a leaf has its hub.
func (s *Server) Leaves() int { return s.srv.NumLeafNodes() }

// Disconnect ends the connection of a leaf that was admitted under this id.
func (s *Server) Disconnect(id uint64) {
	_ = s.srv.DisconnectClientByID(id) // it may have left by itself
}

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

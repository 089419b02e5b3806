// Package natsd runs a nats-server inside a program: JetStream in a domain of
// its own, in-process connections, the server's log in ours, and sources that
// are re-added when they stall. The hub and the cells' leaves are built on it.
// It knows no subjects and no streams.
package natsd

import (
	"context"
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
	maxStore     = 8 << 30 // bytes of all streams; the streams' own limits add up to less
	maxMemory    = 64 << 20
	syncInterval = 10 * time.Second // fsync; the record is SQL (facts, "NATS")
	pingInterval = 2 * time.Second  // the default finds a dead link after about six minutes
	maxPingsOut  = 2
	dialTimeout  = 5 * time.Second // leaf to hub, around the world
	redial       = time.Second
	startLimit   = 15 * time.Second
)

// Config of one server.
type Config struct {
	Name       string // unique in the town
	Domain     string // JetStream domain
	Listen     string // host:port for clients; port 0 picks one
	StoreDir   string
	LeafListen string // host:port for leaves; "" for none
	HubURL     string // where to dial as a leaf; "" for none. The hub need not be there
	// LeafUser and LeafPassword guard LeafListen when set; leaves put them into HubURL.
	LeafUser, LeafPassword string
	Log                    *slog.Logger
}

// Server is a running nats-server.
type Server struct {
	srv *server.Server
	log *slog.Logger
}

// Start runs a server. It waits until clients are served, never for a hub.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("nats-server %s: %w", cfg.Name, err)
	}
	log := newLogger(cfg.Log)
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
		return nil, errors.Join(fmt.Errorf("nats-server %s on %s: %s", cfg.Name, cfg.Listen, fatal), ctx.Err())
	}
	if fatal := log.fatalText(); fatal != "" {
		srv.Shutdown()
		return nil, fmt.Errorf("nats-server %s on %s: %s", cfg.Name, cfg.Listen, fatal)
	}
	return &Server{srv: srv, log: cfg.Log}, nil
}

func options(cfg Config) (*server.Options, error) {
	host, port, err := hostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	opts := &server.Options{
		ServerName: cfg.Name, Host: host, Port: port, NoSigs: true, DisableJetStreamBanner: true,
		JetStream: true, JetStreamDomain: cfg.Domain, StoreDir: cfg.StoreDir,
		JetStreamMaxStore: maxStore, JetStreamMaxMemory: maxMemory, SyncInterval: syncInterval,
		MaxPayload: MaxPayload, PingInterval: pingInterval, MaxPingsOut: maxPingsOut,
	}
	opts.LeafNode.ReconnectInterval = redial
	if cfg.LeafListen != "" {
		if opts.LeafNode.Host, opts.LeafNode.Port, err = hostPort(cfg.LeafListen); err != nil {
			return nil, fmt.Errorf("leaf listen address: %w", err)
		}
		opts.LeafNode.Username, opts.LeafNode.Password = cfg.LeafUser, cfg.LeafPassword
	}
	if cfg.HubURL != "" {
		hub, err := url.Parse(cfg.HubURL)
		if err != nil || hub.Host == "" {
			return nil, errors.New("the hub's URL is not like nats-leaf://host:4291") // the URL may hold a password
		}
		opts.LeafNode.Remotes = []*server.RemoteLeafOpts{{
			URLs: []*url.URL{hub}, DialTimeout: dialTimeout,
			// Else a leaf learns the hub's real address and goes around a proxy.
			IgnoreDiscoveredServers: true,
		}}
	}
	return opts, nil
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
func (s *Server) Connect(name string) (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(s.srv), nats.Name(name), nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond), nats.ErrorHandler(logErrors(s.log)))
}

// Dial connects to a server that another process runs, now or later.
func Dial(address, name string, log *slog.Logger) (*nats.Conn, error) {
	return nats.Connect(address, nats.Name(name), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250*time.Millisecond), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPingsOut),
		nats.ErrorHandler(logErrors(log)))
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

// ClientAddr is where clients are served.
func (s *Server) ClientAddr() string { return s.srv.Addr().String() }

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

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

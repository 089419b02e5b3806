package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/control-plane/api"
	"guichet/control-plane/hub"
	"guichet/control-plane/placement"
	"guichet/control-plane/registry"
	"guichet/control-plane/snapshot"
	"guichet/control-plane/store"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/mtls"
	"guichet/internal/operator"
	"guichet/internal/sqldb"
	"guichet/internal/sqldb/overlay"
	"guichet/internal/telemetry"
)

const (
	migratePause = time.Second
	migrateMax   = 10 * time.Second
)

// townHall is everything of the program, joined.
type townHall struct {
	cfg       settings
	db        *sqldb.DB
	store     *store.Store
	hub       *hub.Hub
	publisher *snapshot.Publisher
	api       *api.API
	metrics   http.Handler
	identity  *mtls.Identity // nil speaks plain HTTP
	migrated  atomic.Bool
}

// open joins the rooms. It waits for no database: that shows in /readyz, while
// the hub works and the last map is told.
func open(ctx context.Context, cfg settings, reg *prometheus.Registry) (*townHall, error) {
	identity, err := mtls.Load(cfg.TLS, mtls.Kinds(mtls.ControlPlane))
	if err != nil {
		return nil, err
	}
	if identity != nil {
		reg.MustRegister(identity.Collectors()...)
	}
	db, err := sqldb.Open(ctx, cfg.Database, "guichet-control-plane", sqldb.MaxConns(cfg.MaxConns))
	if err != nil {
		return nil, err
	}
	t := &townHall{cfg: cfg, db: db, store: &store.Store{DB: db}, metrics: telemetry.Handler(reg), identity: identity}
	key, err := operator.NewKey(cfg.Seed)
	if err != nil {
		db.Close()
		return nil, err
	}
	pinned := append([]ed25519.PublicKey{key.Public()}, cfg.Previous...)
	middle := hub.Config{
		LeafListen: cfg.HubLeaves, Cells: func() []hub.Identity { return cfg.CellNKeys }, PeerCell: cellOf,
		Read: func(text []byte) (*topology.Snapshot, error) {
			m, err := seal.Parse(text, pinned)
			if err != nil {
				return nil, err
			}
			return m.Snapshot(), nil
		},
		StoreDir: filepath.Join(cfg.StateDir, "hub"), Log: slog.Default(),
	}
	if identity != nil {
		middle.TLS = identity.Server(mtls.Kinds(mtls.Cell))
	}
	if t.hub, err = hub.Start(ctx, middle); err != nil {
		db.Close()
		return nil, err
	}
	reg.MustRegister(t.hub.Collectors()...)
	t.publisher = &snapshot.Publisher{Archive: t.store, Hub: t.hub, Now: time.Now, Log: slog.Default(), Key: key, Pinned: cfg.Previous}
	register := &registry.Service{Book: t.store, Now: time.Now, Changed: t.publisher.Changed}
	t.publisher.Step = register.Step
	t.api = &api.API{
		Registry:  register,
		Directory: &placement.Service{Book: t.store, Known: t.store.Known, Now: time.Now, Changed: t.publisher.Changed},
		Map:       t.publisher.Current, Starting: func() bool { return !t.migrated.Load() }, Pinned: pinned, Now: time.Now, Watch: api.NewWatch(reg), Health: &httpd.Health{},
	}
	t.ready()
	if err := t.publisher.Recall(ctx); err != nil {
		slog.WarnContext(ctx, "start without a map", slog.Any("error", err))
	}
	return t, nil
}

// cellOf is the cell that a leaf's certificate names.
func cellOf(s *tls.ConnectionState) (topology.CellID, bool) {
	peer, ok := mtls.PeerOf(s)
	return topology.CellID(peer.Name), ok && peer.Kind == mtls.Cell
}

// ready says what /readyz asks.
func (t *townHall) ready() {
	t.api.Health.Add("hub", t.hub.Ready)
	t.api.Health.Add("database", t.db.Ping)
	t.api.Health.Add("schema", func(context.Context) error {
		if !t.migrated.Load() {
			return errors.New("migrations are not done yet")
		}
		return nil
	})
}

// serve works until ctx ends. The background jobs outlive the last request.
func (t *townHall) serve(ctx context.Context) error {
	jobs, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		if t.migrate(jobs) {
			t.publisher.Run(jobs)
		}
	})
	err := httpd.Closing{Health: t.api.Health, Notice: t.cfg.Notice}.ServeAll(ctx,
		httpd.Door{Listen: t.cfg.Listen, Name: "control-plane", Handler: t.api.Handler(), Identity: t.identity, Allow: mtls.Kinds(mtls.Cell, mtls.Router, mtls.Operator)},
		httpd.Door{Listen: t.cfg.Private, Name: "control-plane private", Last: true, Handler: httpd.Private(t.api.Health, t.metrics)})
	stop()
	running.Wait()
	return err
}

// migrate tries until the database is there; false when ctx ended first.
func (t *townHall) migrate(ctx context.Context) bool {
	pause := migratePause
	for {
		err := t.store.Migrate(ctx)
		if err == nil {
			err = t.spread(ctx)
		}
		if err == nil {
			t.migrated.Store(true)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		slog.WarnContext(ctx, "the database is not ready", slog.Any("error", fmt.Errorf("migrate: %w", err)))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		pause = min(2*pause, migrateMax)
	}
}

// spread lets the map be read in each region of the database's cluster. A cluster that knows no
// regions, or refuses, is said once, and used as it is.
func (t *townHall) spread(ctx context.Context) error {
	err := t.store.Everywhere(ctx)
	if k := kind.Of(err); errors.Is(err, overlay.ErrNoLocality) || err != nil && k != kind.Unavailable && k != kind.Busy {
		slog.WarnContext(ctx, "the map's tables stay where the database puts them", slog.Any("error", err))
		return nil
	}
	return err
}

func (t *townHall) close() {
	t.hub.Close()
	t.db.Close()
}

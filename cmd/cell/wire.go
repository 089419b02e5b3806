package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/account"
	"guichet/cell/api"
	"guichet/cell/atlas"
	"guichet/cell/booking"
	"guichet/cell/bus"
	"guichet/cell/checkout"
	"guichet/cell/identity/oidc"
	"guichet/cell/join"
	"guichet/cell/leaf"
	"guichet/cell/letter"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/saga"
	"guichet/cell/search"
	"guichet/cell/search/bleve"
	"guichet/cell/store"
	"guichet/cell/stripe"
	"guichet/cell/ticket"
	pages "guichet/cell/web/account"
	"guichet/cell/web/shop"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/internal/mtls"
	"guichet/internal/sqldb"
	"guichet/internal/telemetry"
)

// house is everything of one cell process, joined.
type house struct {
	cfg      settings
	store    *store.Store
	leaf     *leaf.Leaf  // nil when another process of the cell runs it, and until its store can be opened
	bus      *leafKeeper // nil when another process of the cell runs the leaf
	index    *bleve.Index
	indexer  *search.Indexer
	atlas    *atlas.Atlas
	server   *api.Server
	sender   *notify.Sender
	issuer   *oidc.Party // nil: nobody can sign in
	pages    *pages.Pages
	shop     *shop.Pages
	calls    http.Handler // the cell's own calls
	metrics  http.Handler
	identity *mtls.Identity // nil speaks plain HTTP
	migrated chan struct{}

	converging converging
	residency  *residency
}

// open joins the rooms. It waits for nobody: what is not there yet shows in /readyz.
func open(ctx context.Context, cfg settings, reg *prometheus.Registry) (*house, error) {
	identity, err := identify(cfg, reg)
	if err != nil {
		return nil, err
	}
	db, err := sqldb.Open(ctx, cfg.Database, "guichet-cell-"+cfg.Cell.String(), sqldb.MaxConns(cfg.MaxConns))
	if err != nil {
		return nil, err
	}
	h := &house{cfg: cfg, store: store.New(db, cfg.Cell), metrics: telemetry.Handler(reg), identity: identity, migrated: make(chan struct{})}
	h.store.Announce = func(e booking.Event) ([]byte, error) {
		return json.Marshal(search.NewDocument(api.EventView(e, cfg.Cell, cfg.Region, false), e.State == booking.Published))
	}
	if h.atlas, err = atlas.Open(cfg.StateDir, cfg.ControlKeys, reporter(ctx, "atlas")); err != nil {
		return nil, err
	}
	h.watch(reg)
	if h.index, err = bleve.Open(filepath.Join(cfg.StateDir, "index")); err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	h.indexer = search.NewIndexer(h.store, h.index, reporter(ctx, "indexer"))
	if cfg.Leaf {
		h.openBus(ctx, reg)
	}
	signer, err := ticket.NewSigner(fmt.Sprintf("%s-%d", cfg.Cell, cfg.KeyNumber), cfg.Seed)
	if err == nil {
		signer, err = signer.WithPrevious(cfg.Previous...)
	}
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	mails := &notify.Service{Queue: h.store, Caps: cfg.Mails}
	if h.sender, err = newSender(cfg, h.store, reg); err != nil {
		return nil, err
	}
	desks := &booking.Desks{Store: h.store, HoldTTL: cfg.HoldTTL, Patience: booking.DefaultPatience, Now: time.Now, Watch: newDeskWatch(reg, h.sender.Pace)}
	provider := stripe.New(stripe.Config{SecretKey: cfg.StripeKey, PublishableKey: cfg.StripePublic, WebhookSecret: cfg.StripeHook, BaseURL: cfg.StripeURL, Timeout: 5 * time.Second, Methods: cfg.Methods})
	passes, err := wallets(cfg.Wallets)
	if err != nil {
		return nil, err
	}
	h.server = &api.Server{
		Cell: cfg.Cell, Region: cfg.Region,
		Booking: &booking.Service{Store: h.store, Cell: cfg.Cell, Region: cfg.Region, Now: time.Now, Desks: desks},
		Checkout: &checkout.Service{
			Store: h.store, Signer: signer, Notifier: mails, Window: cfg.Window, HoldTTL: cfg.HoldTTL, Desks: desks, Manual: cfg.Manual,
			Runs:        &saga.Runner{Store: h.store, Owner: rand.Text(), Watch: newSagaWatch(reg), Moments: moments()},
			Processor:   &payment.Careful{Provider: provider, Now: time.Now},
			BasisPoints: cfg.BasisPoints, OnDispute: cfg.OnDispute, OnNotice: api.CountNotices(reg),
		},
		Mails:    mails,
		Accounts: &account.Service{Store: h.store, Key: cfg.Access.Key(), Post: letter.PostInvitation{Mails: mails}, Listed: func(id string) bool { return h.atlas.Current().Revokes(id) }}, Log: h.store,
		Search:  &search.Service{Index: h.index, Hints: h.store, Now: time.Now, OnHintsError: reporter(ctx, "hints"), Warm: h.indexer.Ready},
		Answers: h.store, Reports: h.store, SeatMaps: h.store, Copies: h.store, Topology: h.atlas.Current, Sealed: h.atlas.Sealed, Signer: signer, Access: cfg.Access, ControlKeys: cfg.ControlKeys, Revoked: func(id string) bool { return h.atlas.Current().Revokes(id) }, Wallets: passes,
		Health: &httpd.Health{}, Metrics: reg, Now: time.Now, Limits: cfg.Limits, Origins: cfg.Origins,
	}
	countWaiting(reg, h.server.Booking.Desks)
	if err := h.server.Checkout.Register(); err != nil {
		return nil, err
	}
	h.ready()
	h.openConverging(ctx, reg)
	return h, h.openPages(reg) //nolint:contextcheck // a handler has its request's context
}

// openBus opens the cell's end of the bus, or begins to try.
func (h *house) openBus(ctx context.Context, reg *prometheus.Registry) {
	var line *tls.Config
	if h.identity != nil {
		line = h.identity.Client(mtls.IsHub)
	}
	h.bus = &leafKeeper{reg: reg, retry: leafRetry, config: leaf.Config{
		Cell: h.cfg.Cell, TLS: line, StoreDir: filepath.Join(h.cfg.StateDir, "leaf"), HubURL: h.cfg.Hub, Seed: h.cfg.NKeySeed, Parking: h.store, Log: slog.Default(),
	}}
	h.leaf = h.bus.open(ctx)
}

// watch tells of the database's role, of where its rows are, and of refused maps.
func (h *house) watch(reg *prometheus.Registry) {
	h.residency = newResidency(h.store, h.cfg, reg)
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "guichet_database_confined", Help: "1 when the sessions work as the role to which the ledgers are INSERT-only; 0 for long: that role could not be made.",
	}, func() float64 { return float64(min(len(h.store.DB.Confined()), 1)) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "guichet_topology_refused_total", Help: "Maps of the town that were not taken in: not signed with a key that is pinned here, empty, or older in an event's epoch. Growing: somebody forges maps, or the control plane changed its key; the log says which.",
	}, func() float64 { return float64(h.atlas.Refused()) }))
}

// identify opens the cell's certificate; it must be this cell's.
func identify(cfg settings, reg *prometheus.Registry) (*mtls.Identity, error) {
	i, err := mtls.Load(cfg.TLS, mtls.Only(mtls.Peer{Kind: mtls.Cell, Name: cfg.Cell.String()}))
	if i == nil || err != nil {
		return nil, err
	}
	reg.MustRegister(i.Collectors()...)
	return i, nil
}

// admits says which machines may call this cell: the town's, and of cells only those
// on the map. A cell that was expelled keeps its certificate, and is on no map.
func (h *house) admits(p mtls.Peer) bool {
	switch p.Kind {
	case mtls.Router, mtls.ControlPlane, mtls.Operator:
		return true
	case mtls.Cell:
		_, known := h.atlas.Current().Cell(topology.CellID(p.Name))
		return known
	}
	return false
}

// ready says what /readyz asks.
func (h *house) ready() {
	h.server.Health.Add("database", h.store.DB.Ping)
	h.server.Health.Add("schema", func(context.Context) error {
		select {
		case <-h.migrated:
			return nil
		default:
			return errors.New("migrations are not done yet")
		}
	})
	h.server.Health.Note("index", h.indexer.Ready) // searches say 503 search_warming by themselves; booking does not wait
	h.server.Residency = h.residency.View
	h.server.Health.Note("residency", h.residency.fault)
	if h.bus != nil {
		h.server.Health.Note("leaf", h.bus.ready) // selling needs no bus: what the town is to hear waits in the outbox
	}
}

// serve works until ctx ends. The background jobs outlive the last request.
func (h *house) serve(ctx context.Context) error {
	jobs, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { h.work(jobs) })
	err := httpd.Closing{Health: h.server.Health, Notice: h.cfg.Notice}.ServeAll(ctx,
		httpd.Door{Listen: h.cfg.Listen, Name: "cell", Handler: h.handler(), Identity: h.identity, Allow: h.admits},
		httpd.Door{Listen: h.cfg.Private, Name: "cell private", Last: true, Handler: httpd.Private(h.server.Health, h.metrics)})
	stop()
	running.Wait()
	return err
}

// work migrates, then runs every background job of the house.
func (h *house) work(ctx context.Context) {
	if !h.migrate(ctx) {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { _ = h.indexer.Run(ctx) })
	running.Go(func() { h.sweep(ctx) })
	running.Go(func() { h.server.Checkout.Runs.Work(ctx, reporter(ctx, "saga")) })
	running.Go(func() { h.adopt(ctx) })
	running.Go(func() { h.relook(ctx) })
	running.Go(func() { h.bookFees(ctx) })
	running.Go(func() { h.recollect(ctx) })
	running.Go(func() { h.forget(ctx) })
	running.Go(func() { h.forgetHolds(ctx) })
	running.Go(func() { h.series(ctx) })
	running.Go(func() { h.post(ctx) })
	running.Go(func() { h.residency.run(ctx) })
	if h.issuer != nil {
		running.Go(func() { h.issuer.Run(ctx, reporter(ctx, "issuer")) })
	}
	if h.cfg.ControlPlane != "" {
		client := mtls.HTTP(h.identity, mtls.Only(mtls.Peer{Kind: mtls.ControlPlane}))
		self := topology.Cell{
			ID: h.cfg.Cell, Region: h.cfg.Region, URLs: []string{h.cfg.PublicURL}, Weight: 100, State: topology.CellServing,
			Residency: h.cfg.Residency, Keys: slices.Concat(h.server.Signer.Published(), h.cfg.Access.Published()), NKey: h.cfg.NKey,
		}
		member := &join.Member{ControlPlane: h.cfg.ControlPlane, Token: h.cfg.JoinToken, Key: h.cfg.Access.Key(), Old: h.cfg.OldKey, Self: self, Client: client, Now: time.Now, Revoked: revocations(ctx, h.server.Accounts, reporter(ctx, "revocations"))}
		running.Go(func() {
			if h.residency.await(ctx) {
				member.Run(ctx, reporter(ctx, "join"))
			}
		})
		running.Go(func() { h.atlas.Follow(ctx, client, h.cfg.ControlPlane, reporter(ctx, "atlas")) })
	}
	if h.bus != nil {
		running.Go(func() {
			if h.leaf = h.bus.wait(ctx, h.leaf); h.leaf != nil {
				h.runBus(ctx, &running)
			}
		})
	}
}

// runBus starts what needs the leaf.
func (h *house) runBus(ctx context.Context, running *sync.WaitGroup) {
	report := reporter(ctx, "bus")
	intake := &search.Intake{Catalog: h.store, Hints: h.store, Now: time.Now, Wake: h.indexer.Wake}
	beater := &search.Beater{Cell: h.cfg.Cell, Changes: h.store, Send: h.leaf.Beat, Now: time.Now}
	running.Go(func() { h.leaf.NewRelay(h.store).Run(ctx) })
	running.Go(func() { beater.Run(ctx, report) })
	running.Go(func() { h.converging.mender.Run(ctx) })
	running.Go(func() {
		h.leaf.WatchTopology(ctx, func(text []byte) {
			if err := h.atlas.Take(text); err != nil {
				report(fmt.Errorf("a map from the bus was refused: %w", err))
			}
		})
	})
	running.Go(func() {
		if err := h.leaf.Consume(ctx, search.Consumer+"-catalog", []string{bus.EveryCatalog}, func(ctx context.Context, m bus.Message) error {
			return intake.HandleCatalog(ctx, m.Subject, m.ID, m.Payload)
		}); err != nil && ctx.Err() == nil {
			report(err)
		}
	})
	running.Go(func() {
		if err := h.leaf.Consume(ctx, search.Consumer+"-beats", []string{bus.EveryAvailability}, func(ctx context.Context, m bus.Message) error {
			return intake.HandleBeat(ctx, m.Subject, m.ID, m.Payload)
		}); err != nil && ctx.Err() == nil {
			report(err)
		}
	})
}

func (h *house) close() {
	if h.leaf != nil {
		h.leaf.Close()
	}
	if err := h.index.Close(); err != nil {
		slog.Error("close the index", slog.Any("error", err))
	}
	h.store.DB.Close()
}

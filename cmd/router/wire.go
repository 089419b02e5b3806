package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/client/class"
	"guichet/geo/mmdb"
	"guichet/internal/httpd"
	"guichet/internal/mtls"
	"guichet/router/health"
	"guichet/router/limit"
	"guichet/router/proxy"
	"guichet/router/snapshot"
)

// router is the program put together.
type router struct {
	keeper  *snapshot.Keeper
	checker *health.Checker
	proxy   *proxy.Proxy
	ready   *httpd.Health
	own     map[string]http.HandlerFunc // paths the router answers itself
	public  http.Handler                // serve behind the limits and without operators' calls
}

func newRouter(ctx context.Context, cfg settings, reg *prometheus.Registry) (*router, error) {
	identity, err := mtls.Load(cfg.TLS, mtls.Kinds(mtls.Router))
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	if identity != nil {
		reg.MustRegister(identity.Collectors()...)
	}
	keeper, err := snapshot.Open(snapshot.Config{
		Dir: cfg.StateDir, ControlPlane: cfg.ControlPlane, Bootstrap: cfg.Bootstrap, Period: cfg.Snapshots,
		Report: reporter(ctx), Now: time.Now, Pinned: cfg.Pinned, Distrust: distrust(ctx), Client: mtls.HTTP(identity, mtls.Kinds(mtls.ControlPlane, mtls.Cell)), // whoever tells the map: it is signed
	})
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	checker := health.New(health.Config{
		Cells: keeper.Cells, Period: cfg.Probes, Ways: mtls.NewWays(identity, health.Transport),
		Changed: func(p health.Process) {
			slog.InfoContext(ctx, "cell process changed", slog.String("cell", p.Cell.String()), slog.String("url", p.URL), slog.Bool("up", p.Up))
		},
	})
	proxied := proxy.Config{
		Town: keeper, Vitals: checker, Default: cfg.Default, Force: cfg.Force, InFlight: cfg.InFlight, Metrics: reg, Now: time.Now, Identity: identity,
		Locator: proxy.Locator{TrustNear: cfg.TrustNear, Trusted: cfg.Trusted, GeoIP: geoIP(ctx, cfg.GeoIPFile)},
	}
	if cfg.WAN {
		proxied.Delay, proxied.Region = proxy.MeasuredRTT, cfg.WANRegion
	}
	r := &router{keeper: keeper, checker: checker, proxy: proxy.New(proxied), ready: new(httpd.Health)}
	gate := &limit.Gate{Client: proxied.Locator.Client, Refuse: r.proxy.Refuse, Now: time.Now, Next: http.HandlerFunc(r.serve)}
	if cfg.Limits != nil {
		gate.Limits = limit.New(cfg.Limits, reg)
	}
	r.public = httpd.CORS{Origins: cfg.Origins, Covers: class.ForPages}.Wrap(gate)
	reg.MustRegister(townMetrics{r})

	ready := r.ready
	ready.Add("snapshot", func(context.Context) error {
		if keeper.Map() == nil {
			return errors.New("no snapshot of the topology yet")
		}
		return nil
	})
	ready.Add("cells", func(context.Context) error {
		if !checker.View().AnyUp() {
			return errors.New("no cell has answered that it is ready")
		}
		return nil
	})
	r.own = map[string]http.HandlerFunc{
		"/livez": ready.Live, "/readyz": ready.Ready, "/v1/topology": r.topology, "/": r.index, "/status": r.status,
	}
	return r, nil
}

// ServeHTTP is the public door.
func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.public.ServeHTTP(w, req) }

// serve answers what is the router's own and takes the rest to a cell. Its paths are
// few and exact, so that no cleaning of paths stands between a client and a cell. It
// is the operators' door by itself: who they are is for a cell to judge.
func (r *router) serve(w http.ResponseWriter, req *http.Request) {
	own, ok := r.own[req.URL.Path]
	if ok && (req.Method == http.MethodGet || req.Method == http.MethodHead) {
		own(w, req)
		return
	}
	r.proxy.ServeHTTP(w, req)
}

// watch keeps the map and the cells' health fresh until ctx ends; the channel
// closes when it has.
func (r *router) watch(ctx context.Context) <-chan struct{} {
	var both sync.WaitGroup
	both.Go(func() { r.keeper.Run(ctx) })
	both.Go(func() { r.checker.Run(ctx) })
	done := make(chan struct{})
	go func() {
		both.Wait()
		r.proxy.Close()
		close(done)
	}()
	return done
}

// geoIP opens the file if there is one. A missing or damaged file costs
// precision, not service.
func geoIP(ctx context.Context, path string) proxy.Finder {
	if path == "" {
		return nil
	}
	db, err := mmdb.Open(path)
	if err != nil {
		slog.WarnContext(ctx, "no GeoIP: attendees without another hint go to the default cell", slog.Any("error", err))
		return nil
	}
	slog.InfoContext(ctx, "GeoIP file opened", slog.String("file", db.Describe()))
	return db
}

// distrust logs maps that are refused: each when it is new, the same again at most
// once in a while, for a source is asked every two seconds.
func distrust(ctx context.Context) func(error) {
	const again = 30 * time.Second
	var mu sync.Mutex
	var last string
	var at time.Time
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if text := err.Error(); text != last || time.Since(at) > again {
			last, at = text, time.Now()
			slog.ErrorContext(ctx, "a map of the town was refused", slog.Any("error", err))
		}
	}
}

// reporter logs when looking for snapshots begins to fail and when it works
// again, not every two seconds in between.
func reporter(ctx context.Context) func(error) {
	var failing atomic.Bool
	return func(err error) {
		switch {
		case err != nil && !failing.Swap(true):
			slog.WarnContext(ctx, "topology cannot be refreshed; the last snapshot stays in force", slog.Any("error", err))
		case err == nil && failing.Swap(false):
			slog.InfoContext(ctx, "topology is refreshed again")
		}
	}
}

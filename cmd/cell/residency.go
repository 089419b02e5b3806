package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/client"
	"guichet/cell/store"
	"guichet/internal/kind"
	"guichet/internal/sqldb/overlay"
)

const (
	provePeriod = time.Minute     // once it is at home
	proveSoon   = 2 * time.Second // until then
	proveLimit  = 20 * time.Second
)

// residency keeps what the database last said of where the cell's rows are.
type residency struct {
	store    *store.Store
	region   string
	required bool // GUICHET_REQUIRE_LOCALITY

	mu     sync.Mutex // guards the fields below
	asked  bool
	can    bool // the engine can say it
	last   overlay.Proof
	proved time.Time // when they were last at home; zero is never
	err    error     // why it could not be asked
	home   chan struct{}
}

func newResidency(s *store.Store, cfg settings, reg *prometheus.Registry) *residency {
	r := &residency{store: s, region: cfg.Region, required: cfg.AtHome, home: make(chan struct{})}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "guichet_residency_proved", Help: "1 when the database said within the last minutes that every replica of this cell's rows is in its region. 0: some are elsewhere, or it could not be asked; -1: the engine cannot say (PostgreSQL).",
	}, func() float64 {
		switch v := r.View(); {
		case v == nil:
			return -1
		case v.AtHome:
			return 1
		}
		return 0
	}))
	return r
}

// settle makes the region the only place of the rows. Where the nodes do not say where
// they stand, a town goes on and a production cell does not.
func (r *residency) settle(ctx context.Context) error {
	err := r.store.Settle(ctx, r.region)
	if err != nil && !r.required && (errors.Is(err, overlay.ErrNoLocality) || !passing(err)) {
		slog.WarnContext(ctx, "THE DATABASE DOES NOT KEEP THE ROWS IN THIS CELL'S REGION; GUICHET_REQUIRE_LOCALITY=true would refuse to start",
			slog.String("region", r.region), slog.Any("error", err))
		return nil
	}
	return err
}

// passing says that an error is the database's state of the moment: it is worth another try.
func passing(err error) bool {
	k := kind.Of(err)
	return k == kind.Unavailable || k == kind.Busy
}

// expire lets the database end rows by their age. Where it could and does not, the sweepers go on.
func (r *residency) expire(ctx context.Context) error {
	err := r.store.Expire(ctx)
	if err != nil && !passing(err) {
		slog.WarnContext(ctx, "the database does not end rows by their age; the sweepers do", slog.Any("error", err))
		return nil
	}
	return err
}

// run asks again and again until ctx ends.
func (r *residency) run(ctx context.Context) {
	report := reporter(ctx, "residency")
	for {
		bounded, cancel := context.WithTimeout(ctx, proveLimit)
		p, can, err := overlay.Prove(bounded, r.store.DB, r.region, time.Now)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			report(err)
		}
		if err == nil && !can { // nor will it ever
			r.take(p, can, err)
			return
		}
		pause := provePeriod
		if !r.take(p, can, err) {
			pause = proveSoon
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// take keeps an answer; false when it should be asked again soon.
func (r *residency) take(p overlay.Proof, can bool, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked, r.err = true, err
	if err != nil {
		return false
	}
	r.can, r.last = can, p
	if p.AtHome() {
		r.proved = p.At
	}
	settled := !can && !r.required || p.AtHome() && (p.Safe() || !r.required)
	if settled {
		select {
		case <-r.home:
		default:
			close(r.home)
		}
	}
	return settled
}

// await returns when the cell may join the town: at once unless residency is required.
func (r *residency) await(ctx context.Context) bool {
	if !r.required {
		return true
	}
	select {
	case <-r.home:
		return true
	case <-ctx.Done():
		return false
	}
}

// fault is what /readyz tells; it does not decide.
func (r *residency) fault(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.asked:
		return errors.New("the database was not asked yet")
	case r.err != nil:
		return errors.New("the database could not be asked where the rows are")
	case !r.can && r.required:
		return errors.New("GUICHET_REQUIRE_LOCALITY is set, and this engine cannot say where its rows are")
	case !r.can:
		return nil
	}
	return r.last.Fault()
}

// lastProved is when the rows were last all at home; zero is never.
func (r *residency) lastProved() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proved
}

// View is the proof for people; nil where the engine cannot say.
func (r *residency) View() *client.ResidencyProof {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.can {
		return nil
	}
	v := &client.ResidencyProof{
		AtHome: r.err == nil && r.last.AtHome(), AskedAt: r.last.At.UTC(), Ranges: r.last.Ranges,
		LeasesAbroad: r.last.LeasesAbroad, ReplicasAbroad: r.last.ReplicasAbroad, FewVoters: r.last.FewVoters,
	}
	if !r.proved.IsZero() {
		at := r.proved.UTC()
		v.ProvedAt = &at
	}
	return v
}

// Package snapshot builds the town's map from the register and the directory and
// tells it: into memory for the API, into the hub's bucket for the cells. It
// changes neither. The map is signed with the control plane's key: what cells and
// routers believe does not depend on who hands it to them.
package snapshot

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"guichet/control-plane/registry"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/internal/signed"
)

// NextVersion is the version after prev. It follows the clock, so that a control
// plane that lost its database still numbers its maps above those of before,
// which cells and routers would otherwise refuse for ever.
func NextVersion(prev int64, now time.Time) int64 { return max(prev+1, now.UnixMilli()) }

// Facts are what a map is made of, read at one moment.
type Facts struct {
	Version    int64
	Members    []registry.Member
	Placements []topology.Placement
	Revoked    []string // operators' tokens
}

// Build makes the map.
func Build(f Facts, now time.Time) *topology.Snapshot {
	s := &topology.Snapshot{Version: f.Version, IssuedAt: now.UTC(), Cells: []topology.Cell{}, Placements: slices.Clone(f.Placements), Revoked: f.Revoked}
	for _, m := range f.Members {
		if m.Expelled.IsZero() {
			s.Cells = append(s.Cells, m.OnMap())
		}
	}
	slices.SortFunc(s.Cells, func(a, b topology.Cell) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Placements, func(a, b topology.Placement) int { return cmp.Compare(a.EventID, b.EventID) })
	if s.Placements == nil {
		s.Placements = []topology.Placement{}
	}
	return s
}

// Archive reads the facts of one moment.
type Archive interface {
	Facts(ctx context.Context) (Facts, error)
	// Raise makes the version at least this.
	Raise(ctx context.Context, version int64) error
}

// Hub is where the map is told and where cells' streams are gathered.
type Hub interface {
	// Publish puts the map, as seal.Map spells it, where every leaf mirrors it.
	Publish(ctx context.Context, text []byte) error
	// Latest is what was published last, nil when there was nothing.
	Latest(ctx context.Context) ([]byte, error)
	Gather(ctx context.Context, cells []topology.CellID) error
}

// Periods of the publisher.
const (
	stepPeriod   = registry.StepEvery
	slowPeriod   = 10 * time.Second // tells the map again, with the newest beats
	publishLimit = 10 * time.Second
)

// Publisher tells the map on every change and on a slow period.
type Publisher struct {
	Archive Archive
	Hub     Hub
	Step    func(ctx context.Context) error // lets time pass in the register
	Key     *signed.Key                     // signs the map
	Pinned  []ed25519.PublicKey             // keys whose maps are recalled besides: of before a change of the key
	Now     func() time.Time
	Log     *slog.Logger

	current atomic.Pointer[seal.Map]
	once    sync.Once
	dirty   chan struct{}
}

func (p *Publisher) init() {
	p.once.Do(func() { p.dirty = make(chan struct{}, 1) })
}

// Current is the newest map, nil before there was one.
func (p *Publisher) Current() *seal.Map { return p.current.Load() }

// Changed says that facts changed. It never blocks.
func (p *Publisher) Changed() {
	p.init()
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// Recall takes the map that the hub remembers, so that a start without the
// database has one.
func (p *Publisher) Recall(ctx context.Context) error {
	last, err := p.Hub.Latest(ctx)
	if err != nil {
		return fmt.Errorf("recall the last map: %w", err)
	}
	if last == nil {
		return nil
	}
	m, err := seal.Parse(last, append([]ed25519.PublicKey{p.Key.Public()}, p.Pinned...))
	if err != nil {
		return fmt.Errorf("recall the last map: %w", err)
	}
	p.current.CompareAndSwap(nil, m)
	return nil
}

// Run tells the map, and its changes, until ctx ends.
func (p *Publisher) Run(ctx context.Context) {
	p.init()
	step, slow := time.NewTicker(stepPeriod), time.NewTicker(slowPeriod)
	defer step.Stop()
	defer slow.Stop()
	failing := false
	for {
		err := p.tell(ctx)
		if err != nil && ctx.Err() == nil && !failing { // once per outage
			p.Log.WarnContext(ctx, "tell the map", slog.Any("error", err))
		}
		failing = err != nil
		if !p.wait(ctx, step.C, slow.C, failing) {
			return
		}
	}
}

// wait returns when the map is to be told again; false when ctx ended.
func (p *Publisher) wait(ctx context.Context, step, slow <-chan time.Time, failing bool) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-p.dirty:
			return true
		case <-slow:
			return true
		case <-step:
			if failing {
				return true
			}
			if err := p.Step(ctx); err != nil && ctx.Err() == nil {
				return true // tell will meet the same trouble and say it
			}
		}
	}
}

func (p *Publisher) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	facts, err := p.Archive.Facts(ctx)
	if err != nil {
		return fmt.Errorf("read facts: %w", err)
	}
	if len(Build(facts, p.Now()).Cells) == 0 {
		return nil // a map without cells is no map; readers would refuse it
	}
	next := Build(facts, p.Now())
	if last := p.current.Load().Snapshot(); last != nil {
		if next.Version < last.Version { // the database was restored, or replaced by another
			next.Version = NextVersion(last.Version, p.Now())
			if err := p.Archive.Raise(ctx, next.Version); err != nil {
				return fmt.Errorf("raise the version: %w", err)
			}
		}
		if err := last.Replace(next); err != nil {
			return fmt.Errorf("the database is behind the map that was told: %w", err)
		}
	}
	sealed, err := seal.Sign(p.Key, next)
	if err != nil {
		return err
	}
	p.current.Store(sealed)
	var cells []topology.CellID
	for _, m := range facts.Members {
		if !m.Left {
			cells = append(cells, m.ID)
		}
	}
	if err := p.Hub.Gather(ctx, cells); err != nil {
		return fmt.Errorf("gather: %w", err)
	}
	return p.Hub.Publish(ctx, sealed.Bytes())
}

package hub

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/natsd"
	"guichet/internal/trunk"
)

// Identity is a cell and the public half of its nkey. A cell may have two while
// it changes its key.
type Identity struct {
	Cell topology.CellID
	NKey string
}

// Why a leaf is not let in; also a metric's label.
var (
	ErrUnknownCell = kind.Forbidden.New("unknown_cell")
	ErrUnproved    = kind.Forbidden.New("nkey_not_proved")
	ErrUnknownNKey = kind.Forbidden.New("unknown_nkey")
	ErrForeignNKey = kind.Forbidden.New("nkey_of_another_cell")
	ErrForeignCert = kind.Forbidden.New("certificate_of_another_cell")
)

const (
	leafName = "leaf-" // and the cell: the name of a leaf's server
	stranger = "unknown"
	sayAgain = 10 * time.Second // about one cell and one reason
)

// door knows who may attach, and who did.
type door struct {
	log     *slog.Logger
	metrics *metrics
	fixed   func() []Identity
	peer    func(*tls.ConnectionState) (topology.CellID, bool) // nil in the clear

	mu      sync.Mutex
	cut     func(id uint64)
	charted []Identity                        // from the map
	inside  map[topology.CellID]visitor       // the newest connection of each
	arrived map[topology.CellID]chan struct{} // closed and made anew when the cell attaches
	said    map[[2]string]time.Time           // by cell and reason; bounded, as both are
}

type visitor struct {
	id   uint64
	nkey string
}

func newDoor(cfg Config, m *metrics) *door {
	d := &door{
		log: cfg.Log, metrics: m, fixed: cfg.Cells, cut: func(uint64) {},
		inside: map[topology.CellID]visitor{}, arrived: map[topology.CellID]chan struct{}{}, said: map[[2]string]time.Time{},
	}
	if d.fixed == nil {
		d.fixed = func() []Identity { return nil }
	}
	if cfg.TLS != nil {
		d.peer = cfg.PeerCell
		if d.peer == nil {
			d.peer = func(*tls.ConnectionState) (topology.CellID, bool) { return "", false }
		}
	}
	return d
}

func (d *door) disconnect(cut func(id uint64)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = cut
}

// know takes the cells of a new map and cuts off who is not known any more.
func (d *door) know(cells []Identity) {
	d.mu.Lock()
	d.charted = cells
	d.mu.Unlock()
	d.recheck()
}

func (d *door) recheck() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for cell, v := range d.inside {
		if err := d.find(cell, v.nkey); err != nil {
			delete(d.inside, cell)
			d.log.Warn("a leaf is not known any more and is cut off", slog.String("cell", string(cell)), slog.String("nkey", v.nkey))
			go d.cut(v.id)
		}
	}
}

// find says why the nkey is not the cell's, if it is not.
func (d *door) find(cell topology.CellID, nkey string) error {
	known, owner := false, topology.CellID("")
	for _, list := range [][]Identity{d.fixed(), d.charted} {
		for _, i := range list {
			if i.Cell == cell {
				if known = true; i.NKey == nkey {
					return nil
				}
			} else if i.NKey == nkey {
				owner = i.Cell
			}
		}
	}
	switch {
	case owner != "":
		return ErrForeignNKey.With("it is %s's", owner)
	case known:
		return ErrUnknownNKey
	}
	return ErrUnknownCell
}

// admit is asked for each leaf that wants in.
func (d *door) admit(who natsd.Caller) (natsd.Grant, error) {
	cell, err := d.judge(who)
	if err != nil {
		d.refuse(cell, who, err)
		return natsd.Grant{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if before, ok := d.inside[cell]; ok && before.id != who.ID {
		go d.cut(before.id) // a cell has one leaf: the newest is it
	}
	d.inside[cell] = visitor{id: who.ID, nkey: who.NKey}
	if ch := d.arrived[cell]; ch != nil {
		close(ch)
	}
	d.arrived[cell] = make(chan struct{})
	d.log.Info("a leaf is let in", slog.String("cell", string(cell)), slog.String("address", who.Address))
	return natsd.Grant{User: string(cell), Publish: trunk.MayPublish(string(cell)), Subscribe: trunk.MayReceive(string(cell))}, nil
}

// judge answers the cell that the caller says it is, "" if that is no cell's name.
func (d *door) judge(who natsd.Caller) (topology.CellID, error) {
	cell, err := topology.ParseCell(strings.TrimPrefix(who.Name, leafName))
	if err != nil {
		return "", ErrUnknownCell.With("it calls itself %.40q", who.Name)
	}
	if who.NKey == "" {
		return cell, ErrUnproved.With("%s", who.Fault)
	}
	if d.peer != nil {
		if who.TLS == nil {
			return cell, ErrForeignCert.With("it has no certificate")
		}
		if named, ok := d.peer(who.TLS); !ok || named != cell {
			return cell, ErrForeignCert.With("its certificate names %.20q", string(named))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return cell, d.find(cell, who.NKey)
}

func (d *door) refuse(cell topology.CellID, who natsd.Caller, err error) {
	reason := kind.As(err).Code
	d.mu.Lock()
	defer d.mu.Unlock()
	label := stranger
	if d.knows(cell) {
		label = string(cell)
	}
	d.metrics.leavesRefused.WithLabelValues(label, reason).Inc()
	if d.quiet(label, reason) {
		return
	}
	d.log.Warn("a leaf is refused", slog.String("cell", label), slog.String("calls_itself", fmt.Sprintf("%.40q", who.Name)),
		slog.String("address", who.Address), slog.String("nkey", who.NKey), slog.Any("error", err))
}

func (d *door) knows(cell topology.CellID) bool {
	for _, list := range [][]Identity{d.fixed(), d.charted} {
		for _, i := range list {
			if i.Cell == cell {
				return true
			}
		}
	}
	return false
}

// quiet says whether the same was said of the same cell just now.
func (d *door) quiet(cell, reason string) bool {
	key, now := [2]string{cell, reason}, time.Now() //nolint:forbidigo // only about how often a line is logged
	if now.Sub(d.said[key]) < sayAgain {
		return true
	}
	d.said[key] = now
	return false
}

// hush is quiet for others.
func (d *door) hush(cell, reason string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.quiet(cell, reason)
}

// violated is told that a leaf that was let in did what it may not.
func (d *door) violated(id uint64, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	label := stranger
	for cell, v := range d.inside {
		if v.id == id {
			label = string(cell)
		}
	}
	d.metrics.violations.WithLabelValues(label).Inc()
	if !d.quiet(label, "violation") {
		d.log.Warn("a leaf did what it may not and is cut off", slog.String("cell", label), slog.String("what", what))
	}
}

// arrival is closed when the cell attaches the next time.
func (d *door) arrival(cell topology.CellID) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.arrived[cell] == nil {
		d.arrived[cell] = make(chan struct{})
	}
	return d.arrived[cell]
}

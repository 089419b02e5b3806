package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/converge"
	"guichet/control-plane/topology"
)

// converging is what the cell does so that its copy of the catalogue is what each home says.
type converging struct {
	home   *converge.Home
	mender *converge.Mender
}

// openConverging joins it; it runs beside the leaf, in one process of the cell.
func (h *house) openConverging(ctx context.Context, reg *prometheus.Registry) {
	mended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "guichet_catalogue_mended_total", Help: "Documents of the cell's copy of the catalogue that were put or removed because the copy differed from what their home says. Growing all the time: messages of that cell are lost on the bus.",
	}, []string{"cell", "what"})
	compared := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "guichet_catalogue_compared_timestamp_seconds", Help: "When the copy of a cell's catalogue was last compared and mended to the end. Old: that cell cannot be asked, and the log says why.",
	}, []string{"cell"})
	reg.MustRegister(mended, compared)
	report := reporter(ctx, "converge")
	homes := &homes{current: h.atlas.Current}
	h.converging = converging{home: &converge.Home{Cell: h.cfg.Cell, Own: h.store, Now: time.Now}}
	h.converging.mender = &converge.Mender{
		Copy: h.store, Cells: h.comparable, Peer: h.peer, HomeOf: homes.of, Wake: h.indexer.Wake,
		Report: func(cell topology.CellID, event string, refused error) {
			report(fmt.Errorf("a document of %.60q from %s is not taken: %w", event, cell, refused))
		},
		Watch: func(cell topology.CellID, o converge.Outcome, failed error) {
			mended.WithLabelValues(cell.String(), "put").Add(float64(o.Put))
			mended.WithLabelValues(cell.String(), "removed").Add(float64(o.Removed))
			if o.Put+o.Removed > 0 {
				slog.InfoContext(ctx, "the copy of a cell's catalogue was mended", slog.String("cell", cell.String()), slog.Int("put", o.Put), slog.Int("removed", o.Removed))
			}
			if failed != nil {
				report(failed)
				return
			}
			compared.WithLabelValues(cell.String()).SetToCurrentTime()
		},
	}
}

// comparable are the cells to compare with, this one first; none while the map is not known.
func (h *house) comparable() []topology.CellID {
	snap := h.atlas.Current()
	if snap == nil && h.cfg.ControlPlane != "" {
		return nil
	}
	cells := []topology.CellID{h.cfg.Cell}
	if snap != nil {
		for _, c := range snap.Cells {
			if c.ID != h.cfg.Cell && c.State != topology.CellLeft {
				cells = append(cells, c.ID)
			}
		}
	}
	return cells
}

// peer is the way to a cell on the map: its addresses, and its certificate alone.
func (h *house) peer(cell topology.CellID) converge.Peer {
	if cell == h.cfg.Cell {
		return h.converging.home
	}
	known, _ := h.atlas.Current().Cell(cell)
	return converge.Remote{URLs: known.URLs, HTTP: &http.Client{Transport: h.server.Peers(cell).Transport}}
}

// homes knows where events are at home by the newest map.
type homes struct {
	current func() *topology.Snapshot

	mu    sync.Mutex
	moved map[string]topology.CellID // of events that are not where their id says
	read  *topology.Snapshot
}

// of is the home of an event; "" of what is no event's id.
func (h *homes) of(event string) topology.CellID {
	snap := h.current()
	h.mu.Lock()
	if snap != h.read || h.moved == nil {
		h.read, h.moved = snap, map[string]topology.CellID{}
		if snap != nil {
			for _, p := range snap.Placements {
				h.moved[p.EventID] = p.Home
			}
		}
	}
	home, placed := h.moved[event]
	h.mu.Unlock()
	if placed {
		return home
	}
	ref, _ := topology.ParseRef(event)
	return ref.Key.Birth
}

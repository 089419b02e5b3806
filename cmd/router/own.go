package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/control-plane/topology/seal"
	"guichet/geo"
	"guichet/internal/httpd"
	"guichet/router/page"
	"guichet/router/route"
)

// topology answers with the snapshot in force, like every cell does.
func (r *router) topology(w http.ResponseWriter, req *http.Request) {
	m := r.keeper.Sealed()
	if m == nil {
		httpd.Problem(w, req, route.ErrNoMap.With("this router has no map of the town yet"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set(seal.Header, m.Signature())
	_, _ = w.Write(m.Text())
}

// cellLine is a cell as the index shows it.
type cellLine struct {
	Cell   string  `json:"cell"`
	Region string  `json:"region"`
	City   string  `json:"city,omitempty"`
	State  string  `json:"state"`
	Up     bool    `json:"up"`
	RTTms  float64 `json:"rtt_ms"`
}

type index struct {
	Service string     `json:"service"`
	Version int64      `json:"topology_version"`
	Cells   []cellLine `json:"cells"`
	Links   []string   `json:"links"`
}

// index says to programs what this is. A browser gets the start page of the nearest cell.
func (r *router) index(w http.ResponseWriter, req *http.Request) {
	if page.Wanted(req) {
		r.proxy.ServeHTTP(w, req)
		return
	}
	w.Header().Set("Vary", "Accept")
	writeJSON(w, r.describe())
}

// status says how the cells are, as a page to browsers and as JSON to programs. It is the
// router's own, so that it can be seen when no cell answers.
func (r *router) status(w http.ResponseWriter, req *http.Request) {
	doc := r.describe()
	if !page.Wanted(req) {
		w.Header().Set("Vary", "Accept")
		writeJSON(w, doc)
		return
	}
	cells := make([]page.Cell, 0, len(doc.Cells))
	for _, c := range doc.Cells {
		cells = append(cells, page.Cell{ID: c.Cell, Region: c.Region, City: c.City, State: c.State, Up: c.Up, RTT: time.Duration(c.RTTms * float64(time.Millisecond))})
	}
	page.Status(w, req, cells)
}

// describe is the town as this router sees it.
func (r *router) describe() index {
	doc := index{Service: "guichet router", Cells: []cellLine{}, Links: []string{"/v1/events", "/openapi.json", "/v1/regions", "/v1/topology", "/status", "/readyz"}}
	if s := r.keeper.Map().Snapshot(); s != nil {
		doc.Version = s.Version
		view := r.checker.View()
		for _, c := range s.Cells {
			place, _ := geo.RegionByCode(c.Region)
			vital, seen := view.Cells[c.ID]
			doc.Cells = append(doc.Cells, cellLine{
				Cell: c.ID.String(), Region: c.Region, City: place.City, State: string(c.State), Up: seen && !vital.Down, RTTms: vital.RTT.Seconds() * 1000,
			})
		}
	}
	return doc
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// townMetrics tells what the router knows of the town, read when scraped.
type townMetrics struct{ r *router }

var (
	versionDesc = prometheus.NewDesc("guichet_router_snapshot_version", "Version of the topology in force. Lower than the control plane's for long: the router cannot reach it.", nil, nil)
	ageDesc     = prometheus.NewDesc("guichet_router_snapshot_age_seconds", "Time since a source last confirmed the topology. High: control plane and cells cannot be asked.", nil, nil)
	refusedDesc = prometheus.NewDesc("guichet_router_snapshots_refused_total", "Snapshots the guard kept out. Growing: a source is old, empty or poisoned, or not signed with a key that is pinned here; the log names it.", nil, nil)
	upDesc      = prometheus.NewDesc("guichet_router_process_up", "1 if the cell's process is used. 0: it does not answer /readyz.", []string{"cell", "url"}, nil)
	rttDesc     = prometheus.NewDesc("guichet_router_process_rtt_seconds", "Moving average of a probe's round trip. High: the process or the way to it is slow.", []string{"cell", "url"}, nil)
)

func (townMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{versionDesc, ageDesc, refusedDesc, upDesc, rttDesc} {
		to <- d
	}
}

func (t townMetrics) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if s := t.r.keeper.Map().Snapshot(); s != nil {
		gauge(versionDesc, float64(s.Version))
	}
	if age, ok := t.r.keeper.Age(); ok {
		gauge(ageDesc, age.Seconds())
	}
	to <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(t.r.keeper.Refused()))
	for _, p := range t.r.checker.View().Processes() {
		up := 0.0
		if p.Up {
			up = 1
		}
		gauge(upDesc, up, p.Cell.String(), p.URL)
		gauge(rttDesc, p.RTT.Seconds(), p.Cell.String(), p.URL)
	}
}

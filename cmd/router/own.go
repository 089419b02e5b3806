package main

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/control-plane/topology/seal"
	"guichet/geo"
	"guichet/internal/httpd"
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

var indexPage = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Guichet</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}table{border-collapse:collapse}td,th{padding:.2rem 1.2rem .2rem 0;text-align:left}</style></head>
<body><h1>Guichet</h1><p>The edge of the town: the nearest cell answers, an event's home decides.</p>
<table><tr><th>Cell</th><th>Region</th><th>City</th><th>State</th><th>Reached</th></tr>
{{range .Cells}}<tr><td>{{.Cell}}</td><td>{{.Region}}</td><td>{{.City}}</td><td>{{.State}}</td><td>{{if .Up}}yes{{else}}no{{end}}</td></tr>
{{end}}</table>
<ul>{{range .Links}}<li><a href="{{.}}">{{.}}</a></li>{{end}}</ul></body></html>
`))

// index says what this is, as a page to browsers and as JSON to programs.
func (r *router) index(w http.ResponseWriter, req *http.Request) {
	doc := index{Service: "guichet router", Cells: []cellLine{}, Links: []string{"/v1/events", "/openapi.json", "/v1/regions", "/v1/topology", "/readyz"}}
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
	w.Header().Set("Vary", "Accept")
	if !strings.Contains(req.Header.Get("Accept"), "text/html") {
		writeJSON(w, doc)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_ = indexPage.Execute(w, doc)
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

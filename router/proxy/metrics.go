package proxy

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/control-plane/topology"
)

// metrics is what the proxy counts. Labels are bounded: cells of the snapshot,
// reasons and codes of this code.
type metrics struct {
	requests *prometheus.CounterVec
	refusals *prometheus.CounterVec
	again    *prometheus.CounterVec
	located  *prometheus.CounterVec
	added    prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, b *bulkheads) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_router_requests_total", Help: "Answers passed on, by cell, why it was chosen, and status class. Many 5xx of one cell: look at that cell.",
		}, []string{"cell", "route", "class"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_router_refusals_total", Help: "Requests the router refused by itself, by problem code. Many home_unavailable: a cell is away.",
		}, []string{"code"}),
		again: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_router_again_total", Help: "Requests sent once more, by reason: process (another of the cell), cell (another cell), moved (a cell told a newer home). Many: cells die or snapshots lag.",
		}, []string{"reason"}),
		located: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_router_located_total", Help: "Requests by what their place rests on. Many default: the GeoIP file is missing or does not know the clients.",
		}, []string{"by"}),
		added: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "guichet_router_added_latency_seconds", Help: "Time the router itself adds before the first byte goes back, without waiting for cells. High: the router is short of CPU.",
			Buckets: []float64{.00005, .0001, .0002, .0005, .001, .002, .005, .01, .025, .05, .1, .5},
		}),
	}
	reg.MustRegister(m.requests, m.refusals, m.again, m.located, m.added, inFlight{b})
	return m
}

func (m *metrics) answered(cell topology.CellID, why string, status int, added time.Duration) {
	m.requests.WithLabelValues(string(cell), why, strconv.Itoa(status/100)+"xx").Inc()
	m.added.Observe(added.Seconds())
}

// inFlight reads the bulkheads when it is scraped.
type inFlight struct{ b *bulkheads }

var inFlightDesc = prometheus.NewDesc("guichet_router_in_flight", "Requests with a cell at this moment. Near the limit: the cell is slow and its next requests are refused.", []string{"cell"}, nil)

func (inFlight) Describe(to chan<- *prometheus.Desc) { to <- inFlightDesc }

func (i inFlight) Collect(to chan<- prometheus.Metric) {
	i.b.each(func(cell topology.CellID, inside int64) {
		to <- prometheus.MustNewConstMetric(inFlightDesc, prometheus.GaugeValue, float64(inside), string(cell))
	})
}

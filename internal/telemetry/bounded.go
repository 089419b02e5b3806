package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// bounded is a collector that may have to ask somebody who does not answer.
type bounded struct {
	prometheus.Collector
	limit   time.Duration
	running chan struct{}
}

// Bounded keeps a collector from holding up a scrape: what it has not told within limit
// is left out, and while it is still asking nobody asks it again. A metric that is missing
// is honest; a page of metrics that does not come says nothing of a process in trouble.
func Bounded(c prometheus.Collector, limit time.Duration) prometheus.Collector {
	return &bounded{Collector: c, limit: limit, running: make(chan struct{}, 1)}
}

// Collect is prometheus.Collector's.
func (b *bounded) Collect(to chan<- prometheus.Metric) {
	select {
	case b.running <- struct{}{}:
	default:
		return // the one before is still asking
	}
	told := make(chan []prometheus.Metric, 1)
	go func() {
		defer func() { <-b.running }()
		told <- all(b.Collector)
	}()
	late := time.NewTimer(b.limit)
	defer late.Stop()
	select {
	case metrics := <-told:
		for _, m := range metrics {
			to <- m
		}
	case <-late.C:
	}
}

// all is everything that a collector tells.
func all(c prometheus.Collector) (metrics []prometheus.Metric) {
	from := make(chan prometheus.Metric)
	go func() {
		defer close(from)
		c.Collect(from)
	}()
	for m := range from {
		metrics = append(metrics, m)
	}
	return metrics
}

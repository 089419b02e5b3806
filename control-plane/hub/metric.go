package hub

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	leavesRefused, told, toldRefused *prometheus.CounterVec
	violations, throttled, failures  *prometheus.CounterVec
}

func newMetrics() *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return &metrics{
		leavesRefused: vec("guichet_hub_leaves_refused_total", "Leaves that were not let in, by the cell they say they are; any is for people to look at.", "cell", "reason"),
		violations:    vec("guichet_hub_violations_total", "Leaves cut off because they sent or asked for what they may not; any is for people to look at.", "cell"),
		told:          vec("guichet_hub_messages_total", "Messages of a cell that were let through to the town.", "cell"),
		toldRefused:   vec("guichet_hub_messages_refused_total", "Messages of a cell that were not let through; any is for people to look at.", "cell", "reason"),
		throttled:     vec("guichet_hub_throttled_seconds_total", "How long a cell was kept waiting because it told more than it may.", "cell"),
		failures:      vec("guichet_hub_line_failures_total", "Attempts to carry that failed and are repeated; growing fast means a bad link to the cell.", "cell"),
	}
}

// Collectors are the hub's metrics.
func (h *Hub) Collectors() []prometheus.Collector {
	m := h.metrics
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "guichet_hub_leaves", Help: "Leaves connected; fewer than there are cells means a cell works alone.",
		}, func() float64 { return float64(h.Leaves()) }),
		m.leavesRefused, m.violations, m.told, m.toldRefused, m.throttled, m.failures,
	}
}

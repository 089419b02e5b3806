package leaf

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	relayed, relayFailures   prometheus.Counter
	consumed, failed, parked *prometheus.CounterVec
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	perConsumer := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"consumer"})
	}
	return &metrics{
		relayed:       counter("guichet_relay_messages_total", "Outbox rows carried to the leaf; flat while the outbox grows means the relay is stuck."),
		relayFailures: counter("guichet_relay_failures_total", "Relay passes that failed; growing means the database or the leaf is away."),
		consumed:      perConsumer("guichet_consumer_messages_total", "Messages whose effect is durable."),
		failed:        perConsumer("guichet_consumer_failures_total", "Attempts that failed and will be repeated."),
		parked:        perConsumer("guichet_consumer_parked_total", "Poison messages set aside; any is for people to look at."),
	}
}

// Collectors are the leaf's metrics.
func (l *Leaf) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		l.metrics.relayed, l.metrics.relayFailures, l.metrics.consumed, l.metrics.failed, l.metrics.parked,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "guichet_bus_hub_connected", Help: "1 while the leaf has its hub; 0 is no reason to stop selling.",
		}, func() float64 {
			if l.Hub() {
				return 1
			}
			return 0
		}),
	}
}

package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/saga"
)

// sagaWatch counts what happens to sagas.
type sagaWatch struct {
	calls *prometheus.CounterVec
	ended *prometheus.CounterVec
	late  prometheus.Histogram
}

func newSagaWatch(reg *prometheus.Registry) *sagaWatch {
	w := &sagaWatch{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_saga_calls_total", Help: "Calls of sagas to the outside by state and error. Many with payment_provider_unavailable: the payment provider is away; sagas try again by themselves.",
		}, []string{"state", "error"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_saga_ended_total", Help: "Sagas that ended, by flow and status. Any that failed wants a person: guichet saga list --status failed.",
		}, []string{"name", "status"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "guichet_saga_late_seconds", Help: "How long a saga that the poll found had been due. High values mean too few workers, or processes that died.",
			Buckets: []float64{.1, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
	}
	reg.MustRegister(w.calls, w.ended, w.late)
	return w
}

func (w *sagaWatch) Called(state, fault string) { w.calls.WithLabelValues(state, fault).Inc() }
func (w *sagaWatch) Ended(name string, as saga.Status) {
	w.ended.WithLabelValues(name, string(as)).Inc()
}
func (w *sagaWatch) Claimed(late time.Duration) { w.late.Observe(late.Seconds()) }

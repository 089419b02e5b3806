package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"

	"guichet/cell/booking"
	"guichet/cell/notify"
	"guichet/internal/telemetry"
)

// deskWatch counts what happens at the desks.
type deskWatch struct {
	sizes   prometheus.Histogram
	took    prometheus.Histogram
	waited  prometheus.Histogram
	refused prometheus.Counter
	pace    *notify.Pace
}

func newDeskWatch(reg *prometheus.Registry, pace *notify.Pace) *deskWatch {
	w := &deskWatch{
		pace: pace,
		sizes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "guichet_desk_batch_size", Help: "Requests decided in one transaction. High values are good: many share one commit; at 512 the desk is at its limit.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "guichet_desk_batch_duration_seconds", Help: "Time of one batch from lock to commit. A high value means a slow database or two processes at one event.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "guichet_desk_wait_seconds", Help: "Time a request stood in the queue. Near 0.25 s the desk begins to refuse.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "guichet_desk_refused_total", Help: "Requests that were told to come back because the queue was too long. Rising: an event is hotter than this cell.",
		}),
	}
	reg.MustRegister(w.sizes, w.took, w.waited, w.refused)
	return w
}

// countWaiting shows how many wait at the desks.
func countWaiting(reg *prometheus.Registry, desks *booking.Desks) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "guichet_desk_waiting", Help: "Requests at the desks of this process, waiting or being decided. At 16384 every further one is told to come back.",
	}, func() float64 { return float64(desks.Waiting()) }))
}

func (w *deskWatch) Batch(size int, took time.Duration) {
	w.sizes.Observe(float64(size))
	w.took.Observe(took.Seconds())
}

// Waited lets the mails yield to those who wait.
func (w *deskWatch) Waited(d time.Duration) {
	w.waited.Observe(d.Seconds())
	w.pace.Waited(d)
}
func (w *deskWatch) Refused() { w.refused.Inc() }

// Decided puts a request's wait and its batch into the request's trace.
func (w *deskWatch) Decided(ctx context.Context, came, began, ended time.Time, together int) {
	telemetry.Past(ctx, "desk wait", came, began)
	telemetry.Past(ctx, "desk batch", began, ended, attribute.Int("guichet.batch_size", together))
}

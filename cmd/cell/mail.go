package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/letter"
	"guichet/cell/notify"
	"guichet/cell/smtp"
	"guichet/cell/store"
	"guichet/internal/telemetry"
)

// newSender makes the one who sends mails; without a mail server they are kept.
func newSender(cfg settings, s *store.Store, reg *prometheus.Registry) (*notify.Sender, error) {
	sender := &notify.Sender{
		Queue: s, Composer: &letter.Composer{Records: s, Access: cfg.Access, Site: cfg.Site}, Watch: newMailWatch(reg, s), Pace: &notify.Pace{Now: time.Now},
	}
	if cfg.SMTP == "" {
		slog.Warn("no mail server configured: mails are kept unsent; set GUICHET_SMTP_URL")
		return sender, nil
	}
	courier, err := smtp.New(cfg.SMTP, cfg.MailFrom)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	sender.Courier = courier
	return sender, nil
}

// mailWatch counts what happens to mails.
type mailWatch struct {
	ended   *prometheus.CounterVec
	delayed *prometheus.CounterVec
}

// countLimit bounds the look at the queue when metrics are read.
const countLimit = 2 * time.Second

func newMailWatch(reg *prometheus.Registry, s *store.Store) *mailWatch {
	w := &mailWatch{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_mails_total", Help: "Mails by kind and how they ended. Many parked: addresses are wrong or the mail server refuses us.",
		}, []string{"kind", "state"}),
		delayed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_mail_delays_total", Help: "Attempts that failed and will be made again. Rising steadily: the mail server is away.",
		}, []string{"kind"}),
	}
	reg.MustRegister(w.ended, w.delayed, telemetry.Bounded(&mailQueue{store: s}, countLimit))
	return w
}

func (w *mailWatch) Ended(k notify.Kind, s notify.State) {
	w.ended.WithLabelValues(string(k), string(s)).Inc()
}

func (w *mailWatch) Delayed(k notify.Kind) { w.delayed.WithLabelValues(string(k)).Inc() }

// mailQueue counts what waits, when somebody looks.
type mailQueue struct{ store *store.Store }

var mailsWaiting = prometheus.NewDesc("guichet_mails_waiting",
	"Mails that have not left, by state. Unsent above zero: no mail server is configured; queued and growing: it is away.", []string{"state"}, nil)

// Describe is prometheus.Collector's.
func (q *mailQueue) Describe(ch chan<- *prometheus.Desc) { ch <- mailsWaiting }

// Collect is prometheus.Collector's. A database that does not answer has no
// figure, which is honest.
func (q *mailQueue) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countLimit)
	defer cancel()
	counts, err := q.store.Waiting(ctx)
	if err != nil {
		return
	}
	for _, s := range []notify.State{notify.Queued, notify.Unsent} {
		ch <- prometheus.MustNewConstMetric(mailsWaiting, prometheus.GaugeValue, float64(counts[string(s)]), string(s))
	}
}

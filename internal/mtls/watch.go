package mtls

import (
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type counts struct {
	refused *prometheus.CounterVec
	unread  prometheus.Counter
}

func newCounts() counts {
	c := counts{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guichet_tls_refused_total", Help: "Peers refused by reason. expired: a machine's certificate was not renewed; foreign_authority or wrong_identity: somebody tries, or a machine is set up wrongly; the log names it.",
		}, []string{"reason"}),
		unread: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "guichet_tls_reload_failed_total", Help: "Looks at changed certificate files that could not be used. Growing: what renews them writes them wrongly, and the old certificate runs out.",
		}),
	}
	for _, r := range reasons {
		c.refused.WithLabelValues(string(r))
	}
	return c
}

// Collectors are the identity's metrics.
func (i *Identity) Collectors() []prometheus.Collector {
	return []prometheus.Collector{i.watch.refused, i.watch.unread, expiry{i}}
}

var expiryDesc = prometheus.NewDesc("guichet_tls_certificate_expiry_seconds",
	"Seconds until this process's certificate, or the first of the authorities it believes, expires. Low: nobody renews it; below 0: peers refuse it.", []string{"certificate"}, nil)

// expiry is read when it is scraped, and looks at the files then: a process that
// makes no connections still tells of its new certificate.
type expiry struct{ of *Identity }

func (expiry) Describe(to chan<- *prometheus.Desc) { to <- expiryDesc }

func (e expiry) Collect(to chan<- prometheus.Metric) {
	p, now := e.of.fresh(), e.of.now()
	to <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, p.leaf.NotAfter.Sub(now).Seconds(), "own")
	to <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, p.ends.Sub(now).Seconds(), "authority")
}

func parseCertificates(text []byte) (all []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("has no certificate")
	}
	return all, nil
}

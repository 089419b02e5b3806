package main

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/web/shop"
	"guichet/internal/config"
)

// shopSettings are what the pages for attendees say of whoever operates them.
type shopSettings struct {
	imprint shop.Imprint // GUICHET_IMPRINT_NAME, _ADDRESS, _EMAIL
}

func configureShop(r *config.Reader) shopSettings {
	return shopSettings{imprint: shop.Imprint{
		Name: r.Text("GUICHET_IMPRINT_NAME", ""), Address: r.Text("GUICHET_IMPRINT_ADDRESS", ""), Email: r.Text("GUICHET_IMPRINT_EMAIL", ""),
	}}
}

// sandboxKeys begin the publishable keys of the payment sandbox.
const sandboxKeys = "pk_test_sandbox_"

// openPages joins the pages for people.
func (h *house) openPages(reg *prometheus.Registry) error {
	if err := h.openPeople(reg); err != nil {
		return err
	}
	return h.openShop(reg)
}

// openShop joins the pages for attendees to the cell's own calls.
func (h *house) openShop(reg *prometheus.Registry) (err error) {
	shown := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "guichet_shop_pages_total", Help: "Pages of the shop by what they are and how they ended: ok, or a problem's code. Many internal: something is broken here; many home_unavailable or moved: the map is old.",
	}, []string{"page", "result"})
	reg.MustRegister(shown)
	payment := ""
	if strings.HasPrefix(h.cfg.StripePublic, sandboxKeys) {
		payment = h.cfg.StripeURL
	}
	h.calls = h.server.Handler()
	h.shop, err = shop.New(shop.Config{
		Cell: h.cfg.Cell, Calls: h.calls, SiteURL: h.cfg.Site, Topology: h.atlas.Current, PaymentURL: payment, Imprint: h.cfg.Shop.imprint, Now: time.Now, Proved: h.residency.lastProved,
		Watch: func(page, result string) { shown.WithLabelValues(page, result).Inc() },
	})
	return err
}

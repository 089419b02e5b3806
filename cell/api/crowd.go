package api

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"guichet/internal/httpd"
	"guichet/internal/kind"
)

// MaxInFlight is how many requests a process answers at the same time: more than
// may wait at its desks, so that those refuse first. It bounds what requests that
// wait elsewhere take, for a connection to the database above all (docs/desk.md).
const MaxInFlight = 20_480

var errCrowded = kind.Busy.New("busy")

// crowd counts the requests in flight and refuses those beyond limit. Health is
// answered all the same: it is how a crowd is seen.
func crowd(limit int64, reg prometheus.Registerer) gin.HandlerFunc {
	var inFlight atomic.Int64
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "guichet_http_in_flight", Help: "Requests being answered. At 20480 every further one is told to come back: the process waits for something, look at the database first.",
	}, func() float64 { return float64(inFlight.Load()) }))
	return func(c *gin.Context) {
		if now := inFlight.Add(1); now > limit && strings.HasPrefix(c.Request.URL.Path, "/v1/") {
			inFlight.Add(-1)
			httpd.Fail(c, errCrowded.With("this process answers as many requests as it can").After(time.Second))
			return
		}
		defer inFlight.Add(-1)
		c.Next()
	}
}

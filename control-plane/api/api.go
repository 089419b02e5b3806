// Package api is the control plane's HTTP: the register, the directory and the
// map, for operators, cells and routers. Reading is open to whoever reaches the
// port (it is the map that everyone may know); changing needs the operator's
// bearer token. POSTs here are idempotent by nature and take no Idempotency-Key.
package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/control-plane/placement"
	"guichet/control-plane/registry"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/internal/kind"
)

// Errors of this edge.
var (
	ErrNoToken          = kind.Unauthorized.New("unauthorized")
	ErrUnknownParameter = kind.Invalid.New("unknown_parameter")
	ErrStarting         = kind.Unavailable.New("starting")
	ErrNoTopology       = kind.Unavailable.New("no_topology")
)

// Registry is the register as HTTP needs it.
type Registry interface {
	Cells(ctx context.Context) ([]registry.Member, error)
	Join(ctx context.Context, announced topology.Cell) (registry.Member, error)
	Beat(ctx context.Context, cell topology.CellID, urls []string) error
	SetWeight(ctx context.Context, cell topology.CellID, o registry.Order) (registry.Member, error)
	Leave(ctx context.Context, cell topology.CellID) (registry.Member, error)
}

// Directory is the directory as HTTP needs it.
type Directory interface {
	Get(ctx context.Context, eventID string) (topology.Placement, error)
	Set(ctx context.Context, r placement.Request) (placement.Result, error)
}

// API serves the control plane.
type API struct {
	Registry  Registry
	Directory Directory
	Map       func() *topology.Snapshot // the newest, nil before there was one
	Starting  func() bool               // the database was not there yet; only the map can be told
	Token     string                    // the operators' bearer token
	Health    *httpd.Health
}

// Handler is all routes.
func (a *API) Handler() http.Handler {
	e := httpd.NewEngine("control-plane")
	e.GET("/livez", gin.WrapF(a.Health.Live))
	e.GET("/readyz", gin.WrapF(a.Health.Ready))

	read := e.Group("/v1", noParameters)
	read.GET("/topology", a.topology)
	read.GET("/cells", a.started, a.listCells)
	read.GET("/placements/:event_id", a.started, a.getPlacement)

	change := e.Group("/v1", noParameters, a.operator, a.started)
	change.POST("/cells", a.join)
	change.POST("/cells/:cell/beat", a.beat)
	change.PUT("/cells/:cell/weight", a.setWeight)
	change.DELETE("/cells/:cell", a.leave)
	change.PUT("/placements/:event_id", a.setPlacement)
	return e
}

// operator lets only operators pass. Hashes are compared, so that neither the
// token's text nor its length shows in the time it takes.
func (a *API) operator(c *gin.Context) {
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	given, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(a.Token))
	if !strings.EqualFold(scheme, "Bearer") || a.Token == "" || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		httpd.Fail(c, ErrNoToken.With("send the operator's token as a bearer"))
		return
	}
	c.Next()
}

// started refuses what needs the database before it was there for the first time.
func (a *API) started(c *gin.Context) {
	if a.Starting() {
		httpd.Fail(c, ErrStarting.With("the database was not there yet").After(time.Second))
		return
	}
	c.Next()
}

func noParameters(c *gin.Context) {
	for name := range c.Request.URL.Query() {
		httpd.Fail(c, ErrUnknownParameter.With("%.60q is not a parameter of this call", name))
		return
	}
	c.Next()
}

func cellParam(c *gin.Context) (topology.CellID, bool) {
	cell, err := topology.ParseCell(c.Param("cell"))
	if err != nil {
		httpd.Fail(c, err)
		return "", false
	}
	return cell, true
}

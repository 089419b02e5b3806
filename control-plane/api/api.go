// Package api is the control plane's HTTP: the register, the directory and the
// map, for operators, cells and routers. The map is told to whoever reaches the port:
// it is signed, and everyone in the town may know it. Operators show a token that names
// them; cells are known by their certificates and sign what they say of themselves.
// POSTs here are idempotent by nature and take no Idempotency-Key.
package api

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/control-plane/placement"
	"guichet/control-plane/registry"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/operator"
)

// Errors of this edge.
var (
	ErrNoToken          = kind.Unauthorized.New("unauthorized")
	ErrNotAllowed       = kind.Forbidden.New("forbidden")
	ErrOffMap           = kind.Forbidden.New("cell_off_the_map")
	ErrOtherCell        = kind.Forbidden.New("certificate_of_another_cell")
	ErrUnknownParameter = kind.Invalid.New("unknown_parameter")
	ErrStarting         = kind.Unavailable.New("starting")
	ErrNoTopology       = kind.Unavailable.New("no_topology")
)

// Registry is the register as HTTP needs it.
type Registry interface {
	Cells(ctx context.Context) ([]registry.Member, error)
	Join(ctx context.Context, announced topology.Cell, token, kid string, at time.Time) (registry.Member, error)
	Announce(ctx context.Context, announced topology.Cell, at time.Time) (registry.Member, error)
	Keys(ctx context.Context, cell topology.CellID) ([]topology.Key, error)
	Beat(ctx context.Context, cell topology.CellID, urls, revoked []string) error
	Invite(ctx context.Context, cell topology.CellID, region, by string, life time.Duration) (registry.Invitation, string, error)
	Expel(ctx context.Context, cell topology.CellID) (registry.Member, error)
	Revoke(ctx context.Context, id, by string, until time.Time) error
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
	Map       func() *seal.Map    // the newest, nil before there was one
	Starting  func() bool         // the database was not there yet; only the map can be told
	Pinned    []ed25519.PublicKey // the control plane's public key, and the one before or after it
	Now       func() time.Time
	Watch     *Watch // counts and logs who was refused
	Health    *httpd.Health

	said replays
}

// Handler is all routes.
func (a *API) Handler() http.Handler {
	e := httpd.NewEngine("control-plane")
	e.GET("/livez", gin.WrapF(a.Health.Live))
	e.GET("/readyz", gin.WrapF(a.Health.Ready))

	e.GET("/v1/topology", noParameters, a.topology)

	// Cells speak for themselves: each handler checks the certificate and the signature.
	cells := e.Group("/v1", noParameters, a.started)
	cells.POST("/cells", a.join)
	cells.POST("/cells/:cell/beat", a.beat)

	drill := e.Group("/v1", noParameters, a.may(operator.Drill), a.started)
	drill.GET("/cells", a.listCells)
	drill.GET("/placements/:event_id", a.getPlacement)
	drill.PUT("/cells/:cell/weight", a.setWeight)

	operate := e.Group("/v1", noParameters, a.may(operator.Operate), a.started)
	operate.POST("/invitations", a.invite)
	operate.POST("/cells/:cell/expel", a.expel)
	operate.DELETE("/cells/:cell", a.leave)
	operate.PUT("/placements/:event_id", a.setPlacement)
	operate.POST("/operators/revocations", a.revoke)
	return e
}

const operatorKey = "operator" // of the gin context

// may lets only operators with a role pass, whose token is not revoked.
func (a *API) may(role string) gin.HandlerFunc {
	return func(c *gin.Context) {
		scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
		if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
			httpd.Fail(c, ErrNoToken.With("send an operator's token as a bearer"))
			return
		}
		who, err := operator.Verify(token, a.Pinned, a.Now())
		switch {
		case err != nil:
			httpd.Fail(c, ErrNoToken.With("%s", err))
		case a.Map().Snapshot().Revokes(who.RevocationID()):
			httpd.Fail(c, ErrNoToken.With("this token of %s was revoked", who.Name))
		case !who.May(role):
			httpd.Fail(c, ErrNotAllowed.With("%s may not do this: the role %s is needed", who.Name, role))
		default:
			c.Set(operatorKey, who)
			c.Next()
		}
	}
}

// by is the operator who calls.
func by(c *gin.Context) operator.Operator {
	v, _ := c.Get(operatorKey)
	who, _ := v.(operator.Operator)
	return who
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

package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/control-plane/placement"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/internal/httpd"
	"guichet/internal/mtls"
)

// Place asks for another home of an event: a compare-and-set on its epoch.
type Place struct {
	OperationID string          `json:"operation_id"`
	HomeCell    topology.CellID `json:"home_cell"`
	Epoch       topology.Epoch  `json:"epoch"` // the one that was seen
}

// topology answers the map, in the very bytes that were signed. It comes from memory: a control plane without its
// database still tells what it knew.
func (a *API) topology(c *gin.Context) {
	m := a.Map()
	if m == nil {
		httpd.Fail(c, ErrNoTopology.With("no cell has joined yet").After(time.Second))
		return
	}
	s := m.Snapshot()
	if peer, known := mtls.PeerOf(c.Request.TLS); known && peer.Kind == mtls.Cell {
		if _, on := s.Cell(topology.CellID(peer.Name)); !on {
			a.refuse(c, topology.CellID(peer.Name), ErrOffMap.With("%s is not on the map: it has not joined, or was expelled", peer))
			return
		}
	}
	tag := fmt.Sprintf(`"%d-%d"`, s.Version, s.IssuedAt.UnixMilli())
	c.Header("ETag", tag)
	c.Header("Cache-Control", "no-cache")
	if c.GetHeader("If-None-Match") == tag {
		c.Status(http.StatusNotModified)
		return
	}
	c.Header(seal.Header, m.Signature())
	c.Data(http.StatusOK, "application/json; charset=utf-8", m.Text())
}

func (a *API) getPlacement(c *gin.Context) {
	p, err := a.Directory.Get(c.Request.Context(), c.Param("event_id"))
	if err != nil {
		httpd.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, p)
}

func (a *API) setPlacement(c *gin.Context) {
	var p Place
	if _, err := httpd.DecodeJSON(c, &p); err != nil {
		httpd.Fail(c, err)
		return
	}
	out, err := a.Directory.Set(c.Request.Context(), placement.Request{
		OperationID: p.OperationID, EventID: c.Param("event_id"), To: p.HomeCell, Seen: p.Epoch,
	})
	if err != nil {
		httpd.Fail(c, err)
		return
	}
	if out.Replayed {
		c.Header(httpd.HeaderReplayed, "true")
	}
	c.JSON(http.StatusOK, out.Placement)
}

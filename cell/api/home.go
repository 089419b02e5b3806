package api

import (
	"errors"
	"strings"

	"github.com/gin-gonic/gin"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Errors about where.
var (
	errRegion     = kind.Invalid.New("unknown_region")
	errNoTopology = kind.Unavailable.New("topology_unknown")
)

// homeward turns "I have no such thing" into "ask its home" when the id in the
// path belongs elsewhere. The id's hint is advice, the placement table wins, and
// this cell's own database was asked first.
func (s *Server) homeward(c *gin.Context, err error) error {
	if !errors.Is(err, booking.ErrEventNotFound) && !errors.Is(err, booking.ErrHoldNotFound) &&
		!errors.Is(err, booking.ErrAllocNotFound) && !errors.Is(err, booking.ErrSeriesNotFound) && !errors.Is(err, checkout.ErrOrderNotFound) && !errors.Is(err, checkout.ErrTicketNotFound) {
		return err
	}
	text, _, _ := strings.Cut(c.Param("event_id")+c.Param("hold_id")+c.Param("order_id")+c.Param("ticket_id")+c.Param("series_id"), ".")
	if held, ok := c.Get(holdParam); ok {
		text, _ = held.(string)
	}
	ref, ok := topology.ParseRef(text)
	if !ok {
		return err
	}
	if home, epoch := s.homeOf(ref.Key); home != s.Cell {
		return moved(home, epoch)
	}
	return err
}

// holdParam is where createOrder leaves the id it read from the body.
const holdParam = "guichet.hold"

func moved(home topology.CellID, epoch topology.Epoch) error {
	return booking.ErrMoved.With("%s decides about this", home).Field("home_cell", home).Field("epoch", epoch)
}

// homeOf is the event's home as far as this cell knows, and its epoch.
func (s *Server) homeOf(key topology.EventKey) (topology.CellID, topology.Epoch) {
	if snap := s.Topology(); snap != nil {
		want := "evt_" + key.String()
		for _, p := range snap.Placements {
			if p.EventID == want {
				return p.Home, p.Epoch
			}
		}
	}
	return key.Birth, 1
}

// inRegionOf is inRegion with the organizer's own region as the default.
func (s *Server) inRegionOf(org id.Organizer, region string) error {
	if region != "" || org.Birth() == s.Cell {
		return s.inRegion(region)
	}
	if cell, ok := s.Topology().Cell(org.Birth()); ok && cell.Region == s.Region {
		return nil
	}
	return moved(org.Birth(), 0)
}

// inRegion checks that a call that names a region reached a cell of it.
func (s *Server) inRegion(region string) error {
	if region == "" || region == s.Region {
		return nil
	}
	if snap := s.Topology(); snap != nil {
		for _, state := range []topology.CellState{topology.CellServing, topology.CellDraining} {
			for _, cell := range snap.Cells {
				if cell.Region == region && cell.State == state {
					return moved(cell.ID, 0)
				}
			}
		}
	}
	return errRegion.With("there is no cell in %.40q; GET /v1/regions lists them", region)
}

package api

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"

	"github.com/gin-gonic/gin"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Errors about who and where.
var (
	errUnauthorized = kind.Unauthorized.New("unauthorized")
	errForbidden    = kind.Forbidden.New("forbidden")
	errRegion       = kind.Invalid.New("unknown_region")
	errNoTopology   = kind.Unavailable.New("topology_unknown")
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

// operator lets only operators pass.
func (s *Server) operator(c *gin.Context) error {
	token, ok := bearer(c)
	a, b := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.Operator))
	if !ok || s.Operator == "" || subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return errUnauthorized.With("send an operator's token as Authorization: Bearer …")
	}
	return nil
}

// organizer is who sent the request, by his API key. Any cell can tell: the key
// is signed by the cell of his account. That cell also knows whether it still
// stands (ADR 003).
func (s *Server) organizer(c *gin.Context) (id.Organizer, error) {
	text, ok := bearer(c)
	if !ok {
		return id.Organizer{}, errUnauthorized.With("send an organizer's API key as Authorization: Bearer …")
	}
	cred, err := ticket.VerifyCredential(text, s.keys)
	if err != nil {
		return id.Organizer{}, err
	}
	if cred.Organizer.Birth() == s.Cell {
		_, hash, err := s.Booking.Store.Organizer(c, cred.Organizer)
		if err != nil && !errors.Is(err, booking.ErrOrganizerNotFound) {
			return id.Organizer{}, err
		}
		if subtle.ConstantTimeCompare([]byte(hash), []byte(cred.Hash())) != 1 {
			return id.Organizer{}, errUnauthorized.With("the API key is not valid any more")
		}
	}
	return cred.Organizer, nil
}

// keys finds public keys: our own always, the others' in the newest snapshot.
func (s *Server) keys(kid string) (ed25519.PublicKey, bool) {
	if public, ours := s.Signer.Keys()(kid); ours {
		return public, true
	}
	return ticket.KeysIn(s.Topology())(kid)
}

func bearer(c *gin.Context) (string, bool) {
	scheme, token, ok := strings.Cut(c.GetHeader("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer") && token != ""
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

package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"guichet/cell/account"
	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/control-plane/topology/seal"
	"guichet/geo"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

var (
	errParameter = kind.Invalid.New("invalid_parameter")
	errCursor    = kind.Invalid.New("invalid_cursor")
)

type newOrganizer struct {
	Name string `json:"name"`
}

func (s *Server) createOrganizer(c *gin.Context) error {
	if err := s.inRegion(c.Query("home_region")); err != nil {
		return err
	}
	var in newOrganizer
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	answer, err := s.once(c, id.Event{}, true, "", body, 201, func(ctx context.Context, tx txn.Tx) (any, error) {
		org := id.NewOrganizer(s.Cell)
		o, err := s.Booking.OpenAccount(ctx, tx, org, in.Name)
		if err != nil {
			return nil, err
		}
		if _, err := s.Accounts.OpenFirst(ctx, tx, org, callerOf(c).actor.ID); err != nil {
			return nil, err
		}
		view := client.Organizer{ID: o.ID.String(), Name: o.Name, HomeRegion: o.HomeRegion, HomeCell: s.Cell.String()}
		audit.Of(ctx).For(view.ID).On("organizer", view.ID).Changed(nil, view)
		return view, nil
	})
	if err != nil {
		return err
	}
	// The key is made again for each repetition: it is never stored, not even in the first answer.
	var view client.Organizer
	if err := json.Unmarshal(answer, &view); err != nil {
		return fmt.Errorf("read first answer: %w", err)
	}
	org, err := id.ParseOrganizer(view.ID)
	if err != nil {
		return fmt.Errorf("read first answer: %s", err.Error()) // our own row, not the caller's fault
	}
	if view.APIKey, err = s.keyText(c.Request.Context(), account.FirstKeyID(org).String()); err != nil {
		return err
	}
	c.JSON(201, view)
	return nil
}

// ownEvent is the event in the path, when it belongs to who asks.
func (s *Server) ownEvent(c *gin.Context) (booking.Event, error) {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return booking.Event{}, err
	}
	e, err := s.Booking.Store.Event(c.Request.Context(), txn.None, event)
	if err == nil && !callerOf(c).owns(e.Organizer) {
		return booking.Event{}, booking.ErrEventNotFound
	}
	return e, err
}

// onEvent runs do in its turn at the event's desk, behind its lock.
func (s *Server) onEvent(c *gin.Context, event id.Event, do func(ctx context.Context, tx txn.Tx) error) error {
	return s.Booking.Desks.Turn(c.Request.Context(), event, func(ctx context.Context, tx txn.Tx) error {
		return s.recorded(ctx, tx, func(ctx context.Context, tx txn.Tx) error { return s.Checkout.OnEvent(ctx, tx, event, do) })
	})
}

func (s *Server) getStats(c *gin.Context) error {
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	var out client.Stats
	err = s.Reports.InSnapshot(c.Request.Context(), func(ctx context.Context, tx txn.Tx) (err error) { // so that its parts add up
		out, err = s.stats(ctx, tx, e.ID)
		return err
	})
	if err != nil {
		return err
	}
	c.JSON(200, out)
	return nil
}

func (s *Server) stats(ctx context.Context, tx txn.Tx, event id.Event) (client.Stats, error) {
	e, err := s.Booking.Store.Event(ctx, tx, event)
	if err != nil {
		return client.Stats{}, err
	}
	orders, sold, checkedIn, err := s.Reports.Counts(ctx, tx, event)
	if err != nil {
		return client.Stats{}, err
	}
	held, err := s.Reports.Held(ctx, tx, event)
	if err != nil {
		return client.Stats{}, err
	}
	revenue, err := s.Reports.Revenue(ctx, tx, event)
	if err != nil {
		return client.Stats{}, err
	}
	out := client.Stats{Quotas: quotaViews(e.Quotas), TicketTypes: []client.TicketTypeSold{}, Orders: orders, Revenue: money.Money{Amount: revenue, Currency: e.Currency}, CheckedIn: checkedIn}
	for _, t := range e.Types {
		out.TicketTypes = append(out.TicketTypes, client.TicketTypeSold{ID: t.ID.String(), Name: t.Name, Held: held[t.ID.String()], Sold: sold[t.ID.String()]})
	}
	return out, nil
}

// pageLimit is how many items a page shall have.
func pageLimit(c *gin.Context) (int, error) {
	text := c.Query("limit")
	if text == "" {
		return 20, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || text[0] == '+' || limit < 1 || limit > 100 {
		return 0, errParameter.With("limit must be 1 to 100").Field("parameter", "limit")
	}
	return limit, nil
}

func (s *Server) regions(c *gin.Context) error {
	page := Page[client.Region]{Items: []client.Region{}}
	if snap := s.Topology(); snap != nil {
		for _, known := range snap.Cells {
			rc := client.RegionCell{ID: known.ID.String(), State: string(known.State), Residency: known.Residency}
			if known.ID == s.Cell && s.Residency != nil {
				rc.Proof = s.Residency()
			}
			i := slices.IndexFunc(page.Items, func(r client.Region) bool { return r.Code == known.Region })
			if i < 0 {
				r := client.Region{Code: known.Region}
				if at, ok := geo.RegionByCode(known.Region); ok {
					r.City, r.Country, r.Location = at.City, at.Country, &client.Location{Lat: at.Lat, Lon: at.Lon}
				}
				page.Items = append(page.Items, r)
				i = len(page.Items) - 1
			}
			page.Items[i].Cells = append(page.Items[i].Cells, rc)
		}
	}
	return show(c, page)
}

func (s *Server) topology(c *gin.Context) error {
	m := s.Sealed()
	if m == nil {
		return errNoTopology.With("this cell has not seen a map yet")
	}
	c.Header("Cache-Control", "no-store")
	c.Header(seal.Header, m.Signature())
	c.Data(http.StatusOK, "application/json; charset=utf-8", m.Text())
	return nil
}

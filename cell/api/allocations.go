package api

import (
	"context"
	"errors"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/txn"
)

// namedHolds is how many holds of an allocation are shown with it.
const namedHolds = 100

func (s *Server) createAllocation(c *gin.Context) error {
	event, org, err := s.staff(c)
	if err != nil {
		return err
	}
	var in client.NewAllocation
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	quota, err := id.ParseQuota(in.QuotaID)
	if err != nil {
		return id.ErrMalformed.At("/quota_id", "is not the id of a quota")
	}
	return s.answerAtDesk(c, event, org, body, 201, func(ctx context.Context, tx txn.Tx) (any, error) {
		a, err := s.Booking.Allocate(ctx, tx, org, event, quota, in.Name, in.Quantity)
		if err == nil {
			audit.Of(ctx).On("allocation", a.ID.String()).Changed(nil, allocationView(a))
		}
		return allocationView(a), err
	})
}

// staff is the event in the path and who asks.
func (s *Server) staff(c *gin.Context) (id.Event, id.Organizer, error) {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return event, id.Organizer{}, err
	}
	return event, callerOf(c).organizer, nil
}

// staffOf is staff with the allocation in the path.
func (s *Server) staffOf(c *gin.Context) (id.Allocation, id.Organizer, error) {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return id.Allocation{}, id.Organizer{}, err
	}
	allocation, err := id.ParseAllocation(c.Param("allocation_id"))
	if err != nil {
		return allocation, id.Organizer{}, err
	}
	if allocation.Event() != event {
		err = booking.ErrAllocNotFound
	}
	return allocation, callerOf(c).organizer, err
}

// answerAtDesk runs do in its turn at the event's desk and sends its answer, kept
// under the request's key.
func (s *Server) answerAtDesk(c *gin.Context, event id.Event, org id.Organizer, body []byte, status int, do func(ctx context.Context, tx txn.Tx) (any, error)) error {
	answer, err := s.once(c, event, true, org.String(), body, status, do)
	if err != nil {
		return err
	}
	send(c, status, answer)
	return nil
}

func (s *Server) listAllocations(c *gin.Context) error {
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	limit, err := pageLimit(c)
	if err != nil {
		return err
	}
	after := c.Query("cursor")
	if after != "" {
		if a, err := id.ParseAllocation(after); err != nil || a.Event() != e.ID {
			return errCursor.With("the cursor is not from this list")
		}
	}
	all, err := s.Booking.Store.Allocations(c.Request.Context(), e.ID, after, limit+1)
	if err != nil {
		return err
	}
	page := Page[client.Allocation]{Items: []client.Allocation{}}
	if len(all) > limit {
		next := all[limit-1].ID.String()
		page.NextCursor, all = &next, all[:limit]
	}
	for _, a := range all {
		page.Items = append(page.Items, allocationView(a))
	}
	c.JSON(200, page)
	return nil
}

func (s *Server) getAllocation(c *gin.Context) error {
	of, _, err := s.staffOf(c)
	if err != nil {
		return err
	}
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	a, err := s.Booking.Store.Allocation(c.Request.Context(), txn.None, e.ID, of)
	if err != nil {
		return err
	}
	holds, err := s.Booking.Store.NamedHolds(c.Request.Context(), of, namedHolds)
	if err != nil {
		return err
	}
	out := client.AllocationDetail{Allocation: allocationView(a), Holds: []client.NamedHold{}}
	for _, h := range holds {
		out.Holds = append(out.Holds, namedView(h.Hold, h.Buyer))
	}
	c.JSON(200, out)
	return nil
}

func (s *Server) closeAllocation(c *gin.Context) error {
	of, org, err := s.staffOf(c)
	if err != nil {
		return err
	}
	err = s.Booking.Desks.Turn(c.Request.Context(), of.Event(), func(ctx context.Context, tx txn.Tx) error {
		return s.recorded(ctx, tx, func(ctx context.Context, tx txn.Tx) error {
			was, err := s.Booking.Store.Allocation(ctx, tx, of.Event(), of)
			if err != nil && !errors.Is(err, booking.ErrAllocNotFound) {
				return err
			}
			a, err := s.Booking.CloseAllocation(ctx, tx, org, of)
			if note := audit.Of(ctx).Changed(allocationView(was), allocationView(a)); was.Closed {
				note.Nothing()
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	c.Status(204)
	c.Writer.WriteHeaderNow()
	return nil
}

func (s *Server) releaseAllocation(c *gin.Context) error {
	of, org, err := s.staffOf(c)
	if err != nil {
		return err
	}
	var in client.ReleaseAllocation
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	return s.answerAtDesk(c, of.Event(), org, body, 200, func(ctx context.Context, tx txn.Tx) (any, error) {
		a, err := s.Booking.Deallocate(ctx, tx, org, of, in.Quantity)
		audit.Of(ctx).Changed(nil, object{"quantity": a.Quantity, "released": in.Quantity})
		return allocationView(a), err
	})
}

func (s *Server) holdAllocated(c *gin.Context) error {
	of, org, err := s.staffOf(c)
	if err != nil {
		return err
	}
	var in client.NewNamedHold
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	tid, err := id.ParseTicketType(in.TicketTypeID)
	if err != nil {
		return id.ErrMalformed.At("/ticket_type_id", "is not the id of a ticket type")
	}
	buyer := booking.NamedBuyer{Name: in.Buyer.Name, Email: in.Buyer.Email}
	want := booking.NamedRequest{From: of, Hold: id.NewHold(of.Event()), Type: tid, Quantity: in.Quantity, Until: in.ExpiresAt}
	return s.answerAtDesk(c, of.Event(), org, body, 201, func(ctx context.Context, tx txn.Tx) (any, error) {
		h, err := s.Booking.HoldAside(ctx, tx, org, want, buyer)
		audit.Of(ctx).Changed(nil, object{"hold_id": want.Hold, "ticket_type_id": tid, "quantity": in.Quantity, "expires_at": in.ExpiresAt})
		return namedView(h, buyer), err
	})
}

func allocationView(a booking.Allocation) client.Allocation {
	v := client.Allocation{
		ID: a.ID.String(), EventID: a.ID.Event().String(), QuotaID: a.Quota.String(), Name: a.Name, State: "open",
		Asked: a.Asked, Quantity: a.Quantity, CreatedAt: a.CreatedAt.UTC(),
	}
	if a.Closed {
		v.State = "closed"
	}
	return v
}

func namedView(h booking.Hold, b booking.NamedBuyer) client.NamedHold {
	return client.NamedHold{Hold: holdView(h), Buyer: client.NamedBuyer{Name: b.Name, Email: b.Email}}
}

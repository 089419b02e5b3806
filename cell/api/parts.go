package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/txn"
)

// Parts knows what an event's parts were used for, and takes codes away. Asked in the
// transaction of a change it answers behind the event's lock.
type Parts interface {
	TypeUse(ctx context.Context, tx txn.Tx, event id.Event, tid id.TicketType) (booking.TypeUse, error)
	// AnyAllocation says whether stock of a quota was ever set aside.
	AnyAllocation(ctx context.Context, tx txn.Tx, event id.Event, quota id.Quota) (bool, error)
	// AnyOrder says whether there is an order of an event, whatever became of it.
	AnyOrder(ctx context.Context, tx txn.Tx, event id.Event) (bool, error)
	// RemoveCode deletes a code behind its event's lock, if may allows it; c is nil when there is none.
	RemoveCode(ctx context.Context, tx txn.Tx, event id.Event, code string, may func(e *booking.Event, c *booking.Code) error) error
}

// partRoutes change what an event is made of while it is sold.
var partRoutes = []route{
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/quotas", handle: (*Server).addQuota, auth: organizer, need: access.WriteEvents, key: keyRequired, match: matchOptional, in: client.NewQuota{}, out: client.Event{}, status: 201,
		doc: "Add a quota, also while the event is sold. The answer is the event; the new quota is its last.", problems: "invalid_id event_not_found invalid_event invalid_state version_mismatch moved",
	},
	{
		method: http.MethodDelete, path: "/v1/events/{event_id}/quotas/{quota_id}", handle: (*Server).removeQuota, auth: organizer, need: access.WriteEvents, key: keyOptional, match: matchOptional, out: client.Event{}, status: 200,
		doc:      "Take away a quota on which no ticket type draws, and of which nothing was ever set aside. 409 quota_in_use says why in reason: ticket_type, stock or allocation.",
		problems: "invalid_id event_not_found quota_not_found quota_in_use version_mismatch moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/ticket_types", handle: (*Server).addTicketType, auth: organizer, need: access.WriteEvents, key: keyRequired, match: matchOptional, in: client.NewTicketType{}, out: client.Event{}, status: 201,
		doc:      "Add a ticket type that draws on quotas of the event, which it names, also while the event is sold. The answer is the event; the new ticket type is its last.",
		problems: "invalid_id event_not_found invalid_event amount_not_chargeable invalid_state version_mismatch moved",
	},
	{
		method: http.MethodDelete, path: "/v1/events/{event_id}/ticket_types/{ticket_type_id}", handle: (*Server).removeTicketType, auth: organizer, need: access.WriteEvents, key: keyOptional, match: matchOptional, out: client.Event{}, status: 200,
		doc:      "Take away a ticket type that was never ordered and is not held. 409 ticket_type_in_use says why in reason: ordered, held, code, add_on, seating or last.",
		problems: "invalid_id event_not_found ticket_type_not_found ticket_type_in_use version_mismatch moved",
	},
	{
		method: http.MethodDelete, path: "/v1/events/{event_id}/codes/{code}", handle: (*Server).removeCode, auth: organizer, need: access.WriteEvents, key: keyOptional, status: 204,
		doc: "Take away a code with which no ticket is held or sold; 409 code_in_use says how many are.", problems: "invalid_id event_not_found code_not_found code_in_use moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/unpublish", handle: (*Server).unpublishEvent, auth: organizer, need: access.WriteEvents, key: keyOptional, match: matchOptional, out: client.Event{}, status: 200,
		doc:      "Make the event a draft again, which only its organizer sees: as long as nothing was ordered and nothing is held. 409 event_in_use says why in reason: ordered or stock. Doing it again changes nothing.",
		problems: "invalid_id event_not_found invalid_state event_in_use version_mismatch moved",
	},
}

func (s *Server) addQuota(c *gin.Context) error {
	var in client.NewQuota
	return s.revise(c, revision{in: &in, makes: true, act: func(e *booking.Event, _ time.Time) error {
		return e.AddQuota(booking.DraftQuota{Name: in.Name, Size: in.Size})
	}})
}

func (s *Server) addTicketType(c *gin.Context) error {
	var in client.NewTicketType
	return s.revise(c, revision{in: &in, makes: true, act: func(e *booking.Event, _ time.Time) error { return e.AddType(typeOf(in)) }})
}

func (s *Server) removeQuota(c *gin.Context) error {
	quota, err := id.ParseQuota(c.Param("quota_id"))
	if err != nil {
		return err
	}
	return s.revise(c, revision{
		act: func(e *booking.Event, _ time.Time) error { return e.RemoveQuota(quota) },
		then: func(ctx context.Context, tx txn.Tx, event id.Event) error {
			used, err := s.Reports.AnyAllocation(ctx, tx, event, quota)
			if used {
				return booking.ErrQuotaInUse.With("stock of it was set aside").Field("reason", "allocation")
			}
			return err
		},
	})
}

func (s *Server) removeTicketType(c *gin.Context) error {
	tid, err := id.ParseTicketType(c.Param("ticket_type_id"))
	if err != nil {
		return err
	}
	return s.revise(c, revision{
		act: func(e *booking.Event, _ time.Time) error { return e.RemoveType(tid) },
		then: func(ctx context.Context, tx txn.Tx, event id.Event) error {
			use, err := s.Reports.TypeUse(ctx, tx, event, tid)
			if err != nil {
				return err
			}
			return use.Refuse()
		},
	})
}

func (s *Server) unpublishEvent(c *gin.Context) error {
	return s.revise(c, revision{
		act: func(e *booking.Event, _ time.Time) error { return e.Unpublish() },
		then: func(ctx context.Context, tx txn.Tx, event id.Event) error {
			ordered, err := s.Reports.AnyOrder(ctx, tx, event)
			if ordered {
				return booking.ErrEventInUse.With("tickets were ordered; cancel the event instead").Field("reason", "ordered")
			}
			return err
		},
	})
}

func (s *Server) removeCode(c *gin.Context) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	org := callerOf(c).organizer
	name := booking.CodeOf(c.Param("code"))
	_, err = s.once(c, event, false, org.String(), nil, http.StatusNoContent, func(ctx context.Context, tx txn.Tx) (any, error) {
		return nil, s.Reports.RemoveCode(ctx, tx, event, name, func(e *booking.Event, code *booking.Code) error {
			if e.Organizer != org {
				return booking.ErrEventNotFound
			}
			if err := e.Fence(); err != nil {
				return err
			}
			if code == nil {
				return booking.ErrCodeNotFound.With("the event has no such code")
			}
			audit.Of(ctx).On("code", name).Changed(codeView(*code, e.Currency), nil)
			return code.Remove()
		})
	})
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

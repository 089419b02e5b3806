package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/txn"
)

// audited says that the caller's success at the call stands in the audit log: what changes
// something and is an organizer's or operator's to make, or is made as one.
func (r *route) audited(who caller) bool {
	if r.method == http.MethodGet || r.quiet {
		return false
	}
	if r.auth == organizer || r.auth == operators || r.auth == signedIn {
		return true
	}
	return r.orStaff != "" && who.staff()
}

// note begins the entry of a call; see audit.Note. Whoever changes something says on it
// what, and where the change is written the entry is written with it.
func (s *Server) note(c *gin.Context, r *route) {
	who := callerOf(c)
	if !r.audited(who) {
		return
	}
	e := audit.Entry{
		Actor:  audit.Actor{Kind: audit.ActorKind(who.actor.Kind), ID: who.actor.ID, Name: who.actor.Name},
		Action: operationID(*r), Organizer: who.organizer.String(), RequestID: c.Writer.Header().Get(httpd.HeaderRequestID),
		Address: audit.Truncate(s.guards.address(c).String()),
	}
	for _, p := range c.Params { // the last one is what the call is about
		name := strings.TrimSuffix(p.Key, "_id")
		e.Object = audit.Object{Kind: name, ID: p.Value}
		if name == "event" {
			e.Event = p.Value
		}
	}
	if order, err := id.ParseOrder(c.Param("order_id")); err == nil {
		e.Event = order.Event().String()
	}
	c.Request = c.Request.WithContext(audit.With(c.Request.Context(), audit.NewNote(e)))
}

// recorded runs do and writes the call's entry in one transaction.
func (s *Server) recorded(ctx context.Context, tx txn.Tx, do func(ctx context.Context, tx txn.Tx) error) error {
	return txn.In(ctx, s.Answers, tx, func(ctx context.Context, tx txn.Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		return s.Log.AppendNote(ctx, tx)
	})
}

func (s *Server) organizerAudit(c *gin.Context) error {
	org, err := s.booksOf(c)
	if err != nil {
		return err
	}
	return s.sendAudit(c, audit.Query{Organizer: org.String()})
}

func (s *Server) operatorAudit(c *gin.Context) error {
	if cell := c.Query("cell"); cell != "" && cell != s.Cell.String() {
		return errParameter.With("this is the cell %s", s.Cell).Field("parameter", "cell")
	}
	q := audit.Query{}
	if text := c.Query("organizer_id"); text != "" {
		org, err := id.ParseOrganizer(text)
		if err != nil {
			return errParameter.With("organizer_id must be the id of an organizer").Field("parameter", "organizer_id")
		}
		q.Organizer = org.String()
	}
	return s.sendAudit(c, q)
}

// maxActor bounds an actor in a query, in bytes.
const maxActor = 256

func (s *Server) sendAudit(c *gin.Context, q audit.Query) error {
	limit, err := pageLimit(c)
	if err != nil {
		return err
	}
	if text := c.Query("event_id"); text != "" {
		event, err := id.ParseEvent(text)
		if err != nil {
			return errParameter.With("event_id must be the id of an event").Field("parameter", "event_id")
		}
		q.Event = event.String()
	}
	if q.Actor = c.Query("actor"); len(q.Actor) > maxActor || !readable(q.Actor) {
		return errParameter.With("actor must be an id of at most %d bytes", maxActor).Field("parameter", "actor")
	}
	if q.From, err = timeParam(c, "from", "UTC", time.Unix(0, 0).UTC()); err != nil {
		return err
	}
	if q.To, err = timeParam(c, "to", "UTC", time.Time{}); err != nil {
		return err
	}
	if text := c.Query("cursor"); text != "" {
		var ok bool
		if q.Before, ok = auditPlace(text); !ok {
			return errCursor.With("the cursor is not from this list")
		}
	}
	q.Limit = limit + 1
	all, err := s.Log.AuditEntries(c.Request.Context(), q)
	if err != nil {
		return err
	}
	listed(c, limit, all, func(e audit.Entry) string {
		return base64.RawURLEncoding.EncodeToString([]byte(e.At.UTC().Format(time.RFC3339Nano) + " " + e.ID))
	}, entryView)
	return nil
}

func auditPlace(text string) (p audit.Place, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) > maxActor {
		return p, false
	}
	at, name, found := strings.Cut(string(raw), " ")
	if p.At, err = time.Parse(time.RFC3339Nano, at); err != nil || !found || !readable(name) || p.At.Year() < 1 || p.At.Year() > 9999 {
		return p, false
	}
	p.ID = name
	return p, true
}

func entryView(e audit.Entry) client.AuditEntry {
	return client.AuditEntry{
		ID: e.ID, At: e.At, Actor: client.AuditActor{Kind: string(e.Actor.Kind), ID: e.Actor.ID, Name: e.Actor.Name}, Action: e.Action,
		Object: client.AuditObject{Kind: e.Object.Kind, ID: e.Object.ID}, OrganizerID: e.Organizer, EventID: e.Event,
		Before: e.Before, After: e.After, RequestID: e.RequestID, Address: e.Address,
	}
}

package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/audit"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/txn"
)

func invitationView(i account.Invitation, now time.Time) client.Invitation {
	return client.Invitation{
		ID: i.ID.String(), Email: i.Email, Role: string(i.Role), State: string(i.State(now)), InvitedAt: i.InvitedAt, InvitedBy: i.InvitedBy,
		ExpiresAt: i.ExpiresAt, MemberID: i.Member.String(),
	}
}

func (s *Server) listInvitations(c *gin.Context) error {
	org, err := s.homeAccount(c)
	if err != nil {
		return err
	}
	after, limit, err := pageOf(c, org, id.ParseInvitation)
	if err != nil {
		return err
	}
	all, now, err := s.Accounts.Store.Invitations(c.Request.Context(), org, after, limit+1)
	if err != nil {
		return err
	}
	listed(c, limit, all, func(i account.Invitation) string { return i.ID.String() }, func(i account.Invitation) client.Invitation { return invitationView(i, now) })
	return nil
}

func (s *Server) createInvitation(c *gin.Context) error {
	org, err := s.homeAccount(c)
	if err != nil {
		return err
	}
	var in client.NewInvitation
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	want := account.Asked{Email: in.Email, Role: access.Role(in.Role), Locale: in.Locale}
	if !want.Role.Valid() {
		return account.ErrInvalidInvitation.At("/role", "is not a role")
	}
	answer, err := s.once(c, id.Event{}, true, org.String(), body, http.StatusCreated, func(ctx context.Context, tx txn.Tx) (any, error) {
		inv, err := s.Accounts.Invite(ctx, tx, org, callerOf(c).by, want)
		if err != nil {
			return nil, err
		}
		view := invitationView(inv, inv.InvitedAt)
		audit.Of(ctx).On("invitation", view.ID).Changed(nil, view)
		return view, nil
	})
	if err != nil {
		return err
	}
	send(c, http.StatusCreated, answer)
	return nil
}

func (s *Server) withdrawInvitation(c *gin.Context) error {
	org, err := s.homeAccount(c)
	if err != nil {
		return err
	}
	of, err := id.ParseInvitation(c.Param("invitation_id"))
	if err != nil {
		return err
	}
	if id.OrganizerOf(of) != org {
		return account.ErrInvitationNotFound.With("there is no such invitation that waits for an answer")
	}
	err = s.recorded(c.Request.Context(), txn.None, func(ctx context.Context, tx txn.Tx) error {
		inv, changed, err := s.Accounts.Withdraw(ctx, tx, org, callerOf(c).by, of)
		note := audit.Of(ctx).Changed(object{"email": inv.Email, "state": account.Open}, object{"state": account.Withdrawn})
		if !changed {
			note.Nothing()
		}
		return err
	})
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// acceptInvitation makes the person who signed in a member. The token alone, or the
// address alone, gives nothing.
func (s *Server) acceptInvitation(c *gin.Context) error {
	var in client.AcceptInvitation
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	of, err := s.ownInvitation(in.Token)
	if err != nil {
		return err
	}
	p := callerOf(c).person
	answer, err := s.once(c, id.Event{}, false, personID(p), body, http.StatusOK, func(ctx context.Context, tx txn.Tx) (any, error) {
		return s.join(ctx, tx, p, of, in.Token)
	})
	if err != nil {
		return err
	}
	send(c, http.StatusOK, answer)
	return nil
}

// join makes a person a member and says so on the call's note.
func (s *Server) join(ctx context.Context, tx txn.Tx, p access.Person, of id.Invitation, token string) (client.Joined, error) {
	m, fresh, err := s.Accounts.Accept(ctx, tx, identityOf(p), of, token)
	if err != nil {
		return client.Joined{}, err
	}
	org := id.OrganizerOf(of).String()
	note := audit.Of(ctx).For(org).On("invitation", of.String()).As(audit.Actor{Kind: audit.Person, ID: m.ID.String(), Name: m.Identity.Name})
	if note.Changed(nil, object{"member": memberView(m)}); !fresh {
		note.Nothing()
	}
	return client.Joined{OrganizerID: org, Member: memberView(m)}, nil
}

// OpenInvitation says which invitation a token is of; it may be another cell's.
func (s *Server) OpenInvitation(token string) (id.Invitation, error) {
	return account.OpenInvitation(token, s.Access.Keys(s.Topology()))
}

// ownInvitation is OpenInvitation, and sends whose home is elsewhere there.
func (s *Server) ownInvitation(token string) (id.Invitation, error) {
	of, err := s.OpenInvitation(token)
	if home := of.Key().Birth; err == nil && home != s.Cell {
		return of, moved(home, 0)
	}
	return of, err
}

// LookAtInvitation says what AcceptInvitation would make of a person, and changes nothing;
// fresh is false for who accepted it before.
func (s *Server) LookAtInvitation(ctx context.Context, p access.Person, token string) (would client.Joined, fresh bool, err error) {
	of, err := s.ownInvitation(token)
	if err != nil {
		return would, false, err
	}
	m, fresh, err := s.Accounts.Look(ctx, identityOf(p), of, token)
	if err != nil {
		return would, false, err
	}
	return client.Joined{OrganizerID: id.OrganizerOf(of).String(), Member: memberView(m)}, fresh, nil
}

// AcceptInvitation is the call POST /v1/invitations/accept for the page that does the
// same, its entry in the audit log included. r is what the browser sent.
func (s *Server) AcceptInvitation(r *http.Request, p access.Person, token string) (joined client.Joined, err error) {
	of, err := s.ownInvitation(token)
	if err != nil {
		return joined, err
	}
	ctx := audit.With(r.Context(), audit.NewNote(audit.Entry{
		Actor: audit.Actor{Kind: audit.Person, ID: personID(p), Name: p.Name}, Action: operationID(route{method: http.MethodPost, path: acceptPath}),
		RequestID: httpd.RequestID(r), Address: audit.Truncate(s.guards.addressOf(r).String()),
	}))
	err = s.recorded(ctx, txn.None, func(ctx context.Context, tx txn.Tx) (err error) {
		joined, err = s.join(ctx, tx, p, of, token)
		return err
	})
	return joined, err
}

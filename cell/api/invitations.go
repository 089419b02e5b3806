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
	all, now, err := s.Accounts.Store.Invitations(c, org, after, limit+1)
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
	answer, err := s.once(c, id.Event{}, true, org.String(), body, http.StatusCreated, func(ctx context.Context) (any, error) {
		inv, err := s.Accounts.Invite(ctx, org, callerOf(c).by, want)
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
	err = s.recorded(c, func(ctx context.Context) error {
		inv, changed, err := s.Accounts.Withdraw(ctx, org, callerOf(c).by, of)
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
	of, err := account.OpenInvitation(in.Token, s.Access.Keys(s.Topology()))
	if err != nil {
		return err
	}
	org := id.OrganizerOf(of)
	if org.Birth() != s.Cell {
		return moved(org.Birth(), 0)
	}
	p := callerOf(c).person
	answer, err := s.once(c, id.Event{}, false, personID(p), body, http.StatusOK, func(ctx context.Context) (any, error) {
		m, fresh, err := s.Accounts.Accept(ctx, identityOf(p), of, in.Token)
		if err != nil {
			return nil, err
		}
		note := audit.Of(ctx).For(org.String()).On("invitation", of.String()).As(audit.Actor{Kind: audit.Person, ID: m.ID.String(), Name: m.Identity.Name})
		if note.Changed(nil, object{"member": memberView(m)}); !fresh {
			note.Nothing()
		}
		return client.Joined{OrganizerID: org.String(), Member: memberView(m)}, nil
	})
	if err != nil {
		return err
	}
	send(c, http.StatusOK, answer)
	return nil
}

package api

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/audit"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/txn"
)

// homeAccount is the organizer in the path, whose account lives here and who asks.
func (s *Server) homeAccount(c *gin.Context) (id.Organizer, error) {
	org, err := s.ownAccount(c)
	if err == nil && org.Birth() != s.Cell {
		err = moved(org.Birth(), 0)
	}
	return org, err
}

func memberView(m account.Member) client.Member {
	return client.Member{ID: m.ID.String(), Email: m.Identity.Email, Name: m.Identity.Name, Role: string(m.Role), AddedAt: m.AddedAt, AddedBy: m.AddedBy}
}

// listed sends a page of one more than limit that were read.
func listed[T, V any](c *gin.Context, limit int, all []T, name func(T) string, view func(T) V) {
	out := Page[V]{Items: []V{}}
	if len(all) > limit {
		all = all[:limit]
		next := name(all[limit-1])
		out.NextCursor = &next
	}
	for _, v := range all {
		out.Items = append(out.Items, view(v))
	}
	c.JSON(http.StatusOK, out)
}

// pageOf reads a page's limit, and its cursor as an id of the organizer's.
func pageOf[P id.Prefix](c *gin.Context, org id.Organizer, parse func(string) (id.Member[P], error)) (after string, limit int, err error) {
	if limit, err = pageLimit(c); err != nil {
		return "", 0, err
	}
	after = c.Query("cursor")
	if after == "" {
		return "", limit, nil
	}
	if of, err := parse(after); err != nil || of.Key() != org.Key() {
		return "", 0, errCursor.With("the cursor is not from this list")
	}
	return after, limit, nil
}

func (s *Server) listMembers(c *gin.Context) error {
	org, err := s.homeAccount(c)
	if err != nil {
		return err
	}
	after, limit, err := pageOf(c, org, id.ParseMembership)
	if err != nil {
		return err
	}
	all, err := s.Accounts.Store.Members(c.Request.Context(), txn.None, org, after, limit+1)
	if err != nil {
		return err
	}
	listed(c, limit, all, func(m account.Member) string { return m.ID.String() }, memberView)
	return nil
}

// memberOf is the member in the path, of the organizer who asks.
func (s *Server) memberOf(c *gin.Context) (org id.Organizer, member id.Membership, err error) {
	if org, err = s.homeAccount(c); err != nil {
		return org, member, err
	}
	member, err = id.ParseMembership(c.Param("member_id"))
	if err == nil && id.OrganizerOf(member) != org {
		err = account.ErrMemberNotFound.With("there is no such member")
	}
	return org, member, err
}

func (s *Server) putMember(c *gin.Context) error {
	org, member, err := s.memberOf(c)
	if err != nil {
		return err
	}
	var in client.PutMember
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	role := access.Role(in.Role)
	if !role.Valid() {
		return account.ErrInvalidMember.At("/role", "is not a role")
	}
	answer, err := s.once(c, id.Event{}, false, org.String(), body, http.StatusOK, func(ctx context.Context, tx txn.Tx) (any, error) {
		before, after, err := s.Accounts.SetRole(ctx, tx, org, callerOf(c).by, member, role)
		if err != nil {
			return nil, err
		}
		note := audit.Of(ctx).Changed(memberView(before), memberView(after))
		if before.Role == after.Role {
			note.Nothing()
		}
		return memberView(after), nil
	})
	if err != nil {
		return err
	}
	send(c, http.StatusOK, answer)
	return nil
}

func (s *Server) removeMember(c *gin.Context) error {
	org, member, err := s.memberOf(c)
	if err != nil {
		return err
	}
	err = s.recorded(c.Request.Context(), txn.None, func(ctx context.Context, tx txn.Tx) error {
		gone, err := s.Accounts.Remove(ctx, tx, org, callerOf(c).by, member)
		audit.Of(ctx).Changed(memberView(gone), nil)
		return err
	})
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// issueMembership shows what the person who signed in is at an organizer.
func (s *Server) issueMembership(c *gin.Context) error {
	org, err := id.ParseOrganizer(c.Param("organizer_id"))
	if err != nil {
		return err
	}
	if org.Birth() != s.Cell {
		return moved(org.Birth(), 0)
	}
	p := callerOf(c).person
	m, err := s.Accounts.Admit(c.Request.Context(), org, identityOf(p), p.ACR)
	if err != nil {
		return err
	}
	now := s.Now()
	token := s.Access.Membership(access.Membership{Person: p, Member: m.ID.String(), Organizer: org, Role: m.Role}, now)
	made, err := access.VerifyMembership(token, s.Access.Keys(nil), now)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, client.MembershipToken{OrganizerID: org.String(), MemberID: m.ID.String(), Role: string(m.Role), Token: token, ExpiresAt: made.Expires})
	return nil
}

func identityOf(p access.Person) account.Identity {
	return account.Identity{Issuer: p.Issuer, Subject: p.Subject, Email: p.Email, Name: p.Name}
}

func (s *Server) getSecurity(c *gin.Context) error {
	org, err := s.homeAccount(c)
	if err != nil {
		return err
	}
	acr, err := s.Accounts.Store.Security(c.Request.Context(), txn.None, org)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, client.Security{RequiredACR: &acr})
	return nil
}

func (s *Server) putSecurity(c *gin.Context) error {
	org, err := s.homeAccount(c)
	if err != nil {
		return err
	}
	var in client.Security
	if _, err := httpd.DecodeJSON(c, &in); err != nil {
		return err
	}
	if in.RequiredACR == nil {
		return account.ErrInvalidSecurity.At("/required_acr", "must be said; empty demands nothing")
	}
	err = s.recorded(c.Request.Context(), txn.None, func(ctx context.Context, tx txn.Tx) error {
		who := callerOf(c)
		before, err := s.Accounts.Demand(ctx, tx, org, who.by, *in.RequiredACR, who.person.ACR)
		note := audit.Of(ctx).Changed(client.Security{RequiredACR: &before}, in)
		if before == *in.RequiredACR {
			note.Nothing()
		}
		return err
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, in)
	return nil
}

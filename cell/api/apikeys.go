package api

import (
	"context"
	"encoding/json"
	"fmt"
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

func keyView(k account.Key, now time.Time) client.APIKey {
	v := client.APIKey{
		ID: k.ID.String(), Name: k.Name, Role: string(k.Scope.Role), State: string(k.State(now)), CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy,
		ExpiresAt: k.ExpiresAt, EndsAt: k.EndsAt, ReplacedBy: k.ReplacedBy.String(),
	}
	for _, p := range k.Scope.Permissions {
		v.Permissions = append(v.Permissions, string(p))
	}
	return v
}

func (s *Server) listAPIKeys(c *gin.Context) error {
	org, err := s.homeAccount(c)
	if err != nil {
		return err
	}
	after, limit, err := pageOf(c, org, id.ParseAPIKey)
	if err != nil {
		return err
	}
	all, now, err := s.Accounts.Store.APIKeys(c.Request.Context(), org, after, limit+1)
	if err != nil {
		return err
	}
	listed(c, limit, all, func(k account.Key) string { return k.ID.String() }, func(k account.Key) client.APIKey { return keyView(k, now) })
	return nil
}

func (s *Server) createAPIKey(c *gin.Context) error {
	org, err := s.homeAccount(c)
	if err != nil {
		return err
	}
	var in client.NewAPIKey
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	want := account.AskedKey{Name: in.Name, Scope: account.Scope{Role: access.Role(in.Role)}}
	if in.ExpiresAt != nil {
		want.Expires = *in.ExpiresAt
	}
	if len(in.Permissions) > len(access.Permissions) {
		return account.ErrInvalidKey.At("/permissions", "has more than there are")
	}
	for _, p := range in.Permissions {
		want.Scope.Permissions = append(want.Scope.Permissions, access.Permission(p))
	}
	return s.makeKey(c, org, body, func(ctx context.Context, tx txn.Tx) (account.Key, error) {
		k, err := s.Accounts.MakeKey(ctx, tx, org, callerOf(c).by, want)
		if err == nil {
			audit.Of(ctx).On("api_key", k.ID.String()).Changed(nil, keyView(k, k.CreatedAt))
		}
		return k, err
	})
}

// keyOf is the key in the path, of the organizer who asks.
func (s *Server) keyOf(c *gin.Context) (org id.Organizer, of id.APIKey, err error) {
	if org, err = s.homeAccount(c); err != nil {
		return org, of, err
	}
	of, err = id.ParseAPIKey(c.Param("key_id"))
	if err == nil && id.OrganizerOf(of) != org {
		err = account.ErrKeyNotFound.With("there is no such API key")
	}
	return org, of, err
}

func (s *Server) rotateAPIKey(c *gin.Context) error {
	org, old, err := s.keyOf(c)
	if err != nil {
		return err
	}
	var in client.RotateAPIKey
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	if in.GraceS == nil || *in.GraceS < 0 || *in.GraceS > int64(account.MaxGrace/time.Second) {
		return account.ErrInvalidKey.At("/grace_s", "must be 0 to %d seconds", int64(account.MaxGrace/time.Second))
	}
	return s.makeKey(c, org, body, func(ctx context.Context, tx txn.Tx) (account.Key, error) {
		k, was, err := s.Accounts.RotateKey(ctx, tx, org, callerOf(c).by, old, time.Duration(*in.GraceS)*time.Second)
		if err == nil {
			audit.Of(ctx).Changed(object{"ends_at": was.ExpiresAt}, object{"ends_at": was.EndsAt, "replaced_by": k.ID, "grace_s": in.GraceS})
		}
		return k, err
	})
}

// makeKey answers with a key that was made, and its text. That is made again for each
// repetition: it is never stored, not even in the first answer.
func (s *Server) makeKey(c *gin.Context, org id.Organizer, body []byte, do func(ctx context.Context, tx txn.Tx) (account.Key, error)) error {
	answer, err := s.once(c, id.Event{}, true, org.String(), body, http.StatusCreated, func(ctx context.Context, tx txn.Tx) (any, error) {
		k, err := do(ctx, tx)
		return keyView(k, k.CreatedAt), err
	})
	if err != nil {
		return err
	}
	var view client.APIKey
	if err := json.Unmarshal(answer, &view); err != nil {
		return fmt.Errorf("read first answer: %w", err)
	}
	if view.APIKey, err = s.keyText(c.Request.Context(), view.ID); err != nil {
		return err
	}
	c.JSON(http.StatusCreated, view)
	return nil
}

// keyText is the text of a key that stands, "" of one that does not.
func (s *Server) keyText(ctx context.Context, text string) (string, error) {
	of, err := id.ParseAPIKey(text)
	if err != nil {
		return "", fmt.Errorf("read first answer: %s", err.Error()) // our own row, not the caller's fault
	}
	k, now, err := s.Accounts.Store.APIKey(ctx, of)
	if err != nil {
		return "", err
	}
	if state := k.State(now); state != account.KeyLive && state != account.KeyReplaced {
		return "", nil
	}
	return s.Accounts.TextOf(k), nil
}

func (s *Server) revokeAPIKey(c *gin.Context) error {
	org, of, err := s.keyOf(c)
	if err != nil {
		return err
	}
	err = s.recorded(c.Request.Context(), txn.None, func(ctx context.Context, tx txn.Tx) error {
		k, changed, err := s.Accounts.RevokeKey(ctx, tx, org, callerOf(c).by, of)
		note := audit.Of(ctx).Changed(object{"name": k.Name}, object{"state": account.KeyRevoked})
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

package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const ensureAccount = `INSERT INTO account.organizer (organizer_id) VALUES ($1) ON CONFLICT (organizer_id) DO NOTHING`

const lockAccount = `SELECT required_acr, clock_timestamp() FROM account.organizer WHERE organizer_id = $1 FOR UPDATE`

const memberColumns = `member_id, issuer, subject, email, name, role, added_at, added_by`

const selectMembers = `SELECT ` + memberColumns + ` FROM account.member
	WHERE organizer_id = $1 AND member_id > $2 AND removed_at IS NULL ORDER BY member_id LIMIT $3`

const invitationColumns = `invitation_id, email, role, locale, token_hash, invited_at, invited_by, inviter, expires_at, ended_at, withdrawn_by, member_id`

const selectInvitations = `SELECT ` + invitationColumns + ` FROM account.invitation
	WHERE organizer_id = $1 AND invitation_id > $2 ORDER BY invitation_id LIMIT $3`

const keyColumns = `key_id, name, role, permissions, key_hash, created_at, created_by, expires_at, ends_at, replaced_by, revoked_by`

const selectKeys = `SELECT ` + keyColumns + ` FROM account.api_key
	WHERE organizer_id = $1 AND key_id > $2 ORDER BY key_id LIMIT $3`

// selectLiveKeys leaves out what has expired: it counts for nothing any more.
const selectLiveKeys = `SELECT ` + keyColumns + ` FROM account.api_key
	WHERE organizer_id = $1 AND expires_at > $2 ORDER BY key_id LIMIT $3`

// mostInvitations bounds how many are read with an account: those that are kept.
const mostInvitations = account.MaxInvitations * int((account.Kept+account.InvitationLife)/account.InvitationWindow+1)

// ChangeAccount implements account.Store. The account's row is locked first and its parts
// are read after that, so what two change at the same time is decided one after the other.
func (s *Store) ChangeAccount(ctx context.Context, tx txn.Tx, org id.Organizer, decide func(a *account.Account, now time.Time) error) error {
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, ensureAccount, org.String()); err != nil {
			return err
		}
		a := account.Account{Organizer: org}
		var now time.Time
		if err := tx.QueryRow(ctx, lockAccount, org.String()).Scan(&a.RequiredACR, &now); err != nil {
			return err
		}
		now = now.UTC()
		var err error
		if a.Members, err = s.Members(ctx, tx, org, "", account.MaxMembers+1); err != nil {
			return err
		}
		if a.Invitations, err = readRows(ctx, tx, scanInvitation, selectInvitations, org.String(), "", mostInvitations); err != nil {
			return err
		}
		if a.Keys, err = readRows(ctx, tx, scanKey, selectLiveKeys, org.String(), now, account.MaxKeys+1); err != nil {
			return err
		}
		if err := decide(&a, now); err != nil {
			return err
		}
		b := &pgx.Batch{}
		queueAccount(b, &a)
		if b.Len() == 0 {
			return nil
		}
		return tx.SendBatch(ctx, b).Close()
	})
}

// readRows reads a list, bounded by its statement.
func readRows[T any](ctx context.Context, q sqldb.Querier, scan func(row pgx.CollectableRow) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	out, err := pgx.CollectRows(rows, scan)
	return out, sqldb.Classify(err)
}

const putSecurity = `UPDATE account.organizer SET required_acr = $2 WHERE organizer_id = $1`

const putMember = `INSERT INTO account.member (member_id, organizer_id, issuer, subject, email, name, role, added_at, added_by, removed_at, removed_by)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
	ON CONFLICT (member_id) DO UPDATE SET role = excluded.role, removed_at = excluded.removed_at, removed_by = excluded.removed_by`

const putInvitation = `INSERT INTO account.invitation (invitation_id, organizer_id, email, role, locale, token_hash, invited_at, invited_by, inviter, expires_at, ended_at, withdrawn_by, member_id)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
	ON CONFLICT (invitation_id) DO UPDATE SET ended_at = excluded.ended_at, withdrawn_by = excluded.withdrawn_by, member_id = excluded.member_id`

const putKey = `INSERT INTO account.api_key (key_id, organizer_id, name, role, permissions, key_hash, created_at, created_by, expires_at, ends_at, replaced_by, revoked_by)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
	ON CONFLICT (key_id) DO UPDATE SET ends_at = excluded.ends_at, replaced_by = excluded.replaced_by, revoked_by = excluded.revoked_by`

// putRevocation keeps the wider of two: a key that was rotated may be revoked before its grace is over.
const putRevocation = `INSERT INTO account.revocation AS r (subject, kind, from_at, until_at) VALUES ($1, $2, $3, $4)
	ON CONFLICT (subject) DO UPDATE SET from_at = least(r.from_at, excluded.from_at), until_at = greatest(r.until_at, excluded.until_at)`

// queueAccount writes what changed, in the order of the changes.
func queueAccount(b *pgx.Batch, a *account.Account) {
	org := a.Organizer.String()
	if a.Changes.Security {
		b.Queue(putSecurity, org, a.RequiredACR)
	}
	for _, m := range a.Changes.Members {
		b.Queue(putMember, m.ID.String(), org, m.Identity.Issuer, m.Identity.Subject, m.Identity.Email, m.Identity.Name, string(m.Role),
			m.AddedAt, m.AddedBy, orNull(m.RemovedAt), m.RemovedBy)
	}
	for _, i := range a.Changes.Invitations {
		b.Queue(putInvitation, i.ID.String(), org, i.Email, string(i.Role), i.Locale, i.TokenHash, i.InvitedAt, i.InvitedBy, i.Inviter,
			i.ExpiresAt, orNull(i.EndedAt), i.WithdrawnBy, i.Member.String())
	}
	for _, k := range a.Changes.Keys {
		permissions := make([]string, 0, len(k.Scope.Permissions))
		for _, p := range k.Scope.Permissions {
			permissions = append(permissions, string(p))
		}
		b.Queue(putKey, k.ID.String(), org, k.Name, string(k.Scope.Role), permissions, k.Hash, k.CreatedAt, k.CreatedBy,
			k.ExpiresAt, k.EndsAt, k.ReplacedBy.String(), k.RevokedBy)
	}
	for _, r := range a.Changes.Revocations {
		b.Queue(putRevocation, r.Subject, r.Kind, r.From, r.Until)
	}
}

func scanMember(row pgx.CollectableRow) (m account.Member, err error) {
	var mid string
	if err := row.Scan(&mid, &m.Identity.Issuer, &m.Identity.Subject, &m.Identity.Email, &m.Identity.Name, &m.Role, &m.AddedAt, &m.AddedBy); err != nil {
		return m, err
	}
	m.AddedAt = m.AddedAt.UTC()
	if m.ID, err = id.ParseMembership(mid); err != nil {
		return m, corrupt(err)
	}
	return m, nil
}

func scanInvitation(row pgx.CollectableRow) (i account.Invitation, err error) {
	var iid, mid string
	var ended *time.Time
	if err := row.Scan(&iid, &i.Email, &i.Role, &i.Locale, &i.TokenHash, &i.InvitedAt, &i.InvitedBy, &i.Inviter, &i.ExpiresAt, &ended, &i.WithdrawnBy, &mid); err != nil {
		return i, err
	}
	i.InvitedAt, i.ExpiresAt, i.EndedAt = i.InvitedAt.UTC(), i.ExpiresAt.UTC(), orZero(ended).UTC().UTC()
	if i.ID, err = id.ParseInvitation(iid); err == nil {
		err = i.Member.UnmarshalText([]byte(mid))
	}
	if err != nil {
		return i, corrupt(err)
	}
	return i, nil
}

func scanKey(row pgx.CollectableRow) (account.Key, error) { return scanKeyRow(row) }

func scanKeyRow(row pgx.Row) (k account.Key, err error) {
	var kid, replaced string
	var permissions []string
	if err := row.Scan(&kid, &k.Name, &k.Scope.Role, &permissions, &k.Hash, &k.CreatedAt, &k.CreatedBy, &k.ExpiresAt, &k.EndsAt, &replaced, &k.RevokedBy); err != nil {
		return k, err
	}
	for _, p := range permissions {
		k.Scope.Permissions = append(k.Scope.Permissions, access.Permission(p))
	}
	k.CreatedAt, k.ExpiresAt, k.EndsAt = k.CreatedAt.UTC(), k.ExpiresAt.UTC(), k.EndsAt.UTC()
	if k.ID, err = id.ParseAPIKey(kid); err == nil {
		err = k.ReplacedBy.UnmarshalText([]byte(replaced))
	}
	if err != nil {
		return k, corrupt(err)
	}
	return k, nil
}

// Members implements account.Store.
func (s *Store) Members(ctx context.Context, tx txn.Tx, org id.Organizer, after string, limit int) ([]account.Member, error) {
	return readRows(ctx, s.on(tx), scanMember, selectMembers, org.String(), after, limit)
}

const selectSecurity = `SELECT required_acr FROM account.organizer WHERE organizer_id = $1`

// Security implements account.Store.
func (s *Store) Security(ctx context.Context, tx txn.Tx, org id.Organizer) (acr string, err error) {
	err = s.on(tx).QueryRow(ctx, selectSecurity, org.String()).Scan(&acr)
	return acr, sqldb.Classify(perhaps(err))
}

const selectMembership = `SELECT ` + memberColumns + ` FROM account.member
	WHERE organizer_id = $1 AND issuer = $2 AND subject = $3 AND removed_at IS NULL`

// Membership implements account.Store.
func (s *Store) Membership(ctx context.Context, org id.Organizer, issuer, subject string) (account.Account, error) {
	a := account.Account{Organizer: org}
	err := s.InSnapshot(ctx, func(ctx context.Context, tx txn.Tx) (err error) {
		if a.RequiredACR, err = s.Security(ctx, tx, org); err != nil {
			return err
		}
		a.Members, err = readRows(ctx, s.on(tx), scanMember, selectMembership, org.String(), issuer, subject)
		return err
	})
	return a, err
}

// Invitations implements account.Store.
func (s *Store) Invitations(ctx context.Context, org id.Organizer, after string, limit int) (list []account.Invitation, now time.Time, err error) {
	if now, err = s.Clock(ctx, txn.None); err != nil {
		return nil, now, err
	}
	list, err = readRows(ctx, s.DB.Pool, scanInvitation, selectInvitations, org.String(), after, limit)
	return list, now, err
}

// APIKeys implements account.Store.
func (s *Store) APIKeys(ctx context.Context, org id.Organizer, after string, limit int) (list []account.Key, now time.Time, err error) {
	if now, err = s.Clock(ctx, txn.None); err != nil {
		return nil, now, err
	}
	list, err = readRows(ctx, s.DB.Pool, scanKey, selectKeys, org.String(), after, limit)
	return list, now, err
}

const selectInvitation = `SELECT ` + invitationColumns + ` FROM account.invitation WHERE invitation_id = $1`

// Invitation implements account.Store.
func (s *Store) Invitation(ctx context.Context, of id.Invitation) (account.Invitation, error) {
	found, err := readRows(ctx, s.DB.Pool, scanInvitation, selectInvitation, of.String())
	if err == nil && len(found) == 0 {
		return account.Invitation{}, account.ErrInvitationNotFound
	}
	if err != nil {
		return account.Invitation{}, err
	}
	return found[0], nil
}

const selectKey = `SELECT ` + keyColumns + `, clock_timestamp() FROM account.api_key WHERE key_id = $1`

// clocked is a row with the database's clock behind its columns.
type clocked struct {
	pgx.Row
	now *time.Time
}

func (c clocked) Scan(into ...any) error { return c.Row.Scan(append(into, c.now)...) }

// APIKey implements account.Store, in one round trip: each call with a key asks.
func (s *Store) APIKey(ctx context.Context, of id.APIKey) (account.Key, time.Time, error) {
	var now time.Time
	k, err := scanKeyRow(clocked{s.DB.Pool.QueryRow(ctx, selectKey, of.String()), &now})
	if errors.Is(err, pgx.ErrNoRows) {
		return k, now, account.ErrKeyNotFound
	}
	if err != nil {
		return k, now, sqldb.Classify(fmt.Errorf("read API key: %w", err))
	}
	return k, now.UTC(), nil
}

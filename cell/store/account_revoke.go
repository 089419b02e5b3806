package store

import (
	"context"
	"time"

	"guichet/cell/account"
	"guichet/internal/sqldb"
)

const revokeSession = `INSERT INTO account.revocation AS r (subject, kind, from_at, until_at)
	SELECT $1, $2, clock_timestamp(), least($3::timestamptz, clock_timestamp() + $4::float8 * INTERVAL '1 second')
	ON CONFLICT (subject) DO UPDATE SET from_at = least(r.from_at, excluded.from_at), until_at = greatest(r.until_at, excluded.until_at)`

// RevokeSession implements account.Store.
func (s *Store) RevokeSession(ctx context.Context, subject string, until time.Time, most time.Duration) error {
	_, err := s.DB.Pool.Exec(ctx, revokeSession, subject, account.RevokedSession, until, most.Seconds())
	return sqldb.Classify(err)
}

// selectRevoked has keys first, as 'key' is before 'session', and of each the newest.
const selectRevoked = `SELECT subject FROM account.revocation
	WHERE until_at > statement_timestamp() AND from_at <= statement_timestamp() ORDER BY kind, from_at DESC, subject LIMIT $1`

// Revoked implements account.Store.
func (s *Store) Revoked(ctx context.Context, limit int) (subjects []string, all bool, err error) {
	rows, err := s.DB.Pool.Query(ctx, selectRevoked, limit+1)
	if err != nil {
		return nil, false, sqldb.Classify(err)
	}
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject); err != nil {
			return nil, false, sqldb.Classify(err)
		}
		subjects = append(subjects, subject)
	}
	if err := rows.Err(); err != nil {
		return nil, false, sqldb.Classify(err)
	}
	if len(subjects) > limit {
		return subjects[:limit], false, nil
	}
	return subjects, true, nil
}

const selectIsRevoked = `SELECT count(*) FROM account.revocation
	WHERE subject = $1 AND until_at > statement_timestamp() AND from_at <= statement_timestamp()`

// IsRevoked implements account.Store.
func (s *Store) IsRevoked(ctx context.Context, subject string) (bool, error) {
	var n int
	err := s.DB.Pool.QueryRow(ctx, selectIsRevoked, subject).Scan(&n)
	return n > 0, sqldb.Classify(err)
}

const deleteMembers = `DELETE FROM account.member WHERE member_id IN (SELECT m.member_id FROM account.member AS m
	WHERE m.removed_at IS NOT NULL AND m.removed_at < statement_timestamp() - $1::float8 * INTERVAL '1 second' ORDER BY m.removed_at LIMIT $2)`

const deleteInvitations = `DELETE FROM account.invitation WHERE invitation_id IN (SELECT i.invitation_id FROM account.invitation AS i
	WHERE i.expires_at < statement_timestamp() - $1::float8 * INTERVAL '1 second' ORDER BY i.expires_at LIMIT $2)`

const deleteKeys = `DELETE FROM account.api_key WHERE key_id IN (SELECT k.key_id FROM account.api_key AS k
	WHERE k.expires_at < statement_timestamp() - $1::float8 * INTERVAL '1 second' ORDER BY k.expires_at LIMIT $2)`

const deleteRevocations = `DELETE FROM account.revocation WHERE subject IN (SELECT r.subject FROM account.revocation AS r
	WHERE r.until_at < statement_timestamp() ORDER BY r.until_at LIMIT $1)`

// ForgetAccounts implements account.Store.
func (s *Store) ForgetAccounts(ctx context.Context, kept time.Duration, limit int) (int64, error) {
	var gone int64
	for _, statement := range []string{deleteMembers, deleteInvitations, deleteKeys} {
		tag, err := s.DB.Pool.Exec(ctx, statement, kept.Seconds(), limit)
		if err != nil {
			return gone, sqldb.Classify(err)
		}
		gone += tag.RowsAffected()
	}
	tag, err := s.DB.Pool.Exec(ctx, deleteRevocations, limit)
	return gone + tag.RowsAffected(), sqldb.Classify(err)
}

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/control-plane/registry"
	"guichet/control-plane/snapshot"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
)

const (
	selectInvitation = `SELECT token_hash, cell, region, made_by, made_at, expires_at, used_at
		FROM registry.invitation WHERE token_hash = $1 FOR UPDATE`

	useInvitation = `UPDATE registry.invitation SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL`

	// A cell has one open invitation: the newest.
	dropInvitations = `DELETE FROM registry.invitation WHERE cell = $1 AND used_at IS NULL`

	sweepInvitations = `DELETE FROM registry.invitation WHERE expires_at < $1`

	insertInvitation = `INSERT INTO registry.invitation (token_hash, cell, region, made_by, made_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6)`

	selectKeys = `SELECT keys, expelled_at FROM registry.cell WHERE cell = $1`

	selectRevocations = `SELECT id FROM registry.revocation WHERE until > $1 ORDER BY made_at DESC, id`

	sweepRevocations = `DELETE FROM registry.revocation WHERE until <= $1`

	countRevocations = `SELECT count(*) FROM registry.revocation`

	upsertRevocation = `INSERT INTO registry.revocation (id, until, made_by, made_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO NOTHING`
)

// Admit implements registry.Book.
func (s *Store) Admit(ctx context.Context, now time.Time, hash string, decide func(all []registry.Member, inv registry.Invitation) (registry.Member, error)) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		var version int64
		if err := tx.QueryRow(ctx, lockMap).Scan(&version); err != nil {
			return err
		}
		all, err := members(ctx, tx)
		if err != nil {
			return err
		}
		inv, err := invitation(ctx, tx, hash)
		if err != nil {
			return err
		}
		m, err := decide(all, inv)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, useInvitation, hash, now); err != nil {
			return err
		}
		if err := saveMember(ctx, tx, m); err != nil {
			return fmt.Errorf("save %s: %w", m.ID, err)
		}
		_, err = tx.Exec(ctx, raiseMap, snapshot.NextVersion(version, now))
		return err
	})
	return sqldb.Classify(err)
}

func invitation(ctx context.Context, tx *sqldb.Tx, hash string) (registry.Invitation, error) {
	var inv registry.Invitation
	var used *time.Time
	err := tx.QueryRow(ctx, selectInvitation, hash).Scan(&inv.Hash, &inv.Cell, &inv.Region, &inv.By, &inv.MadeAt, &inv.ExpiresAt, &used)
	if errors.Is(err, pgx.ErrNoRows) {
		return registry.Invitation{}, nil
	}
	if used != nil {
		inv.UsedAt = *used
	}
	return inv, err
}

// Invite implements registry.Book.
func (s *Store) Invite(ctx context.Context, inv registry.Invitation, before time.Time) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, sweepInvitations, before); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, dropInvitations, string(inv.Cell)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertInvitation, inv.Hash, string(inv.Cell), inv.Region, inv.By, inv.MadeAt, inv.ExpiresAt)
		return err
	})
	return sqldb.Classify(err)
}

// Keys implements registry.Book.
func (s *Store) Keys(ctx context.Context, cell topology.CellID) (keys []topology.Key, expelled time.Time, known bool, err error) {
	var text []byte
	var at *time.Time
	err = s.DB.Pool.QueryRow(ctx, selectKeys, string(cell)).Scan(&text, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, time.Time{}, false, nil
	}
	if err != nil {
		return nil, time.Time{}, false, sqldb.Classify(err)
	}
	if at != nil {
		expelled = *at
	}
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, time.Time{}, false, fmt.Errorf("keys of %s: %w", cell, err)
	}
	return keys, expelled, true, nil
}

// Revoke implements registry.Book.
func (s *Store) Revoke(ctx context.Context, id, by string, until, now time.Time, most int) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		var version, n int64
		if err := tx.QueryRow(ctx, lockMap).Scan(&version); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sweepRevocations, now); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, countRevocations).Scan(&n); err != nil {
			return err
		}
		if n >= int64(most) {
			return registry.ErrFull.With("%d operators' tokens are revoked already; change the control plane's key instead", n)
		}
		if _, err := tx.Exec(ctx, upsertRevocation, id, until, by, now); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, raiseMap, snapshot.NextVersion(version, now))
		return err
	})
	return sqldb.Classify(err)
}

func revocations(ctx context.Context, tx *sqldb.Tx, now time.Time) ([]string, error) {
	rows, err := tx.Query(ctx, selectRevocations, now)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// list spells a list that may be nil.
func list(ids []string) (string, error) {
	if ids == nil {
		ids = []string{}
	}
	text, err := json.Marshal(ids)
	return string(text), err
}

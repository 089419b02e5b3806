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
	lockMap     = `SELECT version FROM registry.map WHERE only_row FOR UPDATE`
	readMap     = `SELECT version FROM registry.map WHERE only_row FOR SHARE`
	raiseMap    = `UPDATE registry.map SET version = $1 WHERE only_row AND version < $1`
	selectCells = `SELECT cell, region, residency, keys, has_left, joined_at, weight, target, stepped_at, reason, expires_at, expelled_at, signed_at, revoked
		FROM registry.cell ORDER BY cell`

	selectProcesses = `SELECT cell, url, last_beat FROM registry.process ORDER BY cell, url`

	upsertCell = `INSERT INTO registry.cell
			(cell, region, residency, keys, has_left, joined_at, weight, target, stepped_at, reason, expires_at, expelled_at, signed_at, revoked)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (cell) DO UPDATE SET residency = excluded.residency, keys = excluded.keys,
			has_left = excluded.has_left, joined_at = excluded.joined_at, weight = excluded.weight, target = excluded.target,
			stepped_at = excluded.stepped_at, reason = excluded.reason, expires_at = excluded.expires_at,
			expelled_at = excluded.expelled_at, signed_at = excluded.signed_at, revoked = excluded.revoked`

	// Beats do not wait for the map's lock, so they may be newer than what was decided on.
	upsertProcesses = `INSERT INTO registry.process (cell, url, last_beat)
		SELECT $1, url, last_beat FROM unnest($2::text[], $3::timestamptz[]) AS p (url, last_beat)
		ON CONFLICT (cell, url) DO UPDATE SET last_beat = excluded.last_beat
		WHERE registry.process.last_beat < excluded.last_beat`

	deleteProcesses = `DELETE FROM registry.process WHERE cell = $1 AND NOT (url = ANY ($2::text[]))`

	beatProcesses = `UPDATE registry.process AS p SET last_beat = $3
		FROM registry.cell AS c
		WHERE p.cell = $1 AND c.cell = p.cell AND NOT c.has_left AND c.revoked = $4::jsonb AND p.url = ANY ($2::text[])`

	cellKnown = `SELECT count(*) FROM registry.cell WHERE cell = $1`
)

// Members implements registry.Book.
func (s *Store) Members(ctx context.Context) ([]registry.Member, error) {
	out, err := members(ctx, s.DB.Pool)
	return out, sqldb.Classify(err)
}

func members(ctx context.Context, q sqldb.Querier) ([]registry.Member, error) {
	rows, err := q.Query(ctx, selectCells)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, scanMember)
	if err != nil {
		return nil, err
	}
	at := make(map[topology.CellID]int, len(out))
	for i, m := range out {
		at[m.ID] = i
	}
	processes, err := q.Query(ctx, selectProcesses) //nolint:rowserrcheck // ForEachRow checks
	if err != nil {
		return nil, err
	}
	var cell topology.CellID
	var p registry.Process
	_, err = pgx.ForEachRow(processes, []any{&cell, &p.URL, &p.LastBeat}, func() error {
		if i, there := at[cell]; there { // else it joined between the two reads
			out[i].Processes = append(out[i].Processes, p)
		}
		return nil
	})
	return out, err
}

func scanMember(row pgx.CollectableRow) (registry.Member, error) {
	var m registry.Member
	var keys, revoked []byte
	var expires, expelled *time.Time
	err := row.Scan(&m.ID, &m.Region, &m.Residency, &keys, &m.Left, &m.JoinedAt, &m.Weight, &m.Target, &m.SteppedAt, &m.Reason, &expires, &expelled, &m.SignedAt, &revoked)
	if err != nil {
		return m, err
	}
	if expires != nil {
		m.ExpiresAt = *expires
	}
	if expelled != nil {
		m.Expelled = *expelled
	}
	if err := json.Unmarshal(keys, &m.Keys); err != nil {
		return m, fmt.Errorf("keys of %s: %w", m.ID, err)
	}
	if err := json.Unmarshal(revoked, &m.Revoked); err != nil {
		return m, fmt.Errorf("revocations of %s: %w", m.ID, err)
	}
	return m, nil
}

// Change implements registry.Book.
func (s *Store) Change(ctx context.Context, now time.Time, decide func(all []registry.Member) ([]registry.Member, error)) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		var version int64
		if err := tx.QueryRow(ctx, lockMap).Scan(&version); err != nil {
			return err
		}
		all, err := members(ctx, tx)
		if err != nil {
			return err
		}
		changed, err := decide(all)
		if err != nil || len(changed) == 0 {
			return err
		}
		for _, m := range changed {
			if err := saveMember(ctx, tx, m); err != nil {
				return fmt.Errorf("save %s: %w", m.ID, err)
			}
		}
		_, err = tx.Exec(ctx, raiseMap, snapshot.NextVersion(version, now))
		return err
	})
	return sqldb.Classify(err)
}

func saveMember(ctx context.Context, tx *sqldb.Tx, m registry.Member) error {
	if m.Keys == nil {
		m.Keys = []topology.Key{}
	}
	keys, err := json.Marshal(m.Keys)
	if err != nil {
		return err
	}
	revoked, err := list(m.Revoked)
	if err != nil {
		return err
	}
	var expires, expelled *time.Time
	if !m.ExpiresAt.IsZero() {
		expires = &m.ExpiresAt
	}
	if !m.Expelled.IsZero() {
		expelled = &m.Expelled
	}
	if m.SignedAt.IsZero() {
		m.SignedAt = time.Unix(0, 0)
	}
	if _, err := tx.Exec(ctx, upsertCell, string(m.ID), m.Region, m.Residency, string(keys), m.Left, m.JoinedAt,
		m.Weight, m.Target, m.SteppedAt, m.Reason, expires, expelled, m.SignedAt, revoked); err != nil {
		return err
	}
	urls, beats := make([]string, 0, len(m.Processes)), make([]time.Time, 0, len(m.Processes))
	for _, p := range m.Processes {
		urls, beats = append(urls, p.URL), append(beats, p.LastBeat)
	}
	if _, err := tx.Exec(ctx, deleteProcesses, string(m.ID), urls); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, upsertProcesses, string(m.ID), urls, beats)
	return err
}

var errSomeUnknown = errors.New("some process is not known")

// Beat implements registry.Book.
func (s *Store) Beat(ctx context.Context, cell topology.CellID, urls, revoked []string, now time.Time) (bool, error) {
	told, err := list(revoked)
	if err != nil {
		return false, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		tag, err := tx.Exec(ctx, beatProcesses, string(cell), urls, now, told)
		if err == nil && tag.RowsAffected() != int64(len(urls)) {
			return errSomeUnknown
		}
		return err
	})
	if errors.Is(err, errSomeUnknown) {
		return false, nil
	}
	return err == nil, sqldb.Classify(err)
}

// Known reports whether a cell was ever registered.
func (s *Store) Known(ctx context.Context, cell topology.CellID) (bool, error) {
	var n int64
	err := s.DB.Pool.QueryRow(ctx, cellKnown, string(cell)).Scan(&n)
	return n > 0, sqldb.Classify(err)
}

// Facts implements snapshot.Archive: the shared lock on the version keeps the
// rows as they are while they are read.
func (s *Store) Facts(ctx context.Context) (snapshot.Facts, error) {
	var out snapshot.Facts
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) (err error) {
		if err = tx.QueryRow(ctx, readMap).Scan(&out.Version); err != nil {
			return err
		}
		if out.Members, err = members(ctx, tx); err != nil {
			return err
		}
		if out.Placements, err = placements(ctx, tx); err != nil {
			return err
		}
		out.Revoked, err = revocations(ctx, tx, s.now())
		return err
	})
	return out, sqldb.Classify(err)
}

// Raise implements snapshot.Archive.
func (s *Store) Raise(ctx context.Context, version int64) error {
	_, err := s.DB.Pool.Exec(ctx, raiseMap, version)
	return sqldb.Classify(err)
}

package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/control-plane/placement"
	"guichet/control-plane/registry"
	"guichet/control-plane/snapshot"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
)

const (
	selectPlacement  = `SELECT event_id, home, epoch, state FROM placement.event WHERE event_id = $1`
	selectPlacements = `SELECT event_id, home, epoch, state FROM placement.event ORDER BY event_id`
	countPlacements  = `SELECT count(*) FROM placement.event`

	selectOperation = `SELECT event_id, to_cell, seen_epoch, home, epoch FROM placement.operation WHERE operation_id = $1`

	insertOperation = `INSERT INTO placement.operation (operation_id, event_id, to_cell, seen_epoch, home, epoch, done_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`

	sweepOperations = `DELETE FROM placement.operation WHERE operation_id IN (
			SELECT o.operation_id FROM placement.operation AS o WHERE o.done_at < $1 ORDER BY o.done_at LIMIT 100)`

	// P1: whatever went wrong above, an epoch only grows.
	upsertPlacement = `INSERT INTO placement.event (event_id, home, epoch, state, changed_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (event_id) DO UPDATE SET home = excluded.home, epoch = excluded.epoch, state = excluded.state, changed_at = excluded.changed_at
		WHERE placement.event.epoch = excluded.epoch - 1`
)

func scanPlacement(row pgx.CollectableRow) (topology.Placement, error) {
	var p topology.Placement
	err := row.Scan(&p.EventID, &p.Home, &p.Epoch, &p.State)
	return p, err
}

func placements(ctx context.Context, q sqldb.Querier) ([]topology.Placement, error) {
	rows, err := q.Query(ctx, selectPlacements)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPlacement)
}

func placementOf(ctx context.Context, q sqldb.Querier, eventID string) (topology.Placement, bool, error) {
	rows, err := q.Query(ctx, selectPlacement, eventID)
	if err != nil {
		return topology.Placement{}, false, err
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanPlacement)
	if errors.Is(err, pgx.ErrNoRows) {
		return topology.Placement{}, false, nil
	}
	return p, err == nil, err
}

// Placement implements placement.Book.
func (s *Store) Placement(ctx context.Context, eventID string) (topology.Placement, bool, error) {
	p, there, err := placementOf(ctx, s.DB.Pool, eventID)
	return p, there, sqldb.Classify(err)
}

// Set implements placement.Book.
func (s *Store) Set(ctx context.Context, r placement.Request, now time.Time) (placement.Result, error) {
	var out placement.Result
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		var version int64
		if err := tx.QueryRow(ctx, lockMap).Scan(&version); err != nil {
			return err
		}
		var done bool
		var err error
		if out, done, err = replay(ctx, tx, r); err != nil || done {
			return err
		}
		if out.Placement, err = decide(ctx, tx, r); err != nil {
			return err
		}
		return s.savePlacement(ctx, tx, r, out.Placement, snapshot.NextVersion(version, now), now)
	})
	return out, sqldb.Classify(err)
}

// replay answers an operation that was done before.
func replay(ctx context.Context, tx *sqldb.Tx, r placement.Request) (placement.Result, bool, error) {
	var was placement.Request
	p := topology.Placement{State: topology.Serving}
	err := tx.QueryRow(ctx, selectOperation, r.OperationID).Scan(&was.EventID, &was.To, &was.Seen, &p.Home, &p.Epoch)
	if errors.Is(err, pgx.ErrNoRows) {
		return placement.Result{}, false, nil
	}
	if err != nil {
		return placement.Result{}, false, err
	}
	was.OperationID, p.EventID = r.OperationID, was.EventID
	if was != r {
		return placement.Result{}, false, placement.ErrReused.With("operation %.60q was another request", r.OperationID)
	}
	return placement.Result{Placement: p, Replayed: true}, true, nil
}

func decide(ctx context.Context, tx *sqldb.Tx, r placement.Request) (topology.Placement, error) {
	before, there, err := placementOf(ctx, tx, r.EventID)
	if err != nil {
		return topology.Placement{}, err
	}
	if !there {
		if before, err = placement.Home(r.EventID); err != nil {
			return topology.Placement{}, err
		}
	}
	var total int
	if err := tx.QueryRow(ctx, countPlacements).Scan(&total); err != nil {
		return topology.Placement{}, err
	}
	all, err := members(ctx, tx)
	if err != nil {
		return topology.Placement{}, err
	}
	return placement.Decide(r, before, total, takesEvents(all, r.To))
}

func takesEvents(all []registry.Member, cell topology.CellID) bool {
	for _, m := range all {
		if m.ID == cell {
			return m.Serving()
		}
	}
	return false
}

func (s *Store) savePlacement(ctx context.Context, tx *sqldb.Tx, r placement.Request, p topology.Placement, version int64, now time.Time) error {
	tag, err := tx.Exec(ctx, upsertPlacement, p.EventID, string(p.Home), int64(p.Epoch), string(p.State), now)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("placement of %s: the epoch would not grow by one", p.EventID)
	}
	if _, err := tx.Exec(ctx, insertOperation, r.OperationID, r.EventID, string(r.To), int64(r.Seen), string(p.Home), int64(p.Epoch), now); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, sweepOperations, now.Add(-placement.OperationRetention)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, raiseMap, version)
	return err
}

package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/saga"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const insertSignals = `INSERT INTO saga.signal (run_id, handler, signal_id, event_id, payload, taken)
	SELECT n.run_id, n.handler, n.signal_id, n.event_id, n.payload::jsonb, n.taken
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[]) AS n (run_id, handler, signal_id, event_id, payload, taken)
	ON CONFLICT (run_id, handler, signal_id) DO NOTHING`

// InsertSignal keeps a signal, once; the caller holds the run's lock.
func (s *Store) InsertSignal(ctx context.Context, tx txn.Tx, g saga.Signal, event string, taken bool) error {
	payload, err := json.Marshal(g.Payload)
	if err != nil {
		return err
	}
	return s.put(ctx, tx, insertSignals, sqldb.Row(g.Run, g.Handler, g.ID, event, string(payload), taken)...)
}

const takeSignal = `UPDATE saga.signal SET taken = true WHERE run_id = $1 AND handler = $2 AND signal_id = (
		SELECT w.signal_id FROM saga.signal AS w WHERE w.run_id = $1 AND w.handler = $2 AND NOT w.taken ORDER BY w.at, w.signal_id LIMIT 1)
	RETURNING payload`

// TakeSignal takes the oldest signal; the caller holds the run's lock.
func (s *Store) TakeSignal(ctx context.Context, tx txn.Tx, run, handler string) (json.RawMessage, bool, error) {
	var payload json.RawMessage
	err := s.on(tx).QueryRow(ctx, takeSignal, run, handler).Scan(&payload)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	return payload, err == nil, sqldb.Classify(err)
}

const selectRuns = `SELECT run_id, event_id, name, version, status, position, input, output, steps, error, cause,
	started_at, deadline, wake_at, ended_at, lease_owner, taken FROM saga.run
	WHERE ($1 = '' OR status = $1) AND ($2 = '' OR name = $2) AND ($3 = '' OR event_id = $3)
	AND ($4 = '' OR (started_at, run_id) < ((SELECT b.started_at FROM saga.run AS b WHERE b.run_id = $4), $4))
	ORDER BY started_at DESC, run_id DESC LIMIT $5`

// Runs lists runs, newest first.
func (s *Store) Runs(ctx context.Context, q saga.Query) ([]saga.Run, error) {
	rows, err := s.DB.Pool.Query(ctx, selectRuns, string(q.Status), q.Name, q.Event, q.Before, q.Limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	runs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (saga.Run, error) {
		r, err := scanRun(row)
		if err != nil {
			return saga.Run{}, err
		}
		return *r, nil
	})
	return runs, sqldb.Classify(err)
}

const selectRun = `SELECT run_id, event_id, name, version, status, position, input, output, steps, error, cause,
	started_at, deadline, wake_at, ended_at, lease_owner, taken FROM saga.run WHERE run_id = $1`

const selectSteps = `SELECT run_id, step_key, event_id, state, tries, result, error, started_at, finished_at FROM saga.step
	WHERE run_id = $1 ORDER BY started_at, step_key`

// Run reads a run with its log.
func (s *Store) Run(ctx context.Context, tx txn.Tx, run string) (saga.Run, []saga.Step, error) {
	var r *saga.Run
	var steps []saga.Step
	b := &pgx.Batch{}
	b.Queue(selectRun, run).QueryRow(func(row pgx.Row) (err error) {
		r, err = scanRun(row)
		return err
	})
	b.Queue(selectSteps, run).Query(func(rows pgx.Rows) (err error) {
		steps, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (saga.Step, error) {
			var st saga.Step
			return st, row.Scan(&st.Run, &st.Key, &st.Event, &st.State, &st.Tries, &st.Result, &st.Error, &st.StartedAt, &st.FinishedAt)
		})
		return err
	})
	err := s.ask(ctx, tx, b)
	if errors.Is(err, pgx.ErrNoRows) {
		return saga.Run{}, nil, saga.ErrRunNotFound.With("there is no saga %q", run)
	}
	if err != nil {
		return saga.Run{}, nil, err
	}
	return *r, steps, nil
}

const (
	endedRuns = `SELECT run_id FROM saga.run WHERE status <> 'running' AND ended_at < statement_timestamp() - $1::float8 * INTERVAL '1 second'
	ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED`
	deleteSteps   = `DELETE FROM saga.step WHERE run_id = ANY($1)`
	deleteSignals = `DELETE FROM saga.signal WHERE run_id = ANY($1)`
	deleteRuns    = `DELETE FROM saga.run WHERE run_id = ANY($1)`
)

// ForgetRuns deletes runs that ended long ago, with all their rows.
func (s *Store) ForgetRuns(ctx context.Context, age time.Duration, limit int) (n int64, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, endedRuns, age.Seconds(), limit)
		if err != nil {
			return err
		}
		runs, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(runs) == 0 {
			n = 0
			return err
		}
		b := &pgx.Batch{}
		for _, sql := range []string{deleteSteps, deleteSignals, deleteRuns} {
			b.Queue(sql, runs)
		}
		n = int64(len(runs))
		return tx.SendBatch(ctx, b).Close()
	})
	return n, err
}

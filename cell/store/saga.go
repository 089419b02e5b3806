package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/saga"
	"guichet/internal/sqldb"
)

// After lets do run when the transaction in ctx has been committed.
func (s *Store) After(ctx context.Context, do func()) { sqldb.After(ctx, do) }

const insertDefinition = `INSERT INTO saga.definition (name, version, body) VALUES ($1, $2, $3) ON CONFLICT (name, version) DO NOTHING`

// InsertDefinition keeps a definition's text, once.
func (s *Store) InsertDefinition(ctx context.Context, name, version string, text []byte) error {
	_, err := s.DB.On(ctx).Exec(ctx, insertDefinition, name, version, string(text))
	return sqldb.Classify(err)
}

const selectDefinition = `SELECT body FROM saga.definition WHERE name = $1 AND version = $2`

// Definition reads a definition that a run here began with.
func (s *Store) Definition(ctx context.Context, name, version string) ([]byte, error) {
	var body string
	err := s.DB.On(ctx).QueryRow(ctx, selectDefinition, name, version).Scan(&body)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, saga.ErrNoDefinition.With("%s@%s is not kept here", name, version)
	}
	return []byte(body), sqldb.Classify(err)
}

const insertRun = `INSERT INTO saga.run (run_id, event_id, name, version, status, place, position, input, output, steps, error, cause,
	started_at, deadline, ended_at, lease_owner, taken, wake_at, lease_until)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $16, $17, $18,
	CASE WHEN $17 = '' THEN $15 ELSE clock_timestamp() + $19::float8 * INTERVAL '1 second' END,
	CASE WHEN $17 = '' THEN '1970-01-01 00:00:00+00'::timestamptz ELSE clock_timestamp() + $19::float8 * INTERVAL '1 second' END)
	ON CONFLICT (run_id) DO NOTHING`

// InsertRun stores a new run, leased when it has an owner.
func (s *Store) InsertRun(ctx context.Context, r *saga.Run, lease time.Duration) error {
	position, err := json.Marshal(r.At)
	if err != nil {
		return err
	}
	tag, err := s.DB.On(ctx).Exec(ctx, insertRun, r.ID, r.Event, r.Name, r.Version, string(r.Status), r.Where(), position, r.Input, r.Output,
		r.Steps, r.Error, r.Cause, r.StartedAt, orNull(r.Deadline), orNull(r.WakeAt), orNull(r.EndedAt), r.Owner, r.Taken, lease.Seconds())
	if err == nil && tag.RowsAffected() == 0 {
		return saga.ErrRunExists.With("%s was begun before", r.ID)
	}
	return sqldb.Classify(err)
}

// orNull is NULL for the zero time.
func orNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

func orZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}

const selectRunForUpdate = `SELECT run_id, event_id, name, version, status, position, input, output, steps, error, cause,
	started_at, deadline, wake_at, ended_at, lease_owner, taken, lease_owner <> '' AND lease_until > (SELECT clock_timestamp())
	FROM saga.run WHERE run_id = $1 FOR UPDATE`

// lookBehindRun is a statement of its own: what it sees is what the lock keeps.
const lookBehindRun = `SELECT clock_timestamp(), EXISTS (SELECT 1 FROM saga.signal WHERE run_id = $1 AND NOT taken)`

// LockRun locks a run and reads it, then the clock and whether signals wait.
func (s *Store) LockRun(ctx context.Context, run string) (r *saga.Run, leased bool, now time.Time, err error) {
	b := &pgx.Batch{}
	b.Queue(selectRunForUpdate, run).QueryRow(func(row pgx.Row) error {
		r, err = scanRun(row, &leased)
		return err
	})
	b.Queue(lookBehindRun, run).QueryRow(func(row pgx.Row) error { return row.Scan(&now, &r.Signals) })
	err = s.DB.InTx(ctx, func(ctx context.Context, tx pgx.Tx) error { return tx.SendBatch(ctx, b).Close() })
	if errors.Is(err, pgx.ErrNoRows) {
		err = saga.ErrRunNotFound.With("there is no saga %q", run)
	}
	return r, leased, now, err
}

// scanRun reads a run; more columns may follow.
func scanRun(row pgx.Row, more ...any) (*saga.Run, error) {
	var r saga.Run
	var status string
	var position []byte
	var deadline, wake, ended *time.Time
	err := row.Scan(append([]any{
		&r.ID, &r.Event, &r.Name, &r.Version, &status, &position, &r.Input, &r.Output, &r.Steps, &r.Error, &r.Cause,
		&r.StartedAt, &deadline, &wake, &ended, &r.Owner, &r.Taken,
	}, more...)...)
	if err != nil {
		return nil, err
	}
	r.Status = saga.Status(status)
	r.Deadline, r.WakeAt, r.EndedAt = orZero(deadline), orZero(wake), orZero(ended)
	if err := json.Unmarshal(position, &r.At); err != nil {
		return nil, corrupt(err)
	}
	return &r, nil
}

const updateRun = `UPDATE saga.run SET status = $2, place = $3, position = $4, output = $5, steps = $6, error = $7, cause = $8,
	deadline = $9, ended_at = $11, lease_owner = $12, taken = $13,
	wake_at = CASE WHEN $12 = '' THEN $10 ELSE clock_timestamp() + $14::float8 * INTERVAL '1 second' END,
	lease_until = CASE WHEN $12 = '' THEN clock_timestamp() ELSE clock_timestamp() + $14::float8 * INTERVAL '1 second' END
	WHERE run_id = $1`

// SaveRun stores what the engine changed; the caller holds the run's lock.
func (s *Store) SaveRun(ctx context.Context, r *saga.Run, lease time.Duration) error {
	position, err := json.Marshal(r.At)
	if err != nil {
		return err
	}
	return s.put(ctx, updateRun, r.ID, string(r.Status), r.Where(), position, r.Output, r.Steps, r.Error, r.Cause,
		orNull(r.Deadline), orNull(r.WakeAt), orNull(r.EndedAt), r.Owner, r.Taken, lease.Seconds())
}

const claimRuns = `WITH due AS (SELECT r.run_id, extract(epoch FROM clock_timestamp() - r.wake_at)::float8 AS late FROM saga.run AS r
		WHERE r.status = 'running' AND r.wake_at <= (SELECT clock_timestamp()) AND r.lease_until <= (SELECT clock_timestamp())
		ORDER BY r.wake_at LIMIT $3 FOR UPDATE SKIP LOCKED)
	UPDATE saga.run SET lease_owner = $1, taken = taken + 1, lease_until = clock_timestamp() + $2::float8 * INTERVAL '1 second',
		wake_at = clock_timestamp() + $2::float8 * INTERVAL '1 second'
	FROM due WHERE saga.run.run_id = due.run_id
	RETURNING saga.run.run_id, saga.run.taken, due.late`

// ClaimRuns leases runs that are due. A run whose lease has run out is due: its
// time to wake is the lease's end.
func (s *Store) ClaimRuns(ctx context.Context, owner string, lease time.Duration, limit int) ([]saga.Claim, error) {
	rows, err := s.DB.On(ctx).Query(ctx, claimRuns, owner, lease.Seconds(), limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (saga.Claim, error) {
		var c saga.Claim
		var late float64
		err := row.Scan(&c.ID, &c.Taken, &late)
		c.Late = time.Duration(late * float64(time.Second))
		return c, err
	})
	return claims, sqldb.Classify(err)
}

const releaseRun = `UPDATE saga.run SET lease_owner = '', lease_until = clock_timestamp(), wake_at = clock_timestamp() + $4::float8 * INTERVAL '1 second'
	WHERE run_id = $1 AND taken = $2 AND lease_owner = $3`

// ReleaseRun gives a lease up, if it is still held.
func (s *Store) ReleaseRun(ctx context.Context, c saga.Claim, owner string, pause time.Duration) error {
	_, err := s.DB.On(ctx).Exec(ctx, releaseRun, c.ID, c.Taken, owner, pause.Seconds())
	return sqldb.Classify(err)
}

const insertStep = `INSERT INTO saga.step (run_id, step_key, event_id, state, tries) VALUES ($1, $2, $3, $4, 1)
	ON CONFLICT (run_id, step_key) DO UPDATE SET tries = saga.step.tries + 1`

// InsertStep writes down that something is about to be asked of the outside.
func (s *Store) InsertStep(ctx context.Context, st saga.Step) error {
	return s.put(ctx, insertStep, st.Run, st.Key, st.Event, st.State)
}

const updateStep = `UPDATE saga.step SET result = $3, error = $4, finished_at = clock_timestamp() WHERE run_id = $1 AND step_key = $2`

// FinishStep writes down what came of it.
func (s *Store) FinishStep(ctx context.Context, st saga.Step) error {
	return s.put(ctx, updateStep, st.Run, st.Key, st.Result, st.Error)
}

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

const insertDefinition = `INSERT INTO saga.definition (name, version, body) VALUES ($1, $2, $3) ON CONFLICT (name, version) DO NOTHING`

// InsertDefinition keeps a definition's text, once.
func (s *Store) InsertDefinition(ctx context.Context, tx txn.Tx, name, version string, text []byte) error {
	_, err := s.on(tx).Exec(ctx, insertDefinition, name, version, string(text))
	return sqldb.Classify(err)
}

const selectDefinition = `SELECT body FROM saga.definition WHERE name = $1 AND version = $2`

// Definition reads a definition that a run here began with.
func (s *Store) Definition(ctx context.Context, tx txn.Tx, name, version string) ([]byte, error) {
	var body string
	err := s.on(tx).QueryRow(ctx, selectDefinition, name, version).Scan(&body)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, saga.ErrNoDefinition.With("%s@%s is not kept here", name, version)
	}
	return []byte(body), sqldb.Classify(err)
}

const insertRuns = `INSERT INTO saga.run (run_id, event_id, name, version, status, place, position, input, output, steps, error, cause,
	started_at, deadline, ended_at, lease_owner, taken, wake_at, lease_until)
	SELECT n.run_id, n.event_id, n.name, n.version, n.status, n.place, n.position::jsonb, n.input::jsonb, n.output::jsonb, n.steps, n.error, n.cause,
	n.started_at, n.deadline, n.ended_at, n.lease_owner, n.taken,
	CASE WHEN n.lease_owner = '' THEN n.wake_at ELSE clock_timestamp() + n.lease * INTERVAL '1 second' END,
	CASE WHEN n.lease_owner = '' THEN '1970-01-01 00:00:00+00'::timestamptz ELSE clock_timestamp() + n.lease * INTERVAL '1 second' END
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::text[], $12::text[],
		$13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::text[], $18::bigint[], $19::float8[])
		AS n (run_id, event_id, name, version, status, place, position, input, output, steps, error, cause,
			started_at, deadline, wake_at, ended_at, lease_owner, taken, lease)
	ON CONFLICT (run_id) DO NOTHING RETURNING run_id`

// InsertRun stores a new run, leased when it has an owner.
func (s *Store) InsertRun(ctx context.Context, tx txn.Tx, r *saga.Run, lease time.Duration) error {
	position, err := json.Marshal(r.At)
	if err != nil {
		return err
	}
	stored, err := s.insertOne(ctx, tx, insertRuns, r.ID, r.Event, r.Name, r.Version, string(r.Status), r.Where(), position, r.Input, r.Output,
		r.Steps, r.Error, r.Cause, r.StartedAt, orNull(r.Deadline), orNull(r.WakeAt), orNull(r.EndedAt), r.Owner, r.Taken, lease.Seconds())
	if err == nil && !stored {
		return saga.ErrRunExists.With("%s was begun before", r.ID)
	}
	return err
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

const selectRunsForUpdate = `SELECT n.run_id, f.run_id, f.event_id, f.name, f.version, f.status, f.position, f.input, f.output, f.steps, f.error, f.cause,
	f.started_at, f.deadline, f.wake_at, f.ended_at, f.lease_owner, f.taken, f.leased FROM unnest($1::text[]) AS n (run_id)
	CROSS JOIN LATERAL (SELECT r.run_id, r.event_id, r.name, r.version, r.status, r.position, r.input, r.output, r.steps, r.error, r.cause,
		r.started_at, r.deadline, r.wake_at, r.ended_at, r.lease_owner, r.taken, r.lease_owner <> '' AND r.lease_until > statement_timestamp() AS leased
		FROM saga.run AS r WHERE r.run_id = n.run_id LIMIT 1 FOR UPDATE) AS f`

// lookBehindRuns is a statement of its own: what it sees is what the locks keep.
const lookBehindRuns = `SELECT n.run_id, clock_timestamp(), (SELECT count(*) FROM saga.signal AS w WHERE w.run_id = n.run_id AND NOT w.taken),
	(SELECT count(*) FROM saga.signal AS s WHERE s.run_id = n.run_id AND s.handler = n.handler AND s.signal_id = n.signal_id) > 0
	FROM unnest($1::text[], $2::text[], $3::text[]) AS n (run_id, handler, signal_id)`

// LockRun locks a run and reads it, then the clock and its signals.
func (s *Store) LockRun(ctx context.Context, tx txn.Tx, run string, about saga.Signal) (at saga.Locked, err error) {
	b := &pgx.Batch{}
	sqldb.FindOne(b, selectRunsForUpdate, func(row pgx.Row) error {
		at.Run, err = scanRun(row, &at.Leased)
		return err
	}, run)
	sqldb.FindOne(b, lookBehindRuns, func(row pgx.Row) error { return row.Scan(&at.Now, &at.Waiting, &at.There) }, run, about.Handler, about.ID)
	err = s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error { return tx.SendBatch(ctx, b).Close() })
	if errors.Is(err, pgx.ErrNoRows) {
		err = saga.ErrRunNotFound.With("there is no saga %q", run)
	}
	if err == nil {
		at.Run.Signals = at.Waiting > 0
	}
	return at, err
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

const updateRuns = `UPDATE saga.run SET status = n.status, place = n.place, position = n.position::jsonb, output = n.output::jsonb,
	steps = n.steps, error = n.error, cause = n.cause, deadline = n.deadline, ended_at = n.ended_at, lease_owner = n.lease_owner, taken = n.taken,
	wake_at = CASE WHEN n.lease_owner = '' THEN n.wake_at ELSE clock_timestamp() + n.lease * INTERVAL '1 second' END,
	lease_until = CASE WHEN n.lease_owner = '' THEN clock_timestamp() ELSE clock_timestamp() + n.lease * INTERVAL '1 second' END
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
		$9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::text[], $13::bigint[], $14::float8[])
		AS n (run_id, status, place, position, output, steps, error, cause, deadline, wake_at, ended_at, lease_owner, taken, lease)
	WHERE saga.run.run_id = n.run_id AND saga.run.run_id = ANY($1)`

// SaveRun stores what the engine changed; the caller holds the run's lock.
func (s *Store) SaveRun(ctx context.Context, tx txn.Tx, r *saga.Run, lease time.Duration) error {
	position, err := json.Marshal(r.At)
	if err != nil {
		return err
	}
	return s.put(ctx, tx, updateRuns, sqldb.Row(r.ID, string(r.Status), r.Where(), position, r.Output, r.Steps, r.Error, r.Cause,
		orNull(r.Deadline), orNull(r.WakeAt), orNull(r.EndedAt), r.Owner, r.Taken, lease.Seconds())...)
}

const claimRuns = `WITH due AS (SELECT r.run_id, extract(epoch FROM clock_timestamp() - r.wake_at)::float8 AS late FROM saga.run AS r
		WHERE r.status = 'running' AND r.wake_at <= statement_timestamp() AND r.lease_until <= statement_timestamp()
		ORDER BY r.wake_at LIMIT $3 FOR UPDATE SKIP LOCKED)
	UPDATE saga.run SET lease_owner = $1, taken = taken + 1, lease_until = clock_timestamp() + $2::float8 * INTERVAL '1 second',
		wake_at = clock_timestamp() + $2::float8 * INTERVAL '1 second'
	FROM due WHERE saga.run.run_id = due.run_id
	RETURNING saga.run.run_id, saga.run.taken, due.late`

// ClaimRuns leases runs that are due. A run whose lease has run out is due: its
// time to wake is the lease's end.
func (s *Store) ClaimRuns(ctx context.Context, owner string, lease time.Duration, limit int) ([]saga.Claim, error) {
	rows, err := s.DB.Pool.Query(ctx, claimRuns, owner, lease.Seconds(), limit)
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
	_, err := s.DB.Pool.Exec(ctx, releaseRun, c.ID, c.Taken, owner, pause.Seconds())
	return sqldb.Classify(err)
}

const insertSteps = `INSERT INTO saga.step (run_id, step_key, event_id, state, tries)
	SELECT n.run_id, n.step_key, n.event_id, n.state, 1 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (run_id, step_key, event_id, state)
	ON CONFLICT (run_id, step_key) DO UPDATE SET tries = saga.step.tries + 1`

// InsertStep writes down that something is about to be asked of the outside.
func (s *Store) InsertStep(ctx context.Context, tx txn.Tx, st saga.Step) error {
	return s.put(ctx, tx, insertSteps, sqldb.Row(st.Run, st.Key, st.Event, st.State)...)
}

const updateSteps = `UPDATE saga.step SET result = n.result::jsonb, error = n.error, finished_at = clock_timestamp()
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (run_id, step_key, result, error)
	WHERE saga.step.run_id = n.run_id AND saga.step.step_key = n.step_key AND saga.step.run_id = ANY($1)`

// FinishStep writes down what came of it.
func (s *Store) FinishStep(ctx context.Context, tx txn.Tx, st saga.Step) error {
	return s.put(ctx, tx, updateSteps, sqldb.Row(st.Run, st.Key, st.Result, st.Error)...)
}

package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/audit"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// insertEntries writes a call's entry once: a transaction that runs again, and a call of
// several, ask for it several times.
const insertEntries = `INSERT INTO audit.entry (entry_id, at, actor_kind, actor_id, actor_name, action, object_kind, object_id, organizer_id, event_id, before, after, request_id, address)
	SELECT n.entry_id, clock_timestamp(), n.actor_kind, n.actor_id, n.actor_name, n.action, n.object_kind, n.object_id, n.organizer_id, n.event_id,
		nullif(n.before, '')::jsonb, nullif(n.after, '')::jsonb, n.request_id, n.address
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
		AS n (entry_id, actor_kind, actor_id, actor_name, action, object_kind, object_id, organizer_id, event_id, before, after, request_id, address)
	ON CONFLICT (entry_id) DO NOTHING`

func entryRow(e audit.Entry) []any {
	return sqldb.Row(e.ID, string(e.Actor.Kind), e.Actor.ID, e.Actor.Name, e.Action, e.Object.Kind, e.Object.ID, e.Organizer, e.Event,
		string(e.Before), string(e.After), e.RequestID, e.Address)
}

// AppendNote implements audit.Log.
func (s *Store) AppendNote(ctx context.Context, tx txn.Tx) error {
	e, ok := audit.Of(ctx).Entry()
	if !ok {
		return nil
	}
	return s.put(ctx, tx, insertEntries, entryRow(e)...)
}

const selectEntries = `SELECT entry_id, at, actor_kind, actor_id, actor_name, action, object_kind, object_id, organizer_id, event_id, before, after, request_id, address
	FROM audit.entry WHERE at >= $1 AND at < $2 AND ($3 = '' OR organizer_id = $3) AND ($4 = '' OR event_id = $4) AND ($5 = '' OR actor_id = $5)
	AND (at, entry_id) < ($6, $7) ORDER BY at DESC, entry_id DESC LIMIT $8`

// selectEntriesOf is selectEntries of one organizer, so that its index is used.
const selectEntriesOf = `SELECT entry_id, at, actor_kind, actor_id, actor_name, action, object_kind, object_id, organizer_id, event_id, before, after, request_id, address
	FROM audit.entry WHERE at >= $1 AND at < $2 AND organizer_id = $3 AND ($4 = '' OR event_id = $4) AND ($5 = '' OR actor_id = $5)
	AND (at, entry_id) < ($6, $7) ORDER BY at DESC, entry_id DESC LIMIT $8`

// endOfTime is after every entry.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// AuditEntries implements audit.Log.
func (s *Store) AuditEntries(ctx context.Context, q audit.Query) ([]audit.Entry, error) {
	if q.To.IsZero() {
		q.To = endOfTime
	}
	if q.Before.At.IsZero() {
		q.Before = audit.Place{At: endOfTime}
	}
	ask := s.DB.Pool.Query
	args := []any{q.From, q.To, q.Organizer, q.Event, q.Actor, q.Before.At, q.Before.ID, q.Limit}
	var rows pgx.Rows
	var err error
	if q.Organizer == "" {
		rows, err = ask(ctx, selectEntries, args...)
	} else {
		rows, err = ask(ctx, selectEntriesOf, args...)
	}
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e audit.Entry, err error) {
		var before, after []byte
		err = row.Scan(&e.ID, &e.At, &e.Actor.Kind, &e.Actor.ID, &e.Actor.Name, &e.Action, &e.Object.Kind, &e.Object.ID, &e.Organizer, &e.Event,
			&before, &after, &e.RequestID, &e.Address)
		e.At, e.Before, e.After = e.At.UTC(), json.RawMessage(before), json.RawMessage(after)
		return e, err
	})
	return entries, sqldb.Classify(err)
}

const deleteEntries = `DELETE FROM audit.entry WHERE entry_id IN (SELECT e.entry_id FROM audit.entry AS e
	WHERE e.at < statement_timestamp() - $1::float8 * INTERVAL '1 second' ORDER BY e.at LIMIT $2)`

// entriesPerSweep bounds one deletion of old entries.
const entriesPerSweep = 1000

// ForgetEntries deletes entries past audit.Retention. The cell's role may not, so it is
// done as the owner of the tables.
func (s *Store) ForgetEntries(ctx context.Context) (gone int64, err error) {
	err = s.DB.AsOwner(ctx, func(ctx context.Context, q sqldb.Querier) error {
		tag, err := q.Exec(ctx, deleteEntries, audit.Retention.Seconds(), entriesPerSweep)
		gone = tag.RowsAffected()
		return err
	})
	return gone, err
}

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/bus"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const insertSeries = `INSERT INTO booking.series (series_id, organizer_id, name, state, publish, total, draft, told_at, told_event, key, fingerprint, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', $9, $10, clock_timestamp()) ON CONFLICT (organizer_id, key) DO NOTHING`

const selectSeriesOfKey = `SELECT series_id, fingerprint FROM booking.series WHERE organizer_id = $1 AND key = $2`

const selectSeries = `SELECT organizer_id, name, state, publish, total, made, draft, told_at, told_event, created_at
	FROM booking.series WHERE series_id = $1`

const selectSeriesForUpdate = selectSeries + ` FOR UPDATE`

const updateSeries = `UPDATE booking.series SET state = $2, made = $3, told_at = $4, told_event = $5, changed_at = clock_timestamp() WHERE series_id = $1`

const selectUnfinishedSeries = `SELECT series_id FROM booking.series WHERE state IN ('making', 'publishing') ORDER BY created_at LIMIT $1`

// selectOccurrences walks the index event_by_series from the place on, however
// many occurrences come before it (regression 13).
const selectOccurrences = `SELECT event_id, starts_at FROM booking.event
	WHERE series_id = $1 AND (starts_at, event_id) > ($2, $3) AND starts_at < $4 AND (state <> 'draft' OR $5::boolean)
	ORDER BY starts_at, event_id LIMIT $6`

const selectOccurrencesToTell = `SELECT event_id, starts_at FROM booking.event
	WHERE series_id = $1 AND (starts_at, event_id) > ($2, $3) AND state = 'draft'
	ORDER BY starts_at, event_id LIMIT $4 FOR UPDATE`

const publishEvents = `UPDATE booking.event SET state = 'published', version = version + 1, described_at = clock_timestamp() WHERE event_id = ANY($1)`

// tellOfStock says that there is something to tell of the events' stock.
const tellOfStock = `UPDATE booking.quota SET stock_version = stock_version + 1, stock_changed_at = clock_timestamp()
	WHERE event_id = ANY($1) AND position = 0`

// before1970 is before every occurrence (booking.Validate).
var before1970 = time.Unix(0, 0).UTC()

// OpenSeries implements booking.SeriesStore.
func (s *Store) OpenSeries(ctx context.Context, series booking.Series, key booking.Key) (stored booking.Series, fresh bool, err error) {
	draft, err := json.Marshal(series.Draft)
	if err != nil {
		return stored, false, fmt.Errorf("describe series: %w", err)
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		tag, err := tx.Exec(ctx, insertSeries, series.ID.String(), series.Organizer.String(), series.Name, string(series.State), series.Publish, series.Total,
			draft, before1970, key.Key, key.Fingerprint)
		if err != nil {
			return err
		}
		if fresh = tag.RowsAffected() == 1; fresh {
			if stored, err = readSeries(ctx, tx, series.ID, selectSeries); err != nil {
				return err
			}
			audit.Of(ctx).On("series", series.ID.String())
			return s.AppendNote(ctx, tx)
		}
		var sid, fingerprint string
		if err := tx.QueryRow(ctx, selectSeriesOfKey, series.Organizer.String(), key.Key).Scan(&sid, &fingerprint); err != nil {
			return err
		}
		if fingerprint != key.Fingerprint {
			return ErrKeyReused.With("this Idempotency-Key was used with another body")
		}
		there, err := id.ParseSeries(sid)
		if err != nil {
			return corrupt(err)
		}
		stored, err = readSeries(ctx, tx, there, selectSeries)
		return err
	})
	return stored, fresh, err
}

func readSeries(ctx context.Context, q sqldb.Querier, series id.Series, sql string) (booking.Series, error) {
	out := booking.Series{ID: series}
	var org, state string
	var draft []byte
	err := q.QueryRow(ctx, sql, series.String()).Scan(&org, &out.Name, &state, &out.Publish, &out.Total, &out.Made, &draft,
		&out.Told.At, &out.Told.Event, &out.CreatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return out, booking.ErrSeriesNotFound
	}
	if err != nil {
		return out, sqldb.Classify(err)
	}
	out.State = booking.SeriesState(state)
	if out.Organizer, err = id.ParseOrganizer(org); err != nil {
		return out, corrupt(err)
	}
	if err := json.Unmarshal(draft, &out.Draft); err != nil {
		return out, corrupt(err)
	}
	return out, nil
}

// Series implements booking.SeriesStore.
func (s *Store) Series(ctx context.Context, series id.Series) (booking.Series, error) {
	return readSeries(ctx, s.DB.Pool, series, selectSeries)
}

// UnfinishedSeries implements booking.SeriesStore.
func (s *Store) UnfinishedSeries(ctx context.Context, limit int) ([]id.Series, error) {
	rows, err := s.DB.Pool.Query(ctx, selectUnfinishedSeries, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id.Series, error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return id.Series{}, err
		}
		return id.ParseSeries(text)
	})
	return all, sqldb.Classify(err)
}

// onSeries lets act change a series behind its lock; what it answers is published.
func (s *Store) onSeries(ctx context.Context, series id.Series, act func(ctx context.Context, tx *sqldb.Tx, now *booking.Series) ([]Outgoing, error)) (out booking.Series, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if out, err = readSeries(ctx, tx, series, selectSeriesForUpdate); err != nil {
			return err
		}
		news, err := act(ctx, tx, &out)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, updateSeries, series.String(), string(out.State), out.Made, out.Told.At, out.Told.Event); err != nil {
			return fmt.Errorf("update series: %w", err)
		}
		return s.Publish(ctx, tx, news...)
	})
	return out, err
}

// MakeOccurrences implements booking.SeriesStore.
func (s *Store) MakeOccurrences(ctx context.Context, series id.Series, next func(*booking.Series) ([]booking.Event, error)) (booking.Series, error) {
	return s.onSeries(ctx, series, func(ctx context.Context, tx *sqldb.Tx, now *booking.Series) (news []Outgoing, err error) {
		if now.State != booking.SeriesMaking { // somebody else was quicker
			return nil, nil
		}
		events, err := next(now)
		if err != nil {
			return nil, err
		}
		b := &pgx.Batch{}
		for i := range events {
			if err := queueNewEvent(b, &events[i], now.CreatedAt); err != nil {
				return nil, err
			}
		}
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return nil, fmt.Errorf("insert occurrences: %w", err)
		}
		if now.Made += int64(len(events)); now.Made >= now.Total {
			if now.State = booking.SeriesDraft; now.Publish {
				now.State = booking.SeriesPublished
			}
		}
		return s.documents(events)
	})
}

// queueNewEvent queues the rows of an event that is known to be new.
func queueNewEvent(b *pgx.Batch, e *booking.Event, now time.Time) error {
	args, err := eventArgs(e)
	if err != nil {
		return err
	}
	b.Queue(insertEvent, args...)
	return queueEventParts(b, e, now)
}

// documents are the messages that carry published events into every catalogue.
func (s *Store) documents(events []booking.Event) ([]Outgoing, error) {
	var news []Outgoing
	for _, e := range events {
		if s.Announce == nil || e.State == booking.Drafted {
			continue
		}
		payload, err := s.Announce(e)
		if err != nil {
			return nil, fmt.Errorf("announce %s: %w", e.ID, err)
		}
		news = append(news, Outgoing{Key: e.ID.String(), Subject: bus.Catalog(s.Cell, e.ID.String()), Payload: payload})
	}
	return news, nil
}

// StartPublishing implements booking.SeriesStore.
func (s *Store) StartPublishing(ctx context.Context, series id.Series, may func(*booking.Series) error) (booking.Series, error) {
	return s.onSeries(ctx, series, func(ctx context.Context, tx *sqldb.Tx, now *booking.Series) ([]Outgoing, error) {
		if err := may(now); err != nil {
			return nil, err
		}
		was := now.State
		if now.State != booking.SeriesPublishing {
			now.State, now.Told = booking.SeriesPublishing, booking.Place{At: before1970}
		}
		audit.Of(ctx).Changed(map[string]any{"state": was}, map[string]any{"state": now.State})
		return nil, s.AppendNote(ctx, tx)
	})
}

// PublishOccurrences implements booking.SeriesStore.
func (s *Store) PublishOccurrences(ctx context.Context, series id.Series, publish func(e *booking.Event, now time.Time)) (booking.Series, error) {
	return s.onSeries(ctx, series, func(ctx context.Context, tx *sqldb.Tx, now *booking.Series) ([]Outgoing, error) {
		if now.State != booking.SeriesPublishing {
			return nil, nil
		}
		ids, last, err := places(ctx, tx, selectOccurrencesToTell, series.String(), now.Told.At, now.Told.Event, now.BatchSize())
		if err != nil {
			return nil, fmt.Errorf("list drafts: %w", err)
		}
		if len(ids) == 0 { // a page that is not full may only mean that somebody published one of them just now
			now.State = booking.SeriesPublished
			return nil, nil
		}
		now.Told = last
		var clock time.Time
		if err := tx.QueryRow(ctx, selectClock).Scan(&clock); err != nil {
			return nil, err
		}
		events, err := s.Events(ctx, tx, ids)
		if err != nil {
			return nil, err
		}
		var changed []id.Event
		for i := range events {
			if publish(&events[i], clock); events[i].State == booking.Published {
				changed = append(changed, events[i].ID)
			}
		}
		for _, sql := range []string{publishEvents, tellOfStock} {
			if _, err := tx.Exec(ctx, sql, texts(changed)); err != nil {
				return nil, fmt.Errorf("publish occurrences: %w", err)
			}
		}
		return s.documents(events)
	})
}

// places reads a page of a series: the events, and the place of the last one.
func places(ctx context.Context, q sqldb.Querier, sql string, args ...any) (ids []id.Event, last booking.Place, err error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, last, err
	}
	ids, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (id.Event, error) {
		if err := row.Scan(&last.Event, &last.At); err != nil {
			return id.Event{}, err
		}
		return id.ParseEvent(last.Event)
	})
	return ids, last, err
}

// Occurrences implements booking.SeriesStore.
func (s *Store) Occurrences(ctx context.Context, series id.Series, after booking.Place, before time.Time, drafts bool, limit int) ([]booking.Event, error) {
	ids, _, err := places(ctx, s.DB.Pool, selectOccurrences, series.String(), after.At, after.Event, before, drafts, limit)
	if err != nil || len(ids) == 0 {
		return nil, sqldb.Classify(err)
	}
	return s.Events(ctx, txn.None, ids)
}

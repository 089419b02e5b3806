package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/bus"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const insertOrganizer = `INSERT INTO booking.organizer (organizer_id, name, home_region) VALUES ($1, $2, $3)`

// InsertOrganizer stores a new organizer.
func (s *Store) InsertOrganizer(ctx context.Context, tx txn.Tx, o booking.Organizer) error {
	_, err := s.on(tx).Exec(ctx, insertOrganizer, o.ID.String(), o.Name, o.HomeRegion)
	return sqldb.Classify(err)
}

const selectOrganizer = `SELECT name, home_region FROM booking.organizer WHERE organizer_id = $1`

// Organizer reads an organizer whose account lives at this cell.
func (s *Store) Organizer(ctx context.Context, org id.Organizer) (booking.Organizer, error) {
	o := booking.Organizer{ID: org}
	err := s.DB.Pool.QueryRow(ctx, selectOrganizer, org.String()).Scan(&o.Name, &o.HomeRegion)
	if errors.Is(err, pgx.ErrNoRows) {
		return o, booking.ErrOrganizerNotFound
	}
	return o, sqldb.Classify(err)
}

const insertEvent = `INSERT INTO booking.event (event_id, organizer_id, name, summary, category, venue, starts_at, ends_at,
	time_zone, currency, state, source, version, epoch, placement, source_key, series_id, slot, refund_policy)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, nullif($17, ''), nullif($18, ''), $19)
	ON CONFLICT (organizer_id, source_key) WHERE source_key <> '' DO NOTHING`

const selectEventOfSource = `SELECT event_id FROM booking.event WHERE organizer_id = $1 AND source_key = $2`

// insertQuota lets the first quota carry where its event's stock stands; see updateQuotas.
const insertQuota = `INSERT INTO booking.quota (quota_id, event_id, position, name, size, held, sold, allocated, stock_version, stock_changed_at)
	VALUES ($1, $2, $3::bigint, $4, $5, $6, $7, $8, CASE WHEN $3::bigint = 0 THEN 0 END, CASE WHEN $3::bigint = 0 THEN clock_timestamp() END)`

const insertTicketType = `INSERT INTO booking.ticket_type (ticket_type_id, event_id, position, name, price, fees,
	min_per_order, max_per_order, sales_start, sales_end, quotas, terms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`

// InsertEvent stores a new event and announces it when it is published.
func (s *Store) InsertEvent(ctx context.Context, tx txn.Tx, e booking.Event) error {
	args, err := eventArgs(&e)
	if err != nil {
		return err
	}
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		tag, err := tx.Exec(ctx, insertEvent, args...)
		if err != nil {
			return fmt.Errorf("insert event: %w", sqldb.Classify(err))
		}
		if tag.RowsAffected() == 0 {
			var there string
			if err := tx.QueryRow(ctx, selectEventOfSource, e.Organizer.String(), e.SourceKey()).Scan(&there); err != nil {
				return fmt.Errorf("find event of source: %w", sqldb.Classify(err))
			}
			return booking.ErrEventExists.With("the organizer has this event of %s already", e.Source.Name).Field("event_id", there)
		}
		var now time.Time
		if err := tx.QueryRow(ctx, selectClock).Scan(&now); err != nil {
			return err
		}
		b := &pgx.Batch{}
		if err := queueEventParts(b, &e, now); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("insert event: %w", sqldb.Classify(err))
		}
		return s.announce(ctx, tx, e)
	})
}

// eventArgs are what insertEvent takes.
func eventArgs(e *booking.Event) ([]any, error) {
	venue, source, err := describe(*e)
	if err != nil {
		return nil, err
	}
	refunds, err := refundsText(e.Refunds)
	return []any{
		e.ID.String(), e.Organizer.String(), e.Name, e.Summary, e.Category, venue, e.StartsAt, e.EndsAt, e.TimeZone, e.Currency,
		string(e.State), source, e.Version, int64(e.Epoch), string(e.Placement), e.SourceKey(), e.Series.String(), e.Slot, refunds,
	}, err
}

// queueEventParts queues the rows of a new event besides its own.
func queueEventParts(b *pgx.Batch, e *booking.Event, now time.Time) error {
	for i, q := range e.Quotas {
		b.Queue(insertQuota, q.ID.String(), e.ID.String(), int64(i), q.Name, q.Size, q.Held, q.Sold, q.Allocated)
	}
	for i, t := range e.Types {
		terms, err := termsText(t.Terms)
		if err != nil {
			return err
		}
		b.Queue(insertTicketType, t.ID.String(), e.ID.String(), int64(i), t.Name, t.Price.Amount, t.Fees.Amount,
			t.MinPerOrder, t.MaxPerOrder, t.SalesStart, t.SalesEnd, texts(t.Quotas), terms)
		queueTiers(b, e.ID, t)
	}
	if err := queueSeating(b, e); err != nil {
		return err
	}
	opening := &booking.Stock{Event: *e, Now: now, Log: e.Openings()}
	return queueLedger(b, opening, e.Quotas, booking.LedgerHead{})
}

// announce writes the outbox row that carries a published event into every
// cell's catalogue; a draft is nobody's business.
func (s *Store) announce(ctx context.Context, tx txn.Tx, e booking.Event) error {
	if e.State == booking.Drafted {
		return nil
	}
	return s.recall(ctx, tx, e)
}

// recall is announce of an event that is a draft again as well: every catalogue keeps a
// tombstone of it.
func (s *Store) recall(ctx context.Context, tx txn.Tx, e booking.Event) error {
	if s.Announce == nil {
		return nil
	}
	payload, err := s.Announce(e)
	if err != nil {
		return fmt.Errorf("announce %s: %w", e.ID, err)
	}
	return s.Publish(ctx, tx, Outgoing{Key: e.ID.String(), Subject: bus.Catalog(s.Cell, e.ID.String()), Payload: payload})
}

func describe(e booking.Event) (venue, source []byte, err error) {
	if venue, err = json.Marshal(e.Venue); err != nil {
		return nil, nil, fmt.Errorf("describe venue: %w", err)
	}
	if e.Source != nil {
		if source, err = json.Marshal(e.Source); err != nil {
			return nil, nil, fmt.Errorf("describe source: %w", err)
		}
	}
	return venue, source, nil
}

// eventColumns are what scanEvent takes.
const eventColumns = `organizer_id, name, summary, category, venue, starts_at, ends_at, time_zone, currency, state,
	source, version, epoch, placement, seated, allow_gaps, series_id, slot, refund_policy, rescheduled`

// selectEvent asks for the time as well: whether an event is over goes by the database's clock.
const selectEvent = `SELECT clock_timestamp(), ` + eventColumns + ` FROM booking.event WHERE event_id = $1`

const selectEventForUpdate = selectEvent + ` FOR UPDATE`

const selectQuotas = `SELECT quota_id, name, size, held, sold, allocated FROM booking.quota WHERE event_id = $1 ORDER BY position`

const selectQuotasForUpdate = selectQuotas + ` FOR UPDATE`

// selectTicketTypes reads the counters of tiers only for types that have terms: for
// a plain type the subquery does not run.
const selectTicketTypes = `SELECT ticket_type_id, name, price, fees, min_per_order, max_per_order, sales_start, sales_end, quotas, seat_categories, terms,
	CASE WHEN terms IS NULL THEN NULL ELSE ARRAY(SELECT t.used FROM booking.tier AS t
		WHERE t.ticket_type_id = booking.ticket_type.ticket_type_id ORDER BY t.position) END,
	CASE WHEN terms IS NULL THEN NULL ELSE clock_timestamp() END
	FROM booking.ticket_type WHERE event_id = $1 ORDER BY position`

// Event reads an event with its types, quotas and counters as they are now.
func (s *Store) Event(ctx context.Context, tx txn.Tx, event id.Event) (booking.Event, error) {
	e := booking.Event{ID: event}
	b := &pgx.Batch{}
	queueEvent(b, &e, selectEvent, selectQuotas)
	return e, s.ask(ctx, tx, b)
}

// insertOne inserts a row by a statement about rows whose first column is the key and
// which answers the keys that it has stored: whether this one was.
func (s *Store) insertOne(ctx context.Context, tx txn.Tx, sql, key string, more ...any) (stored bool, err error) {
	b := &pgx.Batch{}
	sqldb.FindOne(b, sql, func(row pgx.Row) error {
		err := row.Scan()
		stored = err == nil // said anew when the batch is sent again
		return perhaps(err)
	}, key, more...)
	err = s.keep(ctx, tx, b)
	return stored && err == nil, err
}

// queueEvent queues the three reads that make an event.
func queueEvent(b *pgx.Batch, e *booking.Event, event, quotas string) {
	b.Queue(event, e.ID.String()).QueryRow(func(row pgx.Row) error { return scanSeen(row, e) })
	b.Queue(quotas, e.ID.String()).Query(func(rows pgx.Rows) error {
		e.Quotas = nil
		for rows.Next() {
			q, err := scanQuota(rows)
			if err != nil {
				return err
			}
			e.Quotas = append(e.Quotas, q)
		}
		return rows.Err()
	})
	b.Queue(selectTicketTypes, e.ID.String()).Query(func(rows pgx.Rows) error {
		e.Types = nil
		for rows.Next() {
			t, err := scanType(rows, e)
			if err != nil {
				return err
			}
			e.Types = append(e.Types, t)
		}
		return rows.Err()
	})
}

func scanQuota(row pgx.Row) (booking.Quota, error) {
	var q booking.Quota
	var qid string
	if err := row.Scan(&qid, &q.Name, &q.Size, &q.Held, &q.Sold, &q.Allocated); err != nil {
		return q, err
	}
	var err error
	if q.ID, err = id.ParseQuota(qid); err != nil {
		return q, corrupt(err)
	}
	return q, nil
}

// scanSeen scans an event that selectEvent reads.
func scanSeen(row pgx.Row, e *booking.Event) error {
	return scanEvent(framed{Row: row, before: []any{&e.SeenAt}}, e)
}

func scanEvent(row pgx.Row, e *booking.Event) error {
	var org, state, placement string
	var venue, source, refunds, moved []byte
	var epoch int64
	var series, slot *string
	err := row.Scan(&org, &e.Name, &e.Summary, &e.Category, &venue, &e.StartsAt, &e.EndsAt, &e.TimeZone, &e.Currency, &state,
		&source, &e.Version, &epoch, &placement, &e.Seated, &e.AllowGaps, &series, &slot, &refunds, &moved)
	if errors.Is(err, pgx.ErrNoRows) {
		return booking.ErrEventNotFound
	}
	if err != nil {
		return err
	}
	e.State, e.Placement, e.Epoch = booking.State(state), topology.PlacementState(placement), topology.Epoch(epoch)
	if e.Organizer, err = id.ParseOrganizer(org); err != nil {
		return corrupt(err)
	}
	if series != nil {
		if e.Series, err = id.ParseSeries(*series); err != nil {
			return corrupt(err)
		}
	}
	if slot != nil {
		e.Slot = *slot
	}
	if err := json.Unmarshal(venue, &e.Venue); err != nil {
		return corrupt(err)
	}
	if err := scanRescheduled(e, refunds, moved); err != nil {
		return corrupt(err)
	}
	if len(source) > 0 {
		e.Source = &booking.Source{}
		if err := json.Unmarshal(source, e.Source); err != nil {
			return corrupt(err)
		}
	}
	return nil
}

func scanType(row pgx.Row, e *booking.Event) (booking.TicketType, error) {
	t := booking.TicketType{Price: money.Money{Currency: e.Currency}, Fees: money.Money{Currency: e.Currency}}
	var tid string
	var quotas []string
	var terms []byte
	var used []int64
	var seen *time.Time
	err := row.Scan(&tid, &t.Name, &t.Price.Amount, &t.Fees.Amount, &t.MinPerOrder, &t.MaxPerOrder, &t.SalesStart, &t.SalesEnd, &quotas, &t.Categories, &terms, &used, &seen)
	if err != nil {
		return t, err
	}
	if seen != nil {
		e.SeenAt = *seen
		if t.Terms, err = termsOf(terms, used); err != nil {
			return t, corrupt(err)
		}
	}
	if t.ID, err = id.ParseTicketType(tid); err != nil {
		return t, corrupt(err)
	}
	for _, q := range quotas {
		qid, err := id.ParseQuota(q)
		if err != nil {
			return t, corrupt(err)
		}
		t.Quotas = append(t.Quotas, qid)
	}
	return t, nil
}

// corrupt hides the kind of an error about our own rows: it is not the caller's fault.
func corrupt(err error) error { return fmt.Errorf("row cannot be read: %s", err.Error()) }

func texts[T fmt.Stringer](ids []T) []string {
	out := make([]string, len(ids))
	for i, v := range ids {
		out[i] = v.String()
	}
	return out
}

const updateEvent = `UPDATE booking.event SET name = $2, summary = $3, category = $4, venue = $5, starts_at = $6, ends_at = $7,
	time_zone = $8, state = $9, version = $10, described_at = clock_timestamp(), refund_policy = $11, rescheduled = $12
	WHERE event_id = $1`

// updateQuota says as well that what is told of the stock may be another, as the event is.
const updateQuota = `UPDATE booking.quota SET name = $2, size = $3, stock_version = stock_version + 1,
	stock_changed_at = CASE WHEN position = 0 THEN clock_timestamp() END WHERE quota_id = $1`

const updateTicketType = `UPDATE booking.ticket_type SET name = $2, price = $3, fees = $4, min_per_order = $5,
	max_per_order = $6, sales_start = $7, sales_end = $8, terms = $9 WHERE ticket_type_id = $1`

const selectClock = `SELECT clock_timestamp()`

// ChangeEvent locks the event, lets change decide and stores the description.
func (s *Store) ChangeEvent(ctx context.Context, tx txn.Tx, event id.Event, change func(e *booking.Event, now time.Time) error) (booking.Event, error) {
	e := booking.Event{ID: event}
	if err := alone(tx); err != nil {
		return e, err
	}
	err := s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		e = booking.Event{ID: event}
		var now time.Time
		var head booking.LedgerHead
		b := &pgx.Batch{}
		queueEvent(b, &e, selectEventForUpdate, selectQuotasForUpdate)
		b.Queue(selectClock).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
		b.Queue(selectLedgerHead, event.String()).QueryRow(func(row pgx.Row) error { return row.Scan(&head.Next, &head.Hash) })
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		before := e
		before.Quotas, before.Types = slices.Clone(e.Quotas), slices.Clone(e.Types)
		e.SeenAt = now // behind the lock, which may have been waited for
		if err := change(&e, now); err != nil {
			return err
		}
		e.Version++
		venue, _, err := describe(e)
		if err != nil {
			return err
		}
		w := &pgx.Batch{}
		refunds, err := refundsText(e.Refunds)
		if err != nil {
			return err
		}
		move, err := queueReschedule(w, &e, before.Rescheduled)
		if err != nil {
			return err
		}
		w.Queue(updateEvent, e.ID.String(), e.Name, e.Summary, e.Category, venue, e.StartsAt, e.EndsAt, e.TimeZone, string(e.State), e.Version, refunds, move)
		if err := queueParts(w, &e, &before); err != nil {
			return err
		}
		for _, q := range e.Quotas {
			w.Queue(updateQuota, q.ID.String(), q.Name, q.Size)
		}
		if err := queueTypes(w, e); err != nil {
			return err
		}
		if err := queueSeating(w, &e); err != nil {
			return err
		}
		if entries := e.Revisions(before.Quotas); len(entries) > 0 {
			if err := queueLedger(w, &booking.Stock{Event: e, Now: now, Log: entries}, alignedQuotas(e.Quotas, before.Quotas), head); err != nil {
				return err
			}
		}
		if err := tx.SendBatch(ctx, w).Close(); err != nil {
			if sqldb.Violates(err, "quota_name") {
				return booking.ErrInvalidEvent.At("/name", "another quota has this name")
			}
			return err
		}
		if e.State == booking.Drafted && before.State != booking.Drafted {
			return s.recall(ctx, tx, e)
		}
		return s.announce(ctx, tx, e)
	})
	return e, err
}

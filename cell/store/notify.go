package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// Two constraints say the same, the id and what it is made of: two processes at once
// may meet at either, so neither is named.
const insertMessages = `INSERT INTO notify.message (message_id, event_id, order_id, kind, part, address, name, locale, state, next_at, created_at)
	SELECT n.message_id, n.event_id, n.order_id, n.kind, n.part, n.address, n.name, n.locale, 'queued', clock_timestamp(), clock_timestamp()
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
		AS n (message_id, event_id, order_id, kind, part, address, name, locale)
	ON CONFLICT DO NOTHING`

const insertReach = `INSERT INTO notify.reach (address_hash, order_id, event_id, at)
	SELECT n.address_hash, n.order_id, n.event_id, clock_timestamp() FROM unnest($1::text[], $2::text[], $3::text[]) AS n (address_hash, order_id, event_id)
	ON CONFLICT (address_hash, order_id) DO NOTHING`

// Enqueue stores a mail once, and with tickets that the address has them.
func (s *Store) Enqueue(ctx context.Context, tx txn.Tx, m notify.Message) error {
	b := &pgx.Batch{}
	b.Queue(insertMessages, messageRow(m)...)
	if m.Kind == notify.OrderPaid {
		b.Queue(insertReach, sqldb.Row(notify.AddressHash(m.To), m.Order.String(), m.Order.Event().String())...)
	}
	if m.Caused {
		b.Queue(insertCaused, sqldb.Row(notify.LimitHash(m.To), m.ID())...)
	}
	if err := reachTicket(b, &m); err != nil {
		return err
	}
	return s.putAll(ctx, tx, b)
}

func messageRow(m notify.Message) []any {
	event := "" // of a search, which is forgotten sooner than others
	if !m.Order.IsZero() {
		event = m.Order.Event().String()
	} else if inv, err := id.ParseInvitation(m.Part); err == nil && m.Kind == notify.Invitation {
		event = id.OrganizerOf(inv).String()
	}
	return sqldb.Row(m.ID(), event, m.About(), string(m.Kind), m.Part, m.To, m.Name, m.Locale)
}

const countParts = `SELECT count(*) FROM notify.message WHERE order_id = $1 AND kind = $2 AND substr(part, 1, length($3::text)) = $3::text`

// Again stores m in the first free one of limit slots of the window at hand. The
// slots are what holds the limit: a part exists once, whoever races for it.
func (s *Store) Again(ctx context.Context, tx txn.Tx, m notify.Message, prefix string, limit int, window time.Duration) (wait time.Duration, err error) {
	now, err := s.Clock(ctx, tx)
	if err != nil {
		return 0, err
	}
	start := now.Truncate(window)
	slots := fmt.Sprintf("%s%d-", prefix, start.Unix())
	var taken int
	if err := s.on(tx).QueryRow(ctx, countParts, m.About(), string(m.Kind), slots).Scan(&taken); err != nil {
		return 0, sqldb.Classify(err)
	}
	for n := taken; n < limit; n++ {
		m.Part = fmt.Sprintf("%s%d", slots, n)
		tag, err := s.on(tx).Exec(ctx, insertMessages, messageRow(m)...)
		if err != nil {
			return 0, sqldb.Classify(err)
		}
		if tag.RowsAffected() == 0 {
			continue
		}
		if m.Caused {
			_, err = s.on(tx).Exec(ctx, insertCaused, sqldb.Row(notify.LimitHash(m.To), m.ID())...)
		}
		return 0, sqldb.Classify(err)
	}
	return start.Add(window).Sub(now), nil
}

const claimMessages = `UPDATE notify.message SET attempts = attempts + 1, next_at = clock_timestamp() + $2::float8 * INTERVAL '1 second'
	WHERE message_id IN (SELECT m.message_id FROM notify.message AS m WHERE m.state = 'queued' AND m.next_at <= statement_timestamp()
		ORDER BY m.next_at LIMIT $1 FOR UPDATE SKIP LOCKED)
	RETURNING message_id, order_id, kind, part, address, name, locale, attempts, created_at, clock_timestamp() - created_at`

// Claim leases queued messages whose time has come.
func (s *Store) Claim(ctx context.Context, limit int, lease time.Duration) ([]notify.Claimed, error) {
	rows, err := s.DB.Pool.Query(ctx, claimMessages, limit, lease.Seconds())
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	claimed, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (notify.Claimed, error) {
		var c notify.Claimed
		var about, k string
		if err := row.Scan(&c.MessageID, &about, &k, &c.Part, &c.To, &c.Name, &c.Locale, &c.Attempt, &c.QueuedAt, &c.Waited); err != nil {
			return c, err
		}
		if c.Kind = notify.Kind(k); c.Kind == notify.FindMyTickets || c.Kind == notify.Invitation || c.Kind == notify.SignIn {
			return c, nil
		}
		var err error
		if c.Order, err = id.ParseOrder(about); err != nil {
			return c, corrupt(err)
		}
		return c, nil
	})
	return claimed, sqldb.Classify(err)
}

const endMessage = `UPDATE notify.message SET state = $3, reason = $4, ended_at = clock_timestamp()
	WHERE message_id = $1 AND attempts = $2 AND state = 'queued'`

// End stores how a message ended, unless another sender has it by now.
func (s *Store) End(ctx context.Context, c notify.Claimed, to notify.State, reason string) error {
	_, err := s.DB.Pool.Exec(ctx, endMessage, c.MessageID, c.Attempt, string(to), reason)
	return sqldb.Classify(err)
}

const delayMessage = `UPDATE notify.message SET reason = $4, next_at = clock_timestamp() + $3::float8 * INTERVAL '1 second'
	WHERE message_id = $1 AND attempts = $2 AND state = 'queued'`

// Later lets a message wait.
func (s *Store) Later(ctx context.Context, c notify.Claimed, in time.Duration, reason string) error {
	_, err := s.DB.Pool.Exec(ctx, delayMessage, c.MessageID, c.Attempt, in.Seconds(), reason)
	return sqldb.Classify(err)
}

const shelveMessages = `UPDATE notify.message SET state = 'unsent', reason = $1, ended_at = clock_timestamp()
	WHERE message_id IN (SELECT m.message_id FROM notify.message AS m WHERE m.state = 'queued' AND m.next_at <= statement_timestamp()
		ORDER BY m.next_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// Shelve turns what is due into unsent.
func (s *Store) Shelve(ctx context.Context, reason string, limit int) (int64, error) {
	tag, err := s.DB.Pool.Exec(ctx, shelveMessages, reason, limit)
	return tag.RowsAffected(), sqldb.Classify(err)
}

const unshelveMessages = `UPDATE notify.message SET state = 'queued', reason = '', ended_at = NULL, next_at = clock_timestamp()
	WHERE state = 'unsent' AND address <> '' AND created_at > statement_timestamp() - $1::float8 * INTERVAL '1 second'`

// Unshelve queues what is unsent and young again.
func (s *Store) Unshelve(ctx context.Context, age time.Duration) (int64, error) {
	tag, err := s.DB.Pool.Exec(ctx, unshelveMessages, age.Seconds())
	return tag.RowsAffected(), sqldb.Classify(err)
}

const forgetMessages = `UPDATE notify.message SET address = '', name = '', reason = ''
	WHERE message_id IN (SELECT m.message_id FROM notify.message AS m WHERE m.state <> 'queued' AND m.address <> ''
		AND m.ended_at < statement_timestamp() - $1::float8 * INTERVAL '1 second' ORDER BY m.ended_at LIMIT $2)`

const forgetSearches = `DELETE FROM notify.message
	WHERE message_id IN (SELECT m.message_id FROM notify.message AS m WHERE m.event_id = ''
		AND m.created_at < statement_timestamp() - $1::float8 * INTERVAL '1 second' LIMIT $2)`

// Forget removes personal data whose time is over.
func (s *Store) Forget(ctx context.Context, keep, searches time.Duration, limit int) (int64, error) {
	forgotten, err := s.DB.Pool.Exec(ctx, forgetMessages, keep.Seconds(), limit)
	if err != nil {
		return 0, sqldb.Classify(err)
	}
	gone, err := s.DB.Pool.Exec(ctx, forgetSearches, searches.Seconds(), limit)
	return forgotten.RowsAffected() + gone.RowsAffected(), sqldb.Classify(err)
}

const selectReach = `SELECT order_id FROM notify.reach WHERE address_hash = $1 ORDER BY at DESC, order_id LIMIT $2`

// OrdersReached lists orders that an address was told about, youngest first.
func (s *Store) OrdersReached(ctx context.Context, addressHash string, limit int) ([]id.Order, error) {
	rows, err := s.DB.Pool.Query(ctx, selectReach, addressHash, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	orders, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id.Order, error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return id.Order{}, err
		}
		return id.ParseOrder(text)
	})
	return orders, sqldb.Classify(err)
}

const countMessages = `SELECT state, count(*) FROM notify.message WHERE state = 'queued' OR state = 'unsent' GROUP BY state`

// Waiting counts messages that have not left, by state.
func (s *Store) Waiting(ctx context.Context) (map[string]int64, error) {
	rows, err := s.DB.Pool.Query(ctx, countMessages)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	counts := map[string]int64{}
	for rows.Next() {
		var state string
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return nil, sqldb.Classify(err)
		}
		counts[state] = n
	}
	return counts, sqldb.Classify(rows.Err())
}

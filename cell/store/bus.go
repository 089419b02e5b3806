package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/bus"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// Retention of the bus's tables. The inbox must outlive every stream a message
// could be delivered from again; the outbox is the record from which a leaf that
// lost its disk is told again.
const (
	OutboxRetention = 24 * time.Hour
	InboxRetention  = 14 * 24 * time.Hour
	ParkedRetention = 90 * 24 * time.Hour
	sweepBatch      = 1000 // rows of one DELETE
	sweepRounds     = 50   // DELETEs of one table in one sweep
	maxReason       = 1000 // bytes of a parked message's reason
)

const (
	// publishOne raises the bucket and writes the row in one statement.
	publishOne = `WITH raised AS (UPDATE bus.bucket SET last_seq = last_seq + 1 WHERE bucket = $1 RETURNING last_seq)
		INSERT INTO bus.outbox (bucket, seq, event_key, subject, message_id, payload)
		SELECT $1, raised.last_seq, $2, $3, $4 || raised.last_seq::text, $5 FROM raised`

	// lockBuckets takes counter rows in the one order in which everybody does.
	lockBuckets = `SELECT bucket FROM bus.bucket WHERE bucket = ANY($1) ORDER BY bucket FOR UPDATE`

	// publishMany is publishOne for several buckets that are locked. place is where a
	// row comes among those of its bucket, from 1.
	publishMany = `WITH raised AS (UPDATE bus.bucket SET last_seq = last_seq + r.n FROM unnest($1::bigint[], $2::bigint[]) AS r (bucket, n)
			WHERE bus.bucket.bucket = r.bucket RETURNING bus.bucket.bucket, bus.bucket.last_seq - r.n AS before)
		INSERT INTO bus.outbox (bucket, seq, event_key, subject, message_id, payload)
		SELECT o.bucket, raised.before + o.place, o.event_key, o.subject, o.prefix || (raised.before + o.place)::text, o.payload
		FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bytea[])
			AS o (bucket, place, event_key, subject, prefix, payload)
		JOIN raised ON raised.bucket = o.bucket`

	selectMoved = `SELECT b.bucket, c.seq, b.last_seq FROM bus.bucket AS b
		JOIN bus.relay_cursor AS c ON c.bucket = b.bucket
		WHERE b.last_seq > c.seq ORDER BY b.bucket`

	selectOutbox = `SELECT seq, subject, message_id, payload FROM bus.outbox
		WHERE bucket = $1 AND seq > $2 ORDER BY seq LIMIT $3`

	advanceCursor = `UPDATE bus.relay_cursor SET seq = $3 WHERE bucket = $1 AND seq = $2`

	rewindCursor = `UPDATE bus.relay_cursor SET seq = $2 WHERE bucket = $1 AND seq > $2`

	// selectOldest looks at each bucket's rows from the oldest on, of which there are no
	// more than the outbox keeps, until it meets one that is new enough.
	selectOldest = `SELECT found.bucket, found.seq FROM (
			SELECT b.bucket, (SELECT o.seq FROM bus.outbox AS o WHERE o.bucket = b.bucket AND o.created_at >= $1 ORDER BY o.seq LIMIT 1) AS seq FROM bus.bucket AS b
		) AS found WHERE found.seq IS NOT NULL ORDER BY found.bucket`

	insertInbox = `INSERT INTO bus.inbox (consumer, message_id) VALUES ($1, $2) ON CONFLICT (consumer, message_id) DO NOTHING`

	insertParked = `INSERT INTO bus.parked (consumer, message_id, subject, payload, reason, deliveries)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (consumer, message_id) DO NOTHING`

	selectParked = `SELECT consumer, message_id, subject, payload, reason, deliveries, parked_at FROM bus.parked
		ORDER BY parked_at DESC, consumer, message_id LIMIT $1`

	// The head of a bucket first, its age second: a sweep never reads more than a
	// batch of rows that are too young.
	sweepOutbox = `DELETE FROM bus.outbox WHERE bucket = $1 AND seq IN (
			SELECT head.seq FROM (
				SELECT o.seq, o.created_at FROM bus.outbox AS o
				WHERE o.bucket = $1 AND o.seq <= (SELECT c.seq FROM bus.relay_cursor AS c WHERE c.bucket = $1)
				ORDER BY o.seq LIMIT $3) AS head
			WHERE head.created_at < now() - $2::float8 * INTERVAL '1 second')`

	sweepInbox = `DELETE FROM bus.inbox WHERE (consumer, message_id) IN (
			SELECT i.consumer, i.message_id FROM bus.inbox AS i
			WHERE i.seen_at < now() - $1::float8 * INTERVAL '1 second' ORDER BY i.seen_at LIMIT $2)`

	sweepParked = `DELETE FROM bus.parked WHERE (consumer, message_id) IN (
			SELECT p.consumer, p.message_id FROM bus.parked AS p
			WHERE p.parked_at < now() - $1::float8 * INTERVAL '1 second' ORDER BY p.parked_at LIMIT $2)`
)

// Outgoing is a fact to be published.
type Outgoing = bus.Outgoing

// Publish writes the outbox rows of msgs in the transaction tx, so that the
// world hears exactly what was committed (P5). The buckets' counter rows stay
// locked until the commit, which makes commit order seq order: call it once, last
// in the transaction, with all messages; buckets are then locked in one order.
func (s *Store) Publish(ctx context.Context, tx txn.Tx, msgs ...Outgoing) error {
	if len(msgs) == 0 {
		return nil
	}
	if len(msgs) > bus.MaxAtOnce {
		return bus.ErrUnfit.With("%d messages at once, the limit is %d", len(msgs), bus.MaxAtOnce)
	}
	if w := sharedOf(tx); w != nil { // they are written last, with everybody's
		return w.publish(tx, s.Cell, msgs)
	}
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		b := &pgx.Batch{}
		if err := s.queueOutbox(b, msgs...); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("write outbox: %w", sqldb.Classify(err))
		}
		return nil
	})
}

// queueOutbox is Publish in a batch: queue it last, so that the buckets are locked for as
// short as can be.
func (s *Store) queueOutbox(b *pgx.Batch, msgs ...Outgoing) error {
	for _, m := range msgs {
		if err := m.Check(s.Cell); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	switch len(msgs) {
	case 0:
	case 1:
		m, bucket := msgs[0], bus.BucketOf(msgs[0].Key)
		b.Queue(publishOne, bucket, m.Key, m.Subject, s.messagePrefix(bucket), payloadOf(m))
	default:
		s.queueMany(b, msgs)
	}
	return nil
}

func (s *Store) queueMany(b *pgx.Batch, msgs []Outgoing) {
	var buckets, counts, of, places []int64
	var keys, subjects, prefixes []string
	var payloads [][]byte
	perBucket := make([]int64, bus.Buckets)
	for _, m := range msgs {
		bucket := bus.BucketOf(m.Key)
		perBucket[bucket]++
		of, places, payloads = append(of, int64(bucket)), append(places, perBucket[bucket]), append(payloads, payloadOf(m))
		keys, subjects, prefixes = append(keys, m.Key), append(subjects, m.Subject), append(prefixes, s.messagePrefix(bucket))
	}
	for bucket, n := range perBucket {
		if n > 0 {
			buckets, counts = append(buckets, int64(bucket)), append(counts, n)
		}
	}
	b.Queue(lockBuckets, buckets)
	b.Queue(publishMany, buckets, counts, of, places, keys, subjects, prefixes, payloads)
}

// payloadOf is what the message carries; nil would be NULL.
func payloadOf(m Outgoing) []byte {
	if m.Payload == nil {
		return []byte{}
	}
	return m.Payload
}

// messagePrefix names the cell: an id that two cells share would be deduplicated
// away at the hub, silently (facts, "NATS").
func (s *Store) messagePrefix(bucket int) string {
	return string(s.Cell) + "-" + strconv.Itoa(bucket) + "-"
}

// Moved implements bus.Outbox.
func (s *Store) Moved(ctx context.Context) ([]bus.Span, error) {
	rows, err := s.DB.Pool.Query(ctx, selectMoved)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	spans, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (bus.Span, error) {
		var sp bus.Span
		err := row.Scan(&sp.Bucket, &sp.After, &sp.Last)
		return sp, err
	})
	return spans, sqldb.Classify(err)
}

// Read implements bus.Outbox.
func (s *Store) Read(ctx context.Context, bucket int, after int64, limit int) ([]bus.Record, error) {
	rows, err := s.DB.Pool.Query(ctx, selectOutbox, bucket, after, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (bus.Record, error) {
		r := bus.Record{Bucket: bucket}
		err := row.Scan(&r.Seq, &r.Subject, &r.MessageID, &r.Payload)
		return r, err
	})
	return records, sqldb.Classify(err)
}

// Advance implements bus.Outbox.
func (s *Store) Advance(ctx context.Context, bucket int, from, to int64) error {
	_, err := s.DB.Pool.Exec(ctx, advanceCursor, bucket, from, to)
	return sqldb.Classify(err)
}

// Rewind moves the cursors back to the oldest rows that are still kept and not
// older than since, so that the relay sends them again: after a leaf lost its
// disk. Consumers know what they have seen. It answers how many buckets moved.
func (s *Store) Rewind(ctx context.Context, since time.Time) (int, error) {
	moved := 0
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		moved = 0
		rows, err := tx.Query(ctx, selectOldest, since)
		if err != nil {
			return err
		}
		oldest, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (bus.Record, error) {
			var r bus.Record
			err := row.Scan(&r.Bucket, &r.Seq)
			return r, err
		})
		if err != nil {
			return err
		}
		for _, r := range oldest {
			tag, err := tx.Exec(ctx, rewindCursor, r.Bucket, r.Seq-1)
			if err != nil {
				return err
			}
			moved += int(tag.RowsAffected())
		}
		return nil
	})
	return moved, sqldb.Classify(err)
}

// Once reports whether this is the first time that consumer's effect of the
// message happens. It writes the inbox row in the transaction tx, the one of
// the effect: both are there or neither (P5). A concurrent twin waits here.
func (s *Store) Once(ctx context.Context, tx txn.Tx, consumer, messageID string) (first bool, err error) {
	tag, err := s.on(tx).Exec(ctx, insertInbox, consumer, messageID)
	if err != nil {
		return false, fmt.Errorf("remember message %s: %w", messageID, sqldb.Classify(err))
	}
	return tag.RowsAffected() == 1, nil
}

// Park implements bus.Parking.
func (s *Store) Park(ctx context.Context, p bus.Parked) error {
	payload := p.Message.Payload
	if payload == nil {
		payload = []byte{}
	}
	_, err := s.DB.Pool.Exec(ctx, insertParked, p.Consumer, p.Message.ID, p.Message.Subject, payload,
		printableReason(p.Reason, maxReason), p.Message.Delivery)
	return sqldb.Classify(err)
}

// ParkedRow is a parked message as people see it.
type ParkedRow struct {
	bus.Parked
	At time.Time
}

// Parked lists the newest parked messages.
func (s *Store) Parked(ctx context.Context, limit int) ([]ParkedRow, error) {
	rows, err := s.DB.Pool.Query(ctx, selectParked, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ParkedRow, error) {
		var p ParkedRow
		err := row.Scan(&p.Consumer, &p.Message.ID, &p.Message.Subject, &p.Message.Payload, &p.Reason, &p.Message.Delivery, &p.At)
		p.Message.Cell = bus.CellOf(p.Message.Subject)
		return p, err
	})
	return out, sqldb.Classify(err)
}

// SweepBus deletes what is past its retention, in bounded batches, and answers
// how many rows went. Outbox rows go only behind the relay's cursor.
func (s *Store) SweepBus(ctx context.Context) (int64, error) {
	return s.sweepBus(ctx, OutboxRetention, InboxRetention, ParkedRetention)
}

func (s *Store) sweepBus(ctx context.Context, outbox, inbox, parked time.Duration) (int64, error) {
	var total int64
	sweep := func(sql string, args ...any) error {
		for range sweepRounds {
			tag, err := s.DB.Pool.Exec(ctx, sql, args...)
			if err != nil {
				return sqldb.Classify(err)
			}
			total += tag.RowsAffected()
			if tag.RowsAffected() < sweepBatch {
				return nil
			}
		}
		return nil
	}
	for bucket := range bus.Buckets {
		if err := sweep(sweepOutbox, bucket, outbox.Seconds(), sweepBatch); err != nil {
			return total, fmt.Errorf("sweep outbox: %w", err)
		}
	}
	if !s.expires.Load() {
		if err := sweep(sweepInbox, inbox.Seconds(), sweepBatch); err != nil {
			return total, fmt.Errorf("sweep inbox: %w", err)
		}
	}
	if err := sweep(sweepParked, parked.Seconds(), sweepBatch); err != nil {
		return total, fmt.Errorf("sweep parked: %w", err)
	}
	return total, nil
}

// printableReason cuts s to at most limit bytes of text that SQL can store.
func printableReason(s string, limit int) string {
	out := make([]rune, 0, min(len(s), limit))
	size := 0
	for _, r := range s {
		if r == 0 {
			continue
		}
		if size += len(string(r)); size > limit {
			break
		}
		out = append(out, r)
	}
	return string(slices.Clip(out))
}

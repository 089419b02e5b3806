package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
)

// insertHolds writes holds by kind: what those of a kind have in common is sent, and
// its JSON read, once. Most holds of a batch are of the same few kinds; a row costs a third
// less this way, and a tenth more when all of a batch differ (docs/adr/008-the-desk.md).
const insertHolds = `WITH k AS MATERIALIZED (SELECT a.kind, a.event_id, a.state, a.expires_at, a.granted_until, a.total, a.currency, a.items::jsonb AS items
	FROM unnest($2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::text[], $9::text[])
		AS a (kind, event_id, state, expires_at, granted_until, total, currency, items))
	INSERT INTO booking.hold (hold_id, event_id, state, created_at, expires_at, granted_until, total, currency, items, asked_mark)
	SELECT h.hold_id, k.event_id, k.state, $1, k.expires_at, k.granted_until, k.total, k.currency, k.items, h.asked_mark
	FROM unnest($10::text[], $11::bytea[], $12::bigint[]) AS h (hold_id, asked_mark, kind) JOIN k ON k.kind = h.kind`

// insertAlike writes holds of one kind, as most batches of one event have: a row costs a
// sixth less than with a join.
const insertAlike = `INSERT INTO booking.hold (hold_id, event_id, state, created_at, expires_at, granted_until, total, currency, items, asked_mark)
	SELECT h.hold_id, $2, $3, $1, $4, $5, $6, $7, $8::jsonb, h.asked_mark FROM unnest($9::text[], $10::bytea[]) AS h (hold_id, asked_mark)`

// freshHolds are holds to be inserted, by column.
type freshHolds struct {
	ids   []string
	asked [][]byte
	kinds []int64 // each one's place among the kinds

	kind struct {
		places                            []int64
		events, states, items, currencies []string
		ends, first                       []time.Time
		totals                            []int64
	}
	seen []*booking.Hold // one of each kind, at its place
}

// recentKinds is how many kinds a hold is compared with, the newest first.
const recentKinds = 4

// add takes in a hold of the event.
func (f *freshHolds) add(event id.Event, currency string, h *booking.Hold) error {
	kind, err := f.kindOf(event, currency, h)
	if err != nil {
		return err
	}
	var asked []byte
	if h.Asked != (booking.Mark{}) {
		asked = h.Asked[:]
	}
	f.ids, f.asked, f.kinds = append(f.ids, h.ID.String()), append(f.asked, asked), append(f.kinds, kind)
	return nil
}

// kindOf finds the hold's kind among the recent ones, or makes it. That one kind may
// be there twice costs a few bytes.
func (f *freshHolds) kindOf(event id.Event, currency string, h *booking.Hold) (int64, error) {
	k := &f.kind
	for i := len(f.seen) - 1; i >= max(0, len(f.seen)-recentKinds); i-- {
		if alike(f.seen[i], h) {
			return int64(i), nil
		}
	}
	items, err := json.Marshal(h.Items)
	if err != nil {
		return 0, fmt.Errorf("describe hold: %w", err)
	}
	place := int64(len(k.places))
	k.places, k.events, k.states, k.items = append(k.places, place), append(k.events, event.String()), append(k.states, string(h.State)), append(k.items, string(items))
	k.ends, k.first, k.totals, k.currencies = append(k.ends, h.ExpiresAt), append(k.first, h.GrantedUntil), append(k.totals, h.Total.Amount), append(k.currencies, currency)
	f.seen = append(f.seen, h)
	return place, nil
}

// alike says that two new holds differ in nothing but their ids and in who asked; of two
// events they never are, as a ticket type belongs to one.
func alike(a, b *booking.Hold) bool {
	return len(a.Items) == 1 && len(b.Items) == 1 && a.Items[0].Same(&b.Items[0]) && a.State == b.State &&
		a.ExpiresAt.Equal(b.ExpiresAt) && a.GrantedUntil.Equal(b.GrantedUntil) && a.Total.Amount == b.Total.Amount
}

func (f *freshHolds) queue(b *pgx.Batch, now time.Time) {
	switch k := &f.kind; len(k.places) {
	case 0:
	case 1:
		b.Queue(insertAlike, now, k.events[0], k.states[0], k.ends[0], k.first[0], k.totals[0], k.currencies[0], k.items[0], f.ids, f.asked)
	default:
		b.Queue(insertHolds, now, k.places, k.events, k.states, k.ends, k.first, k.totals, k.currencies, k.items, f.ids, f.asked, f.kinds)
	}
}

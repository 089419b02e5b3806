package storetest

import (
	"testing"

	"guichet/cell/id"
	"guichet/cell/store"
)

// holdForgotten: what ended unsold long ago goes, and nothing else does.
func holdForgotten(t *testing.T, s *store.Store) {
	b := openShop(t, s, 20, 20)
	put := func(state, order string, days int) id.Hold {
		h := b.mustHold(t, b.floor, 1)
		b.exec(t, `UPDATE booking.hold SET state = $2, order_id = $3, expires_at = clock_timestamp() - $4::bigint * interval '1 day' WHERE hold_id = $1`, h.ID.String(), state, order, days)
		return h.ID
	}
	gone := []id.Hold{put("expired", "", 31), put("released", "", 400)}
	named := put("released", "", 400)
	kept := []id.Hold{named, put("expired", "", 29), put("converted", "ord_x", 400), put("released", "ord_y", 400), put("active", "", 31)}
	b.exec(t, `INSERT INTO booking.named_hold (hold_id, event_id, allocation_id, buyer_name, buyer_email, created_at) VALUES ($1, $2, 'all_x', 'Ana', '', now())`, named.String(), b.event.ID.String())
	next, n, err := s.ForgetHolds(t.Context(), "")
	if err != nil || next != "" || n != int64(len(gone)) {
		t.Fatalf("%d holds are gone, on from %q, %v", n, next, err)
	}
	for _, h := range gone {
		if b.number(t, `SELECT count(*) FROM booking.hold WHERE hold_id = $1`, h.String()) != 0 {
			t.Errorf("%s is there", h)
		}
	}
	for _, h := range kept {
		if b.number(t, `SELECT count(*) FROM booking.hold WHERE hold_id = $1`, h.String()) != 1 {
			t.Errorf("%s is gone", h)
		}
	}
}

package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/internal/sqldb"
)

// What a transaction counted is added, not set: it may end holds whose counters
// it never read. The event's lock makes the sums right, the constraints say so.
const (
	addTiers = `UPDATE booking.tier SET used = used + n.moved FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (type, position, moved)
	WHERE booking.tier.ticket_type_id = n.type AND booking.tier.position = n.position AND booking.tier.ticket_type_id = ANY($1)`

	addCodes = `UPDATE booking.code SET uses = booking.code.uses + n.uses, spent = booking.code.spent + n.spent
	FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS n (code, uses, spent)
	WHERE booking.code.event_id = $1 AND booking.code.code = n.code AND booking.code.code = ANY($2)`

	addBought = `INSERT INTO booking.buyer_tally (event_id, buyer, ticket_type_id, bought)
	SELECT $1, n.buyer, n.type, n.moved FROM unnest($2::text[], $3::text[], $4::bigint[]) AS n (buyer, type, moved)
	ON CONFLICT (event_id, buyer, ticket_type_id) DO UPDATE SET bought = booking.buyer_tally.bought + excluded.bought`

	takeBought = `UPDATE booking.buyer_tally SET bought = bought - n.moved
	FROM unnest($2::text[], $3::text[], $4::bigint[]) AS n (buyer, type, moved)
	WHERE booking.buyer_tally.event_id = $1 AND booking.buyer_tally.buyer = n.buyer AND booking.buyer_tally.ticket_type_id = n.type
		AND booking.buyer_tally.buyer = ANY($2)`

	deleteBought = `DELETE FROM booking.buyer_tally WHERE event_id = $1 AND buyer = ANY($2) AND bought = 0`

	insertBuyerHolds = `INSERT INTO booking.buyer_hold (event_id, buyer, hold_id)
	SELECT $1, n.buyer, n.hold_id FROM unnest($2::text[], $3::text[]) AS n (buyer, hold_id)`

	deleteBuyerHolds = `DELETE FROM booking.buyer_hold WHERE event_id = $1 AND buyer = ANY($2) AND hold_id = ANY($3)`

	setItems = `UPDATE booking.hold SET items = $2 WHERE hold_id = $1`
)

// queueCounters writes what changed of tiers, codes and buyers; a plain event's
// batch has nothing of that.
func queueCounters(b *pgx.Batch, stock *booking.Stock, before *snapshot) error {
	event := stock.ID.String()
	m := &stock.Counters.Moved
	queueTiersUsed(b, m.Tiers)
	queueCodesUsed(b, event, m.Codes)
	queueBought(b, event, m.Bought)
	return queueBuyerHolds(b, stock, before)
}

func queueTiersUsed(b *pgx.Batch, tiers map[booking.TierKey]int64) {
	var types []string
	var positions, moved []int64
	for k, n := range tiers {
		if n != 0 {
			types, positions, moved = append(types, k.Type.String()), append(positions, k.Tier), append(moved, n)
		}
	}
	if len(types) > 0 {
		b.Queue(addTiers, types, positions, moved)
	}
}

func queueCodesUsed(b *pgx.Batch, event string, codes map[string]booking.Use) {
	var names []string
	var uses, spent []int64
	for code, u := range codes {
		if u != (booking.Use{}) {
			names, uses, spent = append(names, code), append(uses, u.Uses), append(spent, u.Spent)
		}
	}
	if len(names) > 0 {
		b.Queue(addCodes, event, names, uses, spent)
	}
}

// queueBought adds before it takes, and a row that is to shrink is never proposed
// for insertion: its constraint would refuse the negative number.
func queueBought(b *pgx.Batch, event string, bought map[booking.Bought]int64) {
	var more, less struct {
		buyers, types []string
		moved         []int64
	}
	for k, n := range bought {
		switch {
		case n > 0:
			more.buyers, more.types, more.moved = append(more.buyers, string(k.Buyer)), append(more.types, k.Type.String()), append(more.moved, n)
		case n < 0:
			less.buyers, less.types, less.moved = append(less.buyers, string(k.Buyer)), append(less.types, k.Type.String()), append(less.moved, -n)
		}
	}
	if len(more.buyers) > 0 {
		b.Queue(addBought, event, more.buyers, more.types, more.moved)
	}
	if len(less.buyers) > 0 {
		b.Queue(takeBought, event, less.buyers, less.types, less.moved)
		b.Queue(deleteBought, event, less.buyers)
	}
}

// queueBuyerHolds keeps the list of the named buyers' live holds, and the items of
// holds whose tickets were canceled or that somebody else orders.
func queueBuyerHolds(b *pgx.Batch, stock *booking.Stock, before *snapshot) error {
	var made, ended struct{ buyers, holds []string }
	for hid, h := range stock.Holds {
		old, there := before.holds[hid]
		if there && (h.Returned() != old.Returned() || h.Payer() != old.Payer()) {
			items, err := json.Marshal(h.Items)
			if err != nil {
				return fmt.Errorf("describe hold: %w", err)
			}
			b.Queue(setItems, hid.String(), items)
		}
		who := string(h.Buyer())
		switch live := h.State == booking.HoldActive; {
		case who == "":
		case !there && live:
			made.buyers, made.holds = append(made.buyers, who), append(made.holds, hid.String())
		case there && old.State == booking.HoldActive && !live:
			ended.buyers, ended.holds = append(ended.buyers, who), append(ended.holds, hid.String())
		}
	}
	if len(made.holds) > 0 {
		b.Queue(insertBuyerHolds, stock.ID.String(), made.buyers, made.holds)
	}
	if len(ended.holds) > 0 {
		b.Queue(deleteBuyerHolds, stock.ID.String(), ended.buyers, ended.holds)
	}
	return nil
}

// refusals are the constraints that repeat what the stock decides. Running into
// one takes a bug of ours, or a lock that was not taken.
var refusals = map[string]error{
	"quota_not_oversold": booking.ErrSoldOut, "tier_not_oversold": booking.ErrSoldOut,
	"seat_claimed_once": booking.ErrSeatTaken,
	"code_not_overused": booking.ErrCodeUsedUp, "code_within_budget": booking.ErrCodeUsedUp,
}

// refused says what a violated constraint means; other errors stay as they are.
func refused(err error) error {
	for constraint, means := range refusals {
		if sqldb.Violates(err, constraint) {
			return errors.Join(means, err)
		}
	}
	return err
}

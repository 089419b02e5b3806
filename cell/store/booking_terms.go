package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// termsText writes a type's terms, nil for a plain one.
func termsText(t *booking.Terms) (any, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // SQL's NULL
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("describe terms: %w", err)
	}
	return text, nil
}

// termsOf reads a type's terms with the counters of its tiers, in their order.
func termsOf(text []byte, used []int64) (*booking.Terms, error) {
	var t booking.Terms
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("terms: %w", err)
	}
	return &t, countTiers(&t, used)
}

// countTiers gives tiers their counters.
func countTiers(t *booking.Terms, used []int64) error {
	if len(used) != len(t.Tiers) {
		return fmt.Errorf("%d tiers have %d counters", len(t.Tiers), len(used))
	}
	for i := range t.Tiers {
		t.Tiers[i].Used = used[i]
	}
	return nil
}

const upsertTier = `INSERT INTO booking.tier (ticket_type_id, position, event_id, quantity) VALUES ($1, $2, $3, $4)
	ON CONFLICT (ticket_type_id, position) DO UPDATE SET quantity = excluded.quantity`

const deleteTiers = `DELETE FROM booking.tier WHERE ticket_type_id = $1 AND position > $2`

// queueTiers makes the counters of a type's tiers what its terms say.
func queueTiers(b *pgx.Batch, event id.Event, t booking.TicketType) {
	if t.Terms == nil {
		return
	}
	for i, tier := range t.Terms.Tiers {
		var quantity *int64
		if tier.Quantity > 0 {
			quantity = &tier.Quantity
		}
		b.Queue(upsertTier, t.ID.String(), int64(i+1), event.String(), quantity)
	}
}

// queueTypes stores the descriptions of an event's types.
func queueTypes(b *pgx.Batch, e booking.Event) error {
	for _, t := range e.Types {
		terms, err := termsText(t.Terms)
		if err != nil {
			return err
		}
		tiers := 0
		if t.Terms != nil {
			tiers = len(t.Terms.Tiers)
		}
		b.Queue(updateTicketType, t.ID.String(), t.Name, t.Price.Amount, t.Fees.Amount, t.MinPerOrder, t.MaxPerOrder, t.SalesStart, t.SalesEnd, terms)
		b.Queue(deleteTiers, t.ID.String(), int64(tiers))
		queueTiers(b, e.ID, t)
	}
	return nil
}

// selectAsked reads, in one statement, the codes that a batch names, what the
// buyers that it names have, and their live holds. Each is looked up by itself, as
// in selectHolds. The bounds are above what there can be, but for the holds,
// which are only told of.
const selectAsked = `SELECT n.place, 'code', f.code, f.kind, f.uses, f.spent, f.max_uses, f.budget, f.terms, NULL::timestamptz
		FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (place, event_id, code) CROSS JOIN LATERAL (SELECT c.code, c.kind, c.uses, c.spent, c.max_uses, c.budget, c.terms
			FROM booking.code AS c WHERE c.event_id = n.event_id AND c.code = n.code LIMIT 1) AS f
	UNION ALL SELECT n.place, 'bought', n.buyer, f.ticket_type_id, f.bought, 0, NULL::bigint, NULL::bigint, NULL::jsonb, NULL::timestamptz
		FROM unnest($4::bigint[], $5::text[], $6::text[]) AS n (place, event_id, buyer) CROSS JOIN LATERAL (SELECT t.ticket_type_id, t.bought
			FROM booking.buyer_tally AS t WHERE t.event_id = n.event_id AND t.buyer = n.buyer LIMIT 1000) AS f
	UNION ALL SELECT n.place, 'hold:' || f.order_id, n.buyer, f.hold_id, 0, 0, NULL::bigint, NULL::bigint, f.items, f.expires_at
		FROM unnest($4::bigint[], $5::text[], $6::text[]) AS n (place, event_id, buyer) CROSS JOIN LATERAL (SELECT h.order_id, h.hold_id, h.items, h.expires_at
			FROM booking.buyer_hold AS o JOIN booking.hold AS h ON h.hold_id = o.hold_id
			WHERE o.event_id = n.event_id AND o.buyer = n.buyer AND h.state = 'active' LIMIT 50) AS f`

// askedColumns are what is asked for, with the places of the events.
type askedColumns struct {
	places        []int64
	events, names []string
}

func (c *askedColumns) add(place int, event, name string) {
	c.places, c.events, c.names = append(c.places, int64(place)), append(c.events, event), append(c.names, name)
}

// queueAsked queues the read of what is asked for, nothing when that is nothing.
func (l stockLoads) queueAsked(b *pgx.Batch) {
	var codes, buyers askedColumns
	for i, at := range l.all {
		if len(at.asked.Codes)+len(at.asked.Buyers) == 0 {
			continue
		}
		into := &at.stock.Counters
		if into.Codes == nil {
			into.Codes, into.Bought, into.Own = map[string]*booking.Code{}, map[booking.Bought]int64{}, map[booking.Buyer][]*booking.Hold{}
		}
		slices.Sort(at.asked.Codes)
		slices.Sort(at.asked.Buyers)
		for _, code := range slices.Compact(at.asked.Codes) {
			codes.add(i, at.stock.ID.String(), code)
		}
		for _, who := range slices.Compact(at.asked.Buyers) {
			buyers.add(i, at.stock.ID.String(), string(who))
			into.Own[who] = nil // known from now on, also when there is nothing
		}
	}
	if len(codes.names)+len(buyers.names) == 0 {
		return
	}
	b.Queue(selectAsked, codes.places, codes.events, codes.names, buyers.places, buyers.events, buyers.names).Query(func(rows pgx.Rows) error {
		return eachRow(rows, l.scanAsked)
	})
}

func (l stockLoads) scanAsked(row pgx.Row) error {
	var place int64
	var what, name, other string
	var n, spent int64
	var maxUses, budget *int64
	var text []byte
	var until *time.Time
	if err := row.Scan(&place, &what, &name, &other, &n, &spent, &maxUses, &budget, &text, &until); err != nil {
		return err
	}
	into := &l.all[place].stock.Counters
	switch what {
	case "code":
		c := &booking.Code{Code: name, Kind: booking.CodeKind(other), Uses: n, Spent: spent, MaxUses: maxUses, Budget: budget}
		if err := json.Unmarshal(text, &c.Terms); err != nil {
			return corrupt(err)
		}
		into.Codes[name] = c
	case "bought":
		tid, err := id.ParseTicketType(other)
		if err != nil {
			return corrupt(err)
		}
		into.Bought[booking.Bought{Buyer: booking.Buyer(name), Type: tid}] = n
	default:
		h := &booking.Hold{State: booking.HoldActive, ExpiresAt: *until}
		var err error
		if h.ID, err = id.ParseHold(other); err != nil {
			return corrupt(err)
		}
		if err := h.Order.UnmarshalText([]byte(what[len("hold:"):])); err != nil {
			return corrupt(err)
		}
		if err := json.Unmarshal(text, &h.Items); err != nil {
			return corrupt(err)
		}
		into.Own[booking.Buyer(name)] = append(into.Own[booking.Buyer(name)], h)
	}
	return nil
}

// loadEnded reads what holds that ended were counted for: whoever named one may
// sell it all the same. There are none but when a payment comes late. Batches do
// not do this, they sell nothing: what ended is sold late through WithStock only.
func loadEnded(ctx context.Context, tx *sqldb.Tx, stock *booking.Stock) error {
	return loadAsked(ctx, tx, stock, stock.Ended())
}

// KnowBuyer implements checkout.Store.
func (s *Store) KnowBuyer(ctx context.Context, tx txn.Tx, stock *booking.Stock, who booking.Buyer) error {
	if _, known := stock.Counters.Own[who]; known || who == "" {
		return nil
	}
	if err := alone(tx); err != nil {
		return err
	}
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		return loadAsked(ctx, tx, stock, booking.Asked{Buyers: []booking.Buyer{who}})
	})
}

func loadAsked(ctx context.Context, tx *sqldb.Tx, stock *booking.Stock, asked booking.Asked) error {
	if len(asked.Codes)+len(asked.Buyers) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	ended := stockLoads{all: []*stockLoad{{stock: stock, asked: asked}}}
	ended.queueAsked(b)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("load terms of ended holds: %w", err)
	}
	return nil
}

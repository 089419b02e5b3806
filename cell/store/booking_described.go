package store

import (
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
)

// Bounds of the descriptions that a process keeps: 16 MiB of rows in all.
const (
	maxDescribed = 2048    // events
	maxKeptBytes = 8 << 10 // of one's rows, as they were read; a larger one is read each time
)

// descriptions are events as batches last read them, without what sales move: their
// quotas, and the counters of tiers. One is used only behind its event's lock, and only while the row that is
// locked names the same edition. So it is the one that would be read, and it spares a
// batch of many events the larger part of its reading.
type descriptions struct {
	mu sync.Mutex
	of map[id.Event]*description
}

type description struct {
	event booking.Event
	edition
}

// edition names a description: every change raises the version and sets the time.
type edition struct{ version, at int64 } // at in microseconds

// recall gives the loads what is kept of their events.
func (d *descriptions) recall(loads []*stockLoad) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range loads {
		at.known = d.of[at.stock.ID]
	}
}

// keep remembers the descriptions that were read behind their locks.
func (d *descriptions) keep(loads []*stockLoad) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range loads {
		switch {
		case !at.locked || at.known != nil:
		case at.bytes > maxKeptBytes:
			delete(d.of, at.stock.ID)
		default:
			d.add(at)
		}
	}
}

func (d *descriptions) add(at *stockLoad) {
	if d.of == nil {
		d.of = make(map[id.Event]*description)
	}
	if len(d.of) >= maxDescribed {
		d.forgetSome()
	}
	e := at.stock.Event
	e.Types, e.Quotas = ownTypes(e.Types), nil
	d.of[e.ID] = &description{e, at.now}
}

// forgetSome makes room; whoever is still asked for is read again.
func (d *descriptions) forgetSome() {
	room := maxDescribed / 8
	for event := range d.of {
		if room--; room < 0 {
			return
		}
		delete(d.of, event)
	}
}

// ownTypes are the types with tiers of their own, which sales move.
func ownTypes(types []booking.TicketType) []booking.TicketType {
	own := slices.Clone(types)
	for i, t := range own {
		if tiers(t) > 0 {
			terms := *t.Terms
			terms.Tiers = slices.Clone(terms.Tiers)
			own[i].Terms = &terms
		}
	}
	return own
}

func tiers(t booking.TicketType) int {
	if t.Terms == nil {
		return 0
	}
	return len(t.Terms.Tiers)
}

// selectStockEvents reads descriptions; of an event that is locked, the one that is true.
const selectStockEvents = `SELECT n.place, f.organizer_id, f.name, f.summary, f.category, f.venue, f.starts_at, f.ends_at, f.time_zone, f.currency, f.state,
	f.source, f.version, f.epoch, f.placement, f.seated, f.allow_gaps, f.series_id, f.slot, f.refund_policy, f.rescheduled
	FROM unnest($1::bigint[], $2::text[]) AS n (place, event_id)
	CROSS JOIN LATERAL (SELECT ` + eventColumns + ` FROM booking.event AS e WHERE e.event_id = n.event_id LIMIT 1) AS f`

const selectStockTypes = `SELECT n.place, f.ticket_type_id, f.name, f.price, f.fees, f.min_per_order, f.max_per_order, f.sales_start, f.sales_end,
	f.quotas, f.seat_categories, f.terms,
	CASE WHEN f.terms IS NULL THEN NULL ELSE ARRAY(SELECT t.used FROM booking.tier AS t
		WHERE t.ticket_type_id = f.ticket_type_id ORDER BY t.position) END,
	CASE WHEN f.terms IS NULL THEN NULL ELSE clock_timestamp() END
	FROM unnest($1::bigint[], $2::text[]) AS n (place, event_id)
	CROSS JOIN LATERAL (SELECT k.position, k.ticket_type_id, k.name, k.price, k.fees, k.min_per_order, k.max_per_order, k.sales_start, k.sales_end,
		k.quotas, k.seat_categories, k.terms FROM booking.ticket_type AS k WHERE k.event_id = n.event_id LIMIT 1000) AS f
	ORDER BY n.place, f.position`

// queueDescriptions reads the descriptions of the chosen.
func (l stockLoads) queueDescriptions(b *pgx.Batch, chosen func(at *stockLoad) bool) {
	var places []int64
	var events []string
	for i, at := range l.all {
		if chosen(at) {
			places, events = append(places, int64(i)), append(events, at.stock.ID.String())
		}
	}
	if len(places) > 0 {
		b.Queue(selectStockEvents, places, events).Query(func(rows pgx.Rows) error {
			return eachRow(rows, func(row pgx.Row) error { return l.scanDescription(row, bytesOf(rows)) })
		})
		b.Queue(selectStockTypes, places, events).Query(func(rows pgx.Rows) error {
			return eachRow(rows, func(row pgx.Row) error { return l.scanType(row, bytesOf(rows)) })
		})
	}
}

// bytesOf is the size of the row at hand.
func bytesOf(rows pgx.Rows) (n int) {
	for _, value := range rows.RawValues() {
		n += len(value)
	}
	return n
}

func (l stockLoads) scanDescription(row pgx.Row, bytes int) error {
	var place int64
	var e booking.Event
	if err := scanEvent(framed{Row: row, before: []any{&place}}, &e); err != nil {
		return err
	}
	at := l.all[place]
	at.bytes += bytes
	if at.locked { // nothing is known, or read further, of one that is left out
		at.describe(e)
	}
	return nil
}

// describe says what the stock's event is, but for what is read elsewhere.
func (l *stockLoad) describe(e booking.Event) {
	e.ID, e.Quotas, e.SeenAt = l.stock.ID, l.stock.Quotas, l.stock.SeenAt
	l.stock.Event = e
}

func (l stockLoads) scanType(row pgx.Row, bytes int) error {
	var place int64
	var e booking.Event // its currency is not known before its place is
	t, err := scanType(framed{Row: row, before: []any{&place}}, &e)
	if err != nil {
		return err
	}
	at := l.all[place]
	at.bytes += bytes
	t.Price.Currency, t.Fees.Currency = at.stock.Currency, at.stock.Currency
	at.stock.Types = append(at.stock.Types, t)
	return nil
}

const selectTierCounts = `SELECT n.place, n.ticket_type_id, ARRAY(SELECT t.used FROM booking.tier AS t WHERE t.ticket_type_id = n.ticket_type_id ORDER BY t.position)
	FROM unnest($1::bigint[], $2::text[]) AS n (place, ticket_type_id)`

// queueTierCounts reads the counters of the tiers that are known.
func (l stockLoads) queueTierCounts(b *pgx.Batch) {
	var places []int64
	var types []string
	for i, at := range l.all {
		if at.known == nil {
			continue
		}
		for _, t := range at.known.event.Types {
			if tiers(t) > 0 {
				places, types = append(places, int64(i)), append(types, t.ID.String())
			}
		}
	}
	if len(places) > 0 {
		b.Queue(selectTierCounts, places, types).Query(func(rows pgx.Rows) error { return eachRow(rows, l.scanTierCounts) })
	}
}

func (l stockLoads) scanTierCounts(row pgx.Row) error {
	var place int64
	var of string
	var used []int64
	if err := row.Scan(&place, &of, &used); err != nil {
		return err
	}
	at := l.all[place]
	if at.known == nil || !at.locked { // it is described anew, or left out
		return nil
	}
	tid, err := id.ParseTicketType(of)
	if err == nil {
		err = countTiers(at.stock.Type(tid).Terms, used)
	}
	if err != nil {
		return corrupt(err)
	}
	return nil
}

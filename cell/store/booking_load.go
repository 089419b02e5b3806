package store

import (
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/control-plane/topology"
)

// lockedColumns are what a stock needs of its event's row besides its description.
const lockedColumns = `version, described_at, epoch, placement`

// selectStock takes the lock of one event and waits for it.
const selectStock = `SELECT 0, ` + lockedColumns + ` FROM booking.event WHERE event_id = $1 FOR UPDATE`

// selectFreeStocks takes the locks of those events that nobody has locked, so that a
// batch of many waits for nobody and can stand in nobody's way for ever.
const selectFreeStocks = `SELECT n.place, f.version, f.described_at, f.epoch, f.placement
	FROM unnest($1::bigint[], $2::text[]) AS n (place, event_id)
	CROSS JOIN LATERAL (SELECT ` + lockedColumns + ` FROM booking.event AS e WHERE e.event_id = n.event_id FOR UPDATE SKIP LOCKED) AS f`

// Quotas and ticket types are only ever written behind their event's lock, so they
// are read without one of their own. The bounds are above what there can be: with
// them each event is looked up by itself, as in selectHolds.
const selectStockQuotas = `SELECT n.place, coalesce(f.ledger_next, 0), coalesce(f.ledger_hash, ''), f.quota_id, f.name, f.size, f.held, f.sold, f.allocated
	FROM unnest($1::bigint[], $2::text[]) AS n (place, event_id)
	CROSS JOIN LATERAL (SELECT q.position, q.ledger_next, q.ledger_hash, q.quota_id, q.name, q.size, q.held, q.sold, q.allocated
		FROM booking.quota AS q WHERE q.event_id = n.event_id LIMIT 1000) AS f
	ORDER BY n.place, f.position`

// stockLoad is an event's stock while it is being read.
type stockLoad struct {
	stock  *booking.Stock
	ledger booking.LedgerHead
	named  []id.Hold
	asked  booking.Asked
	locked bool // its row was read, behind its lock

	known   *description // as it was kept, nil when it must be read
	changed bool         // it was known, and is another now
	now     edition      // of the description that is true
	bytes   int          // of the description, where it was read
}

func newStockLoad(event id.Event, ttl time.Duration) *stockLoad {
	return &stockLoad{stock: &booking.Stock{Event: booking.Event{ID: event}, HoldTTL: ttl, Holds: map[id.Hold]*booking.Hold{}}}
}

// stockLoads are stocks that are read together.
type stockLoads struct {
	all []*stockLoad
	of  map[id.Event]*stockLoad
}

// queueLoads reads stocks behind the locks of their events, without the descriptions that
// are known; the clock is read when the locks are held. A single event is waited for and
// must be there. Of several those are left out that are locked, or not there.
func queueLoads(b *pgx.Batch, all ...*stockLoad) {
	l := stockLoads{all, make(map[id.Event]*stockLoad, len(all))}
	places, events := make([]int64, len(all)), make([]string, len(all))
	for i, at := range all {
		places[i], events[i] = int64(i), at.stock.ID.String()
		l.of[at.stock.ID] = at
	}
	if len(all) == 1 {
		b.Queue(selectStock, events[0]).QueryRow(l.scanStock)
	} else {
		b.Queue(selectFreeStocks, places, events).Query(func(rows pgx.Rows) error { return eachRow(rows, l.scanStock) })
	}
	l.queueDescriptions(b, func(at *stockLoad) bool { return at.known == nil })
	l.queueTierCounts(b)
	b.Queue(selectStockQuotas, places, events).Query(func(rows pgx.Rows) error { return eachRow(rows, l.scanQuota) })
	b.Queue(selectClock).QueryRow(l.scanClock)
	l.queueHolds(b, events)
	b.Queue(selectOpenAllocations, events).Query(func(rows pgx.Rows) error { return eachRow(rows, l.scanAside) })
	l.queueAsked(b)
}

// framed is a row with columns before those that a scan takes.
type framed struct {
	pgx.Row
	before []any
}

func (f framed) Scan(dest ...any) error {
	return f.Row.Scan(slices.Concat(f.before, dest)...)
}

// eachRow scans one row after the other.
func eachRow(rows pgx.Rows, scan func(row pgx.Row) error) error {
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (l stockLoads) scanStock(row pgx.Row) error {
	var place, epoch int64
	var placement string
	var now edition
	var describedAt time.Time
	err := row.Scan(&place, &now.version, &describedAt, &epoch, &placement)
	if errors.Is(err, pgx.ErrNoRows) {
		return booking.ErrEventNotFound
	}
	if err != nil {
		return err
	}
	now.at = describedAt.UnixMicro()
	at := l.all[place]
	at.locked, at.now = true, now
	switch known := at.known; {
	case known == nil:
	case known.edition != now:
		at.known, at.changed = nil, true
	default:
		at.describe(known.event)
		at.stock.Types = ownTypes(known.event.Types)
		at.stock.Placement, at.stock.Epoch = topology.PlacementState(placement), topology.Epoch(epoch)
	}
	return nil
}

func (l stockLoads) scanQuota(row pgx.Row) error {
	var place int64
	var head booking.LedgerHead
	q, err := scanQuota(framed{Row: row, before: []any{&place, &head.Next, &head.Hash}})
	if err != nil {
		return err
	}
	at := l.all[place]
	if at.stock.Quotas = append(at.stock.Quotas, q); head.Next > 0 { // the first one
		at.ledger = head
	}
	return nil
}

func (l stockLoads) scanClock(row pgx.Row) error {
	var now time.Time
	err := row.Scan(&now)
	for _, at := range l.all {
		at.stock.Now, at.stock.SeenAt = now, now
	}
	return err
}

// queueHolds reads the holds that are named, and those that are due.
func (l stockLoads) queueHolds(b *pgx.Batch, events []string) {
	var holds, of []string
	for i, at := range l.all {
		for _, hold := range at.named {
			holds, of = append(holds, hold.String()), append(of, events[i])
		}
	}
	if len(holds) > 0 {
		b.Queue(selectHolds, holds, of).Query(func(rows pgx.Rows) error { return eachRow(rows, l.scanHold) })
	}
	most := int64(dueHolds * min(len(l.all), dueEvents))
	b.Queue(selectDueHolds, events, most).Query(func(rows pgx.Rows) error {
		err := eachRow(rows, l.scanHold)
		for _, at := range l.all {
			at.stock.DueLeft = rows.CommandTag().RowsAffected() == most
		}
		return err
	})
}

func (l stockLoads) scanHold(row pgx.Row) error {
	h, err := scanHold(row)
	if err != nil {
		return err
	}
	l.of[h.ID.Event()].stock.Holds[h.ID] = &h
	return nil
}

func (l stockLoads) scanAside(row pgx.Row) error {
	a, err := scanAllocation(row)
	if err != nil {
		return err
	}
	l.of[a.ID.Event()].addAside(a)
	return nil
}

// snapshot is what a stock looked like when it was loaded.
type snapshot struct {
	quotas []booking.Quota
	holds  map[id.Hold]booking.Hold
	ledger booking.LedgerHead
	aside  map[id.Allocation]booking.Allocation
}

// snapshot keeps what was read, to tell afterwards what changed.
func (l *stockLoad) snapshot() *snapshot {
	before := &snapshot{quotas: slices.Clone(l.stock.Quotas), holds: make(map[id.Hold]booking.Hold, len(l.stock.Holds)), ledger: l.ledger}
	for hid, h := range l.stock.Holds {
		before.holds[hid] = *h
	}
	before.aside = copyAside(l.stock.Aside)
	return before
}

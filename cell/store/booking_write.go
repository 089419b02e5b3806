package store

import (
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/search"
)

// stockWrites are what changed of some stocks, by column: each statement writes all
// events' rows of a table.
type stockWrites struct {
	now    time.Time
	quotas struct {
		ids                         []string
		size, held, sold, allocated []int64
		nexts                       []int64 // where the ledger ends, in an event's first quota; 0 and "" in others
		hashes                      []string
	}
	fresh  freshHolds
	known  knownHolds
	ledger struct {
		events, prevs, hashes []string
		firsts                []int64
		times                 []time.Time
		entries               [][]byte
	}
	others []func(b *pgx.Batch) error // what has statements of its own, in their order
}

// knownHolds are holds to be updated, by column.
type knownHolds struct {
	ids, states, orders []string
	ends                []time.Time
}

// queueStock writes what changed of one stock; see stockWrites.
func queueStock(b *pgx.Batch, stock *booking.Stock, before *snapshot) error {
	var w stockWrites
	if err := w.add(stock, before); err != nil {
		return err
	}
	return w.queue(b)
}

// add takes in what changed since the stock was loaded, with the ledger's row about it.
func (w *stockWrites) add(stock *booking.Stock, before *snapshot) error {
	w.now = stock.Now
	head := before.ledger
	if len(stock.Log) > 0 {
		if err := w.addLedger(stock, &head); err != nil {
			return err
		}
	}
	w.addQuotas(stock.Quotas, before.quotas, before.ledger, head)
	if err := w.addHolds(stock, before); err != nil {
		return err
	}
	w.others = append(w.others, func(b *pgx.Batch) error {
		queueSeats(b, stock)
		queueAside(b, stock, before)
		return queueCounters(b, stock, before)
	})
	return nil
}

// queue writes it all.
func (w *stockWrites) queue(b *pgx.Batch) error {
	w.queueHolds(b)
	for _, queue := range w.others {
		if err := queue(b); err != nil {
			return err
		}
	}
	w.queueQuotas(b)
	w.queueLedger(b)
	return nil
}

// addQuotas takes in the quotas that changed, the first also when the ledger did.
func (w *stockWrites) addQuotas(quotas, before []booking.Quota, from, head booking.LedgerHead) {
	c := &w.quotas
	for i, q := range quotas {
		if q == before[i] && (i > 0 || head == from) {
			continue
		}
		c.ids, c.size = append(c.ids, q.ID.String()), append(c.size, q.Size)
		c.held, c.sold, c.allocated = append(c.held, q.Held), append(c.sold, q.Sold), append(c.allocated, q.Allocated)
		end := booking.LedgerHead{}
		if i == 0 {
			end = head
		}
		c.nexts, c.hashes = append(c.nexts, end.Next), append(c.hashes, end.Hash)
	}
}

func (w *stockWrites) queueQuotas(b *pgx.Batch) {
	if c := &w.quotas; len(c.ids) > 0 {
		b.Queue(updateQuotas, c.ids, c.size, c.held, c.sold, c.allocated, c.nexts, c.hashes, w.now.Add(-search.StampGrain), w.now)
	}
}

func (w *stockWrites) addHolds(stock *booking.Stock, before *snapshot) error {
	for hid, h := range stock.Holds {
		old, there := before.holds[hid]
		switch {
		case !there:
			if err := w.fresh.add(stock.ID, stock.Currency, h); err != nil {
				return err
			}
		case old.State != h.State || !old.ExpiresAt.Equal(h.ExpiresAt) || old.Order != h.Order:
			k := &w.known
			k.ids, k.states, k.ends = append(k.ids, hid.String()), append(k.states, string(h.State)), append(k.ends, h.ExpiresAt)
			k.orders = append(k.orders, h.Order.String())
		}
	}
	return nil
}

func (w *stockWrites) queueHolds(b *pgx.Batch) {
	w.fresh.queue(b, w.now)
	if k := &w.known; len(k.ids) > 0 {
		b.Queue(updateHolds, k.ids, k.states, k.ends, k.orders)
	}
}

// addLedger takes in the ledger's next row and moves the head behind it.
func (w *stockWrites) addLedger(stock *booking.Stock, head *booking.LedgerHead) error {
	row, err := head.Row(stock.ID, stock.Now, stock.Log)
	if err != nil {
		return err
	}
	l := &w.ledger
	l.events, l.firsts, l.times, l.entries = append(l.events, stock.ID.String()), append(l.firsts, row.First), append(l.times, row.At), append(l.entries, row.Entries)
	l.prevs, l.hashes = append(l.prevs, row.Prev), append(l.hashes, row.Hash)
	return nil
}

func (w *stockWrites) queueLedger(b *pgx.Batch) {
	if l := &w.ledger; len(l.events) > 0 {
		b.Queue(insertLedger, l.events, l.firsts, l.times, l.entries, l.prevs, l.hashes)
	}
}

// queueLedger writes one row of one event's ledger, with the counters that it tells of.
func queueLedger(b *pgx.Batch, stock *booking.Stock, before []booking.Quota, head booking.LedgerHead) error {
	w := stockWrites{now: stock.Now}
	from := head
	if err := w.addLedger(stock, &head); err != nil {
		return err
	}
	w.addQuotas(stock.Quotas, before, from, head)
	w.queueQuotas(b)
	w.queueLedger(b)
	return nil
}

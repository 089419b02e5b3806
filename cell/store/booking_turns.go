package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// batchWithTurns is Batch with turns among the ops: they run in step in the same
// transaction, on the stock that was read for all. One that refused after it had
// changed something is marked Apart, and the others run again without it.
func (s *Store) batchWithTurns(ctx context.Context, ttl time.Duration, g *booking.Group) error {
	for {
		ops := slices.DeleteFunc(slices.Clone(g.Ops), func(op *booking.Op) bool { return op.Apart })
		if len(ops) == 0 {
			return nil
		}
		w := &batchWork{store: s, groups: []*booking.Group{{Event: g.Event, Ops: ops}}, look: true}
		at := &sharedWork{}
		var known sharedWork
		parts := make(map[*booking.Op]*sqldb.Part)
		shared := &sqldb.Shared{
			Read: func(b *pgx.Batch) {
				w.read(b, ttl)
				known.queue(b, g.Event)
			},
			Further: w.further(),
			Ready: func() error {
				w.settle()
				*at = sharedWork{stock: w.loads[0], was: w.was[0], form: known.form, organizer: known.organizer}
				return nil
			},
			Last: func(b *pgx.Batch) error { return w.write(b, at.news...) }, //nolint:contextcheck // each op has its own request's
		}
		for _, op := range ops {
			if op.Turn == nil {
				continue
			}
			p := &sqldb.Part{
				Ctx: op.Context(), Subject: op.Subject, With: at,
				Do: func(ctx context.Context, tx *sqldb.Tx) error { return op.Turn(ctx, tx) },
			}
			parts[op], shared.Parts = p, append(shared.Parts, p)
		}
		err := s.DB.Together(ctx, shared)
		for op, p := range parts {
			op.Err, op.Apart = p.Err, p.Undo
		}
		if !errors.Is(err, sqldb.ErrUndone) {
			return err
		}
	}
}

// sharedWork is what the turns of a batch have in common.
type sharedWork struct {
	stock *stockLoad
	was   *snapshot
	news  []Outgoing // are written with COMMIT
	// What every order of the event wants to know.
	form      checkout.Form
	organizer string // by name
}

const selectOrganizerOf = `SELECT o.name FROM booking.event AS e JOIN booking.organizer AS o ON o.organizer_id = e.organizer_id WHERE e.event_id = $1`

func (w *sharedWork) queue(b *pgx.Batch, event id.Event) {
	b.Queue(selectForm, event.String()).QueryRow(func(row pgx.Row) (err error) {
		w.form, err = scanForm(row)
		return err
	})
	b.Queue(selectOrganizerOf, event.String()).QueryRow(func(row pgx.Row) error { return perhaps(row.Scan(&w.organizer)) })
}

// publish keeps messages of a turn for the end.
func (w *sharedWork) publish(tx txn.Tx, cell topology.CellID, msgs []Outgoing) error {
	for _, m := range msgs {
		if err := m.Check(cell); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	w.news = append(w.news, msgs...)
	ours(tx).Wrote()
	return nil
}

// sharedOf is the work at hand when tx is of a turn that shares it.
func sharedOf(tx txn.Tx) *sharedWork {
	own := ours(tx)
	if own == nil {
		return nil
	}
	w, _ := own.With().(*sharedWork)
	return w
}

// Locked implements checkout.Store.
func (s *Store) Locked(tx txn.Tx, event id.Event) bool {
	w := sharedOf(tx)
	return w != nil && w.stock.stock.ID == event
}

// with lets a turn decide on the stock that all have, with its holds at hand. What
// changes is written for all at the end; a refusal must not leave anything of it.
func (w *sharedWork) with(ctx context.Context, tx txn.Tx, s *Store, named []id.Hold, decide func(*booking.Stock) error) error {
	if err := w.loadMore(ctx, tx, s, named); err != nil {
		return err
	}
	stock := w.stock.stock
	entries, before := len(stock.Log), make([]booking.Hold, 0, len(named))
	for _, hid := range named {
		h := stock.Holds[hid]
		switch {
		case h == nil:
		case h.NeedsCounters(): // they are read only by who decides alone
			ours(tx).Wrote()
			return errAlone
		default:
			before = append(before, *h)
		}
	}
	err := decide(stock)
	if len(stock.Log) != entries {
		ours(tx).Wrote()
	}
	for i := range before {
		if before[i].Differs(stock.Holds[before[i].ID]) {
			ours(tx).Wrote()
		}
	}
	return err
}

// errAlone sends a turn out of the batch.
var errAlone = errors.New("this must be decided alone")

// alone refuses what reads stock past the one that turns share: our own bug.
func alone(tx txn.Tx) error {
	if sharedOf(tx) != nil {
		return errors.New("stock is shared here: go through WithStock")
	}
	return nil
}

// findHolds is selectHolds, saying whose each row is.
const findHolds = `SELECT n.hold_id, f.hold_id, f.state, f.created_at, f.expires_at, f.order_id, f.total, f.currency, f.items, f.granted_until, f.asked_mark
	FROM unnest($1::text[], $2::text[]) AS n (hold_id, event_id)
	CROSS JOIN LATERAL (SELECT ` + holdColumns + ` FROM booking.hold AS h WHERE h.hold_id = n.hold_id AND h.event_id = n.event_id LIMIT 1) AS f`

// loadMore reads the holds that nobody named before, and their seats. What another
// turn has read and changed meanwhile stays.
func (w *sharedWork) loadMore(ctx context.Context, tx txn.Tx, s *Store, named []id.Hold) error {
	stock := w.stock.stock
	missing := slices.DeleteFunc(slices.Clone(named), func(hid id.Hold) bool { return stock.Holds[hid] != nil })
	if len(missing) == 0 {
		return nil
	}
	var seats []string
	b := &pgx.Batch{}
	for _, hid := range missing {
		sqldb.FindEach(b, findHolds, func(row pgx.Row) error {
			h, err := scanHold(row)
			if err != nil {
				return err
			}
			if stock.Holds[h.ID] == nil {
				stock.Holds[h.ID], w.was.holds[h.ID] = &h, h
			}
			seats = append(seats, seatTexts(h.SeatIDs())...)
			return nil
		}, hid.String(), stock.ID.String())
	}
	if err := s.ask(ctx, tx, b); err != nil || !stock.Seated || len(seats) == 0 {
		return err
	}
	b = &pgx.Batch{}
	b.Queue(selectSeatRows, stock.ID.String(), seats).Query(func(rows pgx.Rows) error { return scanSeats(rows, stock.Seats.Load) })
	return s.ask(ctx, tx, b)
}

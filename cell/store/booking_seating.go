package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const deleteSeating = `DELETE FROM booking.seating WHERE event_id = $1`

const deleteSeats = `DELETE FROM booking.seat WHERE event_id = $1`

const deleteAllClaims = `DELETE FROM booking.seat_claim WHERE event_id = $1`

const insertSeating = `INSERT INTO booking.seating (event_id, plan) VALUES ($1, $2)`

const insertSeats = `INSERT INTO booking.seat (event_id, seat_id, section, row_name, number, category, kind, companion_of, x, y, row_no, place,
	row_rank, cost, row_floor, state) SELECT $1, n.seat_id, n.section, n.row_name, n.number, n.category, n.kind, n.companion_of, n.x, n.y, n.row_no, n.place,
	n.row_rank, n.cost, n.row_floor, n.state FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[],
	$10::float8[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[])
	AS n (seat_id, section, row_name, number, category, kind, companion_of, x, y, row_no, place, row_rank, cost, row_floor, state)`

const updateTypeSeats = `UPDATE booking.ticket_type SET seat_categories = $2 WHERE ticket_type_id = $1`

const updateEventSeats = `UPDATE booking.event SET seated = $2, allow_gaps = $3 WHERE event_id = $1`

// queueSeating lays out the plan of a new or changed event, in place of any that
// was there: nobody can have had a seat of a draft.
func queueSeating(b *pgx.Batch, e *booking.Event) error {
	if e.Seating == nil {
		return nil
	}
	p, event := e.Seating, e.ID.String()
	doc, err := json.Marshal(planDocument{p.Name, p.Size.X, p.Size.Y, p.Categories, p.Drawing})
	if err != nil {
		return fmt.Errorf("describe plan: %w", err)
	}
	for _, old := range []string{deleteAllClaims, deleteSeats, deleteSeating} {
		b.Queue(old, event)
	}
	b.Queue(insertSeating, event, doc)
	b.Queue(updateEventSeats, event, e.Seated, e.AllowGaps)
	for _, t := range e.Types {
		b.Queue(updateTypeSeats, t.ID.String(), t.Categories)
	}
	queueNewSeats(b, event, p.Seats) // what they count is written with the ledger
	return nil
}

func queueNewSeats(b *pgx.Batch, event string, seats []booking.Seat) {
	var ids, sections, rows, numbers, categories, kinds, with, states []string
	var xs, ys []float64
	var rowNos, places, ranks, costs, floors []int64
	var house seatRowsOut
	for i := range seats {
		s := &seats[i]
		ids, sections, rows, numbers = append(ids, string(s.ID)), append(sections, s.Section), append(rows, s.Row), append(numbers, s.Number)
		categories, kinds, with, states = append(categories, s.Category), append(kinds, string(s.Kind)), append(with, string(s.With)), append(states, string(s.State))
		xs, ys = append(xs, s.X), append(ys, s.Y)
		rowNos, places, ranks, costs = append(rowNos, s.RowNo), append(places, s.Place), append(ranks, s.Rank), append(costs, s.Cost)
		floors = append(floors, s.Floor)
		if s.State != booking.SeatFree {
			house.add(s.ID, s.State, s.Hold)
		}
	}
	b.Queue(insertSeats, event, ids, sections, rows, numbers, categories, kinds, with, xs, ys, rowNos, places, ranks, costs, floors, states)
	if len(house.ids) > 0 {
		b.Queue(insertClaims, event, house.ids, house.states, house.holds)
	}
}

const selectSeatVersion = `SELECT e.version, q.stock_version FROM booking.event AS e JOIN booking.quota AS q ON q.event_id = e.event_id AND q.position = 0
	WHERE e.event_id = $1 AND e.seated`

const selectSeating = `SELECT plan FROM booking.seating WHERE event_id = $1`

const selectAllSeats = `SELECT ` + seatColumns + ` FROM booking.seat WHERE event_id = $1 ORDER BY row_no, place`

// SeatVersion says which state of an event's seats is the newest: the event's
// version and how often its stock has changed.
func (s *Store) SeatVersion(ctx context.Context, event id.Event) (version, stock int64, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, selectSeatVersion, event.String()).Scan(&version, &stock)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, 0, booking.ErrNoSeating.With("the event has no seating plan")
	}
	return version, stock, err
}

// SeatMap reads an event's plan and where each of its seats stands. Its version
// is read first: the seats are that new, or newer.
func (s *Store) SeatMap(ctx context.Context, event id.Event) (booking.SeatMap, error) {
	m := booking.SeatMap{Event: event}
	b := &pgx.Batch{}
	b.Queue(selectSeatVersion, event.String()).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&m.Version, &m.Stock)
		if errors.Is(err, pgx.ErrNoRows) {
			return booking.ErrNoSeating.With("the event has no seating plan")
		}
		return err
	})
	b.Queue(selectClock).QueryRow(func(row pgx.Row) error { return row.Scan(&m.At) })
	b.Queue(selectSeating, event.String()).QueryRow(func(row pgx.Row) error {
		var text []byte
		var doc planDocument
		if err := row.Scan(&text); err != nil {
			return err
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			return corrupt(err)
		}
		m.Plan = booking.Seating{Name: doc.Name, Size: booking.Point{X: doc.Width, Y: doc.Height}, Categories: doc.Categories, Drawing: doc.Drawing}
		return nil
	})
	b.Queue(selectAllSeats, event.String()).Query(func(rows pgx.Rows) error {
		return scanSeats(rows, func(s booking.Seat) { m.Plan.Seats = append(m.Plan.Seats, s) })
	})
	err := s.ask(ctx, txn.None, b)
	m.At = m.At.In(time.UTC)
	return m, err
}

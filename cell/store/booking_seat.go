package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/sqldb"
)

// spareSeats is how many free seats of a category are read beyond twice what a
// batch asks for: so the last request of it still chooses among many.
const spareSeats = 1000

const seatColumns = `seat_id, section, row_name, number, category, kind, companion_of, x, y, row_no, place, row_rank, cost, row_floor, state, hold_id`

// selectSeatRows reads the whole rows of the seats that are named: what stands
// beside a seat may be a reason to refuse it.
const selectSeatRows = `SELECT ` + seatColumns + ` FROM booking.seat WHERE event_id = $1 AND row_no = ANY(ARRAY(
	SELECT s.row_no FROM booking.seat AS s WHERE s.event_id = $1 AND s.seat_id = ANY($2)))`

const selectFreeSeats = `SELECT ` + seatColumns + ` FROM booking.seat WHERE event_id = $1 AND category = $2 AND ($3 = '' OR section = $3)
	AND state = 'free' ORDER BY row_rank, place LIMIT $4`

const selectAccessibleRows = `SELECT ` + seatColumns + ` FROM booking.seat WHERE event_id = $1 AND row_no = ANY(ARRAY(
	SELECT s.row_no FROM booking.seat AS s WHERE s.event_id = $1 AND s.category = $2 AND ($3 = '' OR s.section = $3)
	AND s.state = 'free' AND s.kind = 'accessible' ORDER BY s.row_rank LIMIT $4))`

// selectSection tells a section that is sold out from one that there is not.
const selectSection = `SELECT section, category FROM booking.seat WHERE event_id = $1 AND category = $2 AND section = $3 LIMIT 1`

// pool is where best seats are looked for.
type pool struct{ category, section string }

// seatNeed is what a batch needs to know of its event's seats.
type seatNeed struct {
	named      []string
	pools      map[pool]int64 // with the tickets asked for there
	accessible map[pool]int64
}

// queueSeatReads reads the seats that the ops ask for and those of the holds that
// may end: nothing for a plain event. The event's lock is held by now.
func queueSeatReads(b *pgx.Batch, stock *booking.Stock, ops []*booking.Op) {
	if !stock.Seated {
		return
	}
	stock.Seats = &booking.Seats{}
	need := needOf(stock, ops)
	event := stock.ID.String()
	load := func(rows pgx.Rows) error { return scanSeats(rows, stock.Seats.Load) }
	if len(need.named) > 0 {
		b.Queue(selectSeatRows, event, need.named).Query(load)
	}
	for at, n := range need.accessible {
		b.Queue(selectAccessibleRows, event, at.category, at.section, spareSeats+n).Query(load)
	}
	for at, n := range need.pools {
		if at.section != "" {
			b.Queue(selectSection, event, at.category, at.section).Query(func(rows pgx.Rows) error { return knowSections(rows, stock.Seats) })
		}
		limit := spareSeats + 2*n
		b.Queue(selectFreeSeats, event, at.category, at.section, limit).Query(func(rows pgx.Rows) error { return loadPool(rows, stock.Seats, limit) })
	}
}

func knowSections(rows pgx.Rows, into *booking.Seats) error {
	for rows.Next() {
		var section, category string
		if err := rows.Scan(&section, &category); err != nil {
			return err
		}
		into.Know(section, category)
	}
	return rows.Err()
}

// loadSeats is queueSeatReads in a transaction that reads as it goes.
func loadSeats(ctx context.Context, tx *sqldb.Tx, stock *booking.Stock, ops []*booking.Op) error {
	b := &pgx.Batch{}
	if queueSeatReads(b, stock, ops); b.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("load seats: %w", err)
	}
	return nil
}

// anySeats asks for the best of every type: staff may hold any.
func anySeats(stock *booking.Stock) []*booking.Op {
	op := &booking.Op{}
	for _, t := range stock.Types {
		op.Lines = append(op.Lines, booking.Line{Type: t.ID, Quantity: booking.MaxTicketsPerOrder})
	}
	return []*booking.Op{op}
}

// loadPool takes free seats in by whole rows: the last row of a list that is cut
// off may lack some, and a seat whose neighbours are unseen is not offered.
func loadPool(rows pgx.Rows, into *booking.Seats, limit int64) error {
	var seats []booking.Seat
	if err := scanSeats(rows, func(s booking.Seat) { seats = append(seats, s) }); err != nil {
		return err
	}
	if int64(len(seats)) == limit {
		last := seats[len(seats)-1].Rank
		if whole := slices.IndexFunc(seats, func(s booking.Seat) bool { return s.Rank == last }); whole > 0 {
			seats = seats[:whole]
		}
	}
	for _, s := range seats {
		into.Load(s)
	}
	return nil
}

func needOf(stock *booking.Stock, ops []*booking.Op) seatNeed {
	need := seatNeed{pools: map[pool]int64{}, accessible: map[pool]int64{}}
	for _, h := range stock.Holds {
		need.named = append(need.named, seatTexts(h.SeatIDs())...)
	}
	for _, op := range ops {
		need.named = append(need.named, seatTexts(op.Seats)...)
		for _, line := range op.Lines {
			t := stock.Type(line.Type)
			switch {
			case len(line.Seats) > 0:
				need.named = append(need.named, seatTexts(line.Seats)...)
			case t != nil:
				for _, category := range t.Categories {
					at := pool{category, line.Section}
					need.pools[at] += max(0, min(line.Quantity, booking.MaxTicketsPerOrder))
					if line.Accessible {
						need.accessible[at]++
					}
				}
			}
		}
	}
	return need
}

func seatTexts(seats []booking.SeatID) []string {
	out := make([]string, len(seats))
	for i, s := range seats {
		out[i] = string(s)
	}
	return out
}

func scanSeats(rows pgx.Rows, take func(booking.Seat)) error {
	for rows.Next() {
		var s booking.Seat
		var sid, kind, with, state, hold string
		if err := rows.Scan(&sid, &s.Section, &s.Row, &s.Number, &s.Category, &kind, &with, &s.X, &s.Y, &s.RowNo, &s.Place, &s.Rank, &s.Cost, &s.Floor, &state, &hold); err != nil {
			return err
		}
		s.ID, s.Kind, s.With, s.State = booking.SeatID(sid), booking.SeatKind(kind), booking.SeatID(with), booking.SeatState(state)
		if err := s.Hold.UnmarshalText([]byte(hold)); err != nil {
			return corrupt(err)
		}
		take(s)
	}
	return rows.Err()
}

const updateSeats = `UPDATE booking.seat SET state = n.state, hold_id = n.hold_id
	FROM unnest($2::text[], $3::text[], $4::text[]) AS n (seat_id, state, hold_id)
	WHERE booking.seat.event_id = $1 AND booking.seat.seat_id = n.seat_id`

// deleteClaims gives back what was claimed by these very holds, or by staff.
const deleteClaims = `DELETE FROM booking.seat_claim WHERE event_id = $1 AND seat_id = ANY($2) AND hold_id = ANY($3)`

const insertClaims = `INSERT INTO booking.seat_claim (event_id, seat_id, state, hold_id)
	SELECT $1, n.seat_id, n.state, n.hold_id FROM unnest($2::text[], $3::text[], $4::text[]) AS n (seat_id, state, hold_id)`

const updateClaims = `UPDATE booking.seat_claim SET state = n.state FROM unnest($2::text[], $3::text[], $4::text[]) AS n (seat_id, state, hold_id)
	WHERE booking.seat_claim.event_id = $1 AND booking.seat_claim.seat_id = n.seat_id AND booking.seat_claim.hold_id = n.hold_id`

// seatRowsOut are seats by column, to be written.
type seatRowsOut struct{ ids, states, holds []string }

func (r *seatRowsOut) add(sid booking.SeatID, state booking.SeatState, hold id.Hold) {
	r.ids, r.states, r.holds = append(r.ids, string(sid)), append(r.states, string(state)), append(r.holds, hold.String())
}

// errSeatRows means that a seat and its claim do not agree: our own bug.
var errSeatRows = errors.New("seats and their claims do not agree")

// allRows refuses a statement that did not meet every row it was about.
func allRows(want int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(want) {
			return fmt.Errorf("%w: %d of %d rows", errSeatRows, tag.RowsAffected(), want)
		}
		return nil
	}
}

// queueSeats writes what changed, claims first given back and then taken: a seat
// may go from one hold to another in one batch.
func queueSeats(b *pgx.Batch, stock *booking.Stock) {
	if stock.Seats == nil {
		return
	}
	var all, gone, taken, kept seatRowsOut
	for _, c := range stock.Seats.Changed() {
		all.add(c.ID, c.State, c.Hold)
		same := c.Hold == c.WasHold && !c.Hold.IsZero()
		if c.Was != booking.SeatFree && !same {
			gone.add(c.ID, c.Was, c.WasHold)
		}
		if c.State != booking.SeatFree && !same {
			taken.add(c.ID, c.State, c.Hold)
		}
		if same {
			kept.add(c.ID, c.State, c.Hold)
		}
	}
	event := stock.ID.String()
	if len(gone.ids) > 0 {
		b.Queue(deleteClaims, event, gone.ids, gone.holds).Exec(allRows(len(gone.ids)))
	}
	if len(taken.ids) > 0 {
		b.Queue(insertClaims, event, taken.ids, taken.states, taken.holds)
	}
	if len(kept.ids) > 0 {
		b.Queue(updateClaims, event, kept.ids, kept.states, kept.holds).Exec(allRows(len(kept.ids)))
	}
	if len(all.ids) > 0 {
		b.Queue(updateSeats, event, all.ids, all.states, all.holds).Exec(allRows(len(all.ids)))
	}
}

// planDocument is what booking.seating keeps of a plan.
type planDocument struct {
	Name       string                 `json:"name"`
	Width      float64                `json:"width"`
	Height     float64                `json:"height"`
	Categories []booking.PlanCategory `json:"categories"`
	Drawing    json.RawMessage        `json:"drawing,omitempty"`
}

package sqldb

import (
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// A statement about rows takes columns: each of its parameters is an array with an
// element for each row, and it begins at unnest($1::text[], …). What the parts of a
// shared transaction ask by the same one at the same time becomes one statement (see
// merge): for the database a row costs far less than a statement does.

// Column is a parameter of a statement about rows.
type Column []any

// Row makes the parameters for one row.
func Row(values ...any) []any {
	columns := make([]any, len(values))
	for i, v := range values {
		columns[i] = Column{v}
	}
	return columns
}

// Rows are the parameters for several rows.
type Rows []any

// Add appends a row.
func (r *Rows) Add(values ...any) {
	if *r == nil {
		*r = make(Rows, len(values))
	}
	for i, v := range values {
		column, _ := (*r)[i].(Column)
		(*r)[i] = append(column, v)
	}
}

// Dimensions implements pgtype.ArrayGetter.
func (c Column) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(c)), LowerBound: 1}} //nolint:gosec // a batch's rows are few
}

// Index implements pgtype.ArrayGetter.
func (c Column) Index(i int) any { return c[i] }

// IndexType implements pgtype.ArrayGetter: each element says its own.
func (c Column) IndexType() any { return nil }

// FindOne queues a statement about rows that answers at most one row for each key. Its
// first parameter is the keys, and the first column of its answer says whose the row is;
// take gets the others, or pgx.ErrNoRows from its Scan when there is none.
func FindOne(b *pgx.Batch, sql string, take func(row pgx.Row) error, key string, more ...any) {
	find(b, sql, true, take, key, more)
}

// FindEach is FindOne for any number of rows: take gets one after the other.
func FindEach(b *pgx.Batch, sql string, take func(row pgx.Row) error, key string, more ...any) {
	find(b, sql, false, take, key, more)
}

func find(b *pgx.Batch, sql string, one bool, take func(row pgx.Row) error, key string, more []any) {
	keys := &wanted{Column: Column{key}, takes: []func(pgx.Row) error{take}, one: one}
	b.Queue(sql, append([]any{keys}, Row(more...)...)...).Fn = keys.read
}

// wanted is the column of keys that rows are wanted of.
type wanted struct {
	Column
	takes []func(row pgx.Row) error // of the key at the same place
	one   bool
}

// wantedBy is what a query wants to find, nil when it does not look by keys.
func wantedBy(q *pgx.QueuedQuery) *wanted {
	if len(q.Arguments) == 0 {
		return nil
	}
	w, _ := q.Arguments[0].(*wanted)
	return w
}

// with is a copy of the query that w stands in, whose takes go through another function.
func (w *wanted) with(q *pgx.QueuedQuery, through func(take func(pgx.Row) error) func(pgx.Row) error) *pgx.QueuedQuery {
	other := &wanted{Column: slices.Clone(w.Column), takes: make([]func(pgx.Row) error, len(w.takes)), one: w.one}
	for i, take := range w.takes {
		other.takes[i] = through(take)
	}
	arguments := slices.Clone(q.Arguments)
	arguments[0] = other
	return &pgx.QueuedQuery{SQL: q.SQL, Arguments: arguments, Fn: other.read}
}

func (w *wanted) place(key any) int {
	for i, k := range w.Column {
		if k == key {
			return i
		}
	}
	return -1
}

// read gives each row to whom it belongs, while it is at hand.
func (w *wanted) read(br pgx.BatchResults) error {
	rows, err := br.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	found := make([]bool, len(w.takes))
	for rows.Next() {
		values := rows.RawValues()
		i := w.place(string(values[0]))
		if i < 0 || w.one && found[i] {
			continue
		}
		found[i] = true
		if err := w.takes[i](foundRow{rows.Conn().TypeMap(), rows.FieldDescriptions()[1:], values[1:]}); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for i, take := range w.takes {
		if w.one && !found[i] {
			if err := take(noRow{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// foundRow is a row while it is at hand. What it cannot be scanned into is wrong for
// who scans it, not for the rows behind it.
type foundRow struct {
	types  *pgtype.Map
	fields []pgconn.FieldDescription
	values [][]byte
}

func (r foundRow) Scan(dest ...any) error { return pgx.ScanRow(r.types, r.fields, r.values, dest...) }

type noRow struct{}

func (noRow) Scan(...any) error { return pgx.ErrNoRows }

// asked is a query and who asks: a part, or what several are about.
type asked struct {
	query *pgx.QueuedQuery
	who   any
}

// merge makes as few statements as possible of what was asked, in an order that is right
// for each who asks: his statements stay in theirs. His next one joins an earlier one
// of somebody else only behind all that he has asked before.
func merge(all []asked) *pgx.Batch {
	b := &pgx.Batch{}
	latest := make(map[any]int, len(all)) // where the latest statement of each is, from 1
	places := map[string][]int{}          // where those with this text are
	for _, a := range all {
		behind, _ := slices.BinarySearch(places[a.query.SQL], latest[a.who]+1)
		at := 0
		for _, there := range places[a.query.SQL][behind:] {
			if join(b.QueuedQueries[there-1], a.query) {
				at = there
				break
			}
		}
		if at == 0 {
			b.QueuedQueries = append(b.QueuedQueries, apart(a.query))
			at = len(b.QueuedQueries)
			places[a.query.SQL] = append(places[a.query.SQL], at)
		}
		latest[a.who] = at
	}
	return b
}

// apart is a copy of a query that others may join: who asked may have to ask it again.
func apart(q *pgx.QueuedQuery) *pgx.QueuedQuery {
	if w := wantedBy(q); w != nil {
		return w.with(q, func(take func(pgx.Row) error) func(pgx.Row) error { return take })
	}
	return &pgx.QueuedQuery{SQL: q.SQL, Arguments: slices.Clone(q.Arguments), Fn: q.Fn}
}

// join appends the rows of a query to those of another one with the same text, and so
// with parameters of the same kinds, if that is about rows.
func join(to, from *pgx.QueuedQuery) bool {
	if !aboutRows(from) {
		return false
	}
	if w := wantedBy(from); w != nil && wantedBy(to).place(w.Column[0]) >= 0 {
		return false // two want the same: its rows are asked for twice
	}
	for i, arg := range from.Arguments {
		switch more := arg.(type) {
		case Column:
			column, _ := to.Arguments[i].(Column)
			to.Arguments[i] = append(column, more...)
		case *wanted:
			w := wantedBy(to)
			w.Column, w.takes = append(w.Column, more.Column...), append(w.takes, more.takes...)
		}
	}
	return true
}

// aboutRows says that a query is.
func aboutRows(q *pgx.QueuedQuery) bool {
	for _, arg := range q.Arguments {
		switch arg.(type) {
		case Column, *wanted:
		default:
			return false
		}
	}
	return len(q.Arguments) > 0
}

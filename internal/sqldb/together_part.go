package sqldb

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// partTx is the transaction as one part of it sees it: what it asks is queued, and
// it waits until that was sent with what the other parts ask.
type partTx struct {
	tx       Tx
	t        *together
	who      any           // asks: itself, or its subject
	answered chan struct{} // its answer is there: it may go on
	ended    bool
	wrote    bool  // something that is not a SELECT
	err      error // of the answers at hand
}

var errNotInPart = errors.New("sqldb: not possible in a shared transaction")

// wait gives the floor to the other parts until the answers are there.
func (p *partTx) wait() error {
	p.t.turn <- struct{}{}
	<-p.answered
	err := p.err
	p.err = nil
	return errors.Join(p.t.err, err)
}

// queue appends a query; what take finds wrong with its answer is this part's own
// business as long as the session is well.
func (p *partTx) queue(q *pgx.QueuedQuery) {
	p.wrote = p.wrote || !strings.HasPrefix(q.SQL, "SELECT")
	if w := wantedBy(q); w != nil {
		q = w.with(q, func(take func(pgx.Row) error) func(pgx.Row) error {
			return func(row pgx.Row) (err error) {
				if p.err == nil { // else it does not want to know any more
					err = p.found(take(row))
				}
				return err
			}
		})
	} else if take := q.Fn; take != nil {
		q.Fn = func(br pgx.BatchResults) error {
			if p.err != nil {
				_, err := br.Exec()
				return err
			}
			return p.found(take(br))
		}
	}
	p.t.next = append(p.t.next, asked{q, p.who})
}

// found keeps what the part found wrong with an answer; what is wrong with the session
// is everybody's.
func (p *partTx) found(err error) error {
	if broken(err) {
		return err
	}
	p.err = err
	return nil
}

// broken says that an error is the session's or the transaction's, not only of who
// reads an answer.
func broken(err error) bool {
	var server *pgconn.PgError
	return err != nil && (errors.As(err, &server) || isConnectionLoss(err) || errors.Is(err, context.DeadlineExceeded))
}

// Exec implements Querier.
func (p *partTx) Exec(_ context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	q := &pgx.QueuedQuery{SQL: sql, Arguments: args}
	q.Exec(func(ct pgconn.CommandTag) error {
		tag = ct
		return nil
	})
	p.queue(q)
	err = p.wait()
	return tag, err
}

// Query implements Querier. The rows are read before anybody else's answer is.
func (p *partTx) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	kept := &keptRows{types: p.t.conn}
	q := &pgx.QueuedQuery{SQL: sql, Arguments: args}
	q.Query(kept.keep)
	p.queue(q)
	kept.err = p.wait()
	return kept, kept.err
}

// QueryRow implements Querier.
func (p *partTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := p.Query(ctx, sql, args...) //nolint:rowserrcheck,sqlclosecheck // its error is the row's, and all of it was read
	kept, _ := rows.(*keptRows)
	return keptRow{kept}
}

// SendBatch implements Querier; its results are had by Close.
func (p *partTx) SendBatch(_ context.Context, b *pgx.Batch) pgx.BatchResults {
	for _, q := range b.QueuedQueries {
		p.queue(q)
	}
	return &partResults{p: p, none: b.Len() == 0}
}

// put queues what nobody waits for: what is wrong with an answer ends the transaction.
func (p *partTx) put(b *pgx.Batch) {
	p.wrote = true
	for _, q := range b.QueuedQueries {
		p.t.next = append(p.t.next, asked{q, p.who})
	}
}

// partResults wait for a part's batch.
type partResults struct {
	p    *partTx
	none bool
	err  error
}

func (r *partResults) Close() error {
	if !r.none {
		r.none = true
		r.err = r.p.wait()
	}
	return r.err
}

func (r *partResults) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, errNotInPart }
func (r *partResults) Query() (pgx.Rows, error)         { return nil, errNotInPart }
func (r *partResults) QueryRow() pgx.Row                { return keptRow{&keptRows{err: errNotInPart}} }
func (r *partResults) Tx() pgx.Tx                       { return nil }

// keptRows are rows that were read whole.
type keptRows struct {
	types  *pgx.Conn
	fields []pgconn.FieldDescription
	rows   [][][]byte
	tag    pgconn.CommandTag
	at     int // of the current row, from 1
	err    error
}

func (k *keptRows) keep(rows pgx.Rows) error {
	k.fields = append(k.fields, rows.FieldDescriptions()...)
	for rows.Next() {
		values := rows.RawValues()
		row := make([][]byte, len(values))
		for i, v := range values {
			if v != nil {
				row[i] = append([]byte{}, v...)
			}
		}
		k.rows = append(k.rows, row)
	}
	k.tag = rows.CommandTag()
	return rows.Err()
}

func (k *keptRows) Next() bool {
	if k.err != nil || k.at >= len(k.rows) {
		k.at = len(k.rows) + 1
		return false
	}
	k.at++
	return true
}

func (k *keptRows) Scan(dest ...any) error {
	err := pgx.ScanRow(k.types.TypeMap(), k.fields, k.RawValues(), dest...)
	if err != nil {
		k.err = err
	}
	return err
}

func (k *keptRows) RawValues() [][]byte {
	if k.at < 1 || k.at > len(k.rows) {
		return nil
	}
	return k.rows[k.at-1]
}

func (k *keptRows) Values() ([]any, error)                       { return nil, errNotInPart }
func (k *keptRows) Close()                                       { k.at = len(k.rows) + 1 }
func (k *keptRows) Err() error                                   { return k.err }
func (k *keptRows) CommandTag() pgconn.CommandTag                { return k.tag }
func (k *keptRows) FieldDescriptions() []pgconn.FieldDescription { return k.fields }
func (k *keptRows) Conn() *pgx.Conn                              { return nil }
func (k *keptRows) TypeMap() *pgtype.Map                         { return k.types.TypeMap() }

// keptRow is the first of kept rows.
type keptRow struct{ rows *keptRows }

func (r keptRow) Scan(dest ...any) error {
	if !r.rows.Next() {
		if r.rows.err != nil {
			return r.rows.err
		}
		return pgx.ErrNoRows
	}
	return r.rows.Scan(dest...)
}

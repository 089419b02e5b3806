package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// insertPapers takes no number for a cause that has its paper. Those of one counter
// get the numbers up to its new last one.
const insertPapers = `WITH n AS (SELECT u.order_id, u.kind, u.cause, u.event_id, u.organizer_id, u.series, u.amount, u.currency, u.issued_at, u.content
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::timestamptz[], $10::text[])
			AS u (order_id, kind, cause, event_id, organizer_id, series, amount, currency, issued_at, content)
		WHERE (SELECT count(*) FROM checkout.paper AS p WHERE p.order_id = u.order_id AND p.kind = u.kind AND p.cause = u.cause) = 0),
	raised AS (INSERT INTO checkout.paper_counter AS c (organizer_id, kind, series, last)
		SELECT n.organizer_id, n.kind, n.series, count(*) FROM n GROUP BY n.organizer_id, n.kind, n.series
		ON CONFLICT (organizer_id, kind, series) DO UPDATE SET last = c.last + excluded.last RETURNING organizer_id, kind, series, last)
	INSERT INTO checkout.paper (order_id, kind, cause, event_id, organizer_id, series, number, amount, currency, issued_at, content)
	SELECT n.order_id, n.kind, n.cause, n.event_id, n.organizer_id, n.series,
		r.last + 1 - row_number() OVER (PARTITION BY n.organizer_id, n.kind, n.series ORDER BY n.order_id, n.cause),
		n.amount, n.currency, n.issued_at, n.content::jsonb
	FROM n JOIN raised AS r ON r.organizer_id = n.organizer_id AND r.kind = n.kind AND r.series = n.series`

// IssuePaper writes a paper under the next number of its organizer, kind and this
// cell's series. The counter's row is raised in the same transaction, so a number
// is used exactly when the paper is there. The caller holds the event's lock.
func (s *Store) IssuePaper(ctx context.Context, tx txn.Tx, p checkout.Paper) error {
	content, err := json.Marshal(p.Content)
	if err != nil {
		return fmt.Errorf("describe paper: %w", err)
	}
	return s.put(ctx, tx, insertPapers, sqldb.Row(p.Order.String(), string(p.Kind), p.Cause, p.Order.Event().String(), p.Organizer.String(), s.Cell.String(),
		p.Total.Amount, p.Total.Currency, p.IssuedAt, content)...)
}

const selectPaper = `SELECT cause, organizer_id, series, number, amount, currency, issued_at, content FROM checkout.paper
	WHERE order_id = $1 AND kind = $2 ORDER BY issued_at, number OFFSET $3 LIMIT 1`

// Paper reads an order's nth paper of a kind, from 1.
func (s *Store) Paper(ctx context.Context, tx txn.Tx, order id.Order, k checkout.PaperKind, n int) (checkout.Paper, error) {
	p := checkout.Paper{Kind: k, Order: order}
	err := scanPaper(s.on(tx).QueryRow(ctx, selectPaper, order.String(), string(k), n-1), &p)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, checkout.ErrPaperNotFound
	}
	return p, sqldb.Classify(err)
}

const selectPapers = `SELECT cause, organizer_id, series, number, amount, currency, issued_at, content FROM checkout.paper
	WHERE order_id = $1 AND kind = $2 ORDER BY issued_at, number`

// Papers reads an order's papers of a kind, in the order of their numbers.
func (s *Store) Papers(ctx context.Context, tx txn.Tx, order id.Order, k checkout.PaperKind) ([]checkout.Paper, error) {
	rows, err := s.on(tx).Query(ctx, selectPapers, order.String(), string(k))
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (checkout.Paper, error) {
		p := checkout.Paper{Kind: k, Order: order}
		return p, scanPaper(row, &p)
	})
	return all, sqldb.Classify(err)
}

func scanPaper(row pgx.Row, p *checkout.Paper) error {
	var org string
	var content []byte
	err := row.Scan(&p.Cause, &org, &p.Series, &p.Number, &p.Total.Amount, &p.Total.Currency, &p.IssuedAt, &content)
	if err != nil {
		return err
	}
	if p.Organizer, err = id.ParseOrganizer(org); err != nil {
		return corrupt(err)
	}
	if err := json.Unmarshal(content, &p.Content); err != nil {
		return corrupt(err)
	}
	return nil
}

const selectSeller = `SELECT seller FROM checkout.form WHERE event_id = $1`

// SellerOf is who sells an event: what its form says, else the organizer's name,
// else, for an organizer with an account elsewhere, his id.
func (s *Store) SellerOf(ctx context.Context, tx txn.Tx, event id.Event, org id.Organizer) (checkout.Seller, error) {
	if w := sharedOf(tx); w != nil && w.stock.stock.ID == event && w.stock.stock.Organizer == org {
		seller := w.form.Seller
		if seller.Name == "" {
			seller.Name = cmp.Or(w.organizer, org.String())
		}
		return seller, nil
	}
	var raw []byte
	name := org.String()
	b := &pgx.Batch{}
	b.Queue(selectSeller, event.String()).QueryRow(func(row pgx.Row) error { return perhaps(row.Scan(&raw)) })
	b.Queue(selectOrganizer, org.String()).QueryRow(func(row pgx.Row) error {
		var region, hash string
		return perhaps(row.Scan(&name, &region, &hash))
	})
	if err := s.ask(ctx, tx, b); err != nil {
		return checkout.Seller{}, sqldb.Classify(err)
	}
	var seller checkout.Seller
	if raw != nil {
		if err := json.Unmarshal(raw, &seller); err != nil {
			return seller, corrupt(err)
		}
	}
	if seller.Name == "" {
		seller.Name = name
	}
	return seller, nil
}

// perhaps forgives a row that is not there.
func perhaps(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

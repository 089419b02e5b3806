package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const selectForm = `SELECT version, seller, questions, consents FROM checkout.form WHERE event_id = $1`

// Form reads what an event asks; the zero Form when it asks nothing.
func (s *Store) Form(ctx context.Context, tx txn.Tx, event id.Event) (checkout.Form, error) {
	if w := sharedOf(tx); w != nil && w.stock.stock.ID == event {
		return w.form, nil
	}
	f, err := scanForm(s.on(tx).QueryRow(ctx, selectForm, event.String()))
	return f, sqldb.Classify(err)
}

// scanForm reads a form; the zero one when there is none.
func scanForm(row pgx.Row) (f checkout.Form, err error) {
	var seller, questions, consents []byte
	if err = row.Scan(&f.Version, &seller, &questions, &consents); err != nil {
		return f, perhaps(err)
	}
	if err := errors.Join(json.Unmarshal(seller, &f.Seller), json.Unmarshal(questions, &f.Questions), json.Unmarshal(consents, &f.Consents)); err != nil {
		return f, corrupt(err)
	}
	return f, nil
}

const upsertForm = `INSERT INTO checkout.form AS f (event_id, version, seller, questions, consents) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (event_id) DO UPDATE SET version = excluded.version, seller = excluded.seller, questions = excluded.questions, consents = excluded.consents
	WHERE f.version = excluded.version - 1`

const insertConsentText = `INSERT INTO checkout.consent_text (event_id, consent_id, version, body, at) VALUES ($1, $2, $3, $4, clock_timestamp())
	ON CONFLICT (event_id, consent_id, version) DO NOTHING`

// SetForm stores a form, one version after the one that is there.
func (s *Store) SetForm(ctx context.Context, tx txn.Tx, event id.Event, f checkout.Form) error {
	seller, err := json.Marshal(f.Seller)
	if err != nil {
		return fmt.Errorf("describe seller: %w", err)
	}
	questions, err := list(f.Questions)
	if err != nil {
		return err
	}
	consents, err := list(f.Consents)
	if err != nil {
		return err
	}
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		tag, err := tx.Exec(ctx, upsertForm, event.String(), f.Version, seller, questions, consents)
		if err != nil {
			return sqldb.Classify(err)
		}
		if tag.RowsAffected() == 0 {
			return checkout.ErrFormChanged.With("somebody else changed the form at the same time")
		}
		b := &pgx.Batch{}
		for _, c := range f.Consents {
			b.Queue(insertConsentText, event.String(), c.ID, c.Version, c.Text)
		}
		return sqldb.Classify(tx.SendBatch(ctx, b).Close())
	})
}

// list is a JSON array, never null.
func list[T any](items []T) ([]byte, error) {
	if items == nil {
		items = []T{}
	}
	return json.Marshal(items)
}

const insertReplies = `INSERT INTO checkout.answer (order_id, event_id, answers, consents, at)
	SELECT n.order_id, n.event_id, n.answers::jsonb, n.consents::jsonb, n.at
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS n (order_id, event_id, answers, consents, at)`

// InsertReplies stores what a buyer answered and agreed to.
func (s *Store) InsertReplies(ctx context.Context, tx txn.Tx, order id.Order, r checkout.Replies, at time.Time) error {
	answers, err := list(r.Answers)
	if err != nil {
		return err
	}
	consents, err := list(r.Consents)
	if err != nil {
		return err
	}
	return s.put(ctx, tx, insertReplies, sqldb.Row(order.String(), order.Event().String(), answers, consents, at)...)
}

const selectReplies = `SELECT n.order_id, f.answers, f.consents FROM unnest($1::text[]) AS n (order_id)
	CROSS JOIN LATERAL (SELECT a.answers, a.consents FROM checkout.answer AS a WHERE a.order_id = n.order_id LIMIT 1) AS f`

// Replies reads them back; zero when nothing was asked.
func (s *Store) Replies(ctx context.Context, order id.Order) (checkout.Replies, error) {
	var r checkout.Replies
	var answers, consents []byte
	b := &pgx.Batch{}
	sqldb.FindOne(b, selectReplies, func(row pgx.Row) error { return row.Scan(&answers, &consents) }, order.String())
	err := s.ask(ctx, txn.None, b)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, nil
	}
	if err != nil {
		return r, sqldb.Classify(err)
	}
	if err := errors.Join(json.Unmarshal(answers, &r.Answers), json.Unmarshal(consents, &r.Consents)); err != nil {
		return r, corrupt(err)
	}
	return r, nil
}

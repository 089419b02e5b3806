package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const (
	selectCode = `SELECT code, kind, terms, max_uses, budget, uses, spent FROM booking.code WHERE event_id = $1 AND code = $2`

	selectCodes = `SELECT code, kind, terms, max_uses, budget, uses, spent FROM booking.code
	WHERE event_id = $1 AND code > $2 ORDER BY code LIMIT $3`

	countCodes = `SELECT count(*) FROM booking.code WHERE event_id = $1`

	upsertCode = `INSERT INTO booking.code (event_id, code, kind, terms, max_uses, budget) VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT (event_id, code) DO UPDATE SET terms = excluded.terms, max_uses = excluded.max_uses, budget = excluded.budget`
)

// Code reads one code of an event.
func (s *Store) Code(ctx context.Context, tx txn.Tx, event id.Event, code string) (booking.Code, error) {
	c, err := scanCode(s.on(tx).QueryRow(ctx, selectCode, event.String(), code))
	if errors.Is(err, pgx.ErrNoRows) {
		return booking.Code{}, booking.ErrAccessCode
	}
	return c, sqldb.Classify(err)
}

func scanCode(row pgx.Row) (booking.Code, error) {
	var c booking.Code
	var kind string
	var terms []byte
	if err := row.Scan(&c.Code, &kind, &terms, &c.MaxUses, &c.Budget, &c.Uses, &c.Spent); err != nil {
		return c, err
	}
	c.Kind = booking.CodeKind(kind)
	if err := json.Unmarshal(terms, &c.Terms); err != nil {
		return c, corrupt(err)
	}
	return c, nil
}

// Codes lists an event's codes behind one, in the order of the alphabet.
func (s *Store) Codes(ctx context.Context, event id.Event, after string, limit int) ([]booking.Code, error) {
	rows, err := s.DB.Pool.Query(ctx, selectCodes, event.String(), after, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	codes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (booking.Code, error) { return scanCode(row) })
	return codes, sqldb.Classify(err)
}

// PutCode makes a code or changes its terms and limits behind the event's lock;
// decide sees what there was, nil for a new one. What is counted stays.
func (s *Store) PutCode(ctx context.Context, tx txn.Tx, event id.Event, code string, decide func(e *booking.Event, before *booking.Code) (booking.Code, error)) (booking.Code, error) {
	var made booking.Code
	err := s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		e := booking.Event{ID: event}
		var before *booking.Code
		var all int64
		b := &pgx.Batch{}
		queueEvent(b, &e, selectEventForUpdate, selectQuotas)
		b.Queue(selectCode, event.String(), code).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				c, err := scanCode(rows)
				if err != nil {
					return err
				}
				before = &c
			}
			return rows.Err()
		})
		b.Queue(countCodes, event.String()).QueryRow(func(row pgx.Row) error { return row.Scan(&all) })
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		var err error
		if made, err = decide(&e, before); err != nil {
			return err
		}
		if before == nil && all >= booking.MaxCodes {
			return booking.ErrTooManyCodes.With("an event has at most %d codes", booking.MaxCodes).Field("limit", booking.MaxCodes)
		}
		terms, err := json.Marshal(made.Terms)
		if err != nil {
			return fmt.Errorf("describe code: %w", err)
		}
		_, err = tx.Exec(ctx, upsertCode, event.String(), code, string(made.Kind), terms, made.MaxUses, made.Budget)
		return sqldb.Classify(err)
	})
	return made, err
}

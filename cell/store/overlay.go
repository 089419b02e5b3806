package store

import (
	"context"

	"guichet/internal/sqldb/overlay"
)

// Expiries are the tables of which rows go by their age alone. On CockroachDB the database
// ends them (row TTL); on PostgreSQL the sweepers of those tables do, after the same time. The outbox is not
// among them: its rows go only behind the relay's cursor, which row TTL cannot see. Nor are
// answers, messages or accounts whose sweepers look at more than a row's own age.
func Expiries() []overlay.Expiry {
	return []overlay.Expiry{
		{Table: "booking.answer", Column: "created_at", After: AnswerLife},
		{Table: "bus.inbox", Column: "seen_at", After: InboxRetention},
		{Table: "payment.notice", Column: "received_at", After: NoticeRetention, Unless: "outcome = 'waiting'"},
	}
}

// Settle makes region the only place of this database's rows, where the engine knows
// regions. Call it before Migrate: what is made later is made there. See overlay.Settle.
func (s *Store) Settle(ctx context.Context, region string) error {
	return overlay.Settle(ctx, s.DB, region)
}

// Expire lets the database end rows by their age, where it can; the sweepers of those
// tables rest then. Call it after Migrate.
func (s *Store) Expire(ctx context.Context) error {
	does, err := overlay.Expire(ctx, s.DB, Expiries()...)
	if err == nil {
		s.expires.Store(does)
	}
	return err
}

package store_test

import (
	"os"
	"strings"
	"testing"

	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// Both engines keep a row as long: what CockroachDB is told, the sweepers of PostgreSQL do.
func TestExpiries_areTheSweepersRetentionsOfTablesWithoutACursor(t *testing.T) {
	t.Parallel()
	want := map[string]struct {
		life    float64
		file    string
		sweeper string
	}{
		"booking.answer": {store.AnswerLife.Seconds(), "booking_answer.go", "deleteAnswers, AnswerLife.Seconds()"},
		"bus.inbox":      {store.InboxRetention.Seconds(), "bus.go", "s.sweepBus(ctx, OutboxRetention, InboxRetention, ParkedRetention)"},
		"payment.notice": {store.NoticeRetention.Seconds(), "payment_notice.go", "deleteNotices, NoticeRetention.Seconds()"},
	}
	for _, e := range store.Expiries() {
		w, ok := want[e.Table]
		if !ok {
			t.Errorf("rows of %s end by themselves: is it their age alone?", e.Table)
			continue
		}
		delete(want, e.Table)
		if e.After.Seconds() != w.life {
			t.Errorf("%s: CockroachDB keeps a row for %s, PostgreSQL for %g s", e.Table, e.After, w.life)
		}
		text, err := os.ReadFile(w.file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), w.sweeper) {
			t.Errorf("the sweeper of %s does not go by %q", e.Table, w.sweeper)
		}
	}
	for table := range want {
		t.Errorf("nothing ends the rows of %s on CockroachDB", table)
	}
}

func TestExpire_onPostgreSQLLeavesTheSweepersAtWork(t *testing.T) {
	t.Parallel()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrateSearch), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := store.New(db, "euw3")
	if err := s.Settle(t.Context(), "eu-west-3"); err != nil {
		t.Fatal(err)
	}
	if err := s.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(t.Context(), `INSERT INTO booking.answer (scope, key, fingerprint, status, body, created_at) VALUES ('s', 'k', 'f', 200, '', now() - INTERVAL '10 years')`); err != nil {
		t.Fatal(err)
	}
	if gone, err := s.ForgetAnswers(t.Context()); err != nil || gone != 1 {
		t.Errorf("%d answers are gone (%v), want the old one", gone, err)
	}
}

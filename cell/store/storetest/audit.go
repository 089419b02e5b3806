package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"guichet/cell/audit"
	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

var auditTests = map[string]func(t *testing.T, s *store.Store){
	"Audit_anEntryIsWrittenOnceAndReadAsItWas":         auditKept,
	"Audit_anEntryGoesWithTheTransactionThatFails":     auditRollsBack,
	"Audit_isReadNewestFirstByWhomWhatAndWhen":         auditQueries,
	"Audit_theCellsRoleChangesAndDeletesNothing":       auditAppendOnly,
	"Audit_forgetsWhatIsPastItsTimeAndWorksOnAsBefore": auditForgets,
}

func note(e audit.Entry) *audit.Note {
	if e.Actor.Kind == "" {
		e.Actor = audit.Actor{Kind: audit.Person, ID: "mbr", Name: "Zoë"}
	}
	return audit.NewNote(e)
}

func record(t *testing.T, s *store.Store, n *audit.Note) {
	t.Helper()
	if err := s.AppendNote(audit.With(t.Context(), n), txn.None); err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, s *store.Store, q audit.Query) []audit.Entry {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	list, err := s.AuditEntries(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func auditKept(t *testing.T, s *store.Store) {
	n := note(audit.Entry{Action: "PUT /v1/x", RequestID: "req\x00\xff", Address: audit.Truncate("203.0.113.77")}).
		For("org").At("evt").On("quota", "quo").
		Changed(map[string]any{"size": 1, "name": "a\x00b", "api_key": "key1.secret"}, map[string]any{"size": 2, "name": "a\x00b", "nested": map[string]any{"token": "t", "kept": 1}})
	if err := s.AppendNote(t.Context(), txn.None); err != nil { // a call without a note
		t.Fatal(err)
	}
	for range 3 {
		record(t, s, n)
	}
	list := entries(t, s, audit.Query{})
	if len(list) != 1 {
		t.Fatalf("%d entries", len(list))
	}
	e := list[0]
	if e.Actor != (audit.Actor{Kind: audit.Person, ID: "mbr", Name: "Zoë"}) || e.Action != "PUT /v1/x" || e.Object != (audit.Object{Kind: "quota", ID: "quo"}) || e.Organizer != "org" || e.Event != "evt" ||
		strings.ReplaceAll(string(e.Before), " ", "") != `{"size":1}` || strings.ReplaceAll(string(e.After), " ", "") != `{"size":2,"nested":{"kept":1}}` && strings.ReplaceAll(string(e.After), " ", "") != `{"nested":{"kept":1},"size":2}` ||
		e.RequestID != "req\uFFFD\uFFFD" || e.Address != "203.0.113.0/24" || time.Since(e.At) > time.Hour {
		t.Errorf("%+v %s %s", e, e.Before, e.After)
	}
	bare := note(audit.Entry{Action: "POST /v1/y"})
	record(t, s, bare)
	if e := entries(t, s, audit.Query{})[0]; e.Before != nil || e.After != nil {
		t.Errorf("%s %s", e.Before, e.After)
	}
}

func auditRollsBack(t *testing.T, s *store.Store) {
	boom := errors.New("boom")
	ctx := audit.With(t.Context(), note(audit.Entry{Action: "PUT /v1/x"}))
	err := s.InTx(ctx, func(ctx context.Context, tx txn.Tx) error {
		if err := s.AppendNote(ctx, tx); err != nil {
			return err
		}
		return boom
	})
	wantErr(t, err, boom)
	if list := entries(t, s, audit.Query{}); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func auditQueries(t *testing.T, s *store.Store) {
	for _, e := range []audit.Entry{
		{Action: "1", Organizer: "a", Event: "e1"},
		{Action: "2", Organizer: "b", Event: "e2"},
		{Action: "3", Organizer: "a", Event: "e3", Actor: audit.Actor{Kind: audit.Key, ID: "key"}},
		{Action: "4", Organizer: "a", Event: "e1"},
	} {
		record(t, s, note(e))
	}
	says := func(q audit.Query) string {
		t.Helper()
		var actions strings.Builder
		for _, e := range entries(t, s, q) {
			actions.WriteString(e.Action)
		}
		return actions.String()
	}
	third := entries(t, s, audit.Query{Actor: "key"})[0]
	for want, q := range map[string]audit.Query{
		"4321": {}, "431": {Organizer: "a"}, "2": {Organizer: "b"}, "41": {Organizer: "a", Event: "e1"}, "3": {Organizer: "a", Actor: "key"}, "": {Organizer: "b", Event: "e1"},
		"43": {Limit: 2}, "21": {Before: audit.Place{At: third.At, ID: third.ID}}, "1": {Organizer: "a", Before: audit.Place{At: third.At, ID: third.ID}},
	} {
		if got := says(q); got != want {
			t.Errorf("%+v: %q, want %q", q, got, want)
		}
	}
	if got := says(audit.Query{From: third.At}); got != "43" {
		t.Errorf("from the third: %q", got)
	}
	if got := says(audit.Query{To: third.At}); got != "21" {
		t.Errorf("until the third: %q", got)
	}
}

func auditAppendOnly(t *testing.T, s *store.Store) {
	record(t, s, note(audit.Entry{Action: "1"}))
	for _, sql := range []string{`UPDATE audit.entry SET actor_name = 'nobody'`, `DELETE FROM audit.entry`, `TRUNCATE audit.entry`, `SELECT entry_id FROM audit.entry FOR UPDATE`} {
		if _, err := s.DB.Pool.Exec(t.Context(), sql); sqldb.SQLState(err) != "42501" && s.DB.Confined() != "" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if list := entries(t, s, audit.Query{}); len(list) != 1 || list[0].Actor.Name != "Zoë" {
		t.Errorf("%+v", list)
	}
}

func auditForgets(t *testing.T, s *store.Store) {
	for _, action := range []string{"old", "young"} {
		record(t, s, note(audit.Entry{Action: action}))
	}
	if n, err := s.ForgetEntries(t.Context()); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	owner := connectAs(t, s, s.DB.Pool.Config().ConnString(), "")
	const age = `UPDATE audit.entry SET at = clock_timestamp() - $1::float8 * INTERVAL '1 second' WHERE action = 'old'`
	if _, err := owner.DB.Pool.Exec(t.Context(), age, audit.Retention.Seconds()+1); err != nil {
		t.Fatal(err)
	}
	// Every session of the pool is asked, so that one that forgot its role would show.
	for _, n := range []int64{1, 0} {
		if gone, err := s.ForgetEntries(t.Context()); err != nil || gone != n {
			t.Errorf("%d, %v", gone, err)
		}
	}
	if list := entries(t, s, audit.Query{}); len(list) != 1 || list[0].Action != "young" {
		t.Errorf("%+v", list)
	}
	boom := errors.New("boom")
	wantErr(t, s.DB.AsOwner(t.Context(), func(context.Context, sqldb.Querier) error { return boom }), boom)
	if s.DB.Confined() == "" {
		return
	}
	for range 2 * s.DB.Pool.Config().MaxConns {
		if _, err := s.DB.Pool.Exec(t.Context(), `DELETE FROM audit.entry`); sqldb.SQLState(err) != "42501" {
			t.Fatalf("a session works on as the owner: %v", err)
		}
	}
}

package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// Statements about rows.
const (
	insertNotes = `INSERT INTO note (id, n) SELECT u.id, u.n FROM unnest($1::text[], $2::bigint[]) AS u (id, n) ON CONFLICT (id) DO NOTHING RETURNING id`
	insertPages = `INSERT INTO page (id, note) SELECT u.id, u.note FROM unnest($1::text[], $2::text[]) AS u (id, note)`
	updateNotes = `UPDATE note SET n = u.n FROM unnest($1::text[], $2::bigint[]) AS u (id, n) WHERE note.id = u.id`
	selectNotes = `SELECT u.id, note.n FROM unnest($1::text[]) AS u (id) JOIN note ON note.id = u.id`
	selectPages = `SELECT u.note, page.id FROM unnest($1::text[]) AS u (note) JOIN page ON page.note = u.note ORDER BY page.id`
)

func put(ctx context.Context, tx *sqldb.Tx, sql string, values ...any) error {
	b := &pgx.Batch{}
	b.Queue(sql, sqldb.Row(values...)...)
	return tx.Put(ctx, b)
}

func noteOf(ctx context.Context, tx *sqldb.Tx, id string) (n int64, err error) {
	b := &pgx.Batch{}
	sqldb.FindOne(b, selectNotes, func(row pgx.Row) error { return row.Scan(&n) }, id)
	return n, tx.Ask(ctx, b)
}

// keepsNote is a part that inserts a note with two pages, raises it twice, and reads all back.
func keepsNote(t *testing.T, id string, found *string) *sqldb.Part {
	t.Helper()
	return part(t, func(ctx context.Context, tx *sqldb.Tx) error {
		stored := false
		b := &pgx.Batch{}
		sqldb.FindEach(b, insertNotes, func(pgx.Row) error { stored = true; return nil }, id, int64(1))
		if err := tx.Ask(ctx, b); err != nil || !stored {
			return errors.Join(err, errors.New(id+" was there"))
		}
		var pages sqldb.Rows
		pages.Add(id+"/2", id)
		pages.Add(id+"/1", id)
		b = &pgx.Batch{}
		b.Queue(insertPages, pages...)
		if err := errors.Join(tx.Put(ctx, b), put(ctx, tx, updateNotes, id, int64(2)), put(ctx, tx, updateNotes, id, int64(3))); err != nil {
			return err
		}
		var n int64
		var read []string
		b = &pgx.Batch{}
		sqldb.FindOne(b, selectNotes, func(row pgx.Row) error { return row.Scan(&n) }, id)
		sqldb.FindEach(b, selectPages, func(row pgx.Row) error {
			var page string
			read = append(read, "")
			err := row.Scan(&page)
			read[len(read)-1] = page
			return err
		}, id)
		if err := tx.Ask(ctx, b); err != nil {
			return err
		}
		*found = fmt.Sprint(n, read)
		return nil
	})
}

// Thirty parts need no more statements than one, and each has its own rows back.
func TestRows_manyPartsShareEveryStatement(t *testing.T) {
	t.Parallel()
	var executed atomic.Int64
	p := &proxy{request: func(m []byte) []byte {
		if m[0] == 'E' { // Execute
			executed.Add(1)
		}
		return m
	}}
	db := open(t, p.through(t, testdb.New(t, schema)), sqldb.MaxConns(1))
	run := func(n int, name string) int64 {
		parts, found := make([]*sqldb.Part, n), make([]string, n)
		id := func(i int) string { return fmt.Sprintf("p%s%d", name, i) }
		for i := range parts {
			parts[i] = keepsNote(t, id(i), &found[i])
		}
		before := executed.Load()
		if err := db.Together(bounded(t), shared(parts...)); err != nil {
			t.Fatal(err)
		}
		for i, p := range parts {
			if want := fmt.Sprintf("3 [%s/1 %s/2]", id(i), id(i)); p.Err != nil || found[i] != want {
				t.Errorf("part %d: %v, read back %q, want %q", i, p.Err, found[i], want)
			}
		}
		return executed.Load() - before
	}
	run(1, "warm")
	if one, many := run(1, "one"), run(30, "many"); one != many {
		t.Errorf("%d statements for one part, %d for thirty", one, many)
	}
}

// What two parts want of the same key, and what only one of them finds.
func TestRows_eachTakesItsOwn(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	if err := db.InTx(bounded(t), func(ctx context.Context, tx *sqldb.Tx) error { return put(ctx, tx, updateNotes, "a", int64(5)) }); err != nil {
		t.Fatal(err)
	}
	errBad := errors.New("I cannot read this")
	read := func(id string, n *int64) *sqldb.Part {
		return part(t, func(ctx context.Context, tx *sqldb.Tx) (err error) {
			*n, err = noteOf(ctx, tx, id)
			return err
		})
	}
	var first, second, nobody, b int64
	wrong := part(t, func(ctx context.Context, tx *sqldb.Tx) error {
		batch := &pgx.Batch{}
		sqldb.FindOne(batch, selectNotes, func(pgx.Row) error { return errBad }, "b")
		return tx.Ask(ctx, batch)
	})
	parts := []*sqldb.Part{read("a", &first), read("a", &second), read("nobody", &nobody), wrong, read("b", &b)}
	if err := db.Together(bounded(t), shared(parts...)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, nil, sqldb.ErrNoRow, errBad, nil} {
		if !errors.Is(parts[i].Err, want) || want == nil && parts[i].Err != nil {
			t.Errorf("part %d: %v, want %v", i, parts[i].Err, want)
		}
	}
	if first != 5 || second != 5 || b != 0 {
		t.Errorf("found %d, %d and %d", first, second, b)
	}
}

// Two turns about one thing, the second begun in the round in which the first ended: what
// it asks goes with nothing that somebody else asked before the first one.
func TestRows_ofOneSubjectKeepTheirOrder(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	about := func(subject string, do func(ctx context.Context, tx *sqldb.Tx) error) *sqldb.Part {
		p := part(t, do)
		p.Subject = subject
		return p
	}
	other := about("y", func(ctx context.Context, tx *sqldb.Tx) error { return put(ctx, tx, insertPages, "p1", "a") })
	makes := about("x", func(ctx context.Context, tx *sqldb.Tx) error { return put(ctx, tx, insertNotes, "p2", int64(1)) })
	needs := about("x", func(ctx context.Context, tx *sqldb.Tx) error {
		return errors.Join(put(ctx, tx, insertPages, "p3", "p2"), put(ctx, tx, updateNotes, "p2", int64(2)))
	})
	again := about("x", func(ctx context.Context, tx *sqldb.Tx) error { return put(ctx, tx, updateNotes, "p2", int64(3)) })
	if err := db.Together(bounded(t), shared(other, makes, needs, again)); err != nil {
		t.Fatal(err)
	}
	if n := number(t, db, selectN, "p2"); n != 3 {
		t.Errorf("the note says %d, the last word was 3", n)
	}
}

// A row that the database refuses ends the transaction for all, as any statement does.
func TestRows_oneThatIsRefusedEndsItForAll(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	var found string
	guilty := part(t, func(ctx context.Context, tx *sqldb.Tx) error { return put(ctx, tx, updateNotes, "a", int64(-1)) })
	err := db.Together(bounded(t), shared(keepsNote(t, "p1", &found), guilty))
	if !sqldb.Violates(err, "note_n") || number(t, db, countNotes) != 0 {
		t.Errorf("%v, %d notes are stored", err, number(t, db, countNotes))
	}
}

func TestRows_ofOtherTypesArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	const echo = `SELECT u.k, u.t, u.n, u.f, u.b, u.x FROM unnest($1::text[], $2::text[], $3::bigint[], $4::float8[], $5::bool[], $6::bytea[]) AS u (k, t, n, f, b, x)`
	var text *string
	var n *int64
	var f float64
	var yes bool
	var bytes []byte
	var nobody *int64
	b := &pgx.Batch{}
	sqldb.FindOne(b, echo, func(row pgx.Row) error { return row.Scan(&text, &n, &f, &yes, &bytes) }, "k", nil, nobody, 1.5, true, []byte{0, 255})
	if err := db.Ask(bounded(t), b); err != nil || text != nil || n != nil || f != 1.5 || !yes || !slices.Equal(bytes, []byte{0, 255}) {
		t.Errorf("%v: %v %v %v %v %v", err, text, n, f, yes, bytes)
	}
}

// What pipes ask is planned by key, whatever the tables were like at first.
func TestPipes_planOnceAndByKey(t *testing.T) {
	t.Parallel()
	db := open(t, with(t, testdb.New(t, schema), "jit", "on"))
	var settings []string
	p := part(t, func(ctx context.Context, tx *sqldb.Tx) error {
		for _, sql := range []string{`SHOW plan_cache_mode`, `SHOW enable_seqscan`, `SHOW jit`} {
			var value string
			if err := tx.QueryRow(ctx, sql).Scan(&value); err != nil {
				return err
			}
			settings = append(settings, value)
		}
		return nil
	})
	if err := db.Together(bounded(t), shared(p)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(settings, " "); got != "force_generic_plan off off" {
		t.Errorf("a pipe's session has %s", got)
	}
}

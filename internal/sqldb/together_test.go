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

	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

const (
	insertNote = `INSERT INTO note (id, n) VALUES ($1, $2)`
	raiseNote  = `UPDATE note SET n = n + $2 WHERE id = $1`
	selectN    = `SELECT n FROM note WHERE id = $1`
	countNotes = `SELECT count(*) FROM note WHERE id LIKE 'p%'`
)

var errRefused = kind.Conflict.New("no")

// shared is a transaction of these parts that locks the note a.
func shared(parts ...*sqldb.Part) *sqldb.Shared {
	return &sqldb.Shared{
		Read: func(b *pgx.Batch) { b.Queue(readA) }, Ready: func() error { return nil },
		Parts: parts, Last: func(*pgx.Batch) error { return nil },
	}
}

func part(t *testing.T, do func(ctx context.Context, tx *sqldb.Tx) error) *sqldb.Part {
	t.Helper()
	return &sqldb.Part{Ctx: t.Context(), Do: do}
}

// writes is a part that inserts a note, reads it back and says what it found.
func writes(t *testing.T, id string, found *int64) *sqldb.Part {
	t.Helper()
	return part(t, func(ctx context.Context, tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, insertNote, id, 7); err != nil {
			return err
		}
		return tx.QueryRow(ctx, selectN, id).Scan(found)
	})
}

// Thirty parts with two questions each need no more messages than one: BEGIN with the
// reads, one for each question, COMMIT.
func TestTogether_manyPartsShareEveryRoundTrip(t *testing.T) {
	t.Parallel()
	var syncs atomic.Int64
	p := &proxy{request: func(m []byte) []byte {
		if m[0] == 'S' { // Sync ends a message that is answered
			syncs.Add(1)
		}
		return m
	}}
	db := open(t, p.through(t, testdb.New(t, schema)), sqldb.MaxConns(1))
	run := func(n int, name string) int64 {
		var parts []*sqldb.Part
		found := make([]int64, n)
		for i := range n {
			parts = append(parts, writes(t, fmt.Sprintf("p%s%d", name, i), &found[i]))
		}
		before := syncs.Load()
		if err := db.Together(bounded(t), shared(parts...)); err != nil {
			t.Fatal(err)
		}
		for i, p := range parts {
			if p.Err != nil || found[i] != 7 {
				t.Errorf("part %d: %v, read back %d", i, p.Err, found[i])
			}
		}
		return syncs.Load() - before
	}
	run(1, "warm") // statements are prepared
	one, many := run(1, "one"), run(30, "many")
	if one != many || many != 4 {
		t.Errorf("%d messages for one part, %d for thirty, want 4", one, many)
	}
	if n := number(t, db, countNotes); n != 32 {
		t.Errorf("%d notes are stored, want 32", n)
	}
}

func TestTogether_aRefusalThatChangedNothingIsItsOwn(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	var found int64
	said := []string{}
	say := func(p *sqldb.Part, word string) *sqldb.Part {
		do := p.Do
		p.Do = func(ctx context.Context, tx *sqldb.Tx) error {
			tx.After(func() { said = append(said, word) })
			return do(ctx, tx)
		}
		return p
	}
	refuses := say(part(t, func(ctx context.Context, tx *sqldb.Tx) error {
		var n int64
		if err := tx.QueryRow(ctx, selectN, "a").Scan(&n); err != nil {
			return err
		}
		return errRefused
	}), "refused")
	panics := say(part(t, func(context.Context, *sqldb.Tx) error { panic("our bug") }), "panicked")
	lacks := say(part(t, func(ctx context.Context, tx *sqldb.Tx) error {
		var n int64
		return tx.QueryRow(ctx, selectN, "nobody").Scan(&n)
	}), "lacked")
	does := say(writes(t, "p1", &found), "done")
	if err := db.Together(bounded(t), shared(refuses, panics, lacks, does)); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(refuses.Err, errRefused) || panics.Err == nil || !errors.Is(lacks.Err, sqldb.ErrNoRow) || does.Err != nil {
		t.Errorf("refused %v, panicked %v, lacked %v, done %v", refuses.Err, panics.Err, lacks.Err, does.Err)
	}
	if n := number(t, db, countNotes); n != 1 || found != 7 || !slices.Equal(said, []string{"done"}) {
		t.Errorf("%d notes, read back %d, said afterwards %v", n, found, said)
	}
}

func TestTogether_aRefusalThatChangedSomethingUndoesAllAndSaysWhose(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	for name, change := range map[string]func(ctx context.Context, tx *sqldb.Tx) error{
		"a statement": func(ctx context.Context, tx *sqldb.Tx) error { _, err := tx.Exec(ctx, raiseNote, "a", 1); return err },
		"a put": func(ctx context.Context, tx *sqldb.Tx) error {
			b := &pgx.Batch{}
			b.Queue(raiseNote, "a", 1)
			return tx.Put(ctx, b)
		},
		"a note of its own": func(ctx context.Context, tx *sqldb.Tx) error { tx.Wrote(); return nil },
	} {
		var found int64
		said := false
		guilty := part(t, func(ctx context.Context, tx *sqldb.Tx) error {
			tx.After(func() { said = true })
			return errors.Join(change(ctx, tx), errRefused)
		})
		other := writes(t, "p1", &found)
		if err := db.Together(bounded(t), shared(guilty, other)); !errors.Is(err, sqldb.ErrUndone) {
			t.Errorf("%s: %v", name, err)
		}
		if !guilty.Undo || other.Undo || said {
			t.Errorf("%s: undo %v, the other %v, said afterwards %v", name, guilty.Undo, other.Undo, said)
		}
		if n := number(t, db, countNotes) + number(t, db, selectN, "a"); n != 0 {
			t.Errorf("%s: something was stored", name)
		}
	}
}

func TestTogether_aStatementThatFailsEndsItForAll(t *testing.T) {
	t.Parallel()
	db := fresh(t, sqldb.MaxConns(1))
	var found int64
	late := false
	fails := part(t, func(ctx context.Context, tx *sqldb.Tx) error {
		b := &pgx.Batch{}
		b.Queue(raiseNote, "a", -1)
		return tx.Put(ctx, b)
	})
	other := writes(t, "p1", &found)
	after := part(t, func(ctx context.Context, tx *sqldb.Tx) error {
		_, _ = tx.Exec(ctx, raiseNote, "b", 1)
		_, err := tx.Exec(ctx, raiseNote, "b", 1)
		late = err != nil
		return err
	})
	err := db.Together(bounded(t), shared(fails, other, after))
	if !sqldb.Violates(err, "note_n") || errors.Is(err, sqldb.ErrOutcomeUnknown) || !late {
		t.Errorf("%v; a later statement failed: %v", err, late)
	}
	if n := number(t, db, countNotes) + number(t, db, selectN, "b"); n != 0 {
		t.Error("something was stored")
	}
	if err := db.Together(bounded(t), shared(writes(t, "p2", &found))); err != nil {
		t.Errorf("the session is not clean: %v", err)
	}
}

// Two parts about the same run one after the other, so that what the first decided is
// there for the second to read.
func TestTogether_ofOneSubjectRunOneAfterTheOther(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	var trace []string
	step := func(name, subject string) *sqldb.Part {
		p := part(t, func(ctx context.Context, tx *sqldb.Tx) error {
			var n int64
			if err := tx.QueryRow(ctx, selectN, "a").Scan(&n); err != nil {
				return err
			}
			trace = append(trace, fmt.Sprint(name, n))
			b := &pgx.Batch{}
			b.Queue(`UPDATE note SET n = $1 WHERE id = 'a'`, n+1)
			return tx.Put(ctx, b)
		})
		p.Subject = subject
		return p
	}
	if err := db.Together(bounded(t), shared(step("x", "one"), step("y", "one"), step("z", "one"))); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(trace, " "); got != "x0 y1 z2" || number(t, db, selectN, "a") != 3 {
		t.Errorf("went %s", got)
	}
	trace = nil
	if err := db.Together(bounded(t), shared(step("x", "one"), step("y", "another"))); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(trace, " "); got != "x3 y3" {
		t.Errorf("of different subjects went %s: the test above shows nothing", got)
	}
}

func TestTogether_readsRowsWhole(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	read := func(ids *[]string) *sqldb.Part {
		return part(t, func(ctx context.Context, tx *sqldb.Tx) error {
			rows, err := tx.Query(ctx, `SELECT id FROM note ORDER BY id`)
			if err != nil {
				return err
			}
			*ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
	}
	var first, second []string
	if err := db.Together(bounded(t), shared(read(&first), read(&second))); err != nil {
		t.Fatal(err)
	}
	for _, ids := range [][]string{first, second} {
		if !slices.Equal(ids, []string{"a", "b"}) {
			t.Errorf("read %v", ids)
		}
	}
}

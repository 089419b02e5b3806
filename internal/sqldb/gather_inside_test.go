package sqldb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"guichet/internal/testdb"
)

const (
	findMark  = `SELECT u.id, mark.n FROM unnest($1::text[]) AS u (id) JOIN mark ON mark.id = u.id`
	keepMarks = `INSERT INTO mark (id, n) SELECT u.id, u.n FROM unnest($1::text[], $2::bigint[]) AS u (id, n) ON CONFLICT (id) DO NOTHING RETURNING id`
)

// counter counts messages to the database.
type counter struct{ batches, statements atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	c.batches.Add(1)
	c.statements.Add(int64(d.Batch.Len()))
	return ctx
}
func (c *counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// gathers is a database with the marks m0 to m9, and what it is asked.
func gathers(t *testing.T) (*DB, *counter) {
	t.Helper()
	seen := &counter{}
	dsn := testdb.New(t, func(ctx context.Context, dsn string) error {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, `CREATE TABLE mark (id text PRIMARY KEY, n bigint NOT NULL, CONSTRAINT mark_n CHECK (n >= 0));
			INSERT INTO mark (id, n) SELECT 'm' || i, i FROM generate_series(0, 9) AS i`)
		return err
	})
	db, err := Open(t.Context(), dsn, "guichet-test", func(_ *DB, c *pgxpool.Config) { c.ConnConfig.Tracer = seen })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if _, err := markOf(bounded(t), db, "m0"); err != nil { // a session is open
		t.Fatal(err)
	}
	seen.batches.Store(0)
	seen.statements.Store(0)
	return db, seen
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// crowd lets n callers ask while nobody is served, does first, serves them, and waits for all.
func crowd(t *testing.T, g *gathering, n int, ask func(i int), first ...func()) {
	t.Helper()
	until := func(seen func() bool) { // neither a list nor a number signals anything
		for ctx := bounded(t); ; time.Sleep(time.Millisecond) {
			g.mu.Lock()
			ok := seen()
			g.mu.Unlock()
			if ok {
				return
			}
			if err := ctx.Err(); err != nil {
				t.Error(err)
				return
			}
		}
	}
	until(func() bool { // who served a caller of before leaves a moment after his answer
		if g.serving > 0 {
			return false
		}
		g.serving = gatherers
		return true
	})
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { ask(i) })
	}
	until(func() bool { return len(g.waiting) == n })
	for _, do := range first {
		do()
	}
	g.serve(bounded(t))
	callers.Wait()
	g.mu.Lock()
	g.serving = 0
	g.mu.Unlock()
}

func markOf(ctx context.Context, db *DB, id string) (n int64, err error) {
	b := &pgx.Batch{}
	FindOne(b, findMark, func(row pgx.Row) error { return row.Scan(&n) }, id)
	return n, db.Ask(ctx, b)
}

// What is configured is what a process opens at most, however it is shared out.
func TestMaxConns_boundsAllPoolsTogether(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int32{0: DefaultMaxConns, -1: DefaultMaxConns, 1001: DefaultMaxConns, 4: 4, 7: 7, 24: 24, 1000: 1000} {
		db, err := Open(t.Context(), "postgres://nobody@127.0.0.1:1/none", "guichet-test", MaxConns(n))
		if err != nil {
			t.Fatal(err)
		}
		var all int32
		for _, p := range db.pools() {
			all += p.Config().MaxConns
		}
		if len(db.pools()) != 3 || all != want {
			t.Errorf("MaxConns(%d) gives %d pools with %d sessions", n, len(db.pools()), all)
		}
		db.Close()
	}
}

func TestAsk_manyCallersShareAMessageAndAStatement(t *testing.T) {
	t.Parallel()
	db, seen := gathers(t)
	crowd(t, db.asked, 12, func(i int) {
		n, err := markOf(bounded(t), db, fmt.Sprint("m", i))
		if i < 10 && (err != nil || n != int64(i)) || i >= 10 && !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("caller %d: %d, %v", i, n, err)
		}
	})
	if seen.batches.Load() != 1 || seen.statements.Load() != 1 {
		t.Errorf("%d messages with %d statements, want one", seen.batches.Load(), seen.statements.Load())
	}
}

func TestAsk_whoHasLeftTakesNothing(t *testing.T) {
	t.Parallel()
	db, seen := gathers(t)
	gone, leave := context.WithCancel(bounded(t))
	left, taken := make(chan struct{}), false
	crowd(t, db.asked, 2, func(i int) {
		if i == 0 {
			if n, err := markOf(bounded(t), db, "m7"); err != nil || n != 7 {
				t.Errorf("who stayed: %d, %v", n, err)
			}
			return
		}
		b := &pgx.Batch{}
		FindOne(b, findMark, func(pgx.Row) error { taken = true; return nil }, "m1")
		if err := db.Ask(gone, b); !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
		close(left)
	}, func() {
		leave()
		<-left
	})
	if taken || seen.statements.Load() != 1 {
		t.Errorf("who left took an answer: %v; %d statements", taken, seen.statements.Load())
	}
}

// Who leaves while his answer is on its way takes nothing once he is gone.
func TestAsk_whoLeavesMeanwhileTakesNothing(t *testing.T) {
	t.Parallel()
	db, _ := gathers(t)
	gone, leave := context.WithCancel(bounded(t))
	left, taken := make(chan struct{}), false
	stays := func() {
		b := &pgx.Batch{}
		FindOne(b, findMark, func(pgx.Row) error {
			leave()
			<-left
			return nil
		}, "m7")
		if err := db.Ask(bounded(t), b); err != nil {
			t.Errorf("who stayed: %v", err)
		}
	}
	leaves := func() {
		defer close(left)
		b := &pgx.Batch{}
		FindOne(b, findMark, func(pgx.Row) error { taken = true; return nil }, "m8")
		FindOne(b, findMark, func(pgx.Row) error { taken = true; return nil }, "nobody")
		if err := db.Ask(gone, b); !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
	}
	crowd(t, db.asked, 2, func(i int) { []func(){stays, leaves}[i]() }, func() {
		db.asked.mu.Lock() // m7 is answered first
		defer db.asked.mu.Unlock()
		slices.SortFunc(db.asked.waiting, func(a, b *question) int { return len(a.queries) - len(b.queries) })
	})
	if taken {
		t.Error("who left took an answer")
	}
}

// A database that is not there is asked once for all who wait, not once for each of them.
func TestAsk_ofADatabaseThatIsAwayFailsForAllAtOnce(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var calls atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_ = conn.Close()
		}
	}()
	db, err := Open(t.Context(), "postgres://nobody@"+l.Addr().String()+"/none?sslmode=disable", "guichet-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	ask := func(n int) int64 {
		before := calls.Load()
		crowd(t, db.asked, n, func(i int) {
			b := &pgx.Batch{}
			FindOne(b, findMark, func(pgx.Row) error { return nil }, fmt.Sprint("m", i))
			if err := db.asked.ask(bounded(t), b); !errors.Is(Classify(err), ErrUnavailable) {
				t.Errorf("caller %d: %v", i, err)
			}
		})
		return calls.Load() - before
	}
	if calls := ask(40); calls >= 20 { // the pool may call more than once for a message
		t.Errorf("%d calls for forty who wait", calls)
	}
}

func TestStore_oneThatIsRefusedIsItsOwn(t *testing.T) {
	t.Parallel()
	db, _ := gathers(t)
	store := func(id string, n int64) (stored bool, err error) {
		b := &pgx.Batch{}
		FindEach(b, keepMarks, func(pgx.Row) error { stored = true; return nil }, id, n)
		return stored, db.Store(bounded(t), b)
	}
	crowd(t, db.stored, 4, func(i int) {
		switch stored, err := store(fmt.Sprint("m", 8+i), int64(2-i)); i {
		case 0, 1: // they are there
			if err != nil || stored {
				t.Errorf("row %d: stored %v, %v", i, stored, err)
			}
		case 2:
			if err != nil || !stored {
				t.Errorf("row %d: stored %v, %v", i, stored, err)
			}
		default:
			if !Violates(err, "mark_n") {
				t.Errorf("row %d: stored %v, %v", i, stored, err)
			}
		}
	})
	if n, err := markOf(bounded(t), db, "m10"); err != nil || n != 0 {
		t.Errorf("the good row is %d, %v", n, err)
	}
	if _, err := markOf(bounded(t), db, "m11"); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("the refused row: %v", err)
	}
}

// merge keeps the order of each who asks, whatever the others do, and loses nothing.
func FuzzMerge(f *testing.F) {
	f.Add([]byte{0, 1, 16, 17, 2, 18, 0, 33})
	f.Add([]byte{0, 0, 0, 1, 0, 17, 16, 17})
	f.Fuzz(func(t *testing.T, script []byte) {
		var all []asked
		for i, b := range script {
			who, statement := b>>4&3, b&3
			all = append(all, asked{&pgx.QueuedQuery{SQL: fmt.Sprint("S", statement), Arguments: Row(i)}, who})
		}
		place := map[int]int{} // of each question, among the statements
		for at, q := range merge(all).QueuedQueries {
			for _, i := range q.Arguments[0].(Column) { //nolint:forcetypeassert // it was a Column
				n, _ := i.(int)
				if _, twice := place[n]; twice || all[n].query.SQL != q.SQL {
					t.Fatalf("question %d is at %s", n, q.SQL)
				}
				place[n] = at
			}
		}
		last := map[any]int{}
		for i, a := range all {
			at, there := place[i]
			if before, asked := last[a.who]; !there || asked && at <= before {
				t.Fatalf("question %d is at %d, behind %d: %v", i, at, before, script)
			}
			last[a.who] = at
			if len(a.query.Arguments[0].(Column)) != 1 { //nolint:forcetypeassert // as above
				t.Fatalf("question %d was changed: it cannot be asked again", i)
			}
		}
	})
}

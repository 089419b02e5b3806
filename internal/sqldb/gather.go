package sqldb

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// gatherers is how many messages may be on their way at once; who comes meanwhile
	// travels with the next one.
	gatherers = 2
	// gatheredMost bounds the callers of one message.
	gatheredMost = 128
	// gatherLimit ends a message: what is asked by key takes milliseconds.
	gatherLimit = 5 * time.Second
)

// gathering lets callers who ask at the same time share a message to the database.
type gathering struct {
	pool *pgxpool.Pool

	mu      sync.Mutex  // guards the fields below
	waiting []*question // each has a caller who waits, so the limit on requests bounds it
	serving int
}

// question is what one caller asks.
type question struct {
	queries []*pgx.QueuedQuery
	done    chan struct{}
	err     error // when done

	mu   sync.Mutex // held while it takes its answers
	gone bool       // its caller does not wait any more
	own  error      // what it found wrong with them
}

// ask sends statements about rows with those of others. It returns when b has its answers,
// or when ctx is over: then b takes none any more.
func (g *gathering) ask(ctx context.Context, b *pgx.Batch) error {
	q := &question{done: make(chan struct{})}
	for _, query := range b.QueuedQueries {
		q.queries = append(q.queries, q.taking(query))
	}
	g.mu.Lock()
	g.waiting = append(g.waiting, q)
	begin := g.serving < gatherers
	if begin {
		g.serving++
	}
	g.mu.Unlock()
	if begin {
		go g.serve(context.WithoutCancel(ctx))
	}
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		q.mu.Lock() // it may be taking an answer at this moment
		defer q.mu.Unlock()
		q.gone = true
		return ctx.Err()
	}
}

// taking is a query whose answer is taken as long as its caller waits for it.
func (q *question) taking(query *pgx.QueuedQuery) *pgx.QueuedQuery {
	w := wantedBy(query)
	if w == nil {
		return query
	}
	return w.with(query, func(take func(pgx.Row) error) func(pgx.Row) error {
		return func(row pgx.Row) error {
			q.mu.Lock()
			defer q.mu.Unlock()
			if q.gone || q.own != nil {
				return nil
			}
			if err := take(row); broken(err) {
				return err
			} else if err != nil {
				q.own = err
			}
			return nil
		}
	})
}

// left says that its caller does not wait any more.
func (q *question) left() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.gone
}

// serve asks for all who wait until nobody does.
func (g *gathering) serve(ctx context.Context) {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), gatheredMost)
		if n == 0 {
			g.serving--
			g.mu.Unlock()
			return
		}
		now := g.waiting[:n:n]
		if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
			g.waiting = nil // with what it kept of those who were served
		}
		g.mu.Unlock()
		err := g.send(ctx, now)
		for _, q := range now {
			q.err = errors.Join(err, q.own)
			if n > 1 && refusedOne(err) { // each by himself
				q.own = nil
				q.err = errors.Join(g.send(ctx, []*question{q}), q.own)
			}
			close(q.done)
		}
	}
}

// refusedOne says that somebody's statement may be to blame for a message that failed. Where
// the database is not there it is nobody's, and to ask for each would take for ever.
func refusedOne(err error) bool {
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(Classify(err), ErrUnavailable)
}

func (g *gathering) send(ctx context.Context, now []*question) error {
	ctx, cancel := context.WithTimeout(ctx, gatherLimit)
	defer cancel()
	var all []asked
	for _, q := range now {
		if q.left() {
			continue
		}
		for _, query := range q.queries {
			all = append(all, asked{query, q})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return g.pool.SendBatch(ctx, merge(all)).Close()
}

package checkout_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/saga"
	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

var errDead = errors.New("this process is dead")

// life is how long a process lives: so many moments, then never again.
type life struct {
	mu   sync.Mutex
	left int
	at   string // where it died, "" while it lives
}

func (l *life) moment(what string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		if l.at == "" {
			l.at = what
		}
		return errDead
	}
	l.left--
	return nil
}

func (l *life) died() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// mortal is the store of a process that dies at some moment: before a transaction,
// before its commit, or after it, when nobody hears that it was made.
type mortal struct {
	*store.Store
	*life
}

func (m mortal) InTx(ctx context.Context, do func(context.Context, txn.Tx) error) error {
	if err := m.moment("before a transaction"); err != nil {
		return err
	}
	err := m.Store.InTx(ctx, func(ctx context.Context, tx txn.Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		return m.moment("before a commit")
	})
	return errors.Join(err, m.moment("after a commit"))
}

func (m mortal) ClaimRuns(ctx context.Context, owner string, lease time.Duration, limit int) ([]saga.Claim, error) {
	if err := m.moment("before a claim"); err != nil {
		return nil, err
	}
	claims, err := m.Store.ClaimRuns(ctx, owner, lease, limit)
	return claims, errors.Join(err, m.moment("after a claim"))
}

func (m mortal) ReleaseRun(ctx context.Context, c saga.Claim, owner string, pause time.Duration) error {
	if err := m.moment("before a release"); err != nil {
		return err
	}
	return m.Store.ReleaseRun(ctx, c, owner, pause)
}

// moody is a provider that a process calls, which may die before and after; it
// answers, or fails before its effect and then after it.
type moody struct {
	payment.Processor
	life    *life
	failing bool

	mu    sync.Mutex
	tries map[string]int
}

func mood[T any](m *moody, what string, call func() (T, error)) (T, error) {
	var none T
	if m.life != nil {
		if err := m.life.moment("before " + what); err != nil {
			return none, err
		}
	}
	m.mu.Lock()
	if m.tries == nil {
		m.tries = map[string]int{}
	}
	m.tries[what]++
	try := m.tries[what]
	m.mu.Unlock()
	if m.failing && try%3 == 1 {
		return none, payment.ErrProviderAway
	}
	out, err := call()
	if m.failing && try%3 == 2 { // the effect is there, the answer is lost
		return none, payment.ErrProviderAway
	}
	if m.life != nil {
		if dead := m.life.moment("after " + what); dead != nil {
			return none, dead
		}
	}
	return out, err
}

func (m *moody) CreateIntent(ctx context.Context, n payment.NewIntent) (payment.Intent, error) {
	return mood(m, "creating an intent", func() (payment.Intent, error) { return m.Processor.CreateIntent(ctx, n) })
}

func (m *moody) GetIntent(ctx context.Context, intent string) (payment.Intent, error) {
	return mood(m, "reading an intent", func() (payment.Intent, error) { return m.Processor.GetIntent(ctx, intent) })
}

func (m *moody) CaptureIntent(ctx context.Context, intent, key string) (payment.Intent, error) {
	return mood(m, "capturing", func() (payment.Intent, error) { return m.Processor.CaptureIntent(ctx, intent, key) })
}

func (m *moody) CancelIntent(ctx context.Context, intent, key string) (payment.Intent, error) {
	return mood(m, "canceling an intent", func() (payment.Intent, error) { return m.Processor.CancelIntent(ctx, intent, key) })
}

func (m *moody) Refund(ctx context.Context, intent string, amount int64, key string) (payment.Refund, error) {
	return mood(m, "refunding", func() (payment.Refund, error) { return m.Processor.Refund(ctx, intent, amount, key) })
}

// postbox queues letters, and counts how often it was asked to: the queue itself
// would not show that one came twice.
type postbox struct{ s *store.Store }

const (
	letters = `CREATE TABLE IF NOT EXISTS letter (what text, order_id text, n bigint NOT NULL, PRIMARY KEY (what, order_id))`
	letter  = `INSERT INTO letter (what, order_id, n) VALUES ($1, $2, 1) ON CONFLICT (what, order_id) DO UPDATE SET n = letter.n + 1`
	written = `SELECT what, n FROM letter WHERE order_id = $1`
)

func (p postbox) Allow(context.Context, txn.Tx, string) error { return nil }

func (p postbox) Enqueue(ctx context.Context, tx txn.Tx, m notify.Message) error {
	var q sqldb.Querier = p.s.DB.Pool
	if own, ok := tx.(*sqldb.Tx); ok {
		q = own
	}
	if _, err := q.Exec(ctx, letter, string(m.Kind), m.Order.String()); err != nil {
		return err
	}
	return (&notify.Service{Queue: p.s}).Enqueue(ctx, tx, m)
}

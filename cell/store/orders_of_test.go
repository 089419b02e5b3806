package store_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
	"guichet/internal/txn"
)

// messages counts what is asked of a database.
type messages struct{ n atomic.Int64 }

func (m *messages) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	m.n.Add(1)
	return ctx
}
func (m *messages) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (m *messages) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	m.n.Add(1)
	return ctx
}
func (m *messages) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (m *messages) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

const makeOrders = `INSERT INTO checkout.orders (order_id, event_id, hold_id, code, state, total, fees, currency, buyer, attendees, created_at, expires_at)
	SELECT 'ord_' || substr($1::text, 5) || '_' || lpad(n::text, 16, '0'), $1, 'hld_' || substr($1::text, 5) || '_' || lpad(n::text, 16, '0'), 'C' || n::text, 'paid', 0, 0, 'EUR',
		'{}'::jsonb, '[]'::jsonb, now(), now() FROM generate_series(1, $2::bigint) AS n`

func TestOrdersOf_asksTheDatabaseTwiceHoweverManyOrdersThereAre(t *testing.T) {
	t.Parallel()
	asked := &messages{}
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrateSearch), "test", sqldb.As(store.AppRole), func(_ *sqldb.DB, c *pgxpool.Config) { c.ConnConfig.Tracer = asked })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := store.New(db, "euw3")
	event := id.NewEvent("euw3")
	if _, err := db.Pool.Exec(t.Context(), makeOrders, event.String(), 60); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OrdersOf(t.Context(), txn.None, event, "", 1); err != nil { // a session is open, and knows the statements
		t.Fatal(err)
	}
	before := asked.n.Load()
	orders, err := s.OrdersOf(t.Context(), txn.None, event, "", 50)
	if err != nil || len(orders) != 50 || orders[0].Code != "C1" || orders[49].Code != "C50" {
		t.Fatalf("%d orders, %v", len(orders), err)
	}
	if n := asked.n.Load() - before; n > 2 {
		t.Errorf("%d messages to the database for 50 orders", n)
	}
	rest, err := s.OrdersOf(t.Context(), txn.None, event, orders[49].ID.String(), 50)
	if err != nil || len(rest) != 10 || rest[0].Code != "C51" {
		t.Errorf("%d orders behind them, %v", len(rest), err)
	}
}

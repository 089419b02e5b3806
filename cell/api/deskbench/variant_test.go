package deskbench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/store"
	"guichet/internal/httpd"
)

const size = 10_000_000 // of the event: nobody meets its end

// variant is one way of answering a request for a hold.
type variant struct {
	name     string
	handler  http.Handler
	request  request
	database string                                   // whose sessions' CPU is counted; "" for none
	stored   func(ctx context.Context) (int64, error) // holds that are stored; nil where none are
	sane     func(ctx context.Context) error          // whether no event is above its size
}

// peers are the ways others take, each at its best on a bare table of its own.
const peers = `
CREATE TABLE quota (id bigint PRIMARY KEY, size bigint NOT NULL, held bigint NOT NULL);
INSERT INTO quota VALUES (1, 10000000, 0), (2, 10000000, 0);
CREATE TABLE hold1 (id text PRIMARY KEY, quota bigint NOT NULL, quantity bigint NOT NULL);
CREATE INDEX hold1_of_quota ON hold1 (quota);
CREATE TABLE hold2 (id text PRIMARY KEY, quota bigint NOT NULL, quantity bigint NOT NULL);
CREATE TABLE seat (id bigint PRIMARY KEY, holder text);
CREATE INDEX seat_free ON seat (id) WHERE holder IS NULL;
INSERT INTO seat SELECT n, NULL FROM generate_series(1, 500000) AS n`

// peer serves one way of the peers behind the same HTTP and JSON.
func peer(hold func(ctx context.Context, holdID string) error, event id.Event) http.Handler {
	e := httpd.NewEngine("peer")
	e.POST("/hold", func(c *gin.Context) {
		var in client.NewHold
		if err := c.ShouldBindJSON(&in); err != nil {
			httpd.Fail(c, err)
			return
		}
		h := id.NewHold(event).String()
		if err := hold(c.Request.Context(), h); err != nil {
			httpd.Fail(c, err)
			return
		}
		c.JSON(http.StatusCreated, client.Hold{
			ID: h, EventID: event.String(), State: "active", ExpiresAt: time.Now().Add(10 * time.Minute), Items: in.Items, Total: money.Money{Amount: 4250, Currency: "EUR"},
		})
	})
	return e
}

func countIn(pool *pgxpool.Pool, sql string, args ...any) func(ctx context.Context) (int64, error) {
	return func(ctx context.Context) (n int64, err error) {
		err = pool.QueryRow(ctx, sql, args...).Scan(&n)
		return n, err
	}
}

// withinSize says whether every event's counters are what its holds say, and within its size (P2).
func withinSize(pool *pgxpool.Pool) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		var wrong int64
		err := pool.QueryRow(ctx, `WITH held AS (SELECT event_id, sum((items->0->>'quantity')::bigint)::bigint AS n FROM booking.hold WHERE state = 'active' GROUP BY event_id)
			SELECT count(*) FROM booking.quota AS q LEFT JOIN held AS h ON h.event_id = q.event_id
			WHERE q.held + q.sold + q.allocated > q.size OR q.held <> coalesce(h.n, 0)`).Scan(&wrong)
		if err == nil && wrong > 0 {
			err = fmt.Errorf("%d quotas are above their size or do not count their holds", wrong)
		}
		return err
	}
}

var errSoldOut = errors.New("sold out")

// variants are what is compared, the baseline first.
func variants(b *testing.B, s *store.Store) []variant {
	b.Helper()
	pool := s.DB.Pool
	for _, sql := range splitPeers() {
		if _, err := pool.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	shop := newHouse(b, s)
	sold := shop.event(b, size)
	event := sold.ID
	database := pool.Config().ConnConfig.Database
	_, body := holdRequest(sold)
	lock := func(ctx context.Context, h string) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			var limit, held int64
			if err := tx.QueryRow(ctx, `SELECT size FROM quota WHERE id = 1 FOR UPDATE`).Scan(&limit); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `SELECT coalesce(sum(quantity), 0)::bigint FROM hold1 WHERE quota = 1`).Scan(&held); err != nil || held >= limit {
				return errors.Join(err, errSoldOut)
			}
			_, err := tx.Exec(ctx, `INSERT INTO hold1 VALUES ($1, 1, 1)`, h)
			return err
		})
	}
	conditional := func(ctx context.Context, h string) error {
		tag, err := pool.Exec(ctx, `WITH q AS (UPDATE quota SET held = held + 1 WHERE id = 2 AND held < size RETURNING id) INSERT INTO hold2 SELECT $1, q.id, 1 FROM q`, h)
		if err == nil && tag.RowsAffected() != 1 {
			err = errSoldOut
		}
		return err
	}
	seats := func(ctx context.Context, h string) error {
		tag, err := pool.Exec(ctx, `UPDATE seat SET holder = $1 WHERE id = (SELECT id FROM seat WHERE holder IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)`, h)
		if err == nil && tag.RowsAffected() != 1 {
			err = errSoldOut
		}
		return err
	}
	nothing := func(context.Context, string) error { return nil }
	return []variant{
		{name: "0 empty handler", handler: peer(nothing, event), request: fixed("/hold", body)},
		{name: "1 lock, recount, insert", handler: peer(lock, event), request: fixed("/hold", body), database: database, stored: countIn(pool, `SELECT count(*) FROM hold1`)},
		{name: "2 conditional update and insert", handler: peer(conditional, event), request: fixed("/hold", body), database: database, stored: countIn(pool, `SELECT count(*) FROM hold2`)},
		{name: "3 seat rows, SKIP LOCKED", handler: peer(seats, event), request: fixed("/hold", body), database: database, stored: countIn(pool, `SELECT count(*) FROM seat WHERE holder IS NOT NULL`)},
		deskVariant("4 the desk", shop.handler, sold, s),
	}
}

// deskVariant asks for one ticket of the event at a time.
func deskVariant(name string, h http.Handler, e booking.Event, s *store.Store) variant {
	path, body := holdRequest(e)
	return variant{
		name: name, handler: h, request: fixed(path, body), database: s.DB.Pool.Config().ConnConfig.Database,
		stored: countIn(s.DB.Pool, `SELECT count(*) FROM booking.hold WHERE event_id = $1`, e.ID.String()), sane: withinSize(s.DB.Pool),
	}
}

func holdRequest(e booking.Event) (path, body string) {
	return "/v1/events/" + e.ID.String() + "/holds", `{"items":[{"ticket_type_id":"` + e.Types[0].ID.String() + `","quantity":1}]}`
}

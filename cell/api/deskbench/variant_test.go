package deskbench

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/api"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/store"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
)

const size = 10_000_000 // of the event: nobody meets its end

// variant is one way of answering a request for a hold.
type variant struct {
	name    string
	handler http.Handler
	path    string
	body    string
	stored  func(ctx context.Context) (int64, error) // holds that are stored; nil where none are
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

func count(pool *pgxpool.Pool, sql string) func(ctx context.Context) (int64, error) {
	return func(ctx context.Context) (n int64, err error) {
		err = pool.QueryRow(ctx, sql).Scan(&n)
		return n, err
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
	shop, event, floor := openShop(b, s)
	body := `{"items":[{"ticket_type_id":"` + floor.String() + `","quantity":1}]}`
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
		{"0 empty handler", peer(nothing, event), "/hold", body, nil},
		{"1 lock, recount, insert", peer(lock, event), "/hold", body, count(pool, `SELECT count(*) FROM hold1`)},
		{"2 conditional update and insert", peer(conditional, event), "/hold", body, count(pool, `SELECT count(*) FROM hold2`)},
		{"3 seat rows, SKIP LOCKED", peer(seats, event), "/hold", body, count(pool, `SELECT count(*) FROM seat WHERE holder IS NOT NULL`)},
		{"4 the desk", shop, "/v1/events/" + event.String() + "/holds", body, count(pool, `SELECT count(*) FROM booking.hold`)},
	}
}

// openShop is the API as a cell ships it, with one event on sale.
func openShop(b *testing.B, s *store.Store) (http.Handler, id.Event, id.TicketType) {
	b.Helper()
	signer, err := ticket.NewSigner("euw3-1", make([]byte, ticket.SeedSize))
	if err != nil {
		b.Fatal(err)
	}
	box := &booking.Service{
		Store: s, Cell: "euw3", Region: "eu-west-3", Now: time.Now,
		Desks: &booking.Desks{Store: s, HoldTTL: booking.DefaultHoldTTL, Patience: booking.DefaultPatience, Now: time.Now},
	}
	price := money.Money{Amount: 4250, Currency: "EUR"}
	e, err := box.DraftEvent(b.Context(), id.NewOrganizer("euw3"), booking.Draft{
		Name: "On sale", Venue: booking.Venue{Name: "Hall", City: "Paris", Country: "FR"}, StartsAt: time.Now().AddDate(0, 1, 0), TimeZone: "Europe/Paris", Currency: "EUR",
		Quotas: []booking.DraftQuota{{Name: "all", Size: size}}, Types: []booking.DraftType{{Name: "Floor", Price: price, Quotas: []string{"all"}}},
	}, true)
	if err != nil {
		b.Fatal(err)
	}
	server := &api.Server{
		Cell: "euw3", Region: "eu-west-3", Booking: box, Checkout: &checkout.Service{}, Answers: s, Reports: s, Copies: s, Signer: signer,
		Topology: func() *topology.Snapshot { return nil }, Health: &httpd.Health{}, Metrics: prometheus.NewRegistry(), Now: time.Now,
	}
	return server.Handler(), e.ID, e.Types[0].ID
}

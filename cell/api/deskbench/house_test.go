package deskbench

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/access"
	"guichet/cell/api"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/store"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/internal/signed"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// house is the API as a cell ships it.
type house struct {
	store   *store.Store
	box     *booking.Service
	handler http.Handler
}

func newHouse(b *testing.B, s *store.Store) *house {
	b.Helper()
	signer, err := ticket.NewSigner("euw3-1", make([]byte, ticket.SeedSize))
	if err != nil {
		b.Fatal(err)
	}
	box := &booking.Service{
		Store: s, Cell: "euw3", Region: "eu-west-3", Now: time.Now,
		Desks: &booking.Desks{Store: s, HoldTTL: booking.DefaultHoldTTL, Patience: booking.DefaultPatience, Now: time.Now},
	}
	server := &api.Server{
		Cell: "euw3", Region: "eu-west-3", Booking: box, Checkout: &checkout.Service{}, Answers: s, Log: s, Reports: s, Copies: s, Signer: signer, Access: accessKey(),
		Topology: func() *topology.Snapshot { return nil }, Health: &httpd.Health{}, Metrics: prometheus.NewRegistry(), Now: time.Now,
	}
	return &house{store: s, box: box, handler: server.Handler()}
}

// event puts an event with so many places on sale.
func (h *house) event(b *testing.B, places int64) booking.Event {
	b.Helper()
	price := money.Money{Amount: 4250, Currency: "EUR"}
	e, err := h.box.DraftEvent(b.Context(), txn.None, id.NewOrganizer("euw3"), booking.Draft{
		Name: "On sale", Venue: booking.Venue{Name: "Hall", City: "Paris", Country: "FR"}, StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second), TimeZone: "Europe/Paris", Currency: "EUR",
		Quotas: []booking.DraftQuota{{Name: "all", Size: places}}, Types: []booking.DraftType{{Name: "Floor", Price: price, Quotas: []string{"all"}}},
	}, true)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// connect opens a pool whose sessions have the settings.
func connect(b *testing.B, dsn string, settings map[string]string) *sqldb.DB {
	b.Helper()
	for name, value := range settings {
		sign := "?"
		if strings.Contains(dsn, "?") {
			sign = "&"
		}
		dsn += sign + name + "=" + value
	}
	db, err := sqldb.Open(b.Context(), dsn, "deskbench", sqldb.MaxConns(32))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(db.Close)
	return db
}

// alternate gives every other connection to the other.
func alternate(one, other http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if port := r.RemoteAddr; (port[len(port)-1]-'0')/2%2 == 0 {
			one.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

// accessKey makes the tokens of what the benches hold and buy.
func accessKey() *access.Signer {
	s, err := access.NewSigner("euw3", 1, make([]byte, signed.SeedSize))
	if err != nil {
		panic(err)
	}
	return s
}

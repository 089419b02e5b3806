// Package api is a cell's HTTP face: gin routes, one file per resource. It reads
// strictly, asks the services, and writes the contract's shapes (cell/client) or
// a problem document. It decides nothing about stock or money.
package api

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/client/class"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/search"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/internal/httpd"
	"guichet/internal/txn"
)

// Answers runs an effect together with its idempotency key (P5).
type Answers interface {
	InTx(ctx context.Context, do func(ctx context.Context, tx txn.Tx) error) error
	Enter(scope, key string) (leave func(), err error)
	AnswerOnce(ctx context.Context, tx txn.Tx, scope, key, fingerprint string, do func(ctx context.Context, tx txn.Tx) (status int, body []byte, err error)) (status int, body []byte, replayed bool, err error)
}

// Reports reads what organizers want to know.
type Reports interface {
	// InSnapshot lets calls made with its ctx, the booking store's too, see one state of the database.
	InSnapshot(ctx context.Context, read func(ctx context.Context, tx txn.Tx) error) error
	Counts(ctx context.Context, tx txn.Tx, event id.Event) (orders, sold map[string]int64, checkedIn int64, err error)
	Revenue(ctx context.Context, tx txn.Tx, event id.Event) (int64, error)
	Ledger(ctx context.Context, event id.Event, after int64, limit int) ([]booking.LedgerRow, error)
	// FindOrders lists orders of an event, newest first, and where the next page begins, nil after the last.
	FindOrders(ctx context.Context, event id.Event, q checkout.OrderQuery) ([]checkout.Order, *checkout.OrderPlace, error)
	// AnsweredOf lists an event's orders behind an id, in the order of their ids, with what was answered.
	AnsweredOf(ctx context.Context, event id.Event, after string, limit int) ([]checkout.Answered, error)
	// Revocations lists revoked barcodes of an event behind a number.
	Revocations(ctx context.Context, event id.Event, after int64, limit int) (list []checkout.Revocation, head int64, now time.Time, err error)
	// Held counts tickets in live holds by ticket type.
	Held(ctx context.Context, tx txn.Tx, event id.Event) (map[string]int64, error)
	Books
	Parts
	Lists
	Embeddings
}

// Copies are the documents of all cells' events, for when a home is away.
type Copies interface {
	Document(ctx context.Context, event id.Event) (search.Document, error)
}

// SeatMaps reads events' seating plans and where each seat stands.
type SeatMaps interface {
	SeatMap(ctx context.Context, event id.Event) (booking.SeatMap, error)
}

// Server is the API of one cell process.
type Server struct {
	Cell     topology.CellID
	Region   string
	Booking  *booking.Service
	Checkout *checkout.Service
	Mails    *notify.Service
	Accounts *account.Service
	Log      audit.Log
	Search   *search.Service
	Answers  Answers
	Reports  Reports
	SeatMaps SeatMaps
	Copies   Copies
	Topology func() *topology.Snapshot // the newest known; nil when none was ever seen
	Sealed   func() *seal.Map          // the same as it was signed
	Signer   *ticket.Signer
	Access   *access.Signer
	// ControlKeys are the pinned public keys of the control plane, which sign operators' tokens.
	ControlKeys []ed25519.PublicKey
	// Revoked says whether a key, a session or an operator's token was withdrawn; nil knows of none.
	Revoked func(id string) bool
	SignIn  client.SignInPlace // where people sign in with a program; zero for nowhere
	People  People             // nil: nobody can sign in
	// Peers is how another cell is called; nil calls none.
	Peers   func(cell topology.CellID) *http.Client
	Wallets Wallets
	Health  *httpd.Health
	Metrics *prometheus.Registry
	// Residency is what the database last said of where this cell's rows are; nil, or an answer of
	// nil, where the engine cannot say.
	Residency func() *client.ResidencyProof
	Now       func() time.Time
	Limits    Limits
	Origins   []string // of other sites' pages that may make attendees' calls; none: no other
	guards    guards
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	maps      *seatMaps
}

// Handler is the whole API.
func (s *Server) Handler() http.Handler {
	e := httpd.NewEngine("cell " + s.Cell.String())
	s.measure(e)
	pages := httpd.CORS{Origins: s.Origins, Covers: class.ForPages}
	e.Use(func(c *gin.Context) {
		if pages.Answer(c.Writer, c.Request) {
			c.Writer.WriteHeaderNow()
			c.Abort()
			return
		}
		if allow, fixed := allowed[c.Request.URL.Path]; fixed && c.Writer.Header().Get("Allow") != "" { // gin counts those with a parameter in its place
			c.Header("Allow", allow)
		}
	})
	e.Use(crowd(MaxInFlight, s.Metrics))
	s.guards = newGuards(s.Limits)
	s.maps = &seatMaps{}
	for _, r := range routes {
		if r.handle == nil {
			continue
		}
		e.Handle(r.method, ginPath(r.path), s.checked(r))
		if r.method == http.MethodGet { // net/http keeps the body of the answer back
			e.Handle(http.MethodHead, ginPath(r.path), s.checked(r))
		}
	}
	return e
}

// measure says who answered, and counts.
func (s *Server) measure(e *gin.Engine) {
	s.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "guichet_http_requests_total", Help: "Requests by route and status. Many 5xx: look at the log; many 429: the event is hotter than this cell.",
	}, []string{"route", "method", "status"})
	s.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "guichet_http_request_duration_seconds", Help: "Time to answer. A high value on holds means lock waits at the database.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route", "method"})
	s.Metrics.MustRegister(s.requests, s.durations)
	cell := []string{s.Cell.String()}
	e.Use(func(c *gin.Context) {
		begin := s.Now()
		h := c.Writer.Header()
		h[httpd.HeaderCell] = cell
		h["Cache-Control"] = noStore // names, barcodes, stock of this moment; a handler may say otherwise
		c.Next()
		route := c.FullPath()
		if route == "" {
			route = "none"
		}
		s.requests.WithLabelValues(route, c.Request.Method, statusClass(c.Writer.Status())).Inc()
		s.durations.WithLabelValues(route, c.Request.Method).Observe(s.Now().Sub(begin).Seconds())
	})
}

func statusClass(status int) string {
	return strconv.Itoa(status/100) + "xx"
}

// checked holds a request's query parameters to the route's before it is handled.
func (s *Server) checked(r route) gin.HandlerFunc {
	return func(c *gin.Context) {
		if allow, fixed := allowed[c.Request.URL.Path]; fixed && strings.Contains(r.path, "{") { // "find" is no ticket's id
			c.Header("Allow", allow)
			httpd.NotAllowed(c)
			return
		}
		err := r.checkQuery(c.Request.URL.RawQuery)
		if err == nil {
			err = s.admit(c, r.guard)
		}
		if err == nil {
			err = s.enter(c, &r)
		}
		if err == nil && r.bodyless() && r.auth != capLink { // who has a link's token, its handler says
			err = noBody(c, &r)
		}
		if err == nil {
			s.note(c, &r)
			if r.compressed() {
				httpd.Compressed(c, func() { err = r.handle(s, c) })
			} else {
				err = r.handle(s, c)
			}
		}
		if err != nil {
			c.Writer.Header().Del(httpd.HeaderReplayed) // what failed behind a key's first answer is not it
			httpd.Fail(c, s.homeward(c, err))
		}
	}
}

// checkQuery refuses parameters that the call does not have, and ones that a
// proxy and we could read differently: broken escapes, and one given twice.
func (r *route) checkQuery(raw string) error {
	if r.anyParams || raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return errParameter.With("the query cannot be read: %.100s", err.Error())
	}
	if r.ownParams {
		return nil
	}
	for name, values := range query {
		name := strings.ToValidUTF8(name, "\uFFFD")
		if !r.knows(name) {
			return search.ErrUnknownParameter.With("%.60q is not a parameter of this call", name).Field("parameter", name)
		}
		if len(values) > 1 {
			return errParameter.With("%s is given more than once", name).Field("parameter", name)
		}
	}
	return nil
}

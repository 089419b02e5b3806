package api

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/client"
	"guichet/cell/notify"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/internal/kind"
)

// errNoSignIn: this cell has no issuer at which people sign in.
var errNoSignIn = kind.Unavailable.New("sign_in_not_configured")

// errNoPeer: no process of a cell could be asked.
var errNoPeer = kind.Unavailable.New("cell_unavailable")

// Limits of gathering a person's tickets from other cells.
const (
	gatherDeadline = 2 * time.Second // of all together; less than a router waits before it asks another cell (2.5 s)
	maxPeers       = 64              // cells that are asked
	maxGathered    = 1000            // orders, and as many tickets, of one answer
)

// People lets persons sign in with programs.
type People interface {
	// Exchange turns an ID token into a Person token.
	Exchange(ctx context.Context, idToken string) (token string, p access.Person, err error)
	// End ends a session before its time, everywhere.
	End(ctx context.Context, p access.Person) error
}

var personRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/sign_in", handle: (*Server).signInPlace, out: client.SignInPlace{}, status: 200,
		doc: "Where people sign in with a program: the issuer and the client of its device flow (RFC 8628).", problems: "sign_in_not_configured",
	},
	{
		method: http.MethodPost, path: "/v1/sessions", handle: (*Server).openSession, guard: guardSearches, in: client.NewSession{}, out: client.Session{}, status: 201,
		doc:      "Sign in with an ID token that the device flow gave. The access_token is the person's for at most 12 hours, at every cell.",
		problems: "sign_in_not_configured sign_in_refused email_not_verified issuer_unavailable",
	},
	{
		method: http.MethodDelete, path: "/v1/sessions", handle: (*Server).closeSession, auth: signedIn, quiet: true, status: 204,
		doc: "Sign out: the session ends here at once, and everywhere within five seconds.", problems: "sign_in_not_configured",
	},
	{method: http.MethodGet, path: "/v1/me", handle: (*Server).me, auth: signedIn, out: client.Person{}, status: 200, doc: "Who signed in."},
	{
		method: http.MethodGet, path: "/v1/me/tickets", handle: (*Server).myTickets, auth: signedIn, out: client.MyTickets{}, status: 200,
		doc:    "The orders that the person's verified address was told of, and tickets that it was given, from all cells that can be asked, with their tokens. unreachable names the cells that could not be asked: what they have is not known. Nothing is copied.",
		params: []param{{"here", "boolean", "only what is at home in the cell that answers"}}, problems: "too_many_requests invalid_parameter",
	},
}

func (s *Server) signInPlace(c *gin.Context) error {
	if s.SignIn.Issuer == "" {
		return errNoSignIn.With("this cell has no issuer at which people sign in")
	}
	c.JSON(http.StatusOK, s.SignIn)
	return nil
}

func (s *Server) openSession(c *gin.Context) error {
	var in client.NewSession
	if _, err := httpd.DecodeJSON(c, &in); err != nil {
		return err
	}
	if s.People == nil {
		return errNoSignIn.With("this cell has no issuer at which people sign in")
	}
	token, p, err := s.People.Exchange(c.Request.Context(), in.IDToken)
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, client.Session{AccessToken: token, ExpiresAt: p.Expires, Person: personView(p)})
	return nil
}

func (s *Server) closeSession(c *gin.Context) error {
	if s.People == nil {
		return errNoSignIn.With("this cell has no issuer at which people sign in")
	}
	if err := s.People.End(c.Request.Context(), callerOf(c).person); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

func (s *Server) me(c *gin.Context) error {
	c.JSON(http.StatusOK, personView(callerOf(c).person))
	return nil
}

func personView(p access.Person) client.Person {
	return client.Person{Issuer: p.Issuer, Subject: p.Subject, Email: p.Email, Name: p.Name, ACR: p.ACR, Roles: append([]string{}, p.Roles...), ExpiresAt: p.Expires}
}

// myTickets gathers a person's orders and tickets. Each cell answers for itself, given
// the person's own token; what a cell cannot be asked is said, not left out (P9).
func (s *Server) myTickets(c *gin.Context) error {
	p := callerOf(c).person
	// By person, not by address: another cell asks for many.
	wait, ok := s.guards.byPerson.Take(p.Issuer+"\x00"+p.Subject, s.Now())
	if err := refusal(wait, ok, "person"); err != nil {
		return err
	}
	out := client.MyTickets{Items: []client.Order{}, Tickets: []client.Ticket{}, Cells: []string{s.Cell.String()}, Unreachable: []string{}}
	if p.Email != "" {
		orders, tickets, err := s.reached(c, notify.AddressHash(p.Email))
		if err != nil {
			return err
		}
		if out.Items, out.Tickets, err = s.openViews(c, orders, tickets); err != nil {
			return err
		}
	}
	switch c.Query("here") {
	case "", "false":
		s.gather(c, &out)
	case "true":
	default:
		return errParameter.With("here is true or false").Field("parameter", "here")
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// gather asks the other cells, all at once.
func (s *Server) gather(c *gin.Context, out *client.MyTickets) {
	token, _ := bearer(c)
	ctx, cancel := context.WithTimeout(c.Request.Context(), gatherDeadline)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, peer := range s.peers() {
		asking.Go(func() {
			theirs, err := s.ask(ctx, peer, token)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || len(out.Items)+len(theirs.Items) > maxGathered || len(out.Tickets)+len(theirs.Tickets) > maxGathered {
				out.Unreachable = append(out.Unreachable, peer.ID.String())
				return
			}
			out.Cells = append(out.Cells, peer.ID.String())
			out.Items = append(out.Items, theirs.Items...)
			out.Tickets = append(out.Tickets, theirs.Tickets...)
		})
	}
	asking.Wait()
	slices.Sort(out.Cells)
	slices.Sort(out.Unreachable)
	slices.SortStableFunc(out.Items, func(a, b client.Order) int { return b.CreatedAt.Compare(a.CreatedAt) })
}

// peers are the other cells of the town.
func (s *Server) peers() (peers []topology.Cell) {
	snap := s.Topology()
	if snap == nil {
		return nil
	}
	for _, cell := range snap.Cells {
		if cell.ID != s.Cell && cell.State != topology.CellLeft && len(peers) < maxPeers {
			peers = append(peers, cell)
		}
	}
	return peers
}

// ask asks one cell, at each of its processes until one answers.
func (s *Server) ask(ctx context.Context, cell topology.Cell, token string) (got client.MyTickets, err error) {
	err = errNoPeer
	if s.Peers == nil {
		return got, err
	}
	for _, url := range cell.URLs {
		if got, _, err = client.New(url, client.WithBearer(token), client.WithHTTP(s.Peers(cell.ID))).MyTickets(ctx, true); err == nil || ctx.Err() != nil {
			break
		}
	}
	return got, err
}

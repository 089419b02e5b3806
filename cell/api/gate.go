package api

import (
	"errors"
	"strings"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/operator"
	"guichet/internal/txn"
)

// Errors about who asks.
var (
	errUnauthorized = kind.Unauthorized.New("unauthorized")
	errForbidden    = kind.Forbidden.New("forbidden")
)

// auth says who may make a call. The gate enforces it before the handler runs, before
// any id is looked up and before If-Match is read.
type auth string

const (
	public    auth = ""          // everybody
	capHold   auth = "hold"      // who has the token of the hold in the path
	capOrder  auth = "order"     // who has the order's
	capTicket auth = "ticket"    // who has the ticket's, or its order's
	capBody   auth = "hold_body" // who has the token of the hold that the body names; the handler asks admitHold
	capLink   auth = "link"      // who has a mailed link; the handler verifies it
	organizer auth = "organizer" // a key or a member with the route's permission
	operators auth = "operator"  // an operator's token, or a person with that role
	signedIn  auth = "person"    // a person's token
)

// bearers says which security scheme of openapi.json a call has.
func (a auth) bearers() []string {
	if a == capBody {
		return []string{string(capHold)}
	}
	if a == capTicket {
		return []string{string(capTicket), string(capOrder)}
	}
	return []string{string(a)}
}

// caller is who makes a call, as far as the call needs to know.
type caller struct {
	organizer id.Organizer                 // zero when no organizer's key or member asks
	may       func(access.Permission) bool // nil with a zero organizer
	by        account.By                   // the key or the member, with an organizer
	person    access.Person                // who signed in, if it is a person
	actor     Actor
}

// owns reports whether the organizer asks.
func (w caller) owns(org id.Organizer) bool { return w.staff() && w.organizer == org }

// staff reports whether an organizer's key or member asks.
func (w caller) staff() bool { return !w.organizer.IsZero() }

// whose keeps an organizer's idempotency keys apart from a buyer's of the same object.
func whose(c *gin.Context) string {
	if who := callerOf(c); who.staff() {
		return who.organizer.String()
	}
	return ""
}

// Actor is who did something, for the audit log.
type Actor struct {
	Kind string // person, key, operator, buyer
	ID   string
	Name string
}

// callerKey is where the gate leaves the caller.
const callerKey = "guichet.caller"

// callerOf is who asks; the zero value is a stranger.
func callerOf(c *gin.Context) caller {
	v, _ := c.Get(callerKey)
	who, _ := v.(caller)
	return who
}

// enter lets a request pass whose sender may make the call.
func (s *Server) enter(c *gin.Context, r *route) error {
	switch r.auth {
	case operators:
		return s.enterOperator(c)
	case organizer:
		return s.enterOrganizer(c, r.need)
	case signedIn:
		return s.enterPerson(c)
	case capHold, capOrder, capTicket:
		return s.enterHolder(c, r)
	case public, capBody, capLink: // the handler judges what the last two carry
	}
	if r.mayAuth && c.GetHeader("Authorization") != "" {
		return s.enterOrganizer(c, r.need)
	}
	return nil
}

// enterOperator lets only operators pass.
func (s *Server) enterOperator(c *gin.Context) error {
	refused := errUnauthorized.With("send an operator's token as Authorization: Bearer …")
	token, ok := bearer(c)
	if !ok {
		return refused
	}
	if access.IsPerson(token) {
		p, err := s.personOf(c, token)
		if kind.Of(err) == kind.Unavailable {
			return err
		}
		if err != nil || !p.Operates(operator.Operate) {
			return refused
		}
		c.Set(callerKey, caller{person: p, actor: Actor{Kind: "person", ID: personID(p), Name: p.Name}})
		return nil
	}
	o, err := operator.Verify(token, s.ControlKeys, s.Now())
	if err != nil || s.revoked(o.RevocationID()) || !o.May(operator.Operate) {
		return refused
	}
	c.Set(callerKey, caller{actor: Actor{Kind: "operator", ID: o.ID, Name: o.Name}})
	return nil
}

// enterPerson lets who signed in pass.
func (s *Server) enterPerson(c *gin.Context) error {
	token, ok := bearer(c)
	if !ok {
		return errUnauthorized.With("send the token of a person who signed in as Authorization: Bearer …")
	}
	p, err := s.personOf(c, token)
	if err != nil {
		return err
	}
	c.Set(callerKey, caller{person: p, actor: Actor{Kind: "person", ID: personID(p), Name: p.Name}})
	return nil
}

// personOf says who signed in, and that the session has not ended since.
func (s *Server) personOf(c *gin.Context, token string) (access.Person, error) {
	p, err := access.VerifyPerson(token, s.Access.Keys(s.Topology()), s.Now())
	if err != nil {
		return access.Person{}, err
	}
	return p, s.signedOut(c, p)
}

// signedOut refuses a session that has ended: the newest map lists those of all cells, this
// cell's own table the ones that it ended a moment ago.
func (s *Server) signedOut(c *gin.Context, p access.Person) error {
	ended := s.revoked(p.RevocationID())
	if !ended {
		var err error
		if ended, err = s.Accounts.Store.IsRevoked(c.Request.Context(), p.RevocationID()); err != nil {
			return err
		}
	}
	if ended {
		return access.ErrWithdrawn.With("the sign-in has ended")
	}
	return nil
}

// personID names a person in the audit log where it is no organizer's member.
func personID(p access.Person) string { return p.Issuer + "|" + p.Subject }

// enterOrganizer lets an organizer's key or member pass that has the permission.
func (s *Server) enterOrganizer(c *gin.Context, need access.Permission) error {
	who, err := s.organizerOf(c)
	if err != nil {
		return err
	}
	if !who.may(need) {
		return errForbidden.With("this needs the permission %s", need).Field("permission", string(need))
	}
	c.Set(callerKey, who)
	return nil
}

// organizerOf reads an organizer's API key or a membership token. Any cell can tell:
// both are signed by the cell of the organizer's account. That cell also knows whether
// a key still stands (ADR 003).
func (s *Server) organizerOf(c *gin.Context) (caller, error) {
	text, ok := bearer(c)
	if !ok {
		return caller{}, errUnauthorized.With("send an organizer's API key as Authorization: Bearer …")
	}
	if access.IsMembership(text) {
		m, err := access.VerifyMembership(text, s.Access.Keys(s.Topology()), s.Now())
		if err != nil {
			return caller{}, err
		}
		if err := s.signedOut(c, m.Person); err != nil {
			return caller{}, err
		}
		by := account.By{Person: identityOf(m.Person)}
		return caller{organizer: m.Organizer, may: m.Role.May, by: by, person: m.Person, actor: Actor{Kind: "person", ID: m.Member, Name: m.Person.Name}}, nil
	}
	claims, err := account.VerifyKey(text, s.Access.Keys(s.Topology()), s.Now())
	if err != nil {
		return caller{}, err
	}
	who := caller{organizer: claims.Organizer(), may: claims.Scope.May, by: account.By{Key: claims.ID}, actor: Actor{Kind: "key", ID: claims.ID.String()}}
	if s.revoked(account.KeySubject(claims.ID)) {
		return caller{}, account.ErrKeyRevoked.With("the API key is not valid any more")
	}
	if claims.Organizer().Birth() == s.Cell {
		k, err := s.Accounts.Check(c.Request.Context(), claims, text)
		if err != nil {
			return caller{}, err
		}
		who.actor.Name = k.Name
	}
	return who, nil
}

// enterHolder lets pass who holds a token of the object in the path. Who has none, or
// one that is not good, learns nothing about the object: not even whether it exists.
// Where the call allows it, the event's organizer may make it as well.
func (s *Server) enterHolder(c *gin.Context, r *route) error {
	object, event, err := objectOf(c, r.auth)
	if err != nil {
		return err
	}
	if c.GetHeader("Authorization") == "" {
		return s.enterByLink(c, r, object)
	}
	token, ok := bearer(c)
	if !ok {
		return errUnauthorized.With("send the token of this %s as Authorization: Bearer …", r.auth)
	}
	if r.orStaff != "" && !access.IsCapability(token) {
		if err := s.enterOrganizer(c, r.orStaff); err != nil {
			return err
		}
		e, err := s.Booking.Store.Event(c.Request.Context(), txn.None, event)
		if err == nil && e.Organizer != callerOf(c).organizer {
			err = notFound(r.auth)
		}
		if errors.Is(err, booking.ErrEventNotFound) {
			err = notFound(r.auth)
		}
		return err
	}
	if err := s.admitTo(c, r.auth, object, token); err != nil {
		return s.away(object, err)
	}
	c.Set(callerKey, caller{actor: Actor{Kind: "buyer"}})
	return nil
}

// admitTo checks that a token admits to the object.
func (s *Server) admitTo(c *gin.Context, kind auth, object, token string) error {
	if kind == capHold {
		hold, err := id.ParseHold(object)
		if err != nil {
			return err
		}
		if !s.Access.VerifyHold(hold, token) {
			return errUnauthorized.With("the token is not this hold's")
		}
		return nil
	}
	claim, err := access.Verify(token, s.Access.Keys(s.Topology()), s.Now())
	if err != nil {
		return err
	}
	generation, order, err := s.generation(c, claim, object)
	if err != nil {
		return err
	}
	switch {
	case claim.Object == object && string(claim.Scope) == string(kind):
	case kind == capTicket && claim.Scope == access.Order && claim.Object == order:
	default:
		return notFound(kind)
	}
	if claim.Generation != generation {
		return access.ErrWithdrawn.With("the link was withdrawn; ask for a new one")
	}
	return nil
}

// generation is the present generation of what a claim is about. With an order's claim
// on a ticket it also says which order the ticket is of.
func (s *Server) generation(c *gin.Context, claim access.Capability, object string) (generation int64, order string, err error) {
	if claim.Scope == access.Order {
		o, err := id.ParseOrder(claim.Object)
		if err != nil {
			return 0, "", notFound(capOrder)
		}
		if t, err := id.ParseTicket(object); err == nil {
			if t.Event() != o.Event() {
				return 0, "", notFound(capTicket)
			}
			of, err := s.Checkout.Store.OrderOfTicket(c.Request.Context(), t)
			if errors.Is(err, checkout.ErrTicketNotFound) {
				err = notFound(capTicket) // it looks like another order's
			}
			if err != nil {
				return 0, "", err
			}
			order = of.String()
		}
		generation, err = s.Checkout.Store.OrderGeneration(c.Request.Context(), o)
		return generation, order, err
	}
	t, err := id.ParseTicket(claim.Object)
	if err != nil {
		return 0, "", notFound(capTicket)
	}
	generation, err = s.Checkout.Store.TicketGeneration(c.Request.Context(), t)
	return generation, "", err
}

// admitHold checks the bearer's token against a hold that the body names.
func (s *Server) admitHold(c *gin.Context, hold id.Hold) error {
	token, ok := bearer(c)
	if !ok || !s.Access.VerifyHold(hold, token) {
		return s.away(hold.String(), errUnauthorized.With("send the access_token of the hold as Authorization: Bearer …"))
	}
	return nil
}

// away turns a refusal into "ask its home" when the object's home is elsewhere: a hold's
// token can be told only there, and where an object is at home its id says to everybody.
func (s *Server) away(object string, refusal error) error {
	ref, ok := topology.ParseRef(object)
	if !ok {
		return refusal
	}
	if home, epoch := s.homeOf(ref.Key); home != s.Cell {
		return moved(home, epoch)
	}
	return refusal
}

// objectOf reads the id in the path of a call that a holder makes.
func objectOf(c *gin.Context, kind auth) (text string, event id.Event, err error) {
	if kind == capHold {
		hold, err := id.ParseHold(c.Param("hold_id"))
		return hold.String(), hold.Event(), err
	}
	if kind == capOrder {
		order, err := orderID(c)
		return order.String(), order.Event(), err
	}
	text, _, _ = strings.Cut(c.Param("ticket_id"), ".")
	t, err := id.ParseTicket(text)
	return t.String(), t.Event(), err
}

// notFound is how an object looks to who may not see it.
func notFound(kind auth) error {
	if kind == capHold {
		return booking.ErrHoldNotFound.With("there is no such hold")
	}
	if kind == capTicket {
		return checkout.ErrTicketNotFound.With("there is no such ticket")
	}
	return checkout.ErrOrderNotFound.With("there is no such order")
}

// enterByLink lets pass whose browser opened a mailed link to the object.
func (s *Server) enterByLink(c *gin.Context, r *route, object string) error {
	refusal := error(errUnauthorized.With("send the token of this %s as Authorization: Bearer …", r.auth))
	for _, token := range s.linkTokens(c, object) {
		err := s.admitTo(c, r.auth, object, token)
		if err == nil {
			c.Set(callerKey, caller{actor: Actor{Kind: "buyer"}})
			return nil
		}
		if kind.Of(err) == kind.Unavailable {
			return err
		}
		if errors.Is(err, access.ErrWithdrawn) || errors.Is(err, access.ErrExpired) {
			refusal = err
		}
	}
	if r.auth == capTicket {
		if ok, err := s.foundAdmits(c, object); ok || err != nil {
			return err
		}
	}
	return s.away(object, refusal)
}

// revoked says whether a key or a session was withdrawn, as far as this cell has heard.
func (s *Server) revoked(id string) bool { return s.Revoked != nil && s.Revoked(id) }

// MaxBearer bounds the credentials that are looked at.
const MaxBearer = 4096

func bearer(c *gin.Context) (string, bool) {
	scheme, token, ok := strings.Cut(c.GetHeader("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= MaxBearer
}

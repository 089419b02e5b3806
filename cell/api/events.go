package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

var errIfMatch = kind.ConditionMissing.New("if_match_required")

func (s *Server) searchEvents(c *gin.Context) error {
	q, err := search.ParseQuery(c.Request.URL.Query())
	if err != nil {
		return err
	}
	out, err := s.Search.Search(c.Request.Context(), q)
	if err != nil {
		return err
	}
	body, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	// How old the availability is changes all the time and is no reason to send all again.
	ageless := out
	ageless.Items = slices.Clone(out.Items)
	for i := range ageless.Items {
		ageless.Items[i].AvailabilityAge = nil
	}
	same, err := json.Marshal(ageless)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	showAs(c, body, `W/"`+httpd.Digest(same)+`"`)
	return nil
}

func (s *Server) suggest(c *gin.Context) error {
	text, err := search.ParseSuggest(c.Request.URL.Query())
	if err != nil {
		return err
	}
	out, err := s.Search.Suggest(c.Request.Context(), text)
	if err != nil {
		return err
	}
	return show(c, out)
}

// getEvent answers from the home's own rows. Elsewhere it shows this cell's copy
// with availability unknown: the home was not asked, so nobody says "none" (P9).
func (s *Server) getEvent(c *gin.Context) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	e, whole, err := s.visible(c, event)
	if errors.Is(err, errNotHere) {
		return s.copyOf(c, event)
	}
	if err != nil {
		return err
	}
	opened, err := s.opened(c, event)
	if err != nil {
		return err
	}
	return showEvent(c, EventView(e, s.Cell, s.Region, whole, opened...))
}

// errNotHere is event_not_found of an event that this cell's database has not.
var errNotHere = booking.ErrEventNotFound.With("there is no such event here") // the words of every refusal: a draft is refused alike

// visible reads an event from its home's own rows, as far as who asks may see it;
// whole says that he is its organizer.
func (s *Server) visible(c *gin.Context, event id.Event) (e booking.Event, whole bool, err error) {
	e, err = s.Booking.Store.Event(c.Request.Context(), txn.None, event)
	if errors.Is(err, booking.ErrEventNotFound) {
		return e, false, errNotHere
	}
	if err != nil {
		return e, false, err
	}
	whole = callerOf(c).owns(e.Organizer)
	if e.State == booking.Drafted && !whole {
		return e, false, booking.ErrEventNotFound
	}
	return e, whole, nil
}

// known refuses strangers who ask about a draft, whatever it is they ask.
func (s *Server) known(c *gin.Context, event id.Event) error {
	e, err := s.Booking.Store.Event(c.Request.Context(), txn.None, event)
	if err != nil || e.State != booking.Drafted {
		return err
	}
	if who, err := s.organizerOf(c); err != nil || !who.owns(e.Organizer) || !who.may(access.ReadEvents) {
		return booking.ErrEventNotFound
	}
	return nil
}

func (s *Server) copyOf(c *gin.Context, event id.Event) error {
	if home, _ := s.homeOf(event.Key()); home == s.Cell || c.Query("access_code") != "" { // only the home knows what a code opens
		return booking.ErrEventNotFound
	}
	d, err := s.Copies.Document(c.Request.Context(), event)
	if kind.Of(err) == kind.NotFound || err == nil && !d.Published && d.Event.State == string(booking.Drafted) {
		return booking.ErrEventNotFound // homeward turns this into 421: its home may know more
	}
	if err != nil {
		return err
	}
	if d.Event.RefundPolicy.Kind == "" { // a copy from before there were policies
		d.Event.RefundPolicy = refundsView(booking.RefundPolicy{}, d.Event.Currency)
	}
	for i := range d.Event.TicketTypes {
		d.Event.TicketTypes[i].Availability = client.Unknown
	}
	return showEvent(c, d.Event)
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// showEvent answers with an event. Its ETag is the version, which a change takes as
// If-Match, and a digest of what is shown: availability and prices of the moment too.
func showEvent(c *gin.Context, e client.Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	showAs(c, body, `"`+strconv.FormatInt(e.Version, 10)+"-"+httpd.Digest(body)+`"`)
	return nil
}

func (s *Server) createEvent(c *gin.Context) error {
	org, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	if err := s.inRegionOf(org, c.Query("home_region")); err != nil {
		return err
	}
	var in client.NewEvent
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	answer, err := s.once(c, id.Event{}, true, org.String(), body, 201, func(ctx context.Context, tx txn.Tx) (any, error) {
		d, err := draftOf(in)
		if err != nil {
			return nil, err
		}
		e, err := s.Booking.DraftEvent(ctx, tx, org, d, in.Publish)
		if err != nil {
			return nil, err
		}
		view := EventView(e, s.Cell, s.Region, true)
		audit.Of(ctx).At(view.ID).On("event", view.ID).Changed(nil, view)
		return view, nil
	})
	if err != nil {
		return err
	}
	c.Header("ETag", etag(1))
	send(c, 201, answer)
	return nil
}

// ownAccount is the organizer in the path, who must be the one who asks.
func (s *Server) ownAccount(c *gin.Context) (id.Organizer, error) {
	org, err := id.ParseOrganizer(c.Param("organizer_id"))
	if err != nil {
		return org, err
	}
	if !callerOf(c).owns(org) {
		return org, errForbidden.With("this API key belongs to another organizer")
	}
	return org, nil
}

func draftOf(in client.NewEvent) (booking.Draft, error) {
	d := booking.Draft{
		Name: in.Name, Summary: in.Summary, Category: in.Category, Venue: venueOf(in.Venue), StartsAt: in.StartsAt, EndsAt: in.EndsAt,
		TimeZone: in.TimeZone, Currency: in.Currency, Refunds: refundsOf(in.RefundPolicy),
	}
	for _, q := range in.Quotas {
		d.Quotas = append(d.Quotas, booking.DraftQuota{Name: q.Name, Size: q.Size})
	}
	for _, t := range in.TicketTypes {
		d.Types = append(d.Types, typeOf(t))
	}
	if in.Source != nil {
		d.Source = &booking.Source{Name: in.Source.Name, ID: in.Source.ID, Licence: in.Source.Licence, Credit: in.Source.Credit, URL: in.Source.URL, Shifted: in.Source.Shifted}
	}
	if in.Seating == nil {
		return d, nil
	}
	var err error
	d.Seating, err = seatingOf("/seating", *in.Seating)
	return d, err
}

func typeOf(t client.NewTicketType) booking.DraftType {
	return booking.DraftType{
		Name: t.Name, Price: t.Price, Fees: t.Fees, Quotas: t.Quotas, Min: t.MinPerOrder, Max: t.MaxPerOrder,
		SalesStart: t.SalesStart, SalesEnd: t.SalesEnd, Terms: draftTerms(t),
	}
}

// change is what the calls that change an event have in common: who, which
// version, and the answer. in is the body to read first, nil for none.
func (s *Server) change(c *gin.Context, in any, needVersion bool, act func(e *booking.Event, now time.Time) error) error {
	return s.revise(c, revision{in: in, needVersion: needVersion, act: act})
}

// revision is a change of an event.
type revision struct {
	in          any                                                        // the body to read first, nil for none
	decode      func(c *gin.Context, in any) ([]byte, error)               // how; decodeNamed when nil
	needVersion bool                                                       // whether an If-Match must come with it
	act         func(e *booking.Event, now time.Time) error                // decides
	then        func(ctx context.Context, tx txn.Tx, event id.Event) error // follows in the same transaction; nil for nothing
	makes       bool                                                       // it makes something: an Idempotency-Key must come with it, and the answer is 201
}

func (s *Server) revise(c *gin.Context, r revision) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	org := callerOf(c).organizer
	version, err := ifMatch(c, r.needVersion)
	if err != nil {
		return err
	}
	var body []byte
	if r.in != nil {
		decode := r.decode
		if decode == nil {
			decode = decodeNamed
		}
		if body, err = decode(c, r.in); err != nil {
			return err
		}
	}
	status := 200
	if r.makes {
		status = 201
	}
	answer, err := s.once(c, event, r.makes, org.String(), body, status, func(ctx context.Context, tx txn.Tx) (any, error) {
		var e booking.Event
		var was json.RawMessage
		unchanged := false
		act := func(e *booking.Event, now time.Time) (err error) {
			if was, err = json.Marshal(EventView(*e, s.Cell, s.Region, true)); err != nil {
				return fmt.Errorf("describe event: %w", err)
			}
			return r.act(e, now)
		}
		err := txn.In(ctx, s.Answers, tx, func(ctx context.Context, tx txn.Tx) (err error) {
			e, err = s.Booking.Change(ctx, tx, event, org, version, act)
			switch unchanged = errors.Is(err, booking.ErrUnchanged); {
			case unchanged: // nothing follows either
				return nil
			case err != nil || r.then == nil:
				return err
			}
			return r.then(ctx, tx, event)
		})
		if err != nil {
			return nil, err
		}
		view := EventView(e, s.Cell, s.Region, true)
		if note := audit.Of(ctx).Changed(was, view); unchanged {
			note.Nothing()
		}
		return view, nil
	})
	if err != nil {
		return err
	}
	var view struct {
		Version int64 `json:"version"`
	}
	if err := json.Unmarshal(answer, &view); err != nil {
		return fmt.Errorf("read first answer: %w", err)
	}
	c.Header("ETag", etag(view.Version))
	send(c, status, answer)
	return nil
}

func ifMatch(c *gin.Context, required bool) (int64, error) {
	h := c.GetHeader("If-Match")
	if h == "" || h == "*" {
		if h == "" && required {
			return 0, errIfMatch.With("send the event's ETag as If-Match, or * to overwrite")
		}
		return 0, nil
	}
	tag, opens := strings.CutPrefix(httpd.Unmarked(h), `"`)
	tag, closes := strings.CutSuffix(tag, `"`)
	text, _, _ := strings.Cut(tag, "-") // behind it stands the digest of what was shown
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 1 || strconv.FormatInt(v, 10) != text || !opens || !closes || strings.Contains(tag, `"`) {
		return 0, booking.ErrStale.With("If-Match is not an ETag of this event")
	}
	return v, nil
}

func (s *Server) patchEvent(c *gin.Context) error {
	var in client.PatchEvent
	var changed *booking.Event
	follow := func(ctx context.Context, tx txn.Tx, _ id.Event) error { return s.followReschedule(ctx, tx, changed) }
	return s.revise(c, revision{in: &in, needVersion: true, then: follow, act: func(e *booking.Event, _ time.Time) error {
		changed = e // as it is when all is decided
		set(&e.Name, in.Name)
		set(&e.Summary, in.Summary)
		set(&e.Category, in.Category)
		set(&e.StartsAt, in.StartsAt)
		set(&e.TimeZone, in.TimeZone)
		if in.EndsAt.Set {
			e.EndsAt = in.EndsAt.Value
		}
		if in.Venue != nil {
			e.Venue = mergedVenue(e.Venue, *in.Venue)
		}
		if policy := refundsOf(in.RefundPolicy); policy != nil {
			return policy.Set(e, "/refund_policy")
		}
		return nil
	}})
}

// mergedVenue changes what the patch names of a venue (RFC 7396).
func mergedVenue(v booking.Venue, p client.PatchVenue) booking.Venue {
	set(&v.Name, p.Name)
	set(&v.City, p.City)
	set(&v.Country, p.Country)
	if p.Address.Set {
		v.Address = value(p.Address)
	}
	if p.Capacity.Set {
		v.Capacity = value(p.Capacity)
	}
	if p.Location.Set {
		at := venueOf(client.Venue{Location: p.Location.Value})
		v.Lat, v.Lon, v.Located = at.Lat, at.Lon, at.Located
	}
	return v
}

// value is what a patch sets, the zero value where it clears.
func value[T any](n client.Nullable[T]) (v T) {
	set(&v, n.Value)
	return v
}

// followReschedule has everybody told who bought before the event was moved.
func (s *Server) followReschedule(ctx context.Context, tx txn.Tx, e *booking.Event) error {
	if !e.JustRescheduled() {
		return nil
	}
	return s.Checkout.RescheduleEvent(ctx, tx, e.ID, *e.Rescheduled)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s *Server) publishEvent(c *gin.Context) error {
	return s.change(c, nil, false, func(e *booking.Event, now time.Time) error { return e.Publish(now) })
}

func (s *Server) cancelEvent(c *gin.Context) error {
	return s.revise(c, revision{act: func(e *booking.Event, _ time.Time) error { return e.Cancel() }, then: s.Checkout.CancelEvent})
}

func (s *Server) putQuota(c *gin.Context) error {
	quota, err := id.ParseQuota(c.Param("quota_id"))
	if err != nil {
		return err
	}
	var in client.NewQuota
	return s.change(c, &in, true, func(e *booking.Event, _ time.Time) error { return e.Resize(quota, in.Name, in.Size) })
}

func (s *Server) putTicketType(c *gin.Context) error {
	tid, err := id.ParseTicketType(c.Param("ticket_type_id"))
	if err != nil {
		return err
	}
	in := namedBody[client.NewTicketType]{}
	return s.change(c, &in, true, func(e *booking.Event, _ time.Time) error {
		t := e.Type(tid)
		if t == nil {
			return booking.ErrTicketType.With("the event has no such ticket type")
		}
		if !drawsOn(e, t, in.Body.Quotas) {
			return errQuotasFixed.At("/quotas", "must be the quotas that the ticket type draws on: what was sold was counted there")
		}
		return t.Revise(e, typeAsNamed(&in, t))
	})
}

package api

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/control-plane/topology"
)

// Lists reads what an organizer has at this cell: a page, and where the next one begins,
// nil after the last.
type Lists interface {
	OwnEvents(ctx context.Context, org id.Organizer, q booking.OwnQuery) ([]booking.Own[booking.Event], *booking.Stamp, error)
	OwnSeries(ctx context.Context, org id.Organizer, q booking.OwnQuery) ([]booking.Own[booking.Series], *booking.Stamp, error)
}

// maxStampID bounds the id in a cursor, in bytes: those of ours are shorter.
const maxStampID = 100

// gatherKeyLife is how long the key is good with which another cell is asked for a list.
const gatherKeyLife = time.Minute

func ownParams(states, of string) []param {
	return append([]param{
		{"q", "string", "a part of the name; case and accents do not count"},
		{"state", "string", states},
		{"from", "string", "date or RFC 3339 time, of " + of},
		{"to", "string", "likewise; not included"},
		{"updated_since", "string", "date or RFC 3339 time; what changed then or later, in the order of changes. Clocks differ: ask from a minute before"},
		{"here", "boolean", "only what is at home in the cell that answers"},
	}, page...)
}

var (
	eventStates  = []string{string(booking.Drafted), string(booking.Published), string(booking.Canceled), string(booking.Rescheduled)}
	seriesStates = []string{string(booking.SeriesMaking), string(booking.SeriesDraft), string(booking.SeriesPublishing), string(booking.SeriesPublished)}
)

// ownRoutes list what an organizer has. His own cell gathers from the others.
var ownRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/organizers/{organizer_id}/events", handle: (*Server).listOwnEvents, auth: organizer, need: access.ReadEvents, out: client.OwnEvents{}, status: 200,
		doc:      "The organizer's events with their drafts, in the order of their starts, from all cells that can be asked. unreachable names the cells that could not be asked: what they have is not known. A page may have fewer than limit and not be the last: next_cursor says.",
		params:   ownParams("draft, published (also when it was moved since), canceled or rescheduled", "the start"),
		problems: "invalid_id forbidden invalid_cursor invalid_parameter",
	},
	{
		method: http.MethodGet, path: "/v1/organizers/{organizer_id}/series", handle: (*Server).listOwnSeries, auth: organizer, need: access.ReadEvents, out: client.OwnSeriesList{}, status: 200,
		doc:      "The organizer's series in the order in which they were made, likewise.",
		params:   ownParams("making, draft, publishing or published", "its making"),
		problems: "invalid_id forbidden invalid_cursor invalid_parameter",
	},
}

func (s *Server) listOwnEvents(c *gin.Context) error {
	g, err := s.gathering(c, eventStates)
	if err != nil {
		return err
	}
	at := func(e client.OwnEvent) booking.Stamp {
		if g.q.ByChange() {
			return booking.Stamp{At: e.UpdatedAt, ID: e.ID}
		}
		return booking.Stamp{At: e.StartsAt, ID: e.ID}
	}
	events, next, err := s.Reports.OwnEvents(c.Request.Context(), g.org, g.q)
	if err != nil {
		return err
	}
	own := ownPage[client.OwnEvent]{next: next}
	for _, e := range events {
		own.items = append(own.items, client.OwnEvent{Event: EventView(e.It, s.Cell, s.Region, true), UpdatedAt: e.Changed.UTC()})
	}
	all, cells := gatherFrom(g, own, func(ctx context.Context, cl *client.Client, q client.OwnQuery) ([]client.OwnEvent, *string, error) {
		theirs, _, err := cl.OwnEvents(ctx, g.org.String(), q)
		return theirs.Items, theirs.NextCursor, err
	})
	out := client.OwnEvents{Cells: cells.asked, Unreachable: cells.away}
	out.Items, out.NextCursor = mergePages(all, g.q.Limit, at)
	c.JSON(http.StatusOK, out)
	return nil
}

func (s *Server) listOwnSeries(c *gin.Context) error {
	g, err := s.gathering(c, seriesStates)
	if err != nil {
		return err
	}
	at := func(v client.OwnSeries) booking.Stamp {
		if g.q.ByChange() {
			return booking.Stamp{At: v.UpdatedAt, ID: v.ID}
		}
		return booking.Stamp{At: v.CreatedAt, ID: v.ID}
	}
	series, next, err := s.Reports.OwnSeries(c.Request.Context(), g.org, g.q)
	if err != nil {
		return err
	}
	own := ownPage[client.OwnSeries]{next: next}
	for _, v := range series {
		own.items = append(own.items, client.OwnSeries{Series: s.seriesView(v.It), UpdatedAt: v.Changed.UTC()})
	}
	all, cells := gatherFrom(g, own, func(ctx context.Context, cl *client.Client, q client.OwnQuery) ([]client.OwnSeries, *string, error) {
		theirs, _, err := cl.OwnSeries(ctx, g.org.String(), q)
		return theirs.Items, theirs.NextCursor, err
	})
	out := client.OwnSeriesList{Cells: cells.asked, Unreachable: cells.away}
	out.Items, out.NextCursor = mergePages(all, g.q.Limit, at)
	c.JSON(http.StatusOK, out)
	return nil
}

// gathering is a list that is gathered from cells.
type gathering struct {
	s    *Server
	c    *gin.Context
	org  id.Organizer
	q    booking.OwnQuery
	here bool
}

// cellsOf says which cells a list is of.
type cellsOf struct{ asked, away []string }

// ownPage is a page of one cell's.
type ownPage[T any] struct {
	items []T
	next  *booking.Stamp
}

// gathering reads what a list is asked for.
func (s *Server) gathering(c *gin.Context, states []string) (g gathering, err error) {
	g = gathering{s: s, c: c}
	if g.org, err = s.ownAccount(c); err != nil {
		return g, err
	}
	if g.q.Limit, err = pageLimit(c); err != nil {
		return g, err
	}
	if g.q.State, err = wordParam(c, "state", states); err != nil {
		return g, err
	}
	if g.q.Name, err = findParam(c); err != nil {
		return g, err
	}
	for name, to := range map[string]*time.Time{"from": &g.q.From, "to": &g.q.To, "updated_since": &g.q.Since} {
		if *to, err = timeParam(c, name, "UTC", time.Time{}); err != nil {
			return g, err
		}
	}
	if text := c.Query("cursor"); text != "" {
		if g.q.After.At, g.q.After.ID, err = readStamp(text); err != nil || g.q.After.ID == "" || len(g.q.After.ID) > maxStampID || !readable(g.q.After.ID) {
			return g, errCursor.With("the cursor is not from this list")
		}
	}
	here, err := wordParam(c, "here", []string{"true", "false"})
	g.here = here == "true"
	return g, err
}

// key lets other cells see that the organizer asks: a key of this one's making, for a
// minute and for this alone. His own key or membership goes to no cell that he did not
// send it to. Only the cell of his account can make one.
func (g gathering) key() (string, bool) {
	if g.org.Birth() != g.s.Cell || g.s.Peers == nil {
		return "", false
	}
	k := account.Key{ID: id.NewAPIKey(g.org), Scope: account.Scope{Permissions: []access.Permission{access.ReadEvents}}, ExpiresAt: g.s.Now().Add(gatherKeyLife)}
	return k.Text(g.s.Access.Key()), true
}

// gatherFrom asks the other cells for the same page, all at once. What a cell cannot be
// asked is said, not left out (P9).
func gatherFrom[T any](g gathering, own ownPage[T], ask func(ctx context.Context, cl *client.Client, q client.OwnQuery) ([]T, *string, error)) ([]ownPage[T], cellsOf) {
	all, cells := []ownPage[T]{own}, cellsOf{asked: []string{g.s.Cell.String()}, away: []string{}}
	if g.here {
		return all, cells
	}
	q := client.OwnQuery{Text: g.q.Name, State: g.q.State, From: g.q.From, To: g.q.To, UpdatedSince: g.q.Since, Limit: g.q.Limit, Here: true}
	if g.q.After != (booking.Stamp{}) {
		q.Cursor = stampText(g.q.After.At, g.q.After.ID)
	}
	ctx, cancel := context.WithTimeout(g.c.Request.Context(), gatherDeadline)
	defer cancel()
	key, may := g.key()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, peer := range g.s.peers() {
		asking.Go(func() {
			theirs, err := ownPage[T]{}, error(errNoPeer)
			if may {
				theirs, err = askPeer(ctx, g.s, peer, key, q, ask)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil || len(theirs.items) > g.q.Limit {
				cells.away = append(cells.away, peer.ID.String())
				return
			}
			cells.asked, all = append(cells.asked, peer.ID.String()), append(all, theirs)
		})
	}
	asking.Wait()
	slices.Sort(cells.asked)
	slices.Sort(cells.away)
	return all, cells
}

// askPeer asks one cell, at each of its processes until one answers.
func askPeer[T any](ctx context.Context, s *Server, cell topology.Cell, key string, q client.OwnQuery, ask func(ctx context.Context, cl *client.Client, q client.OwnQuery) ([]T, *string, error)) (page ownPage[T], err error) {
	err = errNoPeer
	for _, url := range cell.URLs {
		var next *string
		page.items, next, err = ask(ctx, client.New(url, client.WithBearer(key), client.WithHTTP(s.Peers(cell.ID))), q)
		if err == nil && next != nil {
			page.next = &booking.Stamp{}
			page.next.At, page.next.ID, err = readStamp(*next)
		}
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return page, err
}

// mergePages is one page of several cells' pages, each of which begins at the same place.
// It ends where the first of them ends of which there is more: what is behind that place
// comes with the next page.
func mergePages[T any](pages []ownPage[T], limit int, at func(T) booking.Stamp) (items []T, next *string) {
	items = []T{}
	var end *booking.Stamp
	for _, p := range pages {
		items = append(items, p.items...)
		if p.next != nil && (end == nil || p.next.Compare(*end) < 0) {
			end = p.next
		}
	}
	slices.SortFunc(items, func(a, b T) int { return at(a).Compare(at(b)) })
	if end != nil {
		items = slices.DeleteFunc(items, func(item T) bool { return at(item).Compare(*end) > 0 })
	}
	if len(items) > limit {
		items = items[:limit]
		last := at(items[limit-1])
		end = &last
	}
	if end == nil {
		return items, nil
	}
	return items, new(stampText(end.At, end.ID))
}

package shop

import (
	"net/http"
	"strings"
	"time"

	"guichet/cell/access"
	"guichet/cell/client"
	"guichet/control-plane/topology"
	"guichet/geo"
)

// freshText is how long pages of words may be shown as they are.
const freshText = 10 * time.Minute

// findView is the page on which a link to one's tickets is asked for.
type findView struct {
	meta   meta
	cells  []cellChoice // each cell is asked by itself: no cell knows another's orders
	faults []fault
	email  string
	sent   string // the place of the cell that was asked
}

// cellChoice is a cell that can be asked.
type cellChoice struct{ cell, place string }

// cells are the town's, this one first.
func (v *visit) cells() (list []cellChoice) {
	snap := v.p.cfg.Topology()
	if snap == nil {
		return []cellChoice{{v.p.cfg.Cell.String(), v.p.cfg.Cell.String()}}
	}
	for _, c := range snap.Cells {
		if c.State == topology.CellLeft {
			continue
		}
		name := c.ID.String()
		if r, ok := geo.RegionByCode(c.Region); ok {
			name = r.City
		}
		choice := cellChoice{c.ID.String(), name}
		if c.ID == v.p.cfg.Cell {
			list = append([]cellChoice{choice}, list...)
		} else {
			list = append(list, choice)
		}
	}
	return list
}

func (v *visit) askFind() (answer, error) {
	f := findView{meta: v.meta(v.l.T("find_title")), cells: v.cells()}
	f.meta.description = v.l.T("find_text")
	return answer{page: findPage(f), fresh: freshText}, nil
}

// find has a link mailed by the cell that the form names; it is this one, by the router.
func (v *visit) find() (answer, error) {
	form, err := v.form()
	if err != nil {
		return answer{}, err
	}
	f := findView{meta: v.meta(v.l.T("find_title")), cells: v.cells(), email: form.Get("email")}
	f.meta.private = true
	if !strings.Contains(f.email, "@") {
		f.faults = []fault{{"email", v.l.T("bad_email")}}
		return answer{page: findPage(f), status: http.StatusUnprocessableEntity}, nil
	}
	_, err = v.api("").FindTickets(v.ctx(), client.FindTickets{Email: f.email, Locale: v.l.Code})
	if p := problemOf(err); p != nil && p.Code == "invalid_order" {
		f.faults = []fault{{"email", v.l.T("bad_email")}}
		return answer{page: findPage(f), status: http.StatusUnprocessableEntity}, nil
	}
	if err != nil {
		return answer{}, err
	}
	for _, c := range f.cells {
		if c.cell == v.p.cfg.Cell.String() {
			f.sent = c.place
		}
	}
	return answer{page: findPage(f)}, nil
}

// foundView are the orders and tickets that a mailed link opens.
type foundView struct {
	meta   meta
	found  client.Found
	events map[string]client.Event
}

func (v *visit) found() (answer, error) {
	token, err := v.token()
	if err != nil {
		return answer{}, err
	}
	found, _, err := v.api(token).FoundTickets(v.ctx())
	if err != nil {
		return answer{}, err
	}
	f := foundView{meta: v.meta(v.l.T("found_title")), found: found, events: map[string]client.Event{}}
	f.meta.private = true
	want := map[string]bool{}
	for _, o := range found.Items {
		want[o.EventID] = true
	}
	for _, t := range found.Tickets {
		want[t.EventID] = true
	}
	for id := range want {
		if e, _, err := v.api("").Event(v.ctx(), id); err == nil {
			f.events[id] = e
		}
	}
	return answer{page: foundPage(f)}, nil
}

// openFound opens one of the found orders or tickets: its own token becomes the cookie of
// its own page.
func (v *visit) openFound() (answer, error) {
	form, err := v.form()
	if err != nil {
		return answer{}, err
	}
	token, err := v.token()
	if err != nil {
		return answer{}, err
	}
	found, _, err := v.api(token).FoundTickets(v.ctx())
	if err != nil {
		return answer{}, err
	}
	for _, o := range found.Items {
		if o.ID == form.Get("order") && o.AccessToken != "" {
			v.keep(tokenCookie, o.AccessToken, "/orders/"+o.ID, orderLife)
			return answer{to: "/orders/" + o.ID}, nil
		}
	}
	for _, t := range found.Tickets {
		if t.ID == form.Get("ticket") && t.AccessToken != "" {
			v.keep(tokenCookie, t.AccessToken, "/tickets/"+t.ID, orderLife)
			return answer{to: "/tickets/" + t.ID}, nil
		}
	}
	return answer{}, errNoPage
}

// open is the page that a mailed link leads to. Its token stands behind the # of the
// address, which no server sees; shop.js posts it.
func (v *visit) open() (answer, error) {
	m := v.meta(v.l.T("open_title"))
	m.private = true
	return answer{page: openPage(m)}, nil
}

// exchange turns the token of a mailed link into a cookie of the page that it opens.
// Whether it admits is judged there, by the home of what it names.
func (v *visit) exchange() (answer, error) {
	form, err := v.form()
	if err != nil {
		return answer{}, err
	}
	token := form.Get("token")
	scope, object, finds := access.Opens(token)
	ref, known := topology.ParseRef(object)
	switch {
	case len(token) > 2048:
	case finds:
		v.keep(tokenCookie, token, "/found", 24*time.Hour)
		return answer{to: "/found?cell=" + object}, nil
	case scope == access.Order && known && ref.Kind == "ord":
		v.keep(tokenCookie, token, "/orders/"+object, orderLife)
		return answer{to: "/orders/" + object}, nil
	case scope == access.Ticket && known && ref.Kind == "tkt":
		v.keep(tokenCookie, token, "/tickets/"+object, orderLife)
		return answer{to: "/tickets/" + object}, nil
	}
	return answer{}, errLink
}

var errLink = &shopError{http.StatusBadRequest, "link_invalid"}

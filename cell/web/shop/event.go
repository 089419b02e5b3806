package shop

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/cell/ticket/ical"
	"guichet/geo"
)

// freshEvent is how long an event's page may be shown as it is. Words and prices change
// seldom; what is left is asked for at the home by shop.js, and decided at the hold.
const freshEvent = 15 * time.Second

// maxChoice bounds the numbers that one can choose from.
const maxChoice = 20

// eventView is what an event's page shows.
type eventView struct {
	meta   meta
	event  client.Event
	here   bool // this cell is the home: what it says of stock is so
	home   homeView
	seller client.Seller
	policy string // of giving tickets on; empty when it is not known here
	faults []fault
	typed  url.Values // what was typed into the form
	opened string     // an access code that opened ticket types
	promo  string     // a code that will be applied
	now    time.Time
}

// homeView is where an event is at home, in words.
type homeView struct {
	cell, city, country, residency string
}

func (v *visit) homeOf(h client.Home) homeView {
	out := homeView{cell: h.Cell}
	if r, ok := geo.RegionByCode(h.Region); ok {
		out.city, out.country = r.City, r.Country
	}
	if snap := v.p.cfg.Topology(); snap != nil {
		for _, c := range snap.Cells {
			if c.ID.String() == h.Cell {
				out.residency = c.Residency
			}
		}
	}
	if h.Cell == v.p.cfg.Cell.String() && v.p.cfg.Proved != nil { // another cell tells its own
		if at := v.p.cfg.Proved(); !at.IsZero() {
			out.residency = strings.TrimSpace(out.residency + " " + v.l.T("residency_proved", v.l.dateTime(at, "UTC")))
		}
	}
	return out
}

// event is the public page. This cell may have a copy only; it says so.
func (v *visit) event() (answer, error) {
	id := v.r.PathValue("event")
	if stem, ok := strings.CutSuffix(id, ".ics"); ok {
		return v.eventCalendar(stem)
	}
	if stem, ok := strings.CutSuffix(id, ".png"); ok {
		return v.eventPicture(stem)
	}
	e, a, err := v.readEvent(id)
	if err != nil || a.to != "" {
		return a, err
	}
	view := v.eventView(e)
	return answer{page: eventPage(view), fresh: freshEvent}, nil
}

// readEvent reads an event here. One of which there is no copy is at its home: the answer
// leads there.
func (v *visit) readEvent(id string) (client.Event, answer, error) {
	e, _, err := v.api("").Event(v.ctx(), id)
	if client.CodeOf(err) == "moved" && v.query().Get("at") != "home" {
		return e, answer{to: "/" + v.l.Code + v.r.URL.Path + "?at=home"}, nil
	}
	return e, answer{}, err
}

// eventView gathers what an event's page shows.
func (v *visit) eventView(e client.Event) eventView {
	here := e.Home.Cell == v.p.cfg.Cell.String()
	view := eventView{meta: v.meta(e.Name), event: e, here: here, home: v.homeOf(e.Home), now: v.now(), typed: url.Values{}}
	m := &view.meta
	m.path, m.kind = "/events/"+e.ID, "article"
	m.description = cut(orElse(e.Summary, v.l.T("event_description", e.Name, place(v.l, e.Venue), v.l.dateTime(e.StartsAt, e.TimeZone))), 160)
	m.image, m.imageAlt = "/"+v.l.Code+"/events/"+e.ID+".png", e.Name
	m.jsonld = v.eventLD(e)
	if !e.Live() {
		m.noindex = true
	}
	if here {
		if policy, _, err := v.api("").TransferPolicy(v.ctx(), e.ID); err == nil {
			view.policy = policy.Transfers
		}
		if form, err := v.orderForm(e.ID); err == nil {
			view.seller = form.Seller
		}
	}
	return view
}

// onSale says whether anything of the event can be bought.
func (e eventView) onSale() bool {
	end := e.event.StartsAt.Add(6 * time.Hour)
	if e.event.EndsAt != nil {
		end = *e.event.EndsAt
	}
	return e.event.Live() && e.now.Before(end) && len(e.event.TicketTypes) > 0
}

// over says that the event has ended.
func (e eventView) over() bool {
	return e.event.Live() && !e.onSale() && len(e.event.TicketTypes) > 0
}

// typeState is what keeps a ticket type from being chosen, for the words sale_…; "" for
// nothing.
func (e eventView) typeState(t client.TicketType) string {
	switch {
	case t.SalesStart != nil && e.now.Before(*t.SalesStart):
		return "later"
	case t.SalesEnd != nil && !e.now.Before(*t.SalesEnd):
		return "ended"
	case t.Availability == client.None:
		return "none"
	}
	return ""
}

// choices are the numbers of tickets that one order can have.
func choices(t client.TicketType) (list []int64) {
	for n := max(t.MinPerOrder, 1); n <= t.MaxPerOrder && len(list) < maxChoice; n++ {
		list = append(list, n)
	}
	return list
}

// sorted are the ticket types in the order of the page: tickets, then what is added to them.
func (e eventView) sorted() []client.TicketType {
	list := slices.Clone(e.event.TicketTypes)
	slices.SortStableFunc(list, func(a, b client.TicketType) int {
		switch {
		case a.AddOn == b.AddOn:
			return 0
		case a.AddOn:
			return 1
		}
		return -1
	})
	return list
}

// typeName is the name of a ticket type by its id.
func (e eventView) typeName(id string) string {
	for _, t := range e.event.TicketTypes {
		if t.ID == id {
			return t.Name
		}
	}
	return ""
}

// percent is basis points as a number for people: 1900 is 19.
func percent(basisPoints int64) string {
	text := strconv.FormatInt(basisPoints/100, 10)
	if rest := basisPoints % 100; rest != 0 {
		text += "." + strings.TrimRight(strconv.FormatInt(100+rest, 10)[1:], "0")
	}
	return text
}

// eventCalendar is the event's date as a file.
func (v *visit) eventCalendar(id string) (answer, error) {
	e, a, err := v.readEvent(id)
	if err != nil || a.to != "" {
		return a, err
	}
	entry := ical.Entry{
		UID: e.ID + "@" + v.p.site.Host, Version: e.Version, Stamp: v.now().UTC().Truncate(time.Hour), StartsAt: e.StartsAt, EndsAt: e.EndsAt,
		Summary: e.Name, Location: place(v.l, e.Venue), Description: e.Summary, URL: v.p.cfg.SiteURL + "/" + v.l.Code + "/events/" + e.ID, Canceled: e.State == "canceled",
	}
	if at := e.Venue.Location; at != nil {
		entry.Lat, entry.Lon, entry.Located = at.Lat, at.Lon, true
	}
	return answer{raw: ical.File(entry), media: ical.Media, name: e.ID + ".ics", fresh: freshEvent}, nil
}

package shop

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/geo"
	"guichet/internal/httpd"
)

const (
	freshSearch = 30 * time.Second
	pageSize    = 24
	nearRadius  = 100 // kilometres
)

// searchParams are the parameters of a search page; others are ignored, so that a link
// with a campaign's mark works.
var searchParams = []string{"q", "category", "city", "country", "when", "from", "to", "near", "sort", "cursor"}

// searchView is what a page of results shows.
type searchView struct {
	meta   meta
	query  url.Values // the known parameters that were given
	items  []client.Listing
	facets []facetGroup
	active []chosen
	total  int
	next   string
	note   string // why there is nothing, if that is not for lack of events
	sorts  []sortChoice
}

type facetGroup struct {
	name, title string
	values      []client.Facet
}

// chosen is a filter in force, with where it is taken away.
type chosen struct{ text, without string }

type sortChoice struct {
	text, to string
	current  bool
}

// searchPublic is a search that is the same for everybody.
func (v *visit) search() (answer, error) {
	q := url.Values{}
	for _, name := range searchParams {
		if value := strings.TrimSpace(v.query().Get(name)); value != "" && len(value) < 400 {
			q.Set(name, strings.ToValidUTF8(value, ""))
		}
	}
	s := searchView{meta: v.meta(v.l.T("search_title")), query: q}
	s.meta.q, s.meta.path = q.Get("q"), "/search"
	if len(q) > 0 {
		s.meta.path += "?" + q.Encode()
	}
	s.meta.noindex = q.Get("q") != "" || q.Has("cursor") || q.Has("when") || q.Has("near") || q.Has("from") || q.Has("sort")
	want, place := v.wanted(q)
	found, _, err := v.api("").Search(v.ctx(), want)
	fresh := freshSearch
	switch code := client.CodeOf(err); {
	case err == nil:
		s.items, s.total = found.Items, found.Total
		if found.NextCursor != nil {
			s.next = with(q, "cursor", *found.NextCursor)
		}
		s.facets = facetsOf(v.l, found.Facets, q)
	case code == "search_warming":
		s.note, fresh = v.l.T("warming"), 0
	case code == "invalid_parameter" || code == "invalid_cursor":
		s.note = v.l.T("search_invalid")
	default:
		return answer{}, err
	}
	s.active, s.sorts = v.chosen(q, place), v.sorts(q)
	if title := headline(v.l, q); title != "" {
		s.meta.title = title
	}
	s.meta.description = v.l.T("start_description")
	if q.Get("near") != "" {
		fresh = 0 // it is about where the reader is
	}
	return answer{page: searchPage(s), fresh: fresh}, nil
}

// wanted is the search in the contract's words; where the reader is, if that counts.
func (v *visit) wanted(q url.Values) (client.Query, *client.Location) {
	want := client.Query{Text: q.Get("q"), Category: q.Get("category"), City: q.Get("city"), Country: q.Get("country"), Sort: q.Get("sort"), Cursor: q.Get("cursor"), Limit: pageSize, Facets: []string{"category", "city", "country"}}
	from, to := days(q, v.now())
	want.From, want.To = from, to
	if near := q.Get("near"); near != "" {
		text := near
		if near == "me" {
			text = v.r.Header.Get(httpd.HeaderNear)
		}
		if at, err := geo.ParsePoint(text); err == nil {
			want.Near, want.RadiusKM = &client.Location{Lat: at.Lat, Lon: at.Lon}, nearRadius
		}
	}
	if want.Near == nil && want.Sort == "distance" {
		want.Sort = ""
	}
	if want.Text == "" && want.Sort == "relevance" {
		want.Sort = ""
	}
	return want, want.Near
}

// days are the bounds of a search in time: days as from and to, or a word as when.
func days(q url.Values, now time.Time) (from, to time.Time) {
	today := now.UTC().Truncate(24 * time.Hour)
	switch q.Get("when") {
	case "today":
		return today, today.AddDate(0, 0, 1).Add(-time.Second)
	case "week":
		return today, today.AddDate(0, 0, 7)
	case "weekend":
		friday := today.AddDate(0, 0, (int(time.Friday)-int(today.Weekday())+7)%7)
		if today.Weekday() == time.Saturday || today.Weekday() == time.Sunday {
			friday = today
		}
		return friday, friday.AddDate(0, 0, (7-int(friday.Weekday()))%7+1).Add(-time.Second)
	case "month":
		return today, today.AddDate(0, 1, 0)
	}
	if day, err := time.Parse(time.DateOnly, q.Get("from")); err == nil {
		from = day
	}
	if day, err := time.Parse(time.DateOnly, q.Get("to")); err == nil {
		to = day.AddDate(0, 0, 1).Add(-time.Second)
	}
	return from, to
}

// with is the query of a page with one parameter changed, "" takes it away; it begins
// with a question mark. A change begins at the first page.
func with(q url.Values, name, value string) string {
	changed := url.Values{}
	for k := range q {
		if k != "cursor" {
			changed.Set(k, q.Get(k))
		}
	}
	changed.Set(name, value)
	if value == "" {
		changed.Del(name)
	}
	if len(changed) == 0 {
		return ""
	}
	return "?" + changed.Encode()
}

func one(name, value string) string { return url.Values{name: {value}}.Encode() }

// facetsOf are the facets that can narrow a search further.
func facetsOf(l *tongue, all map[string][]client.Facet, q url.Values) (groups []facetGroup) {
	for _, name := range []string{"category", "country", "city"} {
		if q.Get(name) == "" && len(all[name]) > 1 {
			groups = append(groups, facetGroup{name, l.T("facet_" + name), first(all[name], 14)})
		}
	}
	return groups
}

// facetName is a facet's value for people.
func facetName(l *tongue, name, value string) string {
	switch name {
	case "category":
		return l.known("category_", value)
	case "country":
		return l.country(value)
	}
	return value
}

// chosen are the filters in force.
func (v *visit) chosen(q url.Values, place *client.Location) (list []chosen) {
	for _, name := range []string{"category", "country", "city"} {
		if value := q.Get(name); value != "" {
			list = append(list, chosen{facetName(v.l, name, value), with(q, name, "")})
		}
	}
	if when := q.Get("when"); slices.Contains([]string{"today", "week", "weekend", "month"}, when) {
		list = append(list, chosen{v.l.T("when_" + when), with(q, "when", "")})
	}
	for _, name := range []string{"from", "to"} {
		if day, err := time.Parse(time.DateOnly, q.Get(name)); err == nil {
			list = append(list, chosen{v.l.T("filter_"+name, v.l.date(day, "UTC")), with(q, name, "")})
		}
	}
	if place != nil {
		list = append(list, chosen{v.l.T("filter_near", strconv.Itoa(nearRadius)), with(q, "near", "")})
	}
	return list
}

func (v *visit) sorts(q url.Values) (list []sortChoice) {
	names := []string{"date"}
	if q.Get("q") != "" {
		names = append([]string{"relevance"}, names...)
	}
	if q.Get("near") != "" {
		names = append(names, "distance")
	}
	if len(names) == 1 {
		return nil
	}
	current := q.Get("sort")
	if current == "" && q.Get("q") != "" {
		current = "relevance"
	} else if current == "" {
		current = "distance"
	}
	for _, name := range names {
		list = append(list, sortChoice{v.l.T("sort_" + name), with(q, "sort", name), name == current})
	}
	return list
}

// headline is what a page of results is about: "Music in Paris".
func headline(l *tongue, q url.Values) string {
	what, where := "", q.Get("city")
	if c := q.Get("category"); c != "" {
		what = l.known("category_", c)
	}
	if where == "" && q.Get("country") != "" {
		where = l.country(q.Get("country"))
	}
	switch {
	case q.Get("q") != "":
		return l.T("headline_text", cut(q.Get("q"), 60))
	case what != "" && where != "":
		return l.T("headline_both", what, where)
	case where != "":
		return l.T("headline_where", where)
	}
	return what
}

// place is where an event is, in one line.
func place(l *tongue, venue client.Venue) string {
	parts := []string{}
	for _, part := range []string{venue.Name, venue.City, l.country(venue.Country)} {
		if part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

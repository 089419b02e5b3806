package search

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"guichet/cell/money"
	"guichet/geo"
	"guichet/internal/kind"
)

// Limits of a query.
const (
	MaxText      = 200 // characters of q
	MaxWords     = 24  // words of q that count; the rest is ignored
	MaxKeyword   = 100 // characters of category and city
	MaxRadiusKM  = 20000
	MaxLimit     = 100
	DefaultLimit = 20
	MaxSuggest   = 8
)

// Errors about queries; each names the parameter.
var (
	ErrUnknownParameter = kind.Invalid.New("unknown_parameter")
	ErrParameter        = kind.Invalid.New("invalid_parameter")
	ErrCursor           = kind.Invalid.New("invalid_cursor")
)

// Sort is the order of results. Equals are ordered by start, then id.
type Sort string

// The orders.
const (
	ByRelevance Sort = "relevance"
	ByDate      Sort = "date"     // soonest first
	ByDistance  Sort = "distance" // needs Near; events without a point come last
)

// FacetNames are the facets that can be asked for.
var FacetNames = []string{"category", "city", "country"}

// Query is what an attendee looks for. Zero fields do not filter.
type Query struct {
	Text     string
	Near     *geo.Point
	RadiusKM float64 // needs Near; 0 means without bound
	// From and To bound when an event takes place, both inclusive: what began before
	// From and ends after it is found. Without From, what is over is left out instead
	// (NotEndedAt, which the Service sets).
	From, To, NotEndedAt time.Time
	// FromDay and ToDay are dates instead, at midnight UTC: the days that a calendar
	// at each event's place shows.
	FromDay, ToDay time.Time
	// Category, Country and City are compared as a whole, without case and accents.
	Category, Country, City string
	// Currency is what events are sold in, ISO 4217.
	Currency string
	// PriceMax compares with price_from.amount in minor units of Currency; nothing is
	// converted. Events of which nothing can be bought do not match.
	PriceMax *int64
	// Occurrences lists each event of a series by itself. Otherwise the soonest that
	// matches stands for its series.
	Occurrences bool
	BuyableAt   time.Time // when; the Service sets it
	Sort        Sort
	Facets      []string
	After       *Position // from the cursor
	Limit       int
}

var parameters = []string{
	"q", "near", "radius_km", "from", "to", "category", "country", "city", "price_max", "currency", "occurrences", "sort", "facets", "cursor", "limit",
}

// ParseQuery reads the parameters of GET /v1/events. It is strict: an unknown or
// repeated parameter and a value out of bounds are errors that name it; an empty
// value means the parameter is absent. Without sort the order is relevance when
// there is text, else distance when there is a place, else date.
func ParseQuery(v url.Values) (Query, error) {
	var q Query
	if err := known(v, parameters); err != nil {
		return q, err
	}
	p := parser{v: v}
	q.Text = p.text("q", MaxText)
	q.Near = p.point("near")
	q.RadiusKM = p.radius(q.Near)
	q.From, q.FromDay = p.time("from")
	q.To, q.ToDay = p.time("to")
	if backwards(q.From, q.To) || backwards(q.FromDay, q.ToDay) {
		p.fail("to", "it is before from")
	}
	q.Category = p.text("category", MaxKeyword)
	q.City = p.text("city", MaxKeyword)
	q.Country = p.country()
	q.Currency = p.currency()
	q.PriceMax = p.price(q.Currency)
	q.Occurrences = p.yes("occurrences")
	q.Facets = p.facets()
	q.Limit = p.limit()
	q.Sort = p.sort(q)
	if p.err != nil {
		return Query{}, p.err
	}
	if c := v.Get("cursor"); c != "" {
		pos, err := decodeCursor(c, q)
		if err != nil {
			return Query{}, err
		}
		q.After = pos
	}
	return q, nil
}

// ParseSuggest reads the parameters of GET /v1/events/suggest.
func ParseSuggest(v url.Values) (string, error) {
	if err := known(v, []string{"q"}); err != nil {
		return "", err
	}
	p := parser{v: v}
	text := p.text("q", MaxText)
	return text, p.err
}

func known(v url.Values, names []string) error {
	given := make([]string, 0, len(v))
	for name := range v {
		given = append(given, name)
	}
	slices.Sort(given)
	for _, name := range given {
		if !slices.Contains(names, name) {
			return ErrUnknownParameter.With("%.60q is not a parameter of this call; known are %s",
				name, strings.Join(names, ", ")).Field("parameter", strings.ToValidUTF8(name, "�"))
		}
		if len(v[name]) > 1 {
			return ErrParameter.With("%s is given more than once", name).Field("parameter", name)
		}
	}
	return nil
}

// parser keeps the first fault, so that reading stays a list of lines.
type parser struct {
	v   url.Values
	err error
}

func (p *parser) fail(name, format string, args ...any) {
	if p.err == nil {
		p.err = ErrParameter.With(name+": "+format, args...).Field("parameter", name)
	}
}

func (p *parser) text(name string, limit int) string {
	s := strings.TrimSpace(strings.ToValidUTF8(p.v.Get(name), "�"))
	if n := utf8.RuneCountInString(s); n > limit {
		p.fail(name, "it has at most %d characters, this has %d", limit, n)
	}
	return s
}

func (p *parser) point(name string) *geo.Point {
	s := p.v.Get(name)
	if s == "" {
		return nil
	}
	at, err := geo.ParsePoint(s)
	if err != nil {
		p.fail(name, "it is lat,lon in degrees like 48.8566,2.3522")
		return nil
	}
	return &at
}

func (p *parser) radius(near *geo.Point) float64 {
	s := p.v.Get("radius_km")
	if s == "" {
		return 0
	}
	if near == nil {
		p.fail("radius_km", "it needs near")
		return 0
	}
	r, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.Trim(s, "0123456789.") != "" || !(r > 0 && r <= MaxRadiusKM) {
		p.fail("radius_km", "it is a number above 0 and at most %d", MaxRadiusKM)
	}
	return r
}

// time reads RFC 3339 or a date; the other is zero. A "+" that arrived as a space is
// mended.
func (p *parser) time(name string) (at, day time.Time) {
	s := strings.ReplaceAll(p.v.Get(name), " ", "+")
	if s == "" {
		return at, day
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		at = time.Time{}
		day, err = time.Parse(time.DateOnly, s)
	}
	if err != nil || !writable(at) && day.IsZero() || !day.IsZero() && !writable(day) {
		p.fail(name, "it is a time like 2026-05-01T19:30:00+02:00 or a date like 2026-05-01")
	}
	return at.UTC(), day
}

func backwards(from, to time.Time) bool { return !from.IsZero() && !to.IsZero() && to.Before(from) }

// Starts says whether the query says from when on.
func (q *Query) Starts() bool { return !q.From.IsZero() || !q.FromDay.IsZero() }

func (p *parser) country() string {
	s := strings.ToUpper(p.v.Get("country"))
	if s != "" && (len(s) != 2 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		p.fail("country", "it is an ISO 3166 code of two letters like FR")
	}
	return s
}

func (p *parser) currency() string {
	s := strings.ToUpper(p.v.Get("currency"))
	if s == "" {
		return ""
	}
	if _, err := money.Exponent(s); err != nil {
		p.fail("currency", "it is an ISO 4217 code of three letters like EUR")
	}
	return s
}

func (p *parser) yes(name string) bool {
	switch p.v.Get(name) {
	case "true":
		return true
	case "", "false":
	default:
		p.fail(name, "it is true or false")
	}
	return false
}

func (p *parser) price(currency string) *int64 {
	s := p.v.Get("price_max")
	if s == "" {
		return nil
	}
	if currency == "" {
		p.fail("price_max", "it needs currency: a number alone says no price")
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || s[0] == '+' || n < 0 || n > money.Max {
		p.fail("price_max", "it is a whole number of minor units (cents) from 0 to %d", int64(money.Max))
	}
	return &n
}

func (p *parser) facets() []string {
	s := p.v.Get("facets")
	if s == "" {
		return nil
	}
	var names []string
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(FacetNames, name) {
			p.fail("facets", "%.40q is not one of %s", name, strings.Join(FacetNames, ","))
			return nil
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (p *parser) limit() int {
	s := p.v.Get("limit")
	if s == "" {
		return DefaultLimit
	}
	n, err := strconv.Atoi(s)
	if err != nil || s[0] == '+' || n < 1 || n > MaxLimit {
		p.fail("limit", "it is a whole number from 1 to %d", MaxLimit)
	}
	return n
}

func (p *parser) sort(q Query) Sort {
	switch s := Sort(p.v.Get("sort")); s {
	case ByRelevance, ByDate:
		return s
	case ByDistance:
		if q.Near == nil {
			p.fail("sort", "distance needs near")
		}
		return s
	case "":
		switch {
		case q.Text != "":
			return ByRelevance
		case q.Near != nil:
			return ByDistance
		}
		return ByDate
	default:
		p.fail("sort", "it is one of relevance, date, distance")
		return ""
	}
}

package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"guichet/cell/catalog/city"
	"guichet/cell/client"
	"guichet/cell/country"
	"guichet/cell/legible"
	"guichet/cell/money"
	"guichet/cell/walltime"
	"guichet/geo"
)

// tidy holds a scheduled draft to the rules of every format.
func (d *draft) tidy() error {
	e := &d.event
	e.Name = d.short(plain(e.Name), maxName)
	e.Summary = d.short(plain(e.Summary), maxSummary)
	e.Venue.Name = d.short(plain(e.Venue.Name), maxName)
	e.Venue.Address = d.short(plain(e.Venue.Address), maxName)
	e.Venue.City = d.short(plain(e.Venue.City), maxName)
	for i := range e.Quotas {
		e.Quotas[i].Name = plain(e.Quotas[i].Name)
	}
	for i := range e.TicketTypes {
		t := &e.TicketTypes[i]
		t.Name = plain(t.Name)
		for j := range t.Quotas {
			t.Quotas[j] = plain(t.Quotas[j])
		}
	}
	e.Source.Name, e.Source.Licence, e.Source.Credit = plain(e.Source.Name), plain(e.Source.Licence), plain(e.Source.Credit)
	if e.Category == "" {
		e.Category = "other"
	}
	switch {
	case e.Name == "":
		return errors.New("no name")
	case e.Venue.Location == nil:
		return errors.New("no coordinates")
	case !(geo.Point{Lat: e.Venue.Location.Lat, Lon: e.Venue.Location.Lon}).Valid():
		return fmt.Errorf("coordinates %v,%v are not on Earth", e.Venue.Location.Lat, e.Venue.Location.Lon)
	case !country.Known(e.Venue.Country):
		return fmt.Errorf("%.20q is not an ISO country", e.Venue.Country)
	}
	e.Venue.Name = cmp.Or(e.Venue.Name, e.Venue.Address, e.Venue.City)
	if e.Venue.Name == "" || e.Venue.City == "" {
		return errors.New("no venue or city")
	}
	if !walltime.Kept(e.StartsAt) || e.EndsAt != nil && !walltime.Kept(*e.EndsAt) {
		return errors.New("a time is more precise than a microsecond")
	}
	if e.EndsAt != nil && !e.EndsAt.After(e.StartsAt) {
		e.EndsAt = nil
		d.note(NoteEnd)
	}
	if u := e.Source.URL; !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") || len(u) > 500 {
		e.Source.URL = ""
	}
	return checkStock(e)
}

func checkStock(e *client.NewEvent) error {
	if _, err := money.Exponent(e.Currency); err != nil {
		return err
	}
	if len(e.Quotas) == 0 || len(e.TicketTypes) == 0 {
		return errors.New("nothing to sell")
	}
	names := map[string]bool{}
	for _, q := range e.Quotas {
		if q.Size < 0 || q.Size > maxCapacity { // 0: sold out at the source
			return fmt.Errorf("quota %.40q of %d is outside 0 to %d", q.Name, q.Size, maxCapacity)
		}
		if q.Name == "" || names[q.Name] {
			return fmt.Errorf("quota name %.40q is empty or used twice", q.Name)
		}
		names[q.Name] = true
	}
	for _, t := range e.TicketTypes {
		if t.Name == "" || len(t.Quotas) == 0 {
			return fmt.Errorf("ticket type %.40q has no name or no quota", t.Name)
		}
		for _, q := range t.Quotas {
			if !names[q] {
				return fmt.Errorf("ticket type %.40q draws on %.40q, which is no quota", t.Name, q)
			}
		}
		if _, err := money.New(t.Price.Amount, t.Price.Currency); err != nil {
			return err
		}
	}
	return nil
}

// locate fills what the coordinates tell: city, country and time zone.
func (d *draft) locate(zone string) (*time.Location, error) {
	v := &d.event.Venue
	if v.Location == nil {
		return nil, errors.New("no coordinates")
	}
	at := geo.Point{Lat: v.Location.Lat, Lon: v.Location.Lon}
	if err := swapped(at, v.Country); err != nil {
		return nil, err
	}
	if !at.Valid() {
		return nil, fmt.Errorf("coordinates %v,%v are no place", at.Lat, at.Lon)
	}
	near, ok := city.Nearest(at, v.Country, nil)
	if v.Country == "" && ok {
		v.Country = near.Country
	}
	if v.City == "" && ok {
		v.City = near.Name
		d.note(NoteCity)
	}
	if zone == "" && ok {
		zone = near.TimeZone
		d.note(NoteZone)
	}
	loc, err := walltime.Zone(zone)
	if err != nil {
		return nil, err
	}
	d.event.TimeZone = zone
	return loc, nil
}

// fallback puts the person's point where the data has none.
func (in *input) fallback(d *draft) {
	if d.event.Venue.Location == nil && in.opts.Fallback != nil {
		d.event.Venue.Location = &client.Location{Lat: in.opts.Fallback.Lat, Lon: in.opts.Fallback.Lon}
		d.note(NoteLocation)
	}
}

// What is this far from all big cities of its country, and not when swapped, was swapped.
const (
	abroadKM = 800.0
	insideKM = 500.0
)

// swapped tells latitude and longitude in each other's place: off the Earth, or far
// off the country that the data names while the other way round they lie in it.
func swapped(at geo.Point, in string) error {
	other := geo.Point{Lat: at.Lon, Lon: at.Lat}
	far := func(p geo.Point) float64 {
		near, ok := city.Nearest(p, in, func(c city.City) bool { return c.Country == in })
		if !ok || !p.Valid() {
			return math.Inf(1)
		}
		return geo.DistanceKM(p, near.Location)
	}
	switch {
	case !other.Valid():
		return nil
	case !at.Valid():
		return fmt.Errorf("latitude %v and longitude %v are no place; are they swapped?", at.Lat, at.Lon)
	case in != "" && far(at) > abroadKM && far(other) < insideKM:
		return fmt.Errorf("latitude %v and longitude %v are not in %s; are they swapped?", at.Lat, at.Lon, in)
	}
	return nil
}

// maxEscapes is how often sources were seen to escape a text on its way.
const maxEscapes = 3

// plain makes foreign text safe to show: no tags, entities or control
// characters, nothing that turns or hides text, valid UTF-8, single spaces;
// paragraphs become one line.
func plain(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	for range maxEscapes {
		s = html.UnescapeString(s)
	}
	s = legible.Clean(s)
	var b strings.Builder
	for len(s) > 0 {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			b.WriteString(s)
			break
		}
		shut := strings.IndexByte(s[open:], '>')
		if shut < 0 || !tagStart(s[open+1:]) {
			b.WriteString(s[:open+1])
			s = s[open+1:]
			continue
		}
		b.WriteString(s[:open] + " ")
		s = s[open+shut+1:]
	}
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, b.String())
	return strings.Join(strings.Fields(clean), " ")
}

// tagStart tells "<p>" from "3 < 4".
func tagStart(s string) bool {
	s = strings.TrimPrefix(s, "/")
	return s != "" && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z' || s[0] == '!')
}

// short cuts at a word within limit characters.
func (d *draft) short(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	d.note(NoteShortened)
	r := []rune(s)[:limit-1]
	cut := string(r)
	if i := strings.LastIndexByte(cut, ' '); i > len(cut)/2 {
		cut = cut[:i]
	}
	return strings.TrimRight(cut, " ,;:-") + "…"
}

package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"guichet/cell/catalog/city"
	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/cell/walltime"
	"guichet/geo"
)

// matchLength is how long a match is listed for; extra time is not sold.
const matchLength = 2 * time.Hour

// readOpenfootball reads openfootball's worldcup.json and stadiums.json files, of
// any number of tournaments in any order; a tournament's two files share its name.
func readOpenfootball(ctx context.Context, in *input) error {
	of := &openfootball{in: in, stadiums: map[string][]stadium{}}
	var matches []File
	for _, f := range in.files {
		var found []stadium
		doc, err := of.document(ctx, f, func(key string, e element) error {
			if key == "stadiums" {
				if len(found) == maxStadiums {
					return ErrFile.With("more than %d stadiums", maxStadiums)
				}
				found = append(found, newStadium(e.value))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, ErrFile.With("%v", err))
		}
		switch {
		case doc.keys["matches"]:
			matches = append(matches, f)
		case doc.keys["stadiums"]:
			of.stadiums[doc.name] = append(of.stadiums[doc.name], found...)
		default:
			return fmt.Errorf("%s: %w", f.Name, ErrFile.With("neither matches nor stadiums in it"))
		}
	}
	if len(matches) == 0 || len(of.stadiums) == 0 {
		return ErrFile.With("two files are needed: matches (worldcup.json) and stadiums.json")
	}
	for _, f := range matches {
		if err := of.matches(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

const maxStadiums = 1000

type openfootball struct {
	in       *input
	stadiums map[string][]stadium // by tournament
}

// tournament is what the head of a document says.
type tournament struct {
	name string
	keys map[string]bool
}

// document walks a file's top object and yields the elements of its arrays.
func (of *openfootball) document(ctx context.Context, f File, yield func(key string, e element) error) (tournament, error) {
	doc := tournament{keys: map[string]bool{}}
	rc, r, err := open(f)
	if err != nil {
		return doc, err
	}
	defer rc.Close()
	t := newTape(r)
	dec := json.NewDecoder(t)
	dec.UseNumber()
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return doc, errors.New("not a JSON object")
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return doc, err
		}
		key, _ := tok.(string)
		doc.keys[key] = true
		if key != "matches" && key != "stadiums" {
			var v any
			if err := dec.Decode(&v); err != nil {
				return doc, err
			}
			if key == "name" {
				doc.name = str(v)
			}
			continue
		}
		s := &stream{dec: dec, tape: t, yield: func(e element) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return yield(key, e)
		}}
		if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
			return doc, fmt.Errorf("%s is not an array", key)
		}
		if err := s.array(); err != nil {
			return doc, err
		}
	}
	return doc, nil
}

func (of *openfootball) matches(ctx context.Context, f File) error {
	// The name may follow the matches, so the first walk reads the head only.
	doc, err := of.document(ctx, f, func(string, element) error { return nil })
	if err != nil {
		return ErrFile.With("%v", err)
	}
	_, err = of.document(ctx, f, func(key string, e element) error {
		if key != "matches" {
			return nil
		}
		d := &draft{file: f.Name, line: e.line, index: e.index}
		d.err = of.match(d, doc.name, e.value)
		return of.in.take(ctx, d)
	})
	if given, ok := errors.AsType[*yieldError](err); ok {
		return given.err
	}
	return err
}

func (of *openfootball) match(d *draft, cup string, v any) error {
	m := obj(v)
	home, away := str(m["team1"]), str(m["team2"])
	if home == "" || away == "" {
		return errors.New("team1 or team2 is missing")
	}
	ground := str(m["ground"])
	st, ok := findStadium(of.stadiums[cup], ground)
	if !ok {
		return fmt.Errorf("ground %.60q is not among the stadiums of %.40q", ground, cup)
	}
	e := &d.event
	e.Name = fmt.Sprintf("%s: %s – %s", cup, home, away)
	e.Summary = strings.Trim(str(m["round"])+", "+str(m["group"]), ", ")
	e.Category, e.Currency, e.Source = "sport", "USD", &client.Source{}
	e.Venue = client.Venue{Name: st.name, City: st.cityName(), Country: st.country(cup), Capacity: st.capacity}
	d.id = slug(cup, str(m["date"]), home, away)
	if err := st.locate(d); err != nil {
		return err
	}
	if err := matchTime(d, st, str(m["date"]), str(m["time"])); err != nil {
		return err
	}
	return worldCupStock(d, st.capacity)
}

// matchTime reads date and time; the zone is that of the nearest city in the
// country which keeps the offset the data states on that day.
func matchTime(d *draft, st stadium, date, clock string) error {
	day, err := time.Parse("2006-01-02", date)
	if err != nil {
		return fmt.Errorf("date %.30q is not YYYY-MM-DD", date)
	}
	var at time.Duration
	var offset int
	var stated bool
	if clock == "" {
		at = DefaultHour * time.Hour
		d.note(NoteHour)
	} else if at, offset, stated, err = localTime(clock); err != nil {
		return err
	}
	if !stated {
		if _, offset, stated, err = localTime("00:00 " + st.zone); err != nil || !stated {
			return fmt.Errorf("neither the match nor the stadium states an offset from UTC (%.30q)", st.zone)
		}
	}
	instant := day.Add(at).Add(-time.Duration(offset) * time.Second)
	here := geo.Point{Lat: d.event.Venue.Location.Lat, Lon: d.event.Venue.Location.Lon}
	near, ok := city.Nearest(here, d.event.Venue.Country, func(c city.City) bool {
		loc, err := walltime.Zone(c.TimeZone)
		if err != nil || c.Country != d.event.Venue.Country {
			return false
		}
		_, east := instant.In(loc).Zone()
		return east == offset
	})
	zone := ""
	if ok {
		zone = near.TimeZone
	}
	loc, err := d.locate(zone)
	if err != nil {
		return err
	}
	d.starts = []time.Time{instant.In(loc)}
	d.length = matchLength
	return nil
}

// worldCupStock shares the stadium among the assumed price categories.
func worldCupStock(d *draft, capacity int64) error {
	d.note(NotePrice)
	if capacity < 1 {
		capacity = DefaultCapacity
		d.note(NoteCapacity)
	}
	e := &d.event
	for _, c := range worldCupCategories {
		price, err := money.New(c.usdCents, e.Currency)
		if err != nil {
			return err
		}
		e.Quotas = append(e.Quotas, client.NewQuota{Name: c.name, Size: max(capacity*c.percent/100, 1)})
		e.TicketTypes = append(e.TicketTypes, client.NewTicketType{Name: c.name, Price: price, Quotas: []string{c.name}})
	}
	return nil
}

// stadium is one row of stadiums.json.
type stadium struct {
	city, name, zone, cc, coords string
	capacity                     int64
}

func newStadium(v any) stadium {
	m := obj(v)
	return stadium{
		city: str(m["city"]), name: str(m["name"]), zone: str(m["timezone"]), cc: strings.ToUpper(str(m["cc"])),
		coords: str(m["coords"]), capacity: min(count(m["capacity"]), maxCapacity),
	}
}

var numbered = regexp.MustCompile(`\s*\(\d+\)$`)

// cityName is the city without the number that tells two stadiums apart.
func (s stadium) cityName() string { return numbered.ReplaceAllString(s.city, "") }

// worldCupHosts are the countries of tournaments whose stadium files have no cc.
var worldCupHosts = map[string]string{"World Cup 2014": "BR", "World Cup 2018": "RU", "World Cup 2022": "QA"}

func (s stadium) country(cup string) string { return cmp.Or(s.cc, worldCupHosts[cup]) }

// locate reads the coordinates; without them the city's stand in, noted.
func (s stadium) locate(d *draft) error {
	v := &d.event.Venue
	if strings.TrimSpace(s.coords) != "" {
		p, err := parseCoords(s.coords)
		if err != nil {
			return err
		}
		v.Location = &client.Location{Lat: p.Lat, Lon: p.Lon}
		return nil
	}
	c, ok := city.Find(s.cityName() + "," + v.Country)
	if !ok {
		return errors.New("no coordinates")
	}
	v.Location = &client.Location{Lat: c.Location.Lat, Lon: c.Location.Lon}
	d.note(NoteLocation)
	return nil
}

// findStadium matches a ground, "Atlanta" or "Luzhniki Stadium, Moscow", with a
// stadium: by city, and among several in one city by the words of the name.
func findStadium(all []stadium, ground string) (stadium, bool) {
	name, place := "", ground
	if i := strings.LastIndex(ground, ","); i >= 0 {
		name, place = ground[:i], ground[i+1:]
	}
	var here []stadium
	for _, s := range all {
		if town(s.cityName()) == town(place) {
			here = append(here, s)
		}
	}
	words := strings.Fields(city.Fold(name))
	if len(here) == 0 { // the city is spelt otherwise ("Ekaterinburg"): the name must do
		for _, s := range all {
			if s.shared(words) >= 2 {
				here = append(here, s)
			}
		}
	}
	if len(here) == 0 {
		return stadium{}, false
	}
	return slices.MaxFunc(here, func(a, b stadium) int { return cmp.Compare(a.shared(words), b.shared(words)) }), true
}

// shared counts the words that the stadium's name has.
func (s stadium) shared(words []string) int {
	n := 0
	own := strings.FieldsFunc(city.Fold(s.name), func(r rune) bool { return r == ' ' || r == '(' || r == ')' })
	for _, w := range words {
		if slices.Contains(own, w) {
			n++
		}
	}
	return n
}

func town(s string) string { return strings.ReplaceAll(city.Fold(s), "st.", "saint") }

// slug joins texts into an id that people can read.
func slug(parts ...string) string {
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(city.Fold(p), " ", "-")
	}
	return cutRunes(strings.Join(parts, "/"), maxName)
}

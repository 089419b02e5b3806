package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet/cell/catalog/city"
	"guichet/cell/client"
	"guichet/cell/country"
	"guichet/cell/walltime"
)

// readICal reads calendars of RFC 5545 as programs write them. Each date of a
// recurring event is an event.
func readICal(ctx context.Context, in *input) error {
	for _, f := range in.files {
		if err := in.icalFile(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func (in *input) icalFile(ctx context.Context, f File) error {
	rc, r, err := in.openCalendar(f)
	if err != nil {
		return err
	}
	defer rc.Close()
	calendars, line, broken := in.components(r)
	if broken != nil && len(calendars) == 0 {
		return ErrFile.With("line %d: %v", line, broken)
	}
	index := 0
	for _, v := range calendars {
		c := in.newCalendar(f.Name, v)
		for _, g := range groups(v) {
			index++
			for _, d := range c.events(g) {
				d.file, d.index = f.Name, index
				if err := in.take(ctx, d); err != nil {
					return err
				}
			}
		}
	}
	if broken != nil {
		return in.take(ctx, &draft{file: f.Name, line: line, index: index + 1, err: restOf(broken)})
	}
	return nil
}

func (in *input) newCalendar(file string, v *component) *calendar {
	c := &calendar{in: in, file: file, own: map[string]*component{}, known: map[string]*time.Location{}, cancels: strings.EqualFold(v.text("METHOD"), "CANCEL")}
	for _, child := range v.children {
		if child.name == "VTIMEZONE" {
			c.own[child.text("TZID")] = child
		}
	}
	for _, name := range []string{v.text("X-WR-TIMEZONE"), v.text("TIMEZONE-ID"), in.zoneFor(file)} {
		if name == "" || isUTC(name) {
			continue
		}
		if loc, err := c.zoneNamed(name, in.opts.Now.Year()); err == nil {
			c.zone = loc.String()
			break
		}
	}
	return c
}

// isUTC: a program's clock, and hardly a venue's.
func isUTC(name string) bool {
	switch strings.TrimPrefix(name, "Etc/") {
	case "UTC", "UCT", "GMT", "Zulu", "Universal", "Greenwich":
		return true
	}
	return false
}

// group is an event with the dates that differ from its rule.
type group struct {
	event   *component
	changed []*component // with a RECURRENCE-ID
}

// groups are the events of a calendar in their order. Of two with one UID the one
// with the higher SEQUENCE counts (section 3.8.7.4).
func groups(v *component) []*group {
	var out []*group
	byUID := map[string]*group{}
	var changed []*component
	for _, e := range v.children {
		if e.name != "VEVENT" {
			continue
		}
		uid := e.text("UID")
		if e.first("RECURRENCE-ID").value != "" {
			changed = append(changed, e)
			continue
		}
		if g := byUID[uid]; g != nil && uid != "" {
			if sequence(e) > sequence(g.event) {
				g.event = e
			}
			continue
		}
		g := &group{event: e}
		byUID[uid] = g
		out = append(out, g)
	}
	for _, e := range changed {
		g := byUID[e.text("UID")]
		if g == nil { // its rule is in another file
			g = &group{event: e}
			out = append(out, g)
			continue
		}
		g.changed = append(g.changed, e)
	}
	return out
}

func sequence(e *component) int {
	n, _ := strconv.Atoi(e.text("SEQUENCE")) // unsaid is 0
	return n
}

// How many dates of one event are taken, and how far ahead.
const (
	maxDates  = 400
	maxListed = 5000 // that RDATE may list
	daysAhead = 366
)

// events are the drafts of an event: one, or one for each date that lies ahead.
func (c *calendar) events(g *group) []*draft {
	base, span, err := c.event(g.event)
	if err != nil {
		base.err = err
		return []*draft{base}
	}
	starts, recurs, cut, err := c.dates(g, span)
	switch {
	case err != nil:
		base.err = err
		return []*draft{base}
	case !recurs:
		return []*draft{base}
	}
	changes := map[int64]*component{}
	for _, e := range g.changed {
		at, err := c.moment(e.first("RECURRENCE-ID"), span.zone)
		if err == nil && e.first("RECURRENCE-ID").params["RANGE"] != "" {
			err = errors.New("a change of this and all following dates is not understood")
		}
		if err != nil {
			base.err = fmt.Errorf("RECURRENCE-ID: %w", err)
			return []*draft{base}
		}
		changes[at.at.Unix()] = e
	}
	var out []*draft
	for _, start := range starts {
		d := base.copy()
		if e := changes[start.Unix()]; e != nil {
			if d, _, err = c.event(e); err != nil {
				d.err = err
			}
		} else {
			span.put(d, start)
		}
		d.id += "/" + start.UTC().Format("20060102T150405Z")
		if cut {
			d.note(NoteDates)
		}
		out = append(out, d)
	}
	return out
}

// copy is a draft of its own with the same content.
func (d *draft) copy() *draft {
	made := *d
	made.notes, made.starts = slices.Clone(d.notes), slices.Clone(d.starts)
	e := d.event
	e.Quotas, e.TicketTypes = slices.Clone(e.Quotas), slices.Clone(e.TicketTypes)
	source, location := *e.Source, *e.Venue.Location
	e.Source, e.Venue.Location = &source, &location
	made.event = e
	return &made
}

// dates are the starts of a recurring event that lie ahead, or its first when none
// does; cut says that there are more.
func (c *calendar) dates(g *group, s span) (starts []time.Time, recurs, cut bool, err error) {
	if len(g.event.props["RRULE"])+len(g.event.props["RDATE"]) == 0 {
		return nil, false, false, nil
	}
	without, err := c.exceptions(g.event, s)
	if err != nil {
		return nil, true, false, err
	}
	now := c.in.opts.Now
	last := now.AddDate(0, 0, daysAhead)
	all, err := c.listed(g.event, s, last, func(t time.Time) bool { return t.After(now) && !without(t) })
	if err != nil {
		return nil, true, false, err
	}
	all = slices.DeleteFunc(all, without)
	if len(all) == 0 {
		return nil, true, false, errors.New("every date is taken out again")
	}
	from := slices.IndexFunc(all, func(t time.Time) bool { return t.After(now) })
	if from < 0 {
		return all[:1], true, false, nil
	}
	ahead := all[from:]
	n := 1 // the next one, however far it is
	for n < len(ahead) && n < maxDates && !ahead[n].After(last) {
		n++
	}
	return ahead[:n], true, n < len(ahead), nil
}

// listed are all dates of an event by its rule and its list, in order, up to last and
// until one counts that lies ahead.
func (c *calendar) listed(e *component, s span, last time.Time, counts func(time.Time) bool) ([]time.Time, error) {
	rules := e.props["RRULE"]
	if len(rules) > 1 || len(e.props["EXRULE"]) > 0 {
		return nil, errors.New("more than one rule, or a rule of exceptions, is not understood")
	}
	all := []time.Time{s.from}
	for _, p := range e.props["RDATE"] {
		for text := range strings.SplitSeq(p.value, ",") {
			text, _, _ = strings.Cut(text, "/") // a PERIOD begins with its start
			at, err := c.moment(property{params: p.params, value: text}, s.zone)
			if err != nil {
				return nil, fmt.Errorf("RDATE: %w", err)
			}
			if all = append(all, at.at); len(all) > maxListed {
				return nil, errors.New("too many dates")
			}
		}
	}
	if len(rules) == 1 {
		rule := strings.ToUpper(rules[0].value)
		if !frequency.MatchString(rule) {
			return nil, fmt.Errorf("rule %.40q: dates repeat by the day or more, not within one", rule)
		}
		n := 0
		err := walltime.Dates(rule, s.from, c.in.opts.Now.AddDate(maxYearsAway, 0, 0), func(at time.Time) bool {
			if n++; at.After(s.from) {
				all = append(all, at)
			}
			return n < maxReckoned && (!at.After(last) || !slices.ContainsFunc(all, counts))
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal), nil
}

var frequency = regexp.MustCompile(`(^|;)FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;|$)`)

// maxReckoned bounds the dates of a rule that are looked at: ninety years of days.
const maxReckoned = 33_000

// exceptions reads EXDATE: instants, or dates that stand for all of theirs.
func (c *calendar) exceptions(e *component, s span) (func(time.Time) bool, error) {
	instants, days := map[int64]bool{}, map[string]bool{}
	for _, p := range e.props["EXDATE"] {
		for text := range strings.SplitSeq(p.value, ",") {
			at, err := c.moment(property{params: p.params, value: text}, s.zone)
			if err != nil {
				return nil, fmt.Errorf("EXDATE: %w", err)
			}
			if at.dateOnly {
				days[text] = true
			} else {
				instants[at.at.Unix()] = true
			}
		}
	}
	return func(t time.Time) bool { return instants[t.Unix()] || days[t.Format("20060102")] }, nil
}

// event reads all of a VEVENT but its recurrence.
func (c *calendar) event(e *component) (*draft, span, error) {
	d := &draft{line: e.line, id: e.text("UID")}
	if len(d.id) > 100 {
		d.id = digest(d.id)
	}
	status := strings.ToUpper(e.text("STATUS"))
	switch class := strings.ToUpper(e.text("CLASS")); {
	case e.err != nil:
		return d, span{}, e.err
	case c.cancels || status == "CANCELLED" || status == "CANCELED":
		return d, span{}, errors.New("canceled at the source")
	case status == "TENTATIVE":
		return d, span{}, errors.New("tentative at the source")
	case class == "PRIVATE" || class == "CONFIDENTIAL":
		return d, span{}, errors.New("private at the source")
	case e.first("DTSTART").value == "":
		return d, span{}, errNoStart
	}
	v := &d.event
	v.Name, v.Summary = e.text("SUMMARY"), e.text("DESCRIPTION")
	var words []any
	for _, p := range e.props["CATEGORIES"] {
		words = append(words, unescape(p.value))
	}
	v.Category = categoryOf(nil, words)
	v.Source = &client.Source{URL: e.text("URL")}
	c.place(d, e)
	c.in.fallback(d)
	zone := c.zone
	if tzid := e.first("DTSTART").params["TZID"]; tzid != "" && !isUTC(tzid) {
		loc, err := c.zoneNamed(tzid, yearOf(e.first("DTSTART").value))
		if err != nil {
			return d, span{}, err
		}
		zone = loc.String()
	}
	loc, err := d.locate(zone)
	if err != nil {
		return d, span{}, err
	}
	s, err := c.span(e, loc)
	if err != nil {
		return d, span{}, err
	}
	if d.id == "" {
		d.id = digest(v.Name, s.from.UTC().Format(time.RFC3339), v.Venue.Name)
	}
	s.put(d, s.from)
	return d, s, c.stock(d)
}

func yearOf(value string) int {
	year, _ := strconv.Atoi(cutRunes(value, 4)) // what is no year is refused where the date is read
	return year
}

func (c *calendar) stock(d *draft) error {
	if d.event.Currency = cmp.Or(c.in.currencyFor(c.file), currencyOf(d.event.Venue.Country)); d.event.Currency == "" {
		return errors.New("no currency")
	}
	tiers, err := c.in.assumedPrice(d)
	if err != nil {
		return err
	}
	d.note(NoteCapacity)
	generalAdmission(&d.event, DefaultCapacity, tiers)
	return nil
}

// postcode stands before a city in an address.
var postcode = regexp.MustCompile(`^(?:[A-Z]{1,2}-)?\d{4,6} +`)

// place reads where it is: GEO, Apple's structured location, or a big city that the
// text of LOCATION names.
func (c *calendar) place(d *draft, e *component) {
	v := &d.event.Venue
	text := e.text("LOCATION")
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == ';' })
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	if len(parts) > 0 {
		v.Name, v.Address = parts[0], strings.Join(parts[1:], ", ")
		if code, ok := country.Parse(parts[len(parts)-1]); ok && len(parts) > 1 && len(parts[len(parts)-1]) > 2 { // "CA" may be California
			v.Country = code
		}
	}
	if lat, lon, ok := strings.Cut(e.text("GEO"), ";"); ok {
		v.Location = location(lat, lon)
	}
	if apple := e.first("X-APPLE-STRUCTURED-LOCATION"); v.Location == nil && apple.value != "" {
		point, _, _ := strings.Cut(strings.TrimPrefix(apple.value, "geo:"), ";")
		if lat, lon, ok := strings.Cut(point, ","); ok {
			v.Location = location(lat, lon)
		}
		v.Name = cmp.Or(apple.params["X-TITLE"], v.Name)
	}
	for _, part := range slices.Backward(parts) {
		name := postcode.ReplaceAllString(part, "")
		found, ok := city.Find(name + "," + v.Country)
		if !ok || city.Fold(found.Name) != city.Fold(name) {
			continue
		}
		v.City = found.Name
		if v.Location == nil {
			v.Country = found.Country
			v.Location = &client.Location{Lat: found.Location.Lat, Lon: found.Location.Lon}
			d.note(NoteLocation)
		}
		break
	}
}

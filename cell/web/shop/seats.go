package shop

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"guichet/cell/client"
)

// wholePlan is how many seats one page shows; of a larger house the reader chooses a
// section first, so that a stadium does not weigh megabytes.
const wholePlan = 2500

// seatsView is the map of seats, and the same seats as a list.
type seatsView struct {
	eventView
	plan     client.SeatMap
	sections []seatSection
	section  string // the one that is shown, "" for all
	choose   bool   // the house is too large for one page: choose a section
	cats     []seatCategory
	box      string // the drawing's viewBox
	radius   float64
	areas    []client.PlanArea
}

// seatSection is a section as the page lists it.
type seatSection struct {
	name string
	free int
	rows []seatRow
}

type seatRow struct {
	name  string
	seats []seatPlace
}

// seatPlace is one seat.
type seatPlace struct {
	id, number string
	x, y       float64
	cat        int
	kind       byte // s standard, a accessible, c companion
	free       bool
	picked     bool
}

// seatCategory is a sort of seats with the ticket types that sell it.
type seatCategory struct {
	n      int
	name   string
	colour string
	types  []client.TicketType
	as     string // the ticket type that was chosen
	free   int
}

// seats is the page on which seats are chosen. It is served at the event's home.
func (v *visit) seats() (answer, error) {
	return v.seatsWith(v.r.PathValue("event"), url.Values{}, nil)
}

// seatsAgain shows the map again with what is wrong, and with what was chosen.
func (v *visit) seatsAgain(id string, form url.Values, faults []fault) (answer, error) {
	return v.seatsWith(id, form, faults)
}

func (v *visit) seatsWith(id string, form url.Values, faults []fault) (answer, error) {
	e, _, err := v.api("").Event(v.ctx(), id)
	if err != nil {
		return answer{}, err
	}
	plan, _, err := v.api("").Seats(v.ctx(), id)
	if client.CodeOf(err) == "no_seating" {
		return answer{to: "/" + v.l.Code + "/events/" + id}, nil
	}
	if err != nil {
		return answer{}, err
	}
	s := seatsView{eventView: v.eventView(e), plan: plan, section: orElse(form.Get("show"), v.query().Get("section"))}
	s.meta.title, s.meta.noindex, s.meta.wide, s.meta.jsonld = v.l.T("seats_title", e.Name), true, true, ""
	s.meta.scripts = []string{"seats.js"}
	s.faults, s.typed = faults, form
	s.fill(form)
	a := answer{page: seatsPage(s)}
	if faults != nil {
		a.status = http.StatusUnprocessableEntity
	}
	return a, nil
}

// fill makes the plan ready for the page.
func (s *seatsView) fill(form url.Values) {
	total := 0
	for _, section := range s.plan.Sections {
		for i := range section.Rows {
			total += len(section.Rows[i].SeatIDs)
		}
	}
	s.choose = total > wholePlan && s.section == ""
	for i, c := range s.plan.Categories {
		cat := seatCategory{n: i, name: c.Name, colour: hexColour(c.Color), as: form.Get("as-" + strconv.Itoa(i))}
		for _, t := range s.event.TicketTypes {
			if slices.Contains(c.TicketTypeIDs, t.ID) && s.typeState(t) == "" {
				cat.types = append(cat.types, t)
			}
		}
		s.cats = append(s.cats, cat)
	}
	picked := map[string]bool{}
	for _, text := range form["seat"] {
		_, id, _ := strings.Cut(text, "|")
		picked[id] = true
	}
	b := bounds{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
	near := math.Inf(1)
	for _, section := range s.plan.Sections {
		shown := s.section == "" || s.section == section.Name
		out := seatSection{name: section.Name}
		for i := range section.Rows {
			row := s.row(&section.Rows[i], picked, &out.free)
			if !shown {
				continue
			}
			for j, p := range row.seats {
				b.add(p.x, p.y)
				if j > 0 {
					if d := math.Hypot(p.x-row.seats[j-1].x, p.y-row.seats[j-1].y); d > 0 {
						near = min(near, d)
					}
				}
			}
			if !s.choose {
				out.rows = append(out.rows, row)
			}
		}
		s.sections = append(s.sections, out)
	}
	if math.IsInf(near, 1) {
		near = 24
	}
	s.radius = near * 0.44
	b.grow(near * 1.4)
	if s.section == "" {
		s.areas = s.plan.Areas
		if s.plan.Size != nil && s.plan.Size.Width > 0 && s.plan.Size.Height > 0 {
			b.add(0, 0)
			b.add(s.plan.Size.Width, s.plan.Size.Height)
		}
	}
	s.box = b.box()
}

// row reads a row of the plan.
func (s *seatsView) row(r *client.SeatMapRow, picked map[string]bool, free *int) seatRow {
	out := seatRow{name: r.Row}
	for i, id := range r.SeatIDs {
		p := seatPlace{id: id, number: r.Numbers[i], x: r.X[i], y: r.Y[i], cat: int(r.Categories[i]), kind: 's', picked: picked[id]}
		if i < len(r.Kinds) {
			p.kind = r.Kinds[i]
		}
		p.free = i < len(r.Status) && r.Status[i] == 'f' && p.cat < len(s.cats) && len(s.cats[p.cat].types) > 0
		p.picked = p.picked && p.free
		if p.free {
			*free++
			s.cats[p.cat].free++
		}
		out.seats = append(out.seats, p)
	}
	return out
}

// bounds is a rectangle that grows.
type bounds struct{ left, top, right, bottom float64 }

func (b *bounds) add(x, y float64) {
	b.left, b.right, b.top, b.bottom = min(b.left, x), max(b.right, x), min(b.top, y), max(b.bottom, y)
}

func (b *bounds) grow(by float64) {
	b.left, b.top, b.right, b.bottom = b.left-by, b.top-by, b.right+by, b.bottom+by
}

func (b *bounds) box() string {
	if b.right <= b.left || b.bottom <= b.top || math.IsInf(b.left, 0) {
		return "0 0 100 100"
	}
	return number1(b.left) + " " + number1(b.top) + " " + number1(b.right-b.left) + " " + number1(b.bottom-b.top)
}

// number1 is a coordinate with at most one decimal.
func number1(f float64) string {
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}

// seatInks are the colours of categories whose plan says none, or says what is no colour.
var seatInks = []string{"#8c2d19", "#1d5f57", "#3a4a8c", "#8a5a00", "#6b2f6b", "#2f6b2f"}

// hexColour lets only a colour pass: a plan is an organizer's text.
func hexColour(text string) string {
	if len(text) == 7 && text[0] == '#' && strings.Trim(text[1:], "0123456789abcdefABCDEF") == "" {
		return text
	}
	return ""
}

// ink is a category's colour.
func (c seatCategory) ink() string { return orElse(c.colour, seatInks[c.n%len(seatInks)]) }

// onInk is the colour of what is written on it, the one of black and white that is
// told apart better (WCAG 2.2, relative luminance).
func (c seatCategory) onInk() string {
	lum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, _ := strconv.ParseUint(c.ink()[1+2*i:3+2*i], 16, 8) // it is a colour
		part := float64(n) / 255
		if part <= 0.03928 {
			part /= 12.92
		} else {
			part = math.Pow((part+0.055)/1.055, 2.4)
		}
		lum += weight * part
	}
	if lum > 0.179 {
		return "#000"
	}
	return "#fff"
}

// price is the lowest price of a category.
func (c seatCategory) lowest() *client.TicketType {
	var best *client.TicketType
	for i := range c.types {
		if best == nil || c.types[i].PriceAllIn.Amount < best.PriceAllIn.Amount {
			best = &c.types[i]
		}
	}
	return best
}

// letter tells categories apart without colour.
func (c seatCategory) letter() string { return string(rune('A' + c.n%26)) }

// seatTypes are the ticket types of which the best seats can be asked for.
func (s seatsView) seatTypes() (list []client.TicketType) {
	for _, t := range s.sorted() {
		if len(t.Categories) > 0 && s.typeState(t) == "" && !t.AddOn {
			list = append(list, t)
		}
	}
	return list
}

// seatItems reads seats of the map, seat=<category>|<seat> with as-<category>=<ticket
// type>, and the best seats, best-type with best-count.
func seatItems(form url.Values) (items []client.HoldItem) {
	for i, text := range form["seat"] {
		cat, seat, ok := strings.Cut(text, "|")
		ticketType := form.Get("as-" + cat)
		if !ok || i >= maxSeats || ticketType == "" {
			continue
		}
		at := slices.IndexFunc(items, func(h client.HoldItem) bool { return h.TicketTypeID == ticketType })
		if at < 0 {
			items = append(items, client.HoldItem{TicketTypeID: ticketType})
			at = len(items) - 1
		}
		items[at].SeatIDs = append(items[at].SeatIDs, seat)
	}
	if n, err := strconv.ParseInt(form.Get("best-count"), 10, 64); err == nil && n > 0 && form.Get("do") == "best" {
		items = append(items, client.HoldItem{TicketTypeID: form.Get("best-type"), Quantity: n, Section: form.Get("section"), Accessible: form.Get("accessible") != ""})
	}
	return items
}

package catalog

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/cell/walltime"
)

// readHongKong reads the LCSD's three XML files (events, venues, event dates) in
// any order; the root element tells them apart. Venues and dates are small and
// held in memory, the events stream. An event with many dates is read as its
// next one: one event here is one thing sold.
func readHongKong(ctx context.Context, in *input) error {
	hk := &hongKong{in: in, venues: map[string]hkVenue{}, dates: map[string][]string{}}
	var programmes []File
	for _, f := range in.files {
		root, err := hk.load(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if root == "events" {
			programmes = append(programmes, f)
		}
	}
	if len(programmes) == 0 || len(hk.venues) == 0 || len(hk.dates) == 0 {
		return ErrFile.With("three files are needed: events, venues and event dates")
	}
	for _, f := range programmes {
		if err := hk.stream(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

type hongKong struct {
	in     *input
	venues map[string]hkVenue
	dates  map[string][]string // YYYYMMDD, sorted
}

type hkVenue struct {
	ID        string `xml:"id,attr"`
	Chinese   string `xml:"venuec"`
	English   string `xml:"venuee"`
	Latitude  string `xml:"latitude"`
	Longitude string `xml:"longitude"`
}

type hkDates struct {
	ID   string   `xml:"id,attr"`
	Days []string `xml:"indate"`
}

type hkEvent struct {
	ID        string `xml:"id,attr"`
	Chinese   string `xml:"titlec"`
	English   string `xml:"titlee"`
	Kind      string `xml:"cat2"`
	When      string `xml:"predateE"`
	Length    string `xml:"progtimee"`
	VenueID   string `xml:"venueid"`
	Price     string `xml:"pricee"`
	AboutC    string `xml:"descc"`
	AboutE    string `xml:"desce"`
	URL       string `xml:"urle"`
	OnSale    string `xml:"saledate"`
	Presenter string `xml:"presenterorge"`
}

// load tells what a file is and keeps venues and dates.
func (hk *hongKong) load(ctx context.Context, f File) (root string, err error) {
	err = children(ctx, f, func(name string, dec *xml.Decoder, start xml.StartElement, _, _ int) (more bool, err error) {
		switch root = name; root {
		case "events":
			return false, nil // pass two streams it
		case "venues":
			var v hkVenue
			if err := dec.DecodeElement(&v, &start); err != nil {
				return false, err
			}
			hk.venues[v.ID] = v
		case "event_dates":
			var d hkDates
			if err := dec.DecodeElement(&d, &start); err != nil {
				return false, err
			}
			slices.Sort(d.Days)
			hk.dates[d.ID] = slices.Compact(d.Days)
		default:
			return false, ErrFile.With("root element %.40q is not events, venues or event_dates", root)
		}
		if len(hk.venues)+len(hk.dates) > MaxRows {
			return false, ErrFile.With("more than %d venues and dates", MaxRows)
		}
		return true, nil
	})
	if err != nil {
		return "", ErrFile.With("%v", err)
	}
	return root, nil
}

func (hk *hongKong) stream(ctx context.Context, f File) error {
	return children(ctx, f, func(_ string, dec *xml.Decoder, start xml.StartElement, line, index int) (bool, error) {
		d := &draft{file: f.Name, line: line, index: index}
		var e hkEvent
		err := dec.DecodeElement(&e, &start)
		if err != nil {
			d.err = restOf(err)
		} else {
			d.id = e.ID
			d.err = hk.event(d, e)
		}
		return err == nil, hk.in.take(ctx, d)
	})
}

// children calls each for every child of the root, until more is false.
func children(ctx context.Context, f File, each func(root string, dec *xml.Decoder, start xml.StartElement, line, index int) (more bool, err error)) error {
	rc, r, err := open(f)
	if err != nil {
		return err
	}
	defer rc.Close()
	t := newTape(r)
	dec := xml.NewDecoder(t)
	root, index := "", 0
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) && root != "" {
			return ctx.Err()
		}
		if err != nil {
			return ErrFile.With("not XML: %v", err)
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if root == "" {
			root = start.Name.Local
			continue
		}
		index++
		line := t.at(dec.InputOffset())
		more, err := each(root, dec, start, line, index)
		if err != nil || !more {
			return err
		}
		t.at(dec.InputOffset())
	}
}

func (hk *hongKong) event(d *draft, x hkEvent) error {
	e := &d.event
	if x.ID == "" {
		return errors.New("no id")
	}
	e.Name = bilingual(x.English, x.Chinese)
	e.Summary = cmp.Or(said(x.AboutE), said(x.AboutC), said(x.Presenter))
	e.Category = cmp.Or(hongKongCategories[x.Kind], "other")
	e.Currency = "HKD"
	e.Source = &client.Source{URL: strings.TrimSpace(x.URL)}
	venue, ok := hk.venues[x.VenueID]
	if !ok {
		return fmt.Errorf("venue %.20q is not in the venues file", x.VenueID)
	}
	e.Venue = client.Venue{Name: bilingual(venue.English, venue.Chinese), City: "Hong Kong", Country: "HK"}
	if e.Venue.Location = location(venue.Latitude, venue.Longitude); e.Venue.Location == nil {
		centre := HongKongCentre
		if hk.in.opts.Fallback != nil {
			centre = *hk.in.opts.Fallback
		}
		e.Venue.Location = &client.Location{Lat: centre.Lat, Lon: centre.Lon}
		d.note(NoteLocation)
	}
	loc, err := d.locate(hk.in.zoneFor(d.file))
	if err != nil {
		return err
	}
	if err := hk.when(d, x, loc); err != nil {
		return err
	}
	return hk.stock(d, x)
}

// when joins the event's days with the hours in its free text.
func (hk *hongKong) when(d *draft, x hkEvent, loc *time.Location) error {
	d.length = lengthIn(x.Length)
	for _, day := range hk.dates[x.ID] {
		t, err := time.ParseInLocation("20060102", day, loc) // a date: what counts is reckoned below
		if err != nil {
			return fmt.Errorf("date %.20q is not YYYYMMDD", day)
		}
		if t.Year() >= 2090 {
			continue // 20990101 means open-ended
		}
		at, length, ok := hoursOn(x.When, t)
		if !ok {
			at = HongKongHour * time.Hour
			d.note(NoteHour)
		}
		if length > 0 {
			d.length = length
		}
		start, err := walltime.On(t, at.Truncate(time.Minute))
		if err != nil {
			return err
		}
		d.starts = append(d.starts, start)
	}
	if len(d.starts) == 0 {
		return errors.New("no date, or open-ended")
	}
	if t, err := walltime.Parse("2006-01-02 15:04:05.000", strings.TrimSpace(x.OnSale), loc); err == nil {
		d.onSale = t
	}
	return nil
}

// stock: each price is a zone with its share of an assumed hall.
func (hk *hongKong) stock(d *draft, x hkEvent) error {
	list, err := hongKongPrices(x.Price, "HKD")
	if err != nil {
		return err
	}
	d.note(NoteCapacity)
	if len(list) == 0 || len(list) == 1 && list[0].Amount == 0 {
		if len(list) == 0 {
			d.note(NoteFree)
		}
		generalAdmission(&d.event, HongKongRoomCapacity, []tier{{name: "Free admission", price: money.Money{Currency: "HKD"}}})
		return nil
	}
	slices.SortFunc(list, func(a, b money.Money) int { return cmp.Compare(b.Amount, a.Amount) })
	var tiers []tier
	for i, p := range list {
		tiers = append(tiers, tier{name: "Zone " + string(rune('A'+i%26)), price: p})
	}
	zones(&d.event, HongKongHallCapacity, tiers)
	return nil
}

// priceNumber is one amount in a text: "1,380", "1080", "12.50". A comma groups
// thousands only after one or two digits and only once, since lists are written
// without spaces too ("$130,100, 80", "$1,380,980,580").
var priceNumber = regexp.MustCompile(`\d{1,2},\d{3}(?:\.\d+)?\b|\d+(?:\.\d+)?`)

// maxGrouped is where "75,100" stops being one price and becomes two, in minor
// units of a currency with decimals.
const maxGrouped = 50_000_00

// hongKongPrices finds the amounts in a text of the Hong Kong programme, whose commas
// both group and list, in order and without repeats: "$1,380, $980, $580",
// "$480, 380, 260*". Nothing found and a word for free gives one zero.
func hongKongPrices(text, cur string) ([]money.Money, error) {
	var out []money.Money
	add := func(decimal string) error {
		m, err := exactPrice(decimal, cur)
		if err != nil {
			return err
		}
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
		return nil
	}
	for _, n := range priceNumber.FindAllString(text, maxTypes) {
		one, err := exactPrice(strings.ReplaceAll(n, ",", ""), cur)
		parts := []string{strings.ReplaceAll(n, ",", "")}
		if exp, _ := money.Exponent(cur); err == nil && exp > 0 && one.Amount > maxGrouped && strings.Contains(n, ",") {
			parts = strings.Split(n, ",")
		}
		for _, p := range parts {
			if err := add(p); err != nil {
				return nil, err
			}
		}
	}
	if len(out) == 0 && freeWords.MatchString(text) {
		return []money.Money{{Currency: cur}}, nil
	}
	return out, nil
}

// said is a text that is not a placeholder.
func said(s string) string {
	if s = strings.TrimSpace(s); s == "--" || s == "-" {
		return ""
	}
	return s
}

// bilingual joins the English and the Chinese name, so that either is found.
func bilingual(english, chinese string) string {
	e, c := plain(said(english)), plain(said(chinese))
	if e == "" || c == "" || e == c || strings.Contains(c, e) {
		return cmp.Or(c, e)
	}
	if strings.Contains(e, c) {
		return e
	}
	return e + " / " + c
}

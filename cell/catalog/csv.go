package catalog

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/transform"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/cell/walltime"
)

// csvColumns are the columns of the CSV format; docs/import.md says what each holds.
var csvColumns = []string{
	"id", "name", "summary", "category", "venue", "address", "city", "country", "lat", "lon", "capacity", "time_zone",
	"starts_at", "ends_at", "minutes", "currency", "price", "quotas", "ticket_types", "max_per_order", "url", "source", "licence", "credit",
}

var csvRequired = []string{"id", "name", "venue", "city", "country", "lat", "lon", "starts_at"}

func readCSV(ctx context.Context, in *input) error {
	for _, f := range in.files {
		if err := in.csvFile(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func (in *input) csvFile(ctx context.Context, f File) error {
	rc, text, err := in.openText(f)
	if err != nil {
		return err
	}
	defer rc.Close()
	r := bufio.NewReader(transform.NewReader(text, lineEnds{}))
	t := newTape(r)
	head, _ := r.Peek(2048)
	said, comma := saidSeparator(head)
	cr := csv.NewReader(t)
	cr.Comma = comma
	cr.FieldsPerRecord = -1 // counted here, so that one short row costs one row
	cr.ReuseRecord = true
	if said {
		_, _ = cr.Read() // its faults are the header's too
	}
	header, err := cr.Read()
	if err != nil {
		return ErrFile.With("no header line: %v", err)
	}
	columns, err := csvHeader(header)
	if err != nil {
		return err
	}
	for index := 1; ; index++ {
		record, err := cr.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		d := &draft{file: f.Name, index: index}
		var broken *csv.ParseError
		switch {
		case errors.As(err, &broken):
			d.line, d.err = broken.StartLine, fmt.Errorf("not CSV: %w", broken.Err)
		case err != nil:
			d.line, d.err = t.at(cr.InputOffset()), restOf(err)
			return in.take(ctx, d)
		default:
			t.at(cr.InputOffset())
			d.line, _ = cr.FieldPos(0)
			if len(record) != len(columns) {
				d.err = fmt.Errorf("%d fields, the header has %d", len(record), len(columns))
			} else {
				d.err = in.csvEvent(d, csvRow{columns, record})
			}
		}
		if err := in.take(ctx, d); err != nil {
			return err
		}
	}
}

// saidSeparator is what the file's first line says, "sep=;" as Excel writes it, else
// what the header looks like.
func saidSeparator(head []byte) (said bool, comma rune) {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if text, ok := strings.CutPrefix(strings.ToLower(strings.Trim(string(line), "\" ")), "sep="); ok && len(text) == 1 && strings.Contains(",;|\t", text) {
		return true, rune(text[0])
	}
	return false, separator(head)
}

// separator is the one of comma, semicolon and tab that the header has most of.
func separator(head []byte) rune {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best, n := ',', bytes.Count(line, []byte(","))
	for _, c := range []rune{';', '\t'} {
		if m := bytes.Count(line, []byte(string(c))); m > n {
			best, n = c, m
		}
	}
	return best
}

func csvHeader(header []string) ([]string, error) {
	columns := make([]string, len(header))
	for i, h := range header {
		columns[i] = strings.ToLower(strings.TrimSpace(h))
		if !slices.Contains(csvColumns, columns[i]) {
			return nil, ErrFile.With("column %.40q is not one of %s", h, strings.Join(csvColumns, ", "))
		}
		if slices.Contains(columns[:i], columns[i]) {
			return nil, ErrFile.With("column %q twice", columns[i])
		}
	}
	for _, c := range csvRequired {
		if !slices.Contains(columns, c) {
			return nil, ErrFile.With("column %q is missing", c)
		}
	}
	return columns, nil
}

// csvRow is one record under its header.
type csvRow struct{ columns, fields []string }

// get is a field by its column, without outer spaces; "" when there is none.
func (r csvRow) get(column string) string {
	if i := slices.Index(r.columns, column); i >= 0 {
		return strings.TrimSpace(r.fields[i])
	}
	return ""
}

func (in *input) csvEvent(d *draft, r csvRow) error {
	if d.id = r.get("id"); d.id == "" || len(d.id) > 100 {
		return errors.New("id is empty or longer than 100 bytes")
	}
	e := &d.event
	e.Name, e.Summary, e.Category = r.get("name"), r.get("summary"), strings.ToLower(r.get("category"))
	e.Venue = client.Venue{Name: r.get("venue"), Address: r.get("address"), City: r.get("city")}
	e.Source = &client.Source{Name: r.get("source"), Licence: r.get("licence"), Credit: r.get("credit"), URL: r.get("url")}
	if c := r.get("capacity"); c != "" {
		if e.Venue.Capacity = count(c); e.Venue.Capacity < 1 || e.Venue.Capacity > maxCapacity {
			return fmt.Errorf("capacity %.20q is not 1 to %d", c, maxCapacity)
		}
	}
	_, okLat := number(r.get("lat"))
	_, okLon := number(r.get("lon"))
	if (r.get("lat") != "" || r.get("lon") != "") && !(okLat && okLon) {
		return fmt.Errorf("lat %.20q, lon %.20q are not degrees", r.get("lat"), r.get("lon"))
	}
	e.Venue.Location = location(r.get("lat"), r.get("lon"))
	in.fallback(d)
	var err error
	if e.Venue.Country, err = countryOf(r.get("country")); err != nil {
		return err
	}
	loc, err := d.locate(cmp.Or(r.get("time_zone"), in.zoneFor(d.file)))
	if err != nil {
		return err
	}
	if err := csvTimes(d, r, loc); err != nil {
		return err
	}
	return in.csvStock(d, r)
}

func csvTimes(d *draft, r csvRow, loc *time.Location) error {
	start, dateOnly, err := moment(r.get("starts_at"), loc)
	if err != nil {
		return fmt.Errorf("starts_at %.40q: %w", r.get("starts_at"), err)
	}
	if dateOnly {
		if start, err = walltime.On(start, DefaultHour*time.Hour); err != nil {
			return err
		}
		d.note(NoteHour)
	}
	d.starts = []time.Time{start}
	if minutes := r.get("minutes"); minutes != "" {
		n := count(minutes)
		if n < 1 || n > 60*24*366 {
			return fmt.Errorf("minutes %.20q is not 1 to 527040", minutes)
		}
		d.length = time.Duration(n) * time.Minute
	}
	if text := r.get("ends_at"); text != "" {
		end, endsWithDay, err := moment(text, loc)
		if err != nil {
			return fmt.Errorf("ends_at %.40q: %w", text, err)
		}
		if endsWithDay {
			end = walltime.EndOfDay(end)
		}
		if !end.After(start) {
			return fmt.Errorf("ends_at %.40q is not after starts_at", text)
		}
		d.end = end
	}
	return nil
}

// csvStock reads ticket_types and quotas, or else price and capacity.
func (in *input) csvStock(d *draft, r csvRow) error {
	e := &d.event
	e.Currency = cmp.Or(strings.ToUpper(r.get("currency")), in.currencyFor(d.file), currencyOf(e.Venue.Country))
	capacity := e.Venue.Capacity
	if capacity == 0 {
		capacity = DefaultCapacity
		if r.get("quotas") == "" {
			d.note(NoteCapacity)
		}
	}
	if r.get("ticket_types") == "" {
		if r.get("quotas") != "" {
			return errors.New("quotas without ticket_types")
		}
		return in.csvPrice(d, r.get("price"), capacity)
	}
	if r.get("price") != "" {
		return errors.New("price and ticket_types: give one")
	}
	if err := csvQuotas(e, r.get("quotas"), capacity); err != nil {
		return err
	}
	most := count(r.get("max_per_order"))
	if text := r.get("max_per_order"); text != "" && (most < 1 || most > maxPerOrder) {
		return fmt.Errorf("max_per_order %.20q is not 1 to %d", text, maxPerOrder)
	}
	for text := range strings.SplitSeq(r.get("ticket_types"), ";") {
		t, err := csvTicketType(e, text)
		if err != nil {
			return err
		}
		t.MaxPerOrder = most
		e.TicketTypes = append(e.TicketTypes, t)
	}
	return nil
}

func (in *input) csvPrice(d *draft, text string, capacity int64) error {
	var tiers []tier
	list, err := prices(text, d.event.Currency)
	if err != nil {
		return fmt.Errorf("price %.40q: %w", text, err)
	}
	switch {
	case len(list) == 0 && text != "":
		return fmt.Errorf("price %.40q is neither an amount nor free", text)
	case len(list) == 0:
		if tiers, err = in.assumedPrice(d); err != nil {
			return err
		}
	case len(list) == 1 && list[0].Amount == 0:
		tiers = []tier{{name: "Free admission", price: list[0]}}
	case len(list) == 1:
		tiers = []tier{{name: "Standard", price: list[0]}}
	default:
		for _, p := range list {
			tiers = append(tiers, tier{name: "Ticket " + p.String(), price: p})
		}
	}
	generalAdmission(&d.event, capacity, tiers)
	return nil
}

// csvQuotas reads "Stalls=900; Circle=400"; none is one of the whole capacity.
func csvQuotas(e *client.NewEvent, text string, capacity int64) error {
	if text == "" {
		e.Quotas = []client.NewQuota{{Name: "General admission", Size: capacity}}
		return nil
	}
	for part := range strings.SplitSeq(text, ";") {
		name, size, ok := strings.Cut(part, "=")
		if !ok || count(strings.TrimSpace(size)) == 0 {
			return fmt.Errorf("quota %.60q is not like Stalls=900", strings.TrimSpace(part))
		}
		e.Quotas = append(e.Quotas, client.NewQuota{Name: strings.TrimSpace(name), Size: count(strings.TrimSpace(size))})
	}
	return nil
}

// csvTicketType reads "Stalls|42.50|Stalls+House". Without a third part it draws
// on the quota of its own name, or on the only one.
func csvTicketType(e *client.NewEvent, text string) (client.NewTicketType, error) {
	parts := strings.Split(text, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" {
		return client.NewTicketType{}, fmt.Errorf("ticket type %.60q is not like Stalls|42.50 or Stalls|42.50|Stalls+House", strings.TrimSpace(text))
	}
	if strings.EqualFold(parts[1], "free") {
		parts[1] = "0"
	}
	price, err := money.Parse(parts[1], e.Currency)
	if err != nil {
		return client.NewTicketType{}, fmt.Errorf("ticket type %.60q: %w", parts[0], err)
	}
	t := client.NewTicketType{Name: parts[0], Price: price}
	if len(parts) == 3 {
		for q := range strings.SplitSeq(parts[2], "+") {
			t.Quotas = append(t.Quotas, strings.TrimSpace(q))
		}
		return t, nil
	}
	if len(e.Quotas) == 1 {
		t.Quotas = []string{e.Quotas[0].Name}
	} else {
		t.Quotas = []string{t.Name}
	}
	return t, nil
}
